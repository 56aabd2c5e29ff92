from __future__ import annotations

import json
import os
import stat
import time
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform

from medseg.component import build
from medseg.datasets.case import Case
from medseg.datasets.manifest.manifest import Manifest
from medseg.datasets.reading.volume import Volume, read_volume
from medseg.errors import DataError, MedsegError, ModelError
from medseg.geometry.grid import Geometry
from medseg.learning.inference import saved_model
from medseg.learning.inference.predictor import FORM, Predictor
from medseg.learning.inference.training_profile import TrainingProfile, profile_volume
from medseg.learning.tasks.class_masks import ClassMasks
from medseg.machine import within_memory
from medseg.slices.preparation import Preparation
from medseg.slices.rule import SliceRule
from medseg.testing.cases import BRATS_CHANNELS, brats_affine, brats_case, take_place, write_brats, write_case

CHANNELS = BRATS_CHANNELS
SHAPE = (24, 28, 12)
MANIFEST = Manifest.from_yaml(Path(__file__).parents[3] / "data_manifests" / "brats2019.yaml")
NORMALISE = {
    "_target_": "monai.transforms.NormalizeIntensityd",
    "keys": ["image"],
    "nonzero": True,
    "channel_wise": True,
}
NETWORK = {
    "_target_": "monai.networks.nets.UNet",
    "spatial_dims": 2,
    "in_channels": 4,
    "out_channels": 5,
    "channels": [4, 8],
    "strides": [2],
}
TASK = ClassMasks(
    MANIFEST.classes,
    regions={"whole_tumour": [2, 3, 4], "tumour_core": [2, 4]},
    select=["whole_tumour"],
)


def make_predictor(*, size=(32, 32), axis="axial", transforms=(NORMALISE,), seed=0):
    torch.manual_seed(seed)
    network = build(NETWORK, at="network", kind=torch.nn.Module).eval()
    rule = SliceRule.model_validate({"size": size, "axis": axis, "transforms": list(transforms)})
    return Predictor(
        network, NETWORK, TASK, Preparation(CHANNELS, rule), MANIFEST, about={"pipeline": "tiny"}
    )


def case_in(folder):
    name = folder.name
    return Case(name, name, {each: folder / f"{name}_{each}.nii.gz" for each in CHANNELS})


@pytest.fixture
def case(tmp_path):
    write_brats(tmp_path, cases=1)
    return case_in(tmp_path / "Brats_001")


@pytest.fixture
def saved(tmp_path):
    return make_predictor().save(tmp_path / "model")


def edit(folder, change):
    path = folder / "model.json"
    described = json.loads(path.read_text())
    change(described)
    path.write_text(json.dumps(described))


def slices(count=3, size=(32, 32)):
    return np.random.default_rng(0).normal(size=(count, 4, *size)).astype(np.float32)


# --- saved and loaded


@pytest.mark.slow
def test_a_saved_model_comes_back_with_equal_probabilities(tmp_path, case):
    profile = TrainingProfile.of([profile_volume(read_volume(case, CHANNELS, None), CHANNELS)])
    first = replace(make_predictor(), profile=profile)
    again = Predictor.load(first.save(tmp_path / "model"))
    np.testing.assert_array_equal(first.probabilities(slices()), again.probabilities(slices()))
    one, other = (each.predict(case, probabilities=True) for each in (first, again))
    np.testing.assert_array_equal(one.labels, other.labels)
    np.testing.assert_array_equal(one.probabilities, other.probabilities)
    assert one.millilitres == other.millilitres
    assert (again.task, again.preparation, again.manifest) == (first.task, first.preparation, first.manifest)
    assert (again.profile, again.about, again.network_spec) == (profile, first.about, NETWORK)
    assert not again.network.training


def test_a_saved_model_is_data_and_weights_and_no_code(saved):
    assert sorted(path.name for path in saved.iterdir()) == ["README.md", "model.json", "weights.safetensors"]
    json.loads((saved / "model.json").read_text())
    for path in saved.iterdir():
        assert b"\x80\x02" not in path.read_bytes()[:2]
        assert not path.read_bytes().startswith(b"PK")


