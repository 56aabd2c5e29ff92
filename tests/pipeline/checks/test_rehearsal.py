from __future__ import annotations

import warnings

import monai.transforms.intensity.dictionary
import pytest
import torch
from monai.transforms import (
    AdjustContrastd,
    ClipIntensityPercentilesd,
    FillHolesd,
    GaussianSharpend,
    GaussianSmoothd,
    GibbsNoised,
    HistogramNormalized,
    KSpaceSpikeNoised,
    MapLabelValued,
    MapTransform,
    MaskIntensityd,
    MedianSmoothd,
    NormalizeIntensityd,
    OneOf,
    Rand2DElasticd,
    RandAdjustContrastd,
    RandAffined,
    RandAxisFlipd,
    RandBiasFieldd,
    RandCoarseDropoutd,
    RandCoarseShuffled,
    RandCropByPosNegLabeld,
    RandFlipd,
    RandGaussianNoised,
    RandGaussianSharpend,
    RandGaussianSmoothd,
    RandGibbsNoised,
    RandGridDistortiond,
    RandHistogramShiftd,
    RandKSpaceSpikeNoised,
    RandRicianNoised,
    RandRotate90d,
    RandRotated,
    RandScaleIntensityd,
    RandScaleIntensityFixedMeand,
    RandShiftIntensityd,
    RandSimulateLowResolutiond,
    RandSmoothFieldAdjustContrastd,
    RandSmoothFieldAdjustIntensityd,
    RandSpatialCropd,
    RandStdShiftIntensityd,
    RandZoomd,
    Resized,
    ResizeWithPadOrCropd,
    SavitzkyGolaySmoothd,
    ScaleIntensityd,
    ScaleIntensityRanged,
    ScaleIntensityRangePercentilesd,
    ShiftIntensityd,
    SpatialPadd,
    StdShiftIntensityd,
    ThresholdIntensityd,
)

from medseg.errors import DefinitionError
from medseg.machine import within_memory
from medseg.pipeline.checks.rehearsal import rehearse

BOTH = ["image", "label"]
IMAGE = ["image"]
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


def _masks(size):
    return {"image": torch.rand(2, *size), "label": torch.zeros(1, *size, dtype=torch.uint8)}


