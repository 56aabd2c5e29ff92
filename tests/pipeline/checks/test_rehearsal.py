from __future__ import annotations

import warnings

import pytest
import torch
from monai.transforms import (
    MapTransform,
    NormalizeIntensityd,
    Rand2DElasticd,
    RandAdjustContrastd,
    RandAffined,
    RandBiasFieldd,
    RandCoarseDropoutd,
    RandCropByPosNegLabeld,
    RandFlipd,
    RandGaussianNoised,
    RandGaussianSmoothd,
    RandGibbsNoised,
    RandHistogramShiftd,
    RandKSpaceSpikeNoised,
    RandRotate90d,
    RandScaleIntensityd,
    RandShiftIntensityd,
    RandSpatialCropd,
    RandZoomd,
    ScaleIntensityRanged,
)

from medseg.errors import DefinitionError
from medseg.pipeline.checks.rehearsal import rehearse

BOTH = ["image", "label"]
MODES = ["bilinear", "nearest"]


class _Seen(MapTransform):
    """Keeps what it is given, and spoils it."""

    def __init__(self, keys):
        super().__init__(keys)
        self.met = []

    def __call__(self, data):
        self.met.append({key: value.clone() for key, value in data.items()})
        for key in self.keys:
            data[key].fill_(2)
        return data

    def __deepcopy__(self, memo):
        return self  # so that a test can look into it


class _Rolled(MapTransform):
    """A user's own, which moves and tells nobody."""

    def __call__(self, data):
        return {**data, **{key: data[key].roll(5, dims=-1) for key in self.keys}}


class _Warns(MapTransform):
    def __call__(self, data):
        warnings.warn("blank", stacklevel=1)
        return data


@pytest.fixture
def masks():
    return {"image": torch.rand(2, 16, 24), "label": torch.zeros(1, 16, 24, dtype=torch.uint8)}


@pytest.fixture
def classes():
    return {"image": torch.rand(2, 16, 24)}


def test_what_keeps_the_shape_passes_and_leaves_the_slice_as_it_was(masks):
    before = {key: value.clone() for key, value in masks.items()}
    rehearse(
        [
            RandFlipd(BOTH, prob=0.1),
            RandAffined(BOTH, prob=0.1, rotate_range=1.0, mode=MODES, padding_mode="zeros"),
            RandGaussianNoised(["image"], prob=0.1),
            _Warns(BOTH),
        ],
        masks,
    )
    rehearse([], masks)

    assert all(torch.equal(value, before[key]) for key, value in masks.items())


def test_of_classes_the_image_alone_is_changed(classes):
    before = {key: value.clone() for key, value in classes.items()}
    rehearse([RandFlipd(["image"], prob=0.1), RandGaussianNoised(["image"], prob=0.1)], classes)

    assert all(torch.equal(value, before[key]) for key, value in classes.items())


def test_new_values_of_a_label_map_are_refused(masks):
    with pytest.raises(
        DefinitionError, match=r"RandShiftIntensityd.* makes the label values \[4\] of others"
    ):
        rehearse([RandShiftIntensityd(["label"], offsets=(1, 1), prob=0.1)], masks)


def test_what_is_rare_is_tried_all_the_same(masks):
    with pytest.raises(
        DefinitionError, match=r"loading\.augment\.1 \(RandRotate90d\).*\(16, 24\) into \(24, 16\)"
    ) as caught:
        rehearse([RandFlipd(BOTH, prob=0.1), RandRotate90d(BOTH, prob=1e-9)], masks)
    assert "labels into (24, 16)" in str(caught.value)
    assert "Choose a square slices.size, or take it out" in str(caught.value)


@pytest.mark.parametrize("size", [(24, 24), (64, 80)])
@pytest.mark.parametrize(
    "alone",
    [
        RandFlipd(["image"], prob=0.1),
        RandFlipd(["label"], prob=0.1, spatial_axis=1),
        RandAffined(["image"], prob=0.1, rotate_range=0.5, padding_mode="border"),
        RandAffined(["image"], prob=0.1, translate_range=6),
        RandZoomd(["image"], prob=0.1, min_zoom=0.7, max_zoom=0.8),
        _Rolled(["image"]),
    ],
    ids=lambda transform: type(transform).__name__,
)
def test_what_moves_image_or_label_map_alone_is_refused(alone, size):
    item = {"image": torch.rand(2, *size), "label": torch.zeros(1, *size, dtype=torch.uint8)}
    with pytest.raises(
        DefinitionError, match=r"augment\.1 .* moves the image and not its label map, or the other"
    ):
        rehearse([RandGaussianNoised(["image"]), alone], item)


