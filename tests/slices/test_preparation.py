from __future__ import annotations

from dataclasses import replace

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data.meta_obj import get_track_meta, set_track_meta
from monai.transforms import ResizeWithPadOrCrop
from pydantic import ValidationError

from medseg.datasets.reading.volume import Volume
from medseg.errors import DataError, DefinitionError
from medseg.geometry.axes import AXES
from medseg.geometry.grid import Geometry
from medseg.machine import within_memory as memory
from medseg.slices.pad_crop import Frame
from medseg.slices.preparation import Preparation, check_transforms
from medseg.slices.rule import SliceRule

BOTH = ["image", "label"]
EXACT = {
    "none": [],
    "flip": [{"_target_": "monai.transforms.Flipd", "keys": BOTH, "spatial_axis": 0}],
    "upside down": [{"_target_": "monai.transforms.Flipd", "keys": BOTH, "spatial_axis": 2}],
    "rotate": [{"_target_": "monai.transforms.Rotate90d", "keys": BOTH, "k": 1, "spatial_axes": [0, 1]}],
    "orientation": [
        {"_target_": "monai.transforms.Orientationd", "keys": BOTH, "axcodes": "PIL", "labels": None}
    ],
    "crop to what is shown": [
        {"_target_": "monai.transforms.CropForegroundd", "keys": BOTH, "source_key": "image", "margin": 2}
    ],
    "several": [
        {
            "_target_": "monai.transforms.NormalizeIntensityd",
            "keys": ["image"],
            "nonzero": True,
            "channel_wise": True,
        },
        {"_target_": "monai.transforms.Rotate90d", "keys": BOTH, "k": 3, "spatial_axes": [1, 2]},
        {"_target_": "monai.transforms.SpatialPadd", "keys": BOTH, "spatial_size": [33, 34, 35]},
        {"_target_": "monai.transforms.Flipd", "keys": BOTH, "spatial_axis": [1]},
    ],
}
SPACING = [
    {
        "_target_": "monai.transforms.Spacingd",
        "keys": BOTH,
        "pixdim": [0.5, 0.5, 1.5],
        "mode": ["bilinear", "nearest"],
    }
]


def geometry(shape, codes="LPS", spacing=(1.0, 1.0, 2.0)) -> Geometry:
    """A grid whose RAS shape is `shape`, stored in other directions."""
    ras = nibabel.Nifti1Image(np.zeros(shape, dtype=np.uint8), np.diag([*spacing, 1.0]))
    start = nibabel.orientations.axcodes2ornt("RAS")
    turn = nibabel.orientations.ornt_transform(start, nibabel.orientations.axcodes2ornt(codes))
    stored = ras.as_reoriented(turn)
    return Geometry(stored.shape, stored.affine)


def volume(shape=(20, 24, 10), channels=2, codes="LPS", background=0.0) -> Volume:
    """Noise inside a box, two classes with nothing symmetric about them."""
    random = np.random.default_rng(3)
    image = np.full((channels, *shape), background, dtype=np.float32)
    box = (slice(3, -3), slice(4, -2), slice(2, -1))
    image[(slice(None), *box)] = random.uniform(1, 9, image[(slice(None), *box)].shape)
    label = np.zeros(shape, dtype=np.uint8)
    label[box] = 1
    label[4:9, 6:15, 3:6] = 2
    return Volume(image, label, geometry(shape, codes))


def prepare(given: Volume, size, transforms=(), **more):
    rule = SliceRule(size=size, transforms=list(transforms), **more)
    names = tuple(f"c{i}" for i in range(len(given.image)))
    return Preparation(names, rule).apply(given)


