"""Slices are changed in training as they may differ between patients, and not in what tells classes apart."""

from __future__ import annotations

import pytest

from medseg.pipeline.drafting.augmentation import augmentation
from medseg.pipeline.drafting.cutting import Cut


@pytest.mark.parametrize(
    ("classes", "axes"),
    [(["nucleus"], [0, 1]), (["kidney left", "kidney right"], [0]), (["lung_l"], [0]), (["lesion"], [0, 1])],
)
def test_pictures_are_not_mirrored_from_side_to_side_where_a_class_is_a_side(
    classes: list[str], axes: list[int]
) -> None:
    (choice,) = augmentation(Cut((), (64, 64), 100), classes)

    assert [
        spec["spatial_axis"] for spec in choice.value if spec["_target_"] == "monai.transforms.RandFlipd"
    ] == axes


@pytest.mark.parametrize(
    ("size", "degrees"), [((64, 64), 30), ((64, 90), 30), ((64, 128), 15), ((128, 64), 15)]
)
def test_long_slices_are_turned_less(size: tuple[int, int], degrees: int) -> None:
    (choice,) = augmentation(Cut((), size, 100, mirrored=False), ["organ"])

    turned = next(spec for spec in choice.value if spec["_target_"] == "monai.transforms.RandAffined")
    assert turned["rotate_range"] == pytest.approx(degrees * 3.1416 / 180, rel=0.05)
    assert f"turned by up to {degrees} degrees" in choice.why