@pytest.mark.parametrize("size", [(24, 24), (64, 80)])
@pytest.mark.parametrize(
    "harmless",
    [
        RandGaussianNoised(["image"], prob=0.1, std=0.1),
        RandGaussianNoised(["image"], prob=0.1, std=50),
        RandGaussianSmoothd(["image"], prob=0.1),
        RandAdjustContrastd(["image"], prob=0.1, gamma=(0.5, 4)),
        RandAdjustContrastd(["image"], prob=0.1, invert_image=True),
        RandBiasFieldd(["image"], prob=0.1),
        RandHistogramShiftd(["image"], prob=0.1),
        RandScaleIntensityd(["image"], factors=0.9, prob=0.1),
        RandShiftIntensityd(["image"], offsets=100, prob=0.1),
        RandGibbsNoised(["image"], prob=0.1),
        RandKSpaceSpikeNoised(["image"], prob=0.1),
        RandCoarseDropoutd(["image"], holes=4, spatial_size=8, prob=0.1),
        ScaleIntensityRanged(["image"], a_min=-1, a_max=1, b_min=0, b_max=1, clip=True),
        NormalizeIntensityd(["image"]),
        RandFlipd(BOTH, prob=0.1, spatial_axis=0),
        RandAffined(BOTH, prob=0.1, rotate_range=3.1, scale_range=0.2, shear_range=0.2, mode=MODES),
        Rand2DElasticd(BOTH, prob=0.1, spacing=(8, 8), magnitude_range=(1, 3), mode=MODES),
        RandZoomd(BOTH, prob=0.1, min_zoom=0.7, max_zoom=1.4, mode=MODES),
    ],
    ids=lambda transform: type(transform).__name__,
)
def test_what_changes_intensities_or_moves_both_is_taken(harmless, size):
    rehearse([harmless], {"image": torch.rand(2, *size), "label": torch.zeros(1, *size, dtype=torch.uint8)})


def test_what_interpolates_labels_is_refused(masks):
    with pytest.raises(DefinitionError, match=r"interpolates the label map.*mode: \[bilinear, nearest\]"):
        rehearse([RandAffined(BOTH, rotate_range=1.0, mode="bilinear")], masks)


def test_of_an_image_with_a_class_no_labels_are_told(classes):
    with pytest.raises(DefinitionError, match=r"\(24, 16\): a batch"):
        rehearse([RandRotate90d(["image"], prob=0.5)], classes)
    with pytest.raises(DefinitionError, match=r"into \(8, 8\)"):
        rehearse([RandSpatialCropd(["image"], roi_size=(8, 8), random_size=False)], classes)


def test_a_transform_that_wants_a_label_map_is_told_that_classes_are_none(classes):
    with pytest.raises(
        DefinitionError, match=r"augment\.0 \(RandFlipd\).*Classes are no map: set `keys: \[image\]`"
    ):
        rehearse([RandFlipd(BOTH, prob=1.0)], classes)


def test_what_cannot_be_applied_is_told_by_its_place(masks):
    crops = RandCropByPosNegLabeld(["image"], label_key="truth", spatial_size=(8, 8))
    with pytest.raises(
        DefinitionError, match=r"loading\.augment\.0 \(RandCropByPosNegLabeld\) cannot be applied"
    ) as caught:
        rehearse([crops], masks)
    assert "Classes are no map" not in str(caught.value)


def test_each_transform_meets_the_item_itself_and_leaves_it_as_it_is(masks):
    before = {key: value.clone() for key, value in masks.items()}
    seen = [_Seen(BOTH), _Seen(BOTH)]
    rehearse(seen, masks)
    for each in seen:
        assert each.met
        whole = each.met[:8:2]  # between them a pattern is tried; after four draws no more
        assert all(torch.equal(met[key], before[key]) for met in whole for key in before)
    assert all(torch.equal(masks[key], before[key]) for key in before)


def test_the_transforms_and_the_generators_of_others_are_left_as_they_are(masks):
    flip = RandFlipd(BOTH, prob=0.25)
    state = flip.R.get_state()[1].tolist()
    random = torch.get_rng_state()
    rehearse([flip], masks)
    assert flip.prob == 0.25
    assert flip.R.get_state()[1].tolist() == state
    assert torch.equal(torch.get_rng_state(), random)