def test_loading_unpickles_nothing(saved, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("unpickled")

    monkeypatch.setattr("pickle.load", refuse)
    monkeypatch.setattr("pickle.loads", refuse)
    monkeypatch.setattr("pickle.Unpickler", refuse)
    monkeypatch.setattr(torch, "load", refuse)
    Predictor.load(saved)


def test_saving_again_replaces_the_model_whole(saved):
    other = make_predictor(seed=1)
    other.save(saved)
    np.testing.assert_array_equal(
        Predictor.load(saved).probabilities(slices()), other.probabilities(slices())
    )
    assert [path.name for path in saved.parent.iterdir()] == ["model"]


def test_a_failure_while_saving_leaves_the_model_before(saved, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    before = Predictor.load(saved).probabilities(slices())
    monkeypatch.setattr("medseg.learning.inference.predictor.save_weights", full)
    with pytest.raises(OSError, match="space"):
        make_predictor(seed=1).save(saved)
    np.testing.assert_array_equal(Predictor.load(saved).probabilities(slices()), before)
    assert [path.name for path in saved.parent.iterdir()] == ["model"]


HOSTILE = {"_target_": "subprocess.Popen", "args": ["touch", "hacked"]}


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.update(network=HOSTILE),
        lambda d: d.update(task=HOSTILE),
        lambda d: d["slices"].update(transforms=[HOSTILE]),
        lambda d: d["slices"].update(
            transforms=[{"_target_": "monai.transforms.LoadImaged", "keys": ["image"]}]
        ),
        lambda d: d["network"].update(norm={"_target_": "os.system", "command": "touch hacked"}),
        lambda d: d.update(network={"_target_": "monai.transforms.Lambdad", "keys": ["image"], "func": "x"}),
    ],
    ids=["network", "task", "transform", "reader", "argument", "lambda"],
)
def test_a_hostile_target_is_refused(saved, tmp_path, monkeypatch, change):
    monkeypatch.chdir(tmp_path)
    edit(saved, change)
    with pytest.raises(ModelError, match="cannot be built") as caught:
        Predictor.load(saved)
    assert not (tmp_path / "hacked").exists()
    assert "If you trust it" not in str(caught.value)


@pytest.mark.parametrize("where", ["network", "task"])
def test_a_model_of_a_package_that_nothing_allows_names_it_and_how_to_allow_it(saved, where):
    edit(saved, lambda d: d[where].update(_target_="mynets.small.Net"))

    with pytest.raises(ModelError) as caught:
        Predictor.load(saved)

    assert str(caught.value) == (
        "the saved model needs mynets.small, which nothing allows. If you trust it: --allow mynets.small, or in a "
        "script MEDSEG_ALLOW='mynets.small'."
    )


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.pop("network"),
        lambda d: d.pop("about"),
        lambda d: d.pop("profile"),
        lambda d: d.update(channels=None),
        lambda d: d.update(profile={"spacing": 3}),
        lambda d: d.update(profile=[1]),
        lambda d: d["slices"].update(size=[0, 1]),
        lambda d: d["manifest"].update(nonsense=1),
        lambda d: d.update(network={}),
        lambda d: d.update(task="x"),
    ],
)
def test_a_damaged_description_is_a_model_error(saved, change):
    edit(saved, change)
    with pytest.raises(ModelError):
        Predictor.load(saved)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "\xff"])
def test_what_is_no_description_is_a_model_error(saved, text):
    (saved / "model.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(ModelError):
        Predictor.load(saved)


def test_another_form_is_refused_with_both_numbers(saved):
    edit(saved, lambda d: d.update(form=FORM + 1))
    with pytest.raises(ModelError, match=f"form {FORM + 1}.*form {FORM}"):
        Predictor.load(saved)


@pytest.mark.parametrize("depth", [60, 100_000])
def test_a_description_that_is_nested_very_deep_is_damaged(saved, depth):
    path = saved / "model.json"
    path.write_text('{"form": 1, "network": ' + "[" * depth + "]" * depth + "}")
    with pytest.raises(ModelError, match="damaged: it is nested deeper than"):
        Predictor.load(saved)


@pytest.mark.timeout(60)  # opening a pipe would wait for ever
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
@pytest.mark.parametrize("name", ["model.json", "weights.safetensors"])
def test_a_pipe_in_place_of_a_file_is_a_model_error(saved, name):
    (saved / name).unlink()
    os.mkfifo(saved / name)
    with pytest.raises(ModelError, match=name.replace(".", r"\.")):
        Predictor.load(saved)


@pytest.mark.parametrize(
    ("change", "met"),
    [
        ({"channels": [10_000_000, 10_000_000]}, "does not fit into memory: it asks for"),
        ({"channels": [4, 10**15]}, "does not fit into memory: it asks for"),
        ({"num_res_units": 10_000_000}, "made of more than 300 tensors"),
    ],
)
def test_a_network_that_no_memory_holds_is_refused_before_it_is_built(saved, monkeypatch, change, met):
    monkeypatch.setattr(within_memory, "MOST_TENSORS", 300)
    edit(saved, lambda d: d["network"].update(change))
    begin = time.process_time()
    with pytest.raises(ModelError, match=f"cannot be built: at network.*{met}"):
        Predictor.load(saved)
    assert time.process_time() - begin < 10


def test_weights_of_other_shapes_are_not_read(saved, monkeypatch):
    monkeypatch.setattr(saved_model, "load_file", None)
    edit(saved, lambda d: d["network"].update(channels=[4, 16]))
    with pytest.raises(
        ModelError, match=r"do not fit the network: 3 tensors differ.*got \(8,.*expected \(16,"
    ):
        Predictor.load(saved)


@pytest.mark.skipif(os.name != "posix", reason="rights of another kind")
def test_weights_are_as_open_as_the_umask_says(tmp_path):
    before = os.umask(0o022)
    try:
        folder = make_predictor().save(tmp_path / "model")
    finally:
        os.umask(before)
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o644}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755


