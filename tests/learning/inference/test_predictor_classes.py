from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medseg.component import Allowed, build
from medseg.datasets.case import Case
from medseg.datasets.manifest.manifest import Manifest
from medseg.datasets.reading.volume import Volume, read_volume
from medseg.errors import DataError, ModelError
from medseg.geometry.grid import Geometry
from medseg.images.formats import NIFTI
from medseg.learning.inference.predictor import Predictor
from medseg.learning.inference.training_profile import TrainingProfile, profile_volume
from medseg.learning.tasks.class_masks import ClassMasks
from medseg.learning.tasks.image_classes import ImageClasses, ImageTags
from medseg.slices.preparation import Preparation
from medseg.slices.rule import SliceRule
from medseg.testing.labelled import disc
from medseg.testing.pictures import write_picture

FOLDERS = Manifest.from_yaml(Path(__file__).parents[3] / "data_manifests" / "image_folders.yaml")
CLASSES = ("10_x", "2_y", "é (a)")
TABLE = {"csv": "labels.csv", "image": "image", "labels": list(CLASSES)}
TESTING = Allowed(packages=frozenset({"medseg.testing"}))
CNN = {
    "_target_": "medseg.learning.networks.TutorialCNN",
    "image_size": [24, 32],
    "out_channels": 3,
    "conv_blocks": 2,
    "feature_maps": 4,
    "dense": 8,
    "batch_norm": True,
}
READER = {"_target_": "medseg.testing.disc_reader.DiscReader", "out_channels": 3}


def manifest(classes=CLASSES, *, many=False):
    given = FOLDERS.model_dump(by_alias=True) | {"classes": classes}
    if many:
        given |= {"image_labels": "many", "layout": TABLE, "group": None}
    return Manifest.model_validate(given)


def make_predictor(network=READER, *, many=False, **rule):
    torch.manual_seed(0)
    built = build(network, at="network", kind=torch.nn.Module, allowed=TESTING).eval()
    rule = SliceRule.model_validate({"size": (24, 32), "fit": "pad", "keep": "all"} | rule)
    what = manifest(many=many)
    task = ImageTags(CLASSES) if many else ImageClasses(CLASSES, class_weights=[1, 2, 3], label_smoothing=0.1)
    return Predictor(built, network, task, Preparation(("picture",), rule, files=what.files()), what)


def volume_of(*slices):
    """Slices (H, W) stacked from inferior to superior, as axial slices are cut."""
    stored = np.stack([np.asarray(each, dtype=np.float32).T for each in slices], axis=2)
    geometry = Geometry(stored.shape, np.diag([-1.0, -1.0, 1.0, 1.0]))
    return Volume(geometry.to_ras(stored)[None], None, geometry)


def softmax_of(predictor, *slices):
    with torch.no_grad():
        logits = predictor.network(torch.tensor(np.stack(slices), dtype=torch.float32)[:, None])
    return torch.softmax(logits.double(), dim=1).numpy()


def edit(folder, change):
    path = folder / "model.json"
    described = json.loads(path.read_text(encoding="utf-8"))
    change(described)
    path.write_text(json.dumps(described), encoding="utf-8")


# --- what is said


@settings(max_examples=15)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=5), st.integers(1, 4))
def test_the_class_is_that_of_the_mean_over_slices_that_show_something(shown, batch_size):
    """Of a volume of discs; 3 stands for a blank slice."""
    blank = np.zeros((24, 32))
    slices = [blank if which == 3 else disc([which], 3, seed=(n,)) for n, which in enumerate(shown)]
    asked = [each for each in slices if each.any()] or slices
    predictor = replace(make_predictor(), batch_size=batch_size)
    found = predictor.classify(volume_of(*slices))
    expected = softmax_of(predictor, *asked).mean(axis=0)
    assert found.probabilities.dtype == np.float32
    assert found.probabilities == pytest.approx(expected, abs=1e-6)
    assert found.names == (CLASSES[int(found.probabilities.argmax())],)
    assert found.warnings == ()


def test_a_blank_picture_is_asked_about_as_it_is():
    predictor = make_predictor()
    found = predictor.classify(volume_of(np.full((24, 32), 250)))
    assert found.probabilities == pytest.approx(softmax_of(predictor, np.full((24, 32), 250.0))[0], abs=1e-6)


@pytest.mark.parametrize(("which", "names"), [([], ()), ([1], ("2_y",)), ([0, 1, 2], CLASSES)])
def test_classes_that_are_no_alternatives_are_each_said_from_one_half_on(which, names):
    predictor = make_predictor(many=True)
    found = predictor.classify(volume_of(disc(which, 3, seed=(2,))))
    with torch.no_grad():
        logits = predictor.network(torch.tensor(disc(which, 3, seed=(2,)), dtype=torch.float32)[None, None])
    assert found.probabilities == pytest.approx(1 / (1 + np.exp(-logits[0].numpy())), abs=1e-6)
    assert found.names == names
    assert found.names == tuple(n for n, p in zip(CLASSES, found.probabilities, strict=True) if p >= 0.5)


def test_a_picture_of_another_look_than_those_of_training_is_warned_of(tmp_path):
    cases = []
    for name, factor in (("bright", 1), ("dark", 0.1)):
        path = write_picture(tmp_path / f"{name}.png", (disc([0], 3) * factor).astype(np.uint8))
        cases.append(Case(name, name, {"picture": path}))
    predictor = make_predictor()
    volumes = [read_volume(each, ("picture",), None, files=predictor.preparation.files) for each in cases]
    profile = TrainingProfile.of([profile_volume(volumes[0], ("picture",))])
    knowing = replace(predictor, profile=profile)
    assert knowing.classify(volumes[0]).warnings == ()
    assert knowing.classify(volumes[1]).warnings
    assert knowing.classify(knowing.read_image(cases[1])).warnings == knowing.classify(volumes[1]).warnings


