from __future__ import annotations

import inspect
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from monai.data import MetaTensor, list_data_collate
from monai.transforms import (
    Compose,
    Flipd,
    LoadImaged,
    NormalizeIntensityd,
    Resize,
    SaveImaged,
    ScaleIntensityd,
    SplitDimd,
)
from nibabel.orientations import axcodes2ornt, inv_ornt_aff, ornt_transform

import medseg.transforms
from medseg.component import resolve
from medseg.datasets.case import Case
from medseg.datasets.manifest.label_map import Derive, LabelRule
from medseg.datasets.reading.volume import read_volume
from medseg.errors import DataError, DefinitionError
from medseg.geometry.axes import AXES
from medseg.images.refusal import RefusedError
from medseg.readers import NiftiReader
from medseg.slices.preparation import Preparation
from medseg.slices.rule import SliceRule
from medseg.slices.store.fill import prepare
from medseg.splits.split import Split
from medseg.testing.dicoms import write_dicom
from medseg.testing.pictures import write_picture
from medseg.transforms import (
    CarryMaskd,
    CutSlicesd,
    EncodeLabelsd,
    FitSlicesd,
    LoadCased,
    MarkContentd,
    OrientRASd,
)

BOTH = ["image", "label"]
MODES = ["bilinear", "nearest"]
SHAPE = (9, 12, 7)
MEANINGS = {0: "background", 1: "edge", 4: "core"}
LABELS = LabelRule(("background", "edge", "core"), MEANINGS)
RNG = np.random.default_rng(8)


def tilted(codes: str) -> np.ndarray:
    """Axes that run as `codes`, of 1 x 2 x 3 mm, turned a little."""
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]]
    base = turn @ np.diag([1.0, 2.0, 3.0, 1.0])
    base[:3, 3] = [-7, 11, 5]
    return base @ inv_ornt_aff(ornt_transform(axcodes2ornt("RAS"), axcodes2ornt(codes)), SHAPE)


def write_volumes(folder: Path, codes: str = "LPS") -> dict[str, Path]:
    """Two channels whose voxels are all different, within a margin of 0, and a label map."""
    voxels = np.zeros((2, *SHAPE), np.int16)
    inside = voxels[:, 1:-1, 2:-1, 1:-2]
    inside[...] = RNG.permutation(inside.size).reshape(inside.shape) + 1
    label = RNG.choice([0, 1, 4], SHAPE).astype(np.uint8)
    paths = {}
    for name, data in (("t1", voxels[0]), ("t2", voxels[1]), ("seg", label)):
        paths[name] = folder / f"Zylinski_{name}.nii.gz"
        nibabel.save(nibabel.Nifti1Image(data, tilted(codes)), paths[name])
    return paths


def listed(paths: dict[str, Path]) -> dict[str, object]:
    """As a row of MONAI's data lists."""
    return {"image": [str(paths["t1"]), str(paths["t2"])], "label": str(paths["seg"])}


def canonical(path: Path) -> np.ndarray:
    return np.asarray(nibabel.as_closest_canonical(nibabel.load(path)).dataobj)