@pytest.mark.parametrize("content", [None, b"", b"short", "half"])
def test_missing_or_truncated_weights_are_a_model_error(saved, content):
    path = saved / "weights.safetensors"
    whole = path.read_bytes()
    if content is None:
        path.unlink()
    else:
        path.write_bytes(whole[: len(whole) // 2] if content == "half" else content)
    with pytest.raises(ModelError, match=r"weights\.safetensors.*missing or damaged"):
        Predictor.load(saved)


def test_weights_of_another_network_are_a_model_error(saved):
    edit(saved, lambda d: d["network"].update(channels=[4, 16]))
    with pytest.raises(ModelError, match="do not fit the network"):
        Predictor.load(saved)


@pytest.mark.parametrize("name", ["nothing", ""])
def test_a_folder_without_a_model_is_a_model_error_that_names_no_path(tmp_path, name):
    with pytest.raises(ModelError, match=r"model\.json and weights\.safetensors") as error:
        Predictor.load(tmp_path / name)
    assert str(tmp_path) not in str(error.value)


# --- slices


@pytest.mark.parametrize("batch_size", [1, 2, 7, 100])
def test_the_batch_size_changes_nothing(case, batch_size):
    whole = make_predictor()
    parts = replace(whole, batch_size=batch_size)
    np.testing.assert_allclose(parts.probabilities(slices(5)), whole.probabilities(slices(5)), atol=1e-6)
    one, other = parts.predict(case, probabilities=True), whole.predict(case, probabilities=True)
    np.testing.assert_allclose(one.probabilities, other.probabilities, atol=1e-6)
    np.testing.assert_array_equal(one.labels, other.labels)


@pytest.mark.parametrize("size", [(32, 32), (16, 48), (8, 8)])
@pytest.mark.parametrize("count", [0, 1, 5])
def test_slices_of_any_number_and_size_get_probabilities(count, size):
    found = make_predictor().probabilities(slices(count, size))
    assert found.shape == (count, 5, *size)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("shape", [(2, 3, 32, 32), (4, 32, 32), (1, 1, 4, 32, 32)])
def test_slices_of_another_form_are_refused(shape):
    with pytest.raises(ModelError, match="flair"):
        make_predictor().probabilities(np.zeros(shape, np.float32))


def test_a_network_in_training_mode_is_asked_in_eval_mode():
    predictor = make_predictor()
    expected = predictor.probabilities(slices())
    predictor.network.train()
    np.testing.assert_array_equal(predictor.probabilities(slices()), expected)


# --- volumes


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_network_that_returns_no_number_segments_nothing(number, case):
    predictor = make_predictor()
    torch.nn.init.constant_(next(predictor.network.parameters()), number)
    with pytest.raises(ModelError, match="returned NaN or infinity"):
        predictor.predict_volume(read_volume(case, CHANNELS, None))


def slice_by_slice(predictor, volume):
    """Class of each voxel of a RAS volume without the predictor's own loop: (I, J, K), axial."""
    prepared = predictor.preparation.apply(volume)
    shape, (height, width) = volume.image.shape[1:], prepared.image.shape[2:]
    found = np.zeros(shape, dtype=np.uint8)
    for k in range(shape[2]):
        if (volume.image[..., k] == 0).all():
            continue
        with torch.no_grad():
            logits = predictor.network(torch.from_numpy(np.array(prepared.image[k]))[None])[0].numpy()
        plane = logits.argmax(axis=0)[::-1, ::-1].T  # rows run to posterior, columns to the left
        i, j = (width - shape[0]) // 2, (height - shape[1]) // 2
        found[..., k] = plane[i : i + shape[0], j : j + shape[1]]
    return found


def test_a_volume_is_segmented_slice_by_slice_and_is_outside_elsewhere(case):
    predictor = make_predictor()
    volume = read_volume(case, CHANNELS, None)
    volume.image[..., 3] = 0
    found = predictor.predict_volume(volume)
    expected = slice_by_slice(predictor, volume)
    np.testing.assert_array_equal(volume.geometry.to_ras(found.labels), expected)
    empty = (volume.image == 0).all(axis=(0, 1, 2))
    assert empty[3]
    assert len(np.unique(expected[..., ~empty])) > 1
    assert not volume.geometry.to_ras(found.labels)[..., empty].any()


def test_empty_slices_are_never_sent_to_the_network(case):
    predictor = make_predictor()
    volume = read_volume(case, CHANNELS, None)
    volume.image[..., [2, 5]] = 0
    sent = []
    predictor.network.register_forward_pre_hook(lambda _, inputs: sent.append(len(inputs[0])))
    predictor.predict_volume(volume)
    assert sum(sent) == int((volume.image != 0).any(axis=(0, 1, 2)).sum())


def test_an_empty_volume_is_all_outside(case):
    volume = read_volume(case, CHANNELS, None)
    volume.image[:] = 0
    found = make_predictor().predict_volume(volume, probabilities=True)
    assert not found.labels.any()
    assert (found.probabilities[0] == 1).all()
    assert not found.probabilities[1:].any()


def test_probabilities_belong_to_the_labels(case):
    found = make_predictor().predict(case, probabilities=True)
    assert found.probabilities.shape == (5, *SHAPE)
    np.testing.assert_array_equal(found.probabilities.argmax(axis=0), found.labels)
    np.testing.assert_allclose(found.probabilities.sum(axis=0), 1, atol=1e-5)
    assert make_predictor().predict(case).probabilities is None


def test_what_was_cropped_away_is_outside(case):
    found = make_predictor(size=(16, 16)).predict(case, probabilities=True)
    inside = np.zeros(SHAPE, dtype=bool)
    inside[4:20, 6:22] = True
    assert not found.labels[~inside].any()
    assert (found.probabilities[0][~inside] == 1).all()
    assert found.labels[inside].any()


def test_millilitres_are_voxels_times_their_size(tmp_path):
    affine = brats_affine(SHAPE) @ np.diag([0.5, 2.0, 3.0, 1.0])
    folder = write_case(tmp_path / "a", brats_case(SHAPE)[0], affine=affine)
    found = make_predictor().predict(case_in(folder))
    classes = MANIFEST.classes
    for name, members in {**{c: [i] for i, c in enumerate(classes)}, **TASK.regions}.items():
        voxels = sum(1 for label in found.labels.ravel().tolist() if label in members)
        assert found.millilitres[name] == pytest.approx(voxels * 0.5 * 2 * 3 / 1000)
    assert sum(found.millilitres[name] for name in classes) == pytest.approx(24 * 28 * 12 * 3 / 1000)


@pytest.mark.parametrize("axis", ["axial", "coronal", "sagittal"])
@pytest.mark.parametrize("orientation", ["RAS", "LPI", "PSR", "SAL", "ILA"])
def test_labels_lie_on_the_grid_of_the_file_however_it_is_stored(tmp_path, orientation, axis):
    """The same patient, stored with other axes: the labels are stored likewise."""
    predictor = make_predictor(axis=axis)
    images, _ = brats_case(SHAPE)
    first = predictor.predict(case_in(write_case(tmp_path / "lps", images)))
    one = nibabel.Nifti1Image(first.labels, brats_affine(SHAPE))
    turn = ornt_transform(io_orientation(one.affine), axcodes2ornt(tuple(orientation)))
    turned = {
        name: nibabel.Nifti1Image(data, brats_affine(SHAPE)).as_reoriented(turn)
        for name, data in images.items()
    }
    affine = turned["t1"].affine
    data = {name: np.asarray(image.dataobj) for name, image in turned.items()}
    other = predictor.predict(
        case_in(write_case(tmp_path / "turned", data, affine=affine)), probabilities=True
    )
    assert other.labels.shape == data["t1"].shape
    assert other.volume.geometry.orientation == orientation
    np.testing.assert_array_equal(other.volume.geometry.affine, affine)
    np.testing.assert_array_equal(other.labels, np.asarray(one.as_reoriented(turn).dataobj))
    assert first.labels.any()


def test_labels_of_an_oblique_volume_lie_on_its_grid(tmp_path):
    """A grid turned by 20 degrees is no other array: nothing is resampled."""
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(0.35), -np.sin(0.35)], [np.sin(0.35), np.cos(0.35)]]
    images, _ = brats_case(SHAPE)
    plain = make_predictor().predict(case_in(write_case(tmp_path / "plain", images)))
    oblique = make_predictor().predict(
        case_in(write_case(tmp_path / "oblique", images, affine=turn @ brats_affine(SHAPE)))
    )
    np.testing.assert_array_equal(plain.labels, oblique.labels)


