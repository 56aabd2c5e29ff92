"""What is done to each case, in order, as declarations: read without torch, and built by `Preparation.compose`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from medseg.slices.rule import SliceRule

HOME = "medseg.transforms"
"""The public module of medseg's own transforms."""

_BOTH = ["image", "label"]


def case_stages(channels: Sequence[str], rule: SliceRule, files: str, *, truth: bool) -> list[dict[str, Any]]:
    """All of them, from files to slices: ours around those that the definition declares.

    Args:
        channels: Names, in order.
        rule: Of the slices.
        files: What kind of files they are, as `LoadCased` names it.
        truth: Whether the label map is read.
    """
    before, after = slicing_stages(channels, rule)
    return [*reading_stages(channels, rule, files, truth=truth), *before, *rule.chain, *after]


def reading_stages(
    channels: Sequence[str], rule: SliceRule, files: str, *, truth: bool
) -> list[dict[str, Any]]:
    """From the files of a case to its volume, RAS+."""
    keys, reference = _BOTH if truth else ["image"], rule.reference(channels)
    align = {} if reference is None else {"reference": reference}
    stages = [
        _own("LoadCased", keys=keys, channels=list(channels), files=files, **align),
        _own("OrientRASd", keys=keys),
    ]
    if truth:
        stages.append(_own("EncodeLabelsd", keys=["label"], rule="label_values of the manifest"))
    return stages


def slicing_stages(
    channels: Sequence[str], rule: SliceRule
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """From a volume to slices of one size: what comes before the transforms of the definition, and what after."""
    fit: dict[str, Any] = {"size": list(rule.size), "fit": rule.fit}
    if rule.fit == "tile":
        fit["overlap"] = rule.overlap
    if rule.fit != "resize":  # which adds no margin
        fit["pad"] = rule.pad
    keys = [*_BOTH, "content"]
    beside = [_own("StackNeighboursd", keys=["image"], neighbours=rule.neighbours)] if rule.neighbours else []
    return [_own("MarkContentd", keys=["image"])], [
        _own("CheckPreparedd", keys=_BOTH, channels=list(channels)),
        _own("CarryMaskd", keys=["content"]),
        _own("CutSlicesd", keys=keys, axis=rule.axis, any_orientation=True),
        _own("FitSlicesd", keys=keys, **fit, mode=["bilinear", "nearest", "nearest"]),
        *beside,
    ]


def _own(name: str, **arguments: Any) -> dict[str, Any]:
    return {"_target_": f"{HOME}.{name}", **arguments}