@pytest.mark.slow
@given(inner=st.tuples(*[st.integers(1, 9)] * 3), outer=st.tuples(*[st.integers(1, 9)] * 3))
@settings(max_examples=60)
def test_a_frame_pads_and_crops_like_monai_and_undoes_it(inner, outer):
    volume = np.random.default_rng(0).random((2, *inner)).astype(np.float32) + 1
    frame = Frame(inner, outer)
    framed = frame.apply(volume)
    np.testing.assert_array_equal(framed, np.asarray(ResizeWithPadOrCrop(outer)(volume)))
    back = frame.undo(framed)
    assert back.shape == volume.shape
    np.testing.assert_array_equal(back[back > 0], volume[back > 0])
    assert (back > 0).sum() == (framed > 0).sum()
    assert frame.crops == bool((back == 0).any())


@pytest.mark.parametrize("axis", list(AXES))
@pytest.mark.parametrize("codes", ["RAS", "LPS", "SPL"])
@pytest.mark.parametrize("name", list(EXACT))
def test_labels_return_exactly_to_the_grid_of_the_file(name, codes, axis):
    case = volume((19, 24, 11), codes=codes)
    prepared = prepare(case, (37, 38), EXACT[name], axis=axis)
    restored = prepared.restore(prepared.label[None], nearest=True)
    assert restored.dtype == np.uint8
    np.testing.assert_array_equal(restored[0], case.geometry.from_ras(case.label))


@pytest.mark.parametrize("name", list(EXACT))
def test_what_was_cropped_away_comes_back_as_class_0_and_the_rest_exactly(name):
    case = volume((23, 24, 11))
    prepared = prepare(case, (13, 14), EXACT[name])
    truth = case.geometry.from_ras(case.label)
    labels = prepared.restore(prepared.label[None] + 1, nearest=True)[0]
    covered = labels > 0
    assert 0 < covered.mean() < 1
    np.testing.assert_array_equal(labels[covered] - 1, truth[covered])
    chances = np.stack([prepared.label == i for i in range(3)]).astype(np.float32)
    restored = prepared.restore(chances, nearest=False)
    np.testing.assert_allclose(restored.sum(axis=0), 1, atol=1e-5)
    np.testing.assert_array_equal(restored.argmax(axis=0), np.where(covered, truth, 0))
    single = prepared.restore(np.ones_like(chances[:1]), nearest=False)
    np.testing.assert_array_equal(single[0] > 0.5, covered)
    chosen = prepared.restore(np.ones_like(chances[:1]), nearest=False, outside=[0.25])
    np.testing.assert_allclose(chosen[0], np.where(covered, 1, 0.25), atol=1e-5)


def test_labels_return_approximately_through_resampling():
    case = volume((20, 24, 12))
    prepared = prepare(case, (48, 40), SPACING)
    assert len(prepared.image) == 16
    truth = case.geometry.from_ras(case.label)
    restored = prepared.restore(prepared.label[None], nearest=True)[0]
    assert restored.shape == truth.shape
    assert set(np.unique(restored)) <= {0, 1, 2}
    assert 2 * ((restored == 2) & (truth == 2)).sum() / ((restored == 2).sum() + (truth == 2).sum()) > 0.85


def test_one_prepared_volume_can_be_restored_again_and_again():
    prepared = prepare(volume(), (30, 30), [*EXACT["several"], *SPACING])
    first = prepared.restore(prepared.label[None], nearest=True)
    np.testing.assert_array_equal(first, prepared.restore(prepared.label[None], nearest=True))


def test_slices_hold_the_voxels_of_the_volume_and_the_volume_is_left_as_it_was():
    case = volume()
    image, label = case.image.copy(), case.label.copy()
    prepared = prepare(case, (24, 20), EXACT["several"][:1])
    np.testing.assert_array_equal(case.image, image)
    np.testing.assert_array_equal(case.label, label)
    for c in range(2):
        inside = image[c][image[c] != 0]
        expected = np.where(image[c] != 0, (image[c] - inside.mean()) / inside.std(), 0)
        np.testing.assert_allclose(prepared.image[:, c], AXES["axial"].cut(expected), atol=1e-5)
    assert prepared.image.dtype == np.float32