def test_the_shape_of_the_input_is_channels_rows_and_columns():
    assert make_predictor().input_shape == (1, 24, 32)


def test_no_slices_have_no_probabilities():
    assert make_predictor().probabilities(np.zeros((0, 1, 24, 32), np.float32)).shape == (0, 3)


# --- saved and loaded


@pytest.mark.parametrize("many", [False, True])
@pytest.mark.parametrize("network", [CNN, READER], ids=["learned", "reader"])
def test_a_saved_model_of_classes_comes_back_with_equal_answers(tmp_path, network, many):
    first = make_predictor(network, many=many, fit="tile", overlap=0.5)
    for each in first.network.buffers():  # running statistics are part of it
        if each.is_floating_point():
            each.add_(0.5)
    again = Predictor.load(first.save(tmp_path / "model"), allowed=TESTING)
    volume = volume_of(disc([1], 3, size=(40, 50)))
    one, other = first.classify(volume), again.classify(volume)
    assert np.array_equal(one.probabilities, other.probabilities)
    assert one.names == other.names
    assert (again.manifest, again.preparation) == (first.manifest, first.preparation)
    assert (again.task.classes, again.task.target) == (CLASSES, first.task.target)
    assert type(again.task) is type(first.task)
    assert not again.network.training


def test_the_model_keeps_the_threshold_and_one_that_was_saved_without_has_one_half(tmp_path):
    low = replace(make_predictor(many=True), task=ImageTags(CLASSES, threshold=0.01))
    folder = low.save(tmp_path / "model")
    volume = volume_of(disc([1], 3, seed=(2,)))
    found = Predictor.load(folder, allowed=TESTING).classify(volume)
    assert found.names == tuple(n for n, p in zip(CLASSES, found.probabilities, strict=True) if p >= 0.01)
    assert "0.01" in (folder / "README.md").read_text("utf-8")
    edit(folder, lambda d: d["task"].pop("threshold"))
    again = Predictor.load(folder, allowed=TESTING)
    assert again.task.threshold == 0.5
    assert again.classify(volume).names == ("2_y",) != found.names


def test_the_saved_form_tells_what_it_learned_from(tmp_path):
    described = json.loads((make_predictor(CNN).save(tmp_path / "model") / "model.json").read_text("utf-8"))
    assert described["truth"] == "one"
    assert (
        described["maps"] == described["task"]["classes"] == described["manifest"]["classes"] == list(CLASSES)
    )
    assert "weight" not in json.dumps(described["task"])  # of the loss, which inference does without


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d["task"].update(classes=["a", "b", "c"]), "its task has the classes"),
        (lambda d: d["manifest"].update(classes=[*reversed(CLASSES)]), "its task has the classes"),
        (lambda d: d["task"].update(_target_="medseg.learning.ImageTags"), "learns classes of images"),
        (
            lambda d: d["manifest"].update(image_labels="many", layout=TABLE, group=None),
            "learns classes of images, which its manifest does not tell",
        ),
        (lambda d: d["network"].update(out_channels=2), r"gives \(1, 2\) where its task expects \(1, 3\)"),
        (
            lambda d: d.update(
                network={"_target_": "torch.nn.Conv2d", "in_channels": 1, "out_channels": 3, "kernel_size": 1}
            ),
            r"gives \(1, 3, 24, 32\) where its task expects \(1, 3\)",
        ),
        (lambda d: d["slices"].update(size=[24, 40]), "does not take its slices"),
    ],
    ids=["task", "order", "tags", "many", "too few", "maps", "size"],
)
def test_a_saved_model_that_contradicts_itself_is_refused(tmp_path, change, said):
    folder = make_predictor(CNN).save(tmp_path / "model")
    edit(folder, change)
    with pytest.raises(ModelError, match=said):
        Predictor.load(folder)


# --- refused


def test_a_model_of_classes_gives_no_label_maps():
    predictor = make_predictor()
    with pytest.raises(ModelError, match="gives no label maps"):
        predictor.predict_volume(volume_of(disc([0], 3)))
    with pytest.raises(ModelError, match="gives no label maps"):
        predictor.labels(np.zeros((1, 1, 24, 32), np.float32))


def test_a_model_of_label_maps_tells_no_class():
    masks = replace(make_predictor(), task=ClassMasks(CLASSES, select=["2_y"]))
    with pytest.raises(ModelError, match="tells no class of a whole image"):
        masks.classify(volume_of(disc([0], 3)))


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
@pytest.mark.parametrize("many", [False, True])
def test_answers_that_are_no_numbers_are_an_error_and_no_class(number, many):
    predictor = make_predictor(many=many)
    torch.nn.init.constant_(predictor.network.features[0].bias, number)
    predictor.network.angles[1] = float("nan")
    with pytest.raises(ModelError, match="returned NaN or infinity"):
        predictor.classify(volume_of(disc([0], 3)))


def test_a_transform_that_fails_is_a_fault_of_the_image():
    scale = {"_target_": "monai.transforms.NormalizeIntensityd", "keys": ["image"], "divisor": [0.0]}
    predictor = replace(make_predictor(), preparation=Preparation(("picture",), _with(scale), files=NIFTI))
    with pytest.raises(DataError, match=r"slices\.transforms"):
        predictor.classify(volume_of(disc([0], 3)))


def _with(transform):
    return SliceRule.model_validate({"size": (24, 32), "fit": "pad", "transforms": [transform]})
