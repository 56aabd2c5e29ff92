"""How intensities are brought to one scale."""

from __future__ import annotations

from typing import Any

import numpy as np

from medseg.datasets.scanning.look import Look

_CT = ("ct", "computed tomography")

#: A box around what is not 0 that takes less of the volume than this: what is 0 is no part of the image.
#: Source: nnU-Net, which then normalises within its non-zero mask.
CROPPED = 0.75

_AIR = -150  # HU; images of other kinds are not so far below 0


def kept_share(look: Look) -> float:
    """Median share of a volume that the box around what is not 0 takes."""
    found = [seen.kept for seen in look.seen if seen.whole and seen.shape is not None]
    return float(np.median(found)) if found else 1.0


def volume_scaling(look: Look) -> tuple[dict[str, Any], str]:
    """The transform for volumes, and why."""
    assert look.layout is not None  # noqa: S101 - there are cases
    channels = list(look.layout.fields["channels"])
    values = {name: _foreground(look, name) for name in channels}
    known = {name: look.layout.modalities.get(name, "") for name in channels}
    if len(channels) == 1 and values[channels[0]].size and _is_ct(known[channels[0]], values[channels[0]]):
        return _by_percentiles(values[channels[0]], known[channels[0]])
    kept = kept_share(look)
    scaling = {
        "_target_": "monai.transforms.NormalizeIntensityd",
        "keys": ["image"],
        **({"nonzero": True} if kept < CROPPED else {}),
        "channel_wise": True,
    }
    inside = (
        f"where it is not 0: the box around that takes {kept:.0%} of a volume"
        if kept < CROPPED
        else f"over all of it: what is not 0 takes {kept:.0%} of a volume"
    )
    return scaling, f"MR has no scale of its own: mean 0 and deviation 1 in each volume, {inside}"


def _is_ct(name: str, values: np.ndarray[Any, Any]) -> bool:
    return name in _CT or (not name and float(np.percentile(values, 0.5)) < _AIR)


def _by_percentiles(values: np.ndarray[Any, Any], name: str) -> tuple[dict[str, Any], str]:
    low, high = (float(each) for each in np.percentile(values, (0.5, 99.5)))
    inside = np.clip(values, low, high)
    mean, deviation = float(inside.mean()), float(inside.std()) or 1.0
    scaling = {
        "_target_": "monai.transforms.ScaleIntensityRanged",
        "keys": ["image"],
        "a_min": round(low, 2),
        "a_max": round(max(high, low + 1), 2),
        "b_min": round((low - mean) / deviation, 4),
        "b_max": round((max(high, low + 1) - mean) / deviation, 4),
        "clip": True,
    }
    how = "is called CT" if name else "holds values far below 0, as CT does"
    return scaling, (
        f"the channel {how}: clipped to the percentiles 0.5 and 99.5 of what is labelled, then less its mean "
        f"({mean:.4g}) by its deviation ({deviation:.4g})"
    )


def _foreground(look: Look, channel: str) -> np.ndarray[Any, Any]:
    return np.array(
        [value for seen in look.seen for value in seen.foreground.get(channel, ())], dtype=np.float64
    )