@pytest.mark.parametrize("background", [0.0, -4.25])
@pytest.mark.parametrize("name", list(EXACT))
def test_content_is_where_something_is_shown(name, background):
    case = volume(background=background)
    prepared = prepare(case, (40, 40), EXACT[name])
    shown = (prepared.label > 0).any(axis=(1, 2))  # classes 1 and 2 fill the box of noise
    if name == "crop to what is shown" and background:
        assert prepared.content.any()
    else:
        np.testing.assert_array_equal(prepared.content, shown)


@pytest.mark.parametrize("pad", ["constant", "minimum", "edge", "reflect"])
def test_the_border_is_filled_as_the_rule_says(pad):
    case = volume((8, 8, 4), background=-4.0)
    case.image[1, 4, 4, 2] = -9
    prepared = prepare(case, (12, 12), pad=pad)
    border = prepared.image[:, :, 0, 0]
    expected = {"constant": [-4, -4], "minimum": [-4, -9], "edge": [-4, -4]}
    if pad in expected:
        np.testing.assert_array_equal(border, np.tile(expected[pad], (4, 1)))
    else:
        np.testing.assert_array_equal(prepared.image[..., 0, :], prepared.image[..., 4, :])
    assert not prepared.label[:, 0].any()


def test_a_volume_without_truth_is_prepared_like_one_with_it():
    case = volume()
    prepared = prepare(case, (30, 30), EXACT["several"])
    blind = prepare(Volume(case.image, None, case.geometry), (30, 30), EXACT["several"])
    assert blind.label is None
    np.testing.assert_array_equal(blind.image, prepared.image)
    np.testing.assert_array_equal(blind.content, prepared.content)


@pytest.mark.parametrize("before", [True, False])
def test_the_switch_of_monai_is_left_as_it_was(before):
    old = get_track_meta()
    try:
        set_track_meta(before)
        prepared = prepare(volume(), (30, 30), EXACT["several"])
        prepared.restore(prepared.label[None], nearest=True)
        assert get_track_meta() is before
    finally:
        set_track_meta(old)


def test_nan_after_a_transform_names_the_channel():
    case = volume()
    case.image[1] = -1
    root = [{"_target_": "monai.transforms.AdjustContrastd", "keys": ["image"], "gamma": 0.5}]
    with pytest.raises(DataError, match=r"slices\.transforms"):
        prepare(Volume(np.full_like(case.image, np.nan), None, case.geometry), (24, 20), root)


@pytest.mark.parametrize("name", list(EXACT))
def test_invertible_transforms_are_accepted(name):
    check_transforms(EXACT[name], channels=("a", "b"))


@pytest.mark.slow
def test_resampling_and_intensity_transforms_are_accepted():
    check_transforms(SPACING, channels=("a",))
    names = [
        {"_target_": "monai.transforms.ScaleIntensityRangePercentilesd", "keys": ["image"], "lower": 1}
        | {"upper": 99, "b_min": 0, "b_max": 1, "clip": True, "channel_wise": True},
        {"_target_": "monai.transforms.GaussianSmoothd", "keys": ["image"], "sigma": 1.0},
        {"_target_": "monai.transforms.CenterSpatialCropd", "keys": BOTH, "roi_size": [40, 40, -1]},
        {"_target_": "monai.transforms.Resized", "keys": BOTH, "spatial_size": [64, 64, -1]}
        | {"mode": ["trilinear", "nearest"]},
    ]
    check_transforms(names, channels=("a", "b", "c", "d"))


