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
    """Of slices with label maps: kinds and probabilities as nnU-Net has them, where MONAI does."""
    sides = any(_SIDES.search(name) for name in classes) and cut.plane != "sagittal"
    long = max(cut.size) > _LONG * min(cut.size)
    flips = [0] if sides else [0, 1]
    why = "left and right are classes: not mirrored from side to side" if sides else "mirrored both ways"
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
