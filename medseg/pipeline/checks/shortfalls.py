"""What slices lack of the truth of their cases, in words for those who may change it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from medseg.datasets.checks.case_facts import CaseFacts
from medseg.learning.tasks.class_weights import are_counted
from medseg.learning.tasks.task import Task
from medseg.slices.preparation import Preparation
from medseg.slices.store.estimate import stored_stack
from medseg.slices.store.store import SliceStore
from medseg.text import many

_NAMED = 4  # of cases, those that lose most
_FAR = 4  # times as long and as wide


def cut_away_note(shares: Mapping[str, float], size: tuple[int, int]) -> str:
    """That slices are too small for what label maps mark; empty if they are not.

    Args:
        shares: Of what a label map marks, as `SliceStore.cut_away` gives it.
        size: (H, W) of a slice.
    """
    if not shares:
        return ""
    most = sorted(shares, key=lambda case: (-shares[case], case))
    named = ", ".join(f"{case} {_percent(shares[case])}" for case in most[:_NAMED])
    more = f" and {len(most) - _NAMED} more" if len(most) > _NAMED else ""
    return (
        f"Slices of {size[0]} x {size[1]} (slices.size) cut away some of what the label maps mark: of {named}{more}. "
        "It is neither learned nor found. Set a larger slices.size, or slices.fit=resize or tile."
    )


def cropped_note(size: tuple[int, int], larger: int, cases: int, *, masks: bool) -> str:
    """That slices are cut to a size, before it is known of each case whether that takes anything of its label map.

    Args:
        size: (H, W) of a slice.
        larger: How many cases have larger slices, as they are stored; 0 where only transforms make them larger.
        cases: How many there are.
        masks: Whether there are label maps, of which the largest case's was looked at.
    """
    those = f"those of {larger} of {many(cases, 'case')}" if larger else "some"
    looked = " Of label maps, that of the largest case alone was looked at; a run names all that are cut."
    return (
        f"Slices are cut to {size[0]} x {size[1]} (slices.size) around their centre, and {those} are larger: what "
        "lies outside is never seen. Set a larger slices.size, or slices.fit=resize or tile."
        f"{looked if masks and cases > 1 else ''}"
    )


def unlearned_note(store: SliceStore, task: Task) -> str:
    """That nothing for training shows a class; empty if all are shown, or there is no truth."""
    counts = task.target.counts(store, "train")
    if not counts.any():
        return ""
    absent = [name for name, count in zip(store.classes, counts, strict=True) if not count]
    return absent_note(absent, task)


def absent_note(names: list[str], task: Task) -> str:
    """That classes cannot be learned, since nothing for training shows them; empty where there are none."""
    if not names:
        return ""
    which = f"class {names[0]}" if len(names) == 1 else f"classes {', '.join(names)}"
    it, has = ("it", "It has") if len(names) == 1 else ("they", "They have")
    weight = f" {has} no weight in the loss (task.class_weights: frequency)." if are_counted(task) else ""
    return (
        f"Nothing for training shows the {which}: {it} cannot be learned.{weight} Add cases that do, share out "
        "otherwise (split.seed, split.stratify), or keep other slices (slices.keep)."
    )


def enlarged_note(preparation: Preparation, cases: Collection[str], facts: Sequence[CaseFacts]) -> str:
    """That slices are far larger than what is stored; empty if they are not, or transforms decide how large it is.

    Args:
        preparation: To which size slices are brought, and how.
        cases: Names of those that are used.
        facts: What files hold.
    """
    rule = preparation.rule
    if preparation.moves:
        return ""
    stacks = [
        stored_stack(each.shape, np.reshape(each.affine, (4, 4)), rule.axis)
        for each in facts
        if each.case in cases and each.shape is not None and each.affine is not None
    ]
    small = sum(
        all(new >= _FAR * old for new, old in zip(rule.size, each[1:], strict=True)) for each in stacks
    )
    if not small:
        return ""
    made = "pixels and labels are only made larger" if rule.fit == "resize" else "most of them is padding"
    return (
        f"Slices of {rule.size[0]} x {rule.size[1]} (slices.size) are {_FAR} times as long and as wide, or more, as "
        f"those of {small} of {many(len(stacks), 'case')}: {made}, which shows nothing new and takes memory and "
        "time. Set a smaller slices.size."
    )


def _percent(share: float) -> str:
    return "less than 1 %" if share < 0.01 else f"{100 * share:.0f} %"