def test_a_flip_in_the_preparation_is_undone(case):
    """A network of single pixels does not see flips, so that undoing them gives the same labels."""
    torch.manual_seed(0)
    single = torch.nn.Conv2d(4, 5, 1)
    flip = {"_target_": "monai.transforms.Flipd", "keys": ["image", "label"], "spatial_axis": 0}
    plain = replace(make_predictor(), network=single)
    flipped = replace(make_predictor(transforms=(NORMALISE, flip)), network=single)
    one, other = (each.predict(case, probabilities=True) for each in (plain, flipped))
    np.testing.assert_array_equal(one.labels, other.labels)
    np.testing.assert_allclose(one.probabilities, other.probabilities, atol=1e-6)
    assert one.labels.any()


def test_a_truth_is_not_read(case, tmp_path):
    (tmp_path / "broken_seg.nii.gz").write_bytes(b"not an image")
    make_predictor().predict(replace(case, mask=tmp_path / "broken_seg.nii.gz"))


def test_a_file_that_cannot_be_used_is_a_data_error(case):
    case.images["t1"].write_bytes(b"not an image")
    with pytest.raises(DataError) as error:
        make_predictor().predict(case)
    assert isinstance(error.value, MedsegError)
    assert error.value.faults[0].part == "t1"


def test_an_input_unlike_the_training_data_is_warned_of(tmp_path, case):
    profile = TrainingProfile.of([profile_volume(read_volume(case, CHANNELS, None), CHANNELS)])
    predictor = replace(make_predictor(), profile=profile)
    assert predictor.predict(case).warnings == ()
    images, _ = brats_case(SHAPE, 10_001)
    odd = {name: (data * 10).astype(np.int16) for name, data in images.items()}
    found = predictor.predict(case_in(write_case(tmp_path / "odd", odd, affine=np.diag([2.0, 1, 1, 1]))))
    assert any("orientation is RAS" in text for text in found.warnings)
    assert any("spacing right to left is 2 mm" in text for text in found.warnings)
    assert any(text.startswith("t1ce:") for text in found.warnings)