@pytest.mark.parametrize("codes", ["RAS", "LPS", "SPL"])
@pytest.mark.parametrize("axis", list(AXES))
def test_files_become_the_slices_that_nibabel_and_a_cut_make_of_them_and_go_back(tmp_path, codes, axis):
    paths = write_volumes(tmp_path, codes)
    chain = Compose(
        [
            LoadCased(BOTH, channels=["t1", "t2"]),
            OrientRASd(BOTH),
            EncodeLabelsd("label", MEANINGS),
            ScaleIntensityd("image", minv=None, maxv=None, factor=1.0),
            CutSlicesd(BOTH, axis=axis),
            FitSlicesd(BOTH, size=(15, 14), mode=MODES),
        ]
    )
    found = chain(listed(paths))
    for channel, name in enumerate(("t1", "t2")):
        expected = AXES[axis].cut(canonical(paths[name])) * 2.0
        inner = tuple(
            slice(-(-(a - b) // 2), -(-(a - b) // 2) + b)
            for a, b in zip((15, 14), expected.shape[1:], strict=True)
        )
        np.testing.assert_array_equal(found["image"][channel][(slice(None), *inner)], expected)
    assert found["label"].dtype == torch.uint8
    assert found["image"].shape == (2, *found["label"].shape[1:])
    back = chain.inverse(found)
    stored = np.asarray(nibabel.load(paths["seg"]).dataobj)
    np.testing.assert_array_equal(back["label"][0], np.vectorize([0, 1, 4].index)(stored))
    np.testing.assert_array_equal(back["image"][1], 2.0 * np.asarray(nibabel.load(paths["t2"]).dataobj))
    np.testing.assert_array_equal(back["image"].affine, nibabel.load(paths["t1"]).affine)


@pytest.mark.parametrize("fit", ["pad", "resize", "tile"])
def test_a_transform_of_monai_that_moves_voxels_is_undone_in_its_turn(tmp_path, fit):
    paths = write_volumes(tmp_path)
    chain = Compose(
        [
            LoadCased(BOTH),
            OrientRASd(BOTH),
            Flipd(BOTH, spatial_axis=1),
            CutSlicesd(BOTH, any_orientation=True),
            FitSlicesd(BOTH, size=(24, 18), fit=fit, mode=MODES),
        ]
    )
    back = chain.inverse(chain(listed(paths)))
    np.testing.assert_array_equal(back["label"][0], np.asarray(nibabel.load(paths["seg"]).dataobj))


@pytest.mark.parametrize(
    ("size", "fit"), [((15, 11), "pad"), ((6, 20), "pad"), ((24, 18), "resize"), ((5, 6), "resize")]
)
def test_the_affine_says_where_each_pixel_of_a_slice_lies(tmp_path, size, fit):
    volume = LoadCased("image")({"image": write_volumes(tmp_path)["t1"]})
    cut = CutSlicesd("image")(OrientRASd("image")(volume))
    made = FitSlicesd("image", size=size, fit=fit)(cut)["image"]
    if fit == "resize":
        np.testing.assert_allclose(made.affine, Resize((SHAPE[2], *size))(cut["image"]).affine)
        return
    stored = volume["image"]
    seen = 0
    for place in np.argwhere(made.numpy()):
        (there,) = np.argwhere(stored[0].numpy() == float(made[tuple(place)]))
        np.testing.assert_allclose(made.affine.numpy() @ [*place[1:], 1], stored.affine.numpy() @ [*there, 1])
        seen += 1
    assert seen > 50


def test_each_slice_is_an_item_of_its_own_where_monai_splits_them(tmp_path):
    paths = write_volumes(tmp_path)
    chain = Compose(
        [
            LoadCased(BOTH),
            OrientRASd(BOTH),
            CutSlicesd(BOTH),
            FitSlicesd(BOTH, size=(16, 16), mode=MODES),
            SplitDimd(BOTH, dim=1, keepdim=False, list_output=True),
        ]
    )
    whole = chain(listed(paths), end=4)
    items = chain(listed(paths))
    assert [tuple(item["image"].shape) for item in items] == [(2, 16, 16)] * SHAPE[2]
    assert torch.equal(items[3]["label"].as_tensor(), whole["label"][:, 3].as_tensor())
    assert list_data_collate([items, items])["image"].shape == (2 * SHAPE[2], 2, 16, 16)


@pytest.mark.filterwarnings("ignore:NvImgCodecPydicomReader:UserWarning")
def test_a_volume_that_monai_loaded_with_our_reader_is_taken_as_well(tmp_path):
    path = write_volumes(tmp_path)["t1"]
    load = LoadImaged("image", reader=NiftiReader(), ensure_channel_first=True)
    ours, theirs = (
        Compose([first, OrientRASd("image")])({"image": path}) for first in (LoadCased("image"), load)
    )
    assert torch.equal(ours["image"].as_tensor(), theirs["image"].as_tensor())
    np.testing.assert_array_equal(ours["image"].affine, theirs["image"].affine)
    np.testing.assert_allclose(theirs["image"].meta["pixdim"][1:4], theirs["image"].pixdim)


@pytest.mark.parametrize("kind", ["grey", "rgb", "dicom"])
def test_a_picture_and_a_dicom_image_keep_their_rows(tmp_path, kind):
    colours = RNG.integers(1, 256, (20, 30, 3)).astype(np.uint8)
    mask = RNG.choice([0, 4], (20, 30)).astype(np.uint8)
    if kind == "rgb":
        path, expected = write_picture(tmp_path / "a.png", colours), colours.transpose(2, 0, 1)
    elif kind == "grey":
        path, expected = write_picture(tmp_path / "a.png", colours[..., 0]), colours[None, ..., 0]
    else:
        told = {"WindowCenter": 128, "WindowWidth": 256}
        path, expected = write_dicom(tmp_path / "a.dcm", colours[..., 0], **told), colours[None, ..., 0]
    chain = Compose(
        [
            LoadCased(BOTH, files="rgb" if kind == "rgb" else "grey"),
            OrientRASd(BOTH),
            EncodeLabelsd("label", MEANINGS),
            CutSlicesd(BOTH),
            FitSlicesd(BOTH, size=(20, 30), mode=MODES),
            NormalizeIntensityd("image", subtrahend=0, divisor=2),
        ]
    )
    found = chain({"image": path, "label": write_picture(tmp_path / "m.png", mask)})
    np.testing.assert_allclose(found["image"][:, 0], expected / 2)
    np.testing.assert_array_equal(found["label"][0, 0], mask // 2)
    back = chain.inverse({"label": found["label"], "image": found["image"]})["label"][0]
    np.testing.assert_array_equal(back[..., 0].numpy().T, mask // 2)


def rule(**more) -> SliceRule:
    spacing = {
        "_target_": "monai.transforms.Spacingd",
        "keys": BOTH,
        "pixdim": [1.5, 1.5, 3.0],
        "mode": MODES,
    }
    normal = {"_target_": "monai.transforms.NormalizeIntensityd", "keys": ["image"], "channel_wise": True}
    return SliceRule.model_validate({"size": [10, 12], "keep": "all", "transforms": [spacing, normal]} | more)


def a_case(paths: dict[str, Path]) -> Case:
    return Case("one", "one", {name: paths[name] for name in ("t1", "t2")}, paths["seg"], position=1)


@pytest.mark.parametrize("fit", ["pad", "resize", "tile"])
def test_the_store_holds_what_one_compose_makes_of_the_files(tmp_path, fit):
    case = a_case(write_volumes(tmp_path))
    preparation = Preparation(("t2", "t1"), rule(fit=fit, store="float32"))
    split = Split("group", 1, {}, {"one": "one"}, {"one": "train"})
    store = prepare([case], split, preparation, LABELS, regions={}, seed=1, root=tmp_path / "stores")
    chain = preparation.compose(LABELS)
    assert type(chain) is Compose
    for given in ({"case": case}, {"image": dict(case.images), "label": case.mask}):
        found = chain(given)
        stored, truth = store.arrays("one", "train")
        np.testing.assert_array_equal(found["image"].numpy().swapaxes(0, 1), stored)
        np.testing.assert_array_equal(found["label"][0], truth)
    assert store.channels == ("t2", "t1")


def test_a_prediction_sees_what_the_compose_makes_and_goes_back_by_its_inverse(tmp_path):
    case = a_case(write_volumes(tmp_path))
    preparation = Preparation(("t1", "t2"), rule())
    prepared = preparation.apply(preparation.read(case, None))
    chain = preparation.compose()
    found = chain({"case": case})
    np.testing.assert_array_equal(found["image"].numpy().swapaxes(0, 1), prepared.image)
    np.testing.assert_array_equal(found["content"][0].any(dim=(1, 2)), prepared.content)
    back = chain.inverse({"image": found["image"]})["image"]
    expected = prepared.restore(prepared.image.swapaxes(0, 1), nearest=False, outside=(0.0, 0.0))
    np.testing.assert_allclose(back, expected, atol=1e-5)
    assert back.shape == (2, *SHAPE)


@pytest.mark.parametrize("codes", ["RAS", "LPS", "SPL"])
def test_the_transforms_read_what_is_read_without_monai(tmp_path, codes):
    paths = write_volumes(tmp_path, codes)
    derived = LabelRule(
        ("outside", "brain", "edge", "core"), {1: "edge", 4: "core"}, Derive(0, "outside", "brain")
    )
    numbered = LabelRule(("background", "objects"), {0: "background"}, instances="objects")
    for labels in (None, LABELS, derived, numbered):
        volumes = (
            Preparation(("t1", "t2"), rule()).read(a_case(paths), labels),
            read_volume(a_case(paths), ("t1", "t2"), labels),
        )
        for name in ("image", "label", "objects"):
            one, other = (getattr(volume, name) for volume in volumes)
            assert (one is None) == (other is None)
            if one is not None:
                assert one.dtype == other.dtype
                np.testing.assert_array_equal(one, other)
        assert volumes[0].geometry == volumes[1].geometry
        np.testing.assert_array_equal(volumes[0].geometry.affine, volumes[1].geometry.affine)


def test_what_shows_something_is_marked_and_carried_with_the_image(tmp_path):
    data = OrientRASd("image")(LoadCased("image")({"image": write_volumes(tmp_path)["t1"]}))
    marked = MarkContentd()(data)
    assert torch.equal(marked["content"], marked["image"] != 0)
    turned = CarryMaskd()(Flipd("image", spatial_axis=1)(marked))
    assert torch.equal(turned["content"].as_tensor(), (turned["image"] != 0).as_tensor())
    assert not torch.equal(turned["content"].as_tensor(), marked["content"].as_tensor())


def test_no_path_is_left_in_what_was_loaded_and_saved_files_bear_the_name_of_the_case(tmp_path):
    found = LoadCased(BOTH, channels=["t1", "t2"])({**listed(write_volumes(tmp_path)), "case": "P01"})
    assert "Zylinski" not in str(found["image"].meta) + str(found["label"].meta)
    SaveImaged("label", output_dir=tmp_path / "out", print_log=False)(found)
    (saved,) = (tmp_path / "out").rglob("*.nii.gz")
    assert saved.name.startswith("P01_")
    np.testing.assert_array_equal(nibabel.load(saved).affine, found["label"].affine)


def test_a_value_without_a_meaning_is_refused(tmp_path):
    found = LoadCased(BOTH)(listed(write_volumes(tmp_path)))
    with pytest.raises(DataError, match=r"holds 4 in \d+ places"):
        EncodeLabelsd("label", {0: "background", 1: "edge"})(found)


REFUSED = {
    "a file that is not there": (
        lambda p: LoadCased("image")({"image": p / "no.nii"}),
        "image: the file is not there",
    ),
    "a truth that is not there": (
        lambda p: LoadCased(BOTH)({"image": write_volumes(p)["t1"]}),
        "no label map",
    ),
    "nothing": (lambda _: LoadCased("image")({"picture": 1}), "neither a case nor anything under 'image'"),
    "fewer images than channels": (
        lambda p: LoadCased("image", channels=["a", "b", "c"])(listed(write_volumes(p))),
        "2 images are listed for 3 channels",
    ),
    "no orientation": (
        lambda _: OrientRASd("image")({"image": torch.zeros(1, 3, 3, 3)}),
        "knows no orientation",
    ),
    "a picture to orient": (
        lambda _: OrientRASd("image")({"image": MetaTensor(torch.zeros(1, 3, 3))}),
        "LoadCased",
    ),
    "a volume that was not oriented": (
        lambda p: CutSlicesd("image")(LoadCased("image")({"image": write_volumes(p)["t1"]})),
        "run to LPS, where RAS was expected",
    ),
    "a picture to fit": (
        lambda _: FitSlicesd("image", (4, 4))({"image": torch.zeros(1, 3, 3)}),
        "CutSlicesd",
    ),
}


@pytest.mark.parametrize("name", list(REFUSED))
def test_what_cannot_be_done_is_refused_with_what_to_do(tmp_path, name):
    call, reason = REFUSED[name]
    with pytest.raises(RefusedError, match=reason) as caught:
        call(tmp_path)
    assert caught.value.remedy
    assert "Zylinski" not in str(caught.value)


@pytest.mark.parametrize(
    "build",
    [
        lambda: LoadCased(["a", "b", "c"]),
        lambda: LoadCased("image", files="dicom"),
        lambda: CutSlicesd("image", axis="top"),
        lambda: FitSlicesd("image", (4, 4), fit="stretch"),
        lambda: FitSlicesd("image", (4, 4), pad="zeros"),
        lambda: FitSlicesd("image", (4, 4), mode="cubic"),
        lambda: FitSlicesd("image", (4,)),
        lambda: MarkContentd(["image", "label"]),
    ],
)
def test_arguments_that_mean_nothing_are_refused_as_a_transform_is_made(build):
    with pytest.raises(ValueError, match="expected"):
        build()


@pytest.mark.parametrize("name", medseg.transforms.__all__)
def test_every_transform_explains_itself_and_a_definition_may_name_that_of_borders_alone(name):
    found = getattr(medseg.transforms, name)
    assert len(inspect.getdoc(found)) > 200
    if name == "MaskBordersd":
        assert resolve(f"medseg.transforms.{name}", at="slices.transforms.0") is found
        return
    with pytest.raises(DefinitionError, match="it is a part of every preparation"):
        resolve(f"medseg.transforms.{name}", at="slices.transforms.0")