REFUSED = {
    "random": ({"_target_": "monai.transforms.RandFlipd", "keys": BOTH}, "loading.augment"),
    "another key": ({"_target_": "monai.transforms.Flipd", "keys": ["imgae"]}, "imgae"),
    "image alone": ({"_target_": "monai.transforms.Flipd", "keys": ["image"]}, "and not the label"),
    "resampled alone": (
        {"_target_": "monai.transforms.Spacingd", "keys": ["image"], "pixdim": [1.0, 1.0, 1.0]},
        "and not the label",
    ),
    "by the truth": (
        {"_target_": "monai.transforms.CropForegroundd", "keys": BOTH, "source_key": "label"},
        "without a label",
    ),
    "no way back": (
        {"_target_": "monai.transforms.GridDistortiond", "keys": BOTH, "num_cells": 3}
        | {"distort_steps": [[1.5] * 4] * 3},
        "cannot be undone",
    ),
    "moves in silence": (
        {"_target_": "monai.transforms.Transposed", "keys": BOTH, "indices": [0, 2, 1, 3]},
        "without telling where",
    ),
    "channels": ({"_target_": "monai.transforms.RepeatChanneld", "keys": ["image"], "repeats": 2}, "4, 96"),
    "interpolated labels": (
        {"_target_": "monai.transforms.Spacingd", "keys": BOTH, "pixdim": [1.3, 1.3, 1.3]},
        "bilinear, nearest",
    ),
    "other labels": (
        {"_target_": "monai.transforms.MapLabelValued", "keys": ["label"], "orig_labels": [2]}
        | {"target_labels": [1]},
        "label_values",
    ),
    "geometry": ({"_target_": "monai.transforms.ToNumpyd", "keys": BOTH}, "drops the geometry"),
    "misspelt": ({"_target_": "monai.transforms.Flipp", "keys": BOTH}, "Flip"),
    "several": ({"_target_": "monai.transforms.GridSplitd", "keys": BOTH, "grid": [2, 2]}, "several volumes"),
}


@pytest.mark.parametrize("name", list(REFUSED))
def test_transforms_that_cannot_be_used_are_refused_with_key_and_reason(name):
    spec, reason = REFUSED[name]
    with pytest.raises(DefinitionError) as error:
        check_transforms([EXACT["several"][0], spec], channels=("a", "b"))
    assert "slices.transforms" in str(error.value)
    assert reason in str(error.value)


def test_an_image_that_moved_alone_is_refused_on_the_case_itself():
    """Where the made-up volume does not show it: this one has the size already that it is brought to."""
    alone = [{"_target_": "monai.transforms.Resized", "keys": ["image"], "spatial_size": [96, 88, 80]}]
    check_transforms(alone, channels=("a", "b"))
    with pytest.raises(
        DataError, match=r"image and label map lie on different grids.*keys: \[image, label\]"
    ):
        prepare(volume(), (24, 20), alone)


def test_what_is_cropped_of_the_label_is_counted():
    given = volume()
    assert prepare(given, (24, 20)).cut_away == (0, np.count_nonzero(given.label))
    cropped = prepare(given, (12, 12))
    kept = np.count_nonzero(cropped.label)
    assert 0 < kept < np.count_nonzero(given.label)
    assert cropped.cut_away == (np.count_nonzero(given.label) - kept, np.count_nonzero(given.label))
    assert prepare(given, (12, 12), fit="resize").cut_away[0] == 0
    assert prepare(given, (12, 12), fit="tile").cut_away[0] == 0
    assert prepare(Volume(given.image, None, given.geometry), (12, 12)).cut_away == (0, 0)


LARGE = [
    {"_target_": f"monai.transforms.{name}", "keys": ["image", "label"], **arguments}
    for name, arguments in [
        ("SpatialPadd", {"spatial_size": [700, 700, 700]}),
        ("SpatialPadd", {"spatial_size": [700, 700, 700], "mode": "edge"}),
        ("SpatialPadd", {"spatial_size": [700, 700, 700], "mode": "symmetric"}),
        ("BorderPadd", {"spatial_border": 350, "mode": "linear_ramp"}),
        ("Resized", {"spatial_size": [700, 700, 700], "mode": ["area", "nearest"]}),
        ("Spacingd", {"pixdim": [0.02, 0.02, 0.02], "mode": ["bilinear", "nearest"]}),
        ("Spacingd", {"pixdim": [0.001, 0.001, 0.001], "mode": ["bilinear", "nearest"]}),
        ("Spacingd", {"pixdim": [0.02, 0.02, 0.02], "mode": [3, 0]}),
        ("Zoomd", {"zoom": 100, "keep_size": False, "mode": ["area", "nearest"]}),
    ]
]