@pytest.mark.parametrize("profiled", [True, False])
def test_of_sizes_and_sides_that_a_file_does_not_give_a_prediction_warns(case, profiled):
    known = TrainingProfile.of([profile_volume(read_volume(case, CHANNELS, None), CHANNELS)])
    predictor = replace(make_predictor(), profile=known if profiled else None)
    take_place(case.images["t1"].parent)
    warnings = predictor.predict(case).warnings
    assert any("1 is assumed: mm and mL are no measures" in text for text in warnings)
    assert any("first axis is assumed to run to the patient's left" in text for text in warnings)


def test_predicting_twice_gives_the_same_and_leaves_the_input(case):
    predictor, volume = make_predictor(), read_volume(case, CHANNELS, None)
    before = volume.image.copy()
    one, other = predictor.predict_volume(volume), predictor.predict_volume(volume)
    np.testing.assert_array_equal(one.labels, other.labels)
    np.testing.assert_array_equal(volume.image, before)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda m: m["task"]["classes"].reverse(), "its manifest"),
        (lambda m: m.update(task={"_target_": "torch.nn.Identity"}), "no task"),
        (lambda m: m["network"].update(out_channels=4), "its network gives|fit"),
        (lambda m: m["channels"].pop(), "does not take its slices|other channels"),
    ],
)
def test_a_model_that_contradicts_itself_is_refused(tmp_path, change, said):
    """Else a class could be written under the value of another, and nobody told."""
    folder = make_predictor().save(tmp_path / "model")
    described = json.loads((folder / "model.json").read_text())
    change(described)
    (folder / "model.json").write_text(json.dumps(described))

    with pytest.raises(ModelError, match=said):
        Predictor.load(folder)