def honest(n):
    """Each of MONAI's that changes the intensities of one slice, as it is used and stronger, for a side of n."""
    return {
        "AdjustContrastd": [AdjustContrastd(IMAGE, gamma=gamma) for gamma in (0.2, 5)],
        "ClipIntensityPercentilesd": [ClipIntensityPercentilesd(IMAGE, lower=20, upper=60)],
        "GaussianSharpend": [GaussianSharpend(IMAGE)],
        "GaussianSmoothd": [GaussianSmoothd(IMAGE, sigma=sigma) for sigma in (1, 4, 8)],
        "GibbsNoised": [GibbsNoised(IMAGE, alpha=alpha) for alpha in (0.3, 0.9)],
        "HistogramNormalized": [HistogramNormalized(IMAGE)],
        "KSpaceSpikeNoised": [KSpaceSpikeNoised(IMAGE, loc=(n // 3, n // 4), k_intensity=13)],
        "MaskIntensityd": [MaskIntensityd(IMAGE, mask_key="label")],
        "MedianSmoothd": [MedianSmoothd(IMAGE, radius=radius) for radius in (1, 3)],
        "NormalizeIntensityd": [NormalizeIntensityd(IMAGE)],
        "RandAdjustContrastd": [
            RandAdjustContrastd(IMAGE, gamma=(0.2, 5)),
            RandAdjustContrastd(IMAGE, invert_image=True),
        ],
        "RandBiasFieldd": [
            RandBiasFieldd(IMAGE),
            RandBiasFieldd(IMAGE, degree=5, coeff_range=(0.5, 1)),
        ],
        "RandCoarseDropoutd": [
            RandCoarseDropoutd(IMAGE, holes=4, spatial_size=n // 4),
            RandCoarseDropoutd(IMAGE, holes=8, spatial_size=n // 2, fill_value=0),
            RandCoarseDropoutd(IMAGE, holes=1, spatial_size=n // 3, dropout_holes=False, fill_value=0),
        ],
        "RandCoarseShuffled": [
            RandCoarseShuffled(IMAGE, holes=4, spatial_size=n // 4),
            RandCoarseShuffled(IMAGE, holes=8, spatial_size=n // 2),
        ],
        "RandGaussianNoised": [RandGaussianNoised(IMAGE, std=std) for std in (0.1, 50.0)],
        "RandGaussianSharpend": [RandGaussianSharpend(IMAGE, alpha=(30.0, 50.0))],
        "RandGaussianSmoothd": [RandGaussianSmoothd(IMAGE, sigma_x=(3, 4), sigma_y=(3, 4))],
        "RandGibbsNoised": [RandGibbsNoised(IMAGE, alpha=(0.5, 0.95))],
        "RandHistogramShiftd": [RandHistogramShiftd(IMAGE, num_control_points=count) for count in (3, 10)],
        "RandKSpaceSpikeNoised": [
            RandKSpaceSpikeNoised(IMAGE),
            RandKSpaceSpikeNoised(IMAGE, intensity_range=(15.0, 17.0)),
        ],
        "RandRicianNoised": [
            RandRicianNoised(IMAGE, std=5.0),
            RandRicianNoised(IMAGE, std=1.0, relative=True, channel_wise=True),
        ],
        "RandScaleIntensityFixedMeand": [RandScaleIntensityFixedMeand(IMAGE, factors=0.9)],
        "RandScaleIntensityd": [RandScaleIntensityd(IMAGE, factors=0.9)],
        "RandShiftIntensityd": [RandShiftIntensityd(IMAGE, offsets=100)],
        "RandSimulateLowResolutiond": [
            RandSimulateLowResolutiond(IMAGE, zoom_range=(0.25, 0.5), upsample_mode="bilinear"),
        ],
        "RandSmoothFieldAdjustContrastd": [
            RandSmoothFieldAdjustContrastd(IMAGE, spatial_size=(n, n), rand_size=(4, 4), gamma=(0.5, 4.5)),
        ],
        "RandSmoothFieldAdjustIntensityd": [
            RandSmoothFieldAdjustIntensityd(IMAGE, spatial_size=(n, n), rand_size=(4, 4), gamma=(0.1, 3)),
        ],
        "RandStdShiftIntensityd": [RandStdShiftIntensityd(IMAGE, factors=3)],
        "SavitzkyGolaySmoothd": [SavitzkyGolaySmoothd(IMAGE, window_length=9, order=2)],
        "ScaleIntensityRangePercentilesd": [
            ScaleIntensityRangePercentilesd(IMAGE, lower=5, upper=95, b_min=0, b_max=1, clip=True),
        ],
        "ScaleIntensityRanged": [
            ScaleIntensityRanged(IMAGE, a_min=0.4, a_max=0.6, b_min=0, b_max=1, clip=True),
        ],
        "ScaleIntensityd": [ScaleIntensityd(IMAGE)],
        "ShiftIntensityd": [ShiftIntensityd(IMAGE, offset=-3)],
        "StdShiftIntensityd": [StdShiftIntensityd(IMAGE, factor=3)],
        "ThresholdIntensityd": [ThresholdIntensityd(IMAGE, threshold=0.5)],
    }


#: Those that make something else of a slice than a slice.
NO_SLICES = {"ComputeHoVerMapsd", "ForegroundMaskd"}


class _Hidden(MapTransform):
    """A user's own around one of MONAI's: of what it does nothing is known."""

    def __init__(self, within):
        super().__init__(within.keys)
        self.within = within

    def __call__(self, data):
        if hasattr(self.within, "prob"):
            self.within.prob = 1.0
            self.within.set_random_state(seed=int(torch.randint(2**31, ())))
        return self.within(data)


def test_every_transform_of_intensities_is_tried():
    named = {name for name in monai.transforms.intensity.dictionary.__all__ if name.endswith("d")}
    assert named - set(honest(32)) - NO_SLICES == set()


@pytest.mark.slow
@pytest.mark.parametrize("size", [(32, 32), (33, 45)])
@pytest.mark.parametrize("name", honest(32))
def test_what_changes_the_intensities_of_the_image_alone_is_taken(name, size):
    if "SmoothField" in name and size[0] != size[1]:
        pytest.skip("its size is one of a square")
    for transform in honest(min(size))[name]:
        rehearse([transform, _Hidden(transform)], _masks(size))


@pytest.mark.parametrize("size", [(24, 24), (64, 80)])
@pytest.mark.parametrize(
    "both",
    [
        RandFlipd(BOTH, prob=0.1, spatial_axis=0),
        RandAffined(BOTH, prob=0.1, rotate_range=3.1, scale_range=0.2, shear_range=0.2, mode=MODES),
        RandAffined(BOTH, translate_range=9, mode=MODES, padding_mode=["border", "zeros"]),
        Rand2DElasticd(BOTH, prob=0.1, spacing=(8, 8), magnitude_range=(1, 3), mode=MODES),
        RandGridDistortiond(BOTH, distort_limit=0.3, mode=MODES),
        RandZoomd(BOTH, prob=0.1, min_zoom=0.7, max_zoom=1.4, mode=MODES),
    ],
    ids=lambda transform: type(transform).__name__,
)
def test_what_moves_both_is_taken(both, size):
    rehearse([both, _Hidden(both), OneOf([both, RandGaussianNoised(IMAGE)])], _masks(size))


@pytest.mark.parametrize("keys", [["image", "label", "image"], ["label", "image", "label"]])
@pytest.mark.parametrize("kind", [RandFlipd, RandRotate90d])
def test_a_key_that_is_named_twice_is_refused(keys, kind):
    """The one would be turned twice, the other once."""
    twice = next(key for key in keys if keys.count(key) > 1)
    for transform in (kind(keys, prob=0.5), OneOf([kind(keys, prob=0.5), kind(BOTH, prob=0.5)])):
        with pytest.raises(DefinitionError, match=f"names {twice} more than once in its keys"):
            rehearse([transform], _masks((32, 32)))


@pytest.mark.parametrize("side", [32, 64])
@pytest.mark.parametrize(
    "faint",
    [
        RandAffined(IMAGE, prob=0.1, translate_range=1),
        RandAffined(IMAGE, prob=0.1, rotate_range=0.035),
        RandRotated(IMAGE, prob=0.1, range_x=0.05),
        RandRotated(["label"], prob=0.1, range_x=0.1, mode="nearest"),
        RandRotate90d(IMAGE, prob=0.1),
        RandZoomd(IMAGE, prob=0.1, min_zoom=0.95, max_zoom=1.05),
        Rand2DElasticd(IMAGE, prob=0.1, spacing=(8, 8), magnitude_range=(1, 2)),
        RandGridDistortiond(IMAGE, prob=0.1),
        RandFlipd(IMAGE, prob=0.1, spatial_axis=0),
        RandAxisFlipd(IMAGE, prob=0.1),
        OneOf([RandFlipd(IMAGE, prob=0.1), RandGaussianNoised(IMAGE, prob=0.5)]),
    ],
    ids=lambda transform: type(transform).__name__,
)
def test_moving_one_of_them_alone_is_refused_however_faint_it_is(faint, side):
    with pytest.raises(
        DefinitionError, match=r"augment\.0 .* moves the image and not its label map, or the other"
    ):
        rehearse([faint], _masks((side, side)))


def test_what_would_move_the_image_alone_and_leaves_it_where_it_is_is_taken():
    rehearse(
        [Resized(IMAGE, spatial_size=(32, 32)), ResizeWithPadOrCropd(IMAGE, spatial_size=(32, 32))],
        _masks((32, 32)),
    )


@pytest.mark.parametrize(("keys", "fill"), [(["label"], 0), (["label"], 1), (BOTH, 1)])
def test_labels_that_are_filled_or_shuffled_as_intensities_are_refused(keys, fill):
    for each in (
        RandCoarseDropoutd(keys, holes=2, spatial_size=16, fill_value=fill),
        RandCoarseShuffled(keys, holes=3, spatial_size=16),
        OneOf([RandCoarseDropoutd(keys, holes=2, spatial_size=16, fill_value=fill)]),
    ):
        with pytest.raises(
            DefinitionError, match=r"augment\.0 .*changes the label map as .*`keys: \[image\]`"
        ):
            rehearse([each], _masks((64, 64)))
    rehearse(
        [RandCoarseDropoutd(IMAGE, holes=2, spatial_size=16, fill_value=fill)], _masks((64, 64))
    )  # the remedy


def test_what_cuts_the_same_holes_out_of_image_and_label_map_is_taken():
    rehearse([RandCoarseDropoutd(BOTH, holes=2, spatial_size=16, fill_value=0)], _masks((64, 64)))


@pytest.mark.parametrize("classes", [2, 3, 4, 30])
@pytest.mark.parametrize("with_image", [False, True])
def test_labels_that_are_turned_into_others_where_they_stand_are_refused(classes, with_image):
    class Own(MapTransform):
        def __call__(self, data):
            noisy = data["image"] + torch.rand(data["image"].shape) if with_image else data["image"]
            return {**data, "image": noisy, "label": torch.where(data["label"] == 1, 0, data["label"])}

    for each in (Own(BOTH), MapLabelValued(["label"], [0, 1], [1, 0])):
        with pytest.raises(
            DefinitionError, match=r"augment\.0 .*turns labels into others .*1 into 0.*\(label_values\)"
        ):
            rehearse([each], _masks((32, 48)), classes)


@pytest.mark.parametrize("classes", [2, 4])
def test_a_mirror_that_swaps_left_and_right_and_what_widens_a_label_map_are_taken(classes):
    class Swapped(MapTransform):
        def __call__(self, data):
            mirrored = {key: data[key].flip(-1) for key in self.keys}
            swapped = torch.tensor([*range(classes - 2), classes - 1, classes - 2])[mirrored["label"].long()]
            return {**mirrored, "label": swapped}

    class Widened(MapTransform):
        def __call__(self, data):
            return {**data, "label": torch.nn.functional.max_pool2d(data["label"].float(), 3, 1, 1)}

    rehearse([Swapped(BOTH), Widened(["label"]), FillHolesd(["label"])], _masks((32, 48)), classes)


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


def test_each_transform_meets_what_none_before_it_has_changed(masks):
    before = {key: value.clone() for key, value in masks.items()}
    seen = [_Seen(IMAGE), _Seen(IMAGE)]
    rehearse(seen, masks)
    for met in zip(seen[0].met, seen[1].met, strict=True):
        assert all(torch.equal(met[0][key], met[1][key]) for key in before)
    assert len({each["label"].sum().item() for each in seen[0].met}) > 1  # with a spot and without
    assert all(torch.equal(masks[key], before[key]) for key in masks)


def test_the_transforms_and_the_generators_of_others_are_left_as_they_are(masks):
    flip = RandFlipd(BOTH, prob=0.25)
    state = flip.R.get_state()[1].tolist()
    random = torch.get_rng_state()
    rehearse([flip], masks)
    assert flip.prob == 0.25
    assert flip.R.get_state()[1].tolist() == state
    assert torch.equal(torch.get_rng_state(), random)


@pytest.mark.parametrize("mode", ["constant", "symmetric"])
@pytest.mark.parametrize("item", [("image", "label"), ("image",)], ids=len)
def test_an_augmentation_that_takes_more_memory_than_there_is_is_refused_before_it_does(
    mode, item, monkeypatch
):
    monkeypatch.setattr(within_memory, "available_memory", lambda: 2**26)
    slices = {key: torch.zeros(1, 16, 16) for key in item}

    with pytest.raises(
        DefinitionError, match=r"loading\.augment\.0 \(SpatialPadd\) .*does not fit into memory"
    ):
        rehearse([SpatialPadd(keys=list(item), spatial_size=(5000, 5000), mode=mode)], slices)