@pytest.mark.parametrize("spec", LARGE, ids=lambda spec: spec["_target_"].rpartition(".")[2])
def test_a_transform_that_takes_more_memory_than_there_is_is_refused_before_it_does(spec, monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda: 2**29)

    with pytest.raises(
        DataError, match=r"slices\.transforms failed on this volume: it does not fit into memory"
    ):
        prepare(volume(), (32, 32), [spec])
    with pytest.raises(DefinitionError, match="does not fit into memory"):
        check_transforms([spec], channels=["a"], shape=(8, 8, 8))


def test_a_volume_of_which_nothing_is_left_is_named():
    dark = replace(volume(), image=np.full((2, 20, 24, 10), -5, dtype=np.float32))
    crop = {"_target_": "monai.transforms.CropForegroundd", "keys": BOTH, "source_key": "image"}
    with pytest.raises(
        DataError, match=r"slices\.transforms (left no voxel of this volume|failed on this volume)"
    ):
        prepare(dark, (16, 16), [crop])


@pytest.mark.parametrize("axis", list(AXES))
@pytest.mark.parametrize("codes", ["RAS", "SPL"])
def test_slices_are_resampled_in_their_plane_and_labels_return(axis, codes):
    case = volume((36, 40, 32), codes=codes)
    seen, sizes = AXES[axis], (1.0, 1.0, 2.0)
    spacing = (sizes[AXES[axis].rows] * 0.5, sizes[AXES[axis].columns] * 0.8)

    prepared = prepare(case, (96, 64), axis=axis, spacing=spacing)

    slices = case.image.shape[1 + seen.along]
    assert prepared.image.shape == (slices, 2, 96, 64)
    inside = prepared.label > 0
    rows, columns = (np.flatnonzero(inside.any(axis=other)).size for other in ((0, 2), (0, 1)))
    whole = AXES[axis].cut(case.label) > 0
    expected = [np.flatnonzero(whole.any(axis=other)).size for other in ((0, 2), (0, 1))]
    assert rows == pytest.approx(expected[0] / 0.5, abs=2)
    assert columns == pytest.approx(expected[1] / 0.8, abs=2)
    restored = prepared.restore(prepared.label[None], nearest=True)[0]
    truth = case.geometry.from_ras(case.label)
    assert restored.shape == truth.shape
    assert (restored == truth).mean() > 0.97


def test_what_lies_across_slices_is_left_as_it_is_however_fine():
    fine = geometry((36, 40, 32), "RAS", (0.1, 0.1, 4e-4))
    case = replace(volume((36, 40, 32), codes="RAS"), geometry=fine)

    prepared = prepare(case, (24, 24), spacing=(0.2, 0.2))

    assert prepared.image.shape == (32, 2, 24, 24)
    assert np.flatnonzero((prepared.label > 0).any(axis=(0, 2))).size == pytest.approx((40 - 6) / 2, abs=1)


def test_a_spacing_is_that_of_spacingd_after_the_transforms():
    rule = SliceRule.model_validate({"size": [8, 8], "spacing": [0.5, 0.25], "transforms": EXACT["several"]})

    *before, last = rule.chain

    assert before == list(EXACT["several"])
    assert last["pixdim"][:2] == [0.25, 0.5]  # columns run along I, rows along J


@pytest.mark.parametrize(
    "spacing", [[1.0], [0.0, 1.0], [-1.0, 1.0], [1.0, float("nan")], [0.04, 1.0], ["1", "1"]]
)
def test_a_spacing_that_is_none_is_refused(spacing):
    with pytest.raises(ValidationError):
        SliceRule.model_validate({"size": [8, 8], "spacing": spacing})