# --- every way of fitting, with several maps

#: The five classes as bright as their numbers: logits k x - k k / 2 are highest for the class nearest to x.
NUMBERS = np.arange(5, dtype=np.float32)


def reader_of_numbers(**rule):
    """A predictor whose network says, of each pixel on its own, the class whose number is nearest to its value."""
    network = torch.nn.Conv2d(4, 5, 1)
    with torch.no_grad():
        network.weight[:, :, 0, 0] = torch.from_numpy(50 * NUMBERS[:, None] / 4)
        network.bias[:] = torch.from_numpy(-50 * NUMBERS**2 / 2)
    preparation = Preparation(CHANNELS, SliceRule.model_validate({"transforms": []} | rule))
    return Predictor(network.eval(), NETWORK, TASK, preparation, MANIFEST)


def volume_of_numbers():
    """(I, J, K) = (24, 20, 18) in blocks of 6x5x6 voxels, each of one class; the rim and a slab are empty."""
    blocks = np.random.default_rng(3).integers(1, 5, (4, 4, 3))
    numbers = blocks.repeat(6, axis=0).repeat(5, axis=1).repeat(6, axis=2)
    numbers[:6] = numbers[-6:] = 0
    numbers[:, :5] = numbers[:, -5:] = 0
    numbers[..., :6] = 0
    image = np.broadcast_to(numbers, (4, *numbers.shape)).astype(np.float32)
    return Volume(image.copy(), None, Geometry(numbers.shape, np.eye(4))), numbers


def inside_blocks(numbers):
    """Voxels two away from every other class: resampling cannot change what they are."""
    same = np.ones(numbers.shape, dtype=bool)
    for axis in range(3):
        for step in (-2, -1, 1, 2):
            same &= np.roll(numbers, step, axis) == numbers
    return same


@pytest.mark.parametrize("axis", ["axial", "coronal", "sagittal"])
@pytest.mark.parametrize(
    ("rule", "everywhere"),
    [
        ({"fit": "pad", "size": (26, 30)}, True),
        ({"fit": "tile", "size": (9, 8), "overlap": 0.4}, True),
        ({"fit": "tile", "size": (32, 32)}, True),
        ({"fit": "resize", "size": (24, 20)}, False),
        ({"fit": "resize", "size": (37, 51)}, False),
    ],
    ids=["pad", "tiles", "one tile", "resize", "enlarge"],
)
def test_every_class_comes_back_as_itself_however_slices_are_fitted(axis, rule, everywhere):
    """Label and probability of each class are those of its own map, at its own place."""
    volume, numbers = volume_of_numbers()
    found = reader_of_numbers(axis=axis, **rule).predict_volume(volume, probabilities=True)
    sure = np.ones(numbers.shape, dtype=bool) if everywhere else inside_blocks(numbers)
    near = 1e-4 if everywhere else 0.1  # stretching back, a neighbouring block reaches a little way in
    assert {int(each) for each in np.unique(numbers[sure])} == {0, 1, 2, 3, 4}
    np.testing.assert_array_equal(found.labels[sure], numbers[sure])
    for each in range(5):
        np.testing.assert_allclose(found.probabilities[each][sure], numbers[sure] == each, atol=near)
    np.testing.assert_allclose(found.probabilities.sum(axis=0), 1, atol=1e-5)
    np.testing.assert_array_equal(found.probabilities.argmax(axis=0), found.labels)
    alone = reader_of_numbers(axis=axis, **rule).predict_volume(volume)
    np.testing.assert_array_equal(alone.labels, found.labels)  # asked for or not, they are decided alike


def test_how_many_slices_are_predicted_at_a_time_is_kept_with_the_model(tmp_path):
    folder = replace(make_predictor(), batch_size=10).save(tmp_path / "ten")
    assert Predictor.load(folder).batch_size == 10
    assert Predictor.load(make_predictor().save(tmp_path / "usual")).batch_size == 16


@pytest.mark.parametrize("wrong", [0, -1, True, "10", 10**9, None])
def test_a_model_that_predicts_no_number_of_slices_is_refused(saved, wrong):
    edit(saved, lambda described: described.update(batch_size=wrong))
    with pytest.raises(ModelError, match="batch_size is"):
        Predictor.load(saved)
