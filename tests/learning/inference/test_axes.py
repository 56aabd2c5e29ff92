"""Models of several axes: the mean of their probabilities in the volume, as by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from medseg.errors import ModelError

MANIFEST = Path(__file__).parents[3] / "data_manifests" / "brats2019.yaml"
SHAPE = (21, 26, 17)  # of the file, which is stored the other way round


@pytest.fixture(scope="module")
def made():
    """Make untrained models by seed and rule."""
    import torch

    from medseg.component import build
    from medseg.datasets.manifest.manifest import Manifest
    from medseg.learning.inference.predictor import Predictor
    from medseg.learning.tasks.class_masks import ClassMasks
    from medseg.slices.preparation import Preparation
    from medseg.slices.rule import SliceRule

    manifest = Manifest.from_yaml(MANIFEST)

    def make(seed, axis, **rule):
        torch.manual_seed(seed)
        preparation = Preparation(
            manifest.channels, SliceRule.model_validate({"axis": axis, "size": [24, 16], **rule})
        )
        spec = {
            "_target_": "monai.networks.nets.UNet",
            "spatial_dims": 2,
            "in_channels": len(preparation.inputs),
            "out_channels": 5,
            "channels": [4, 8],
            "strides": [2],
        }
        network = build(spec, at="network", kind=torch.nn.Module).eval()
        about = {"pipeline": "tiny", "run": f"run{seed}"}
        return Predictor(network, spec, ClassMasks(manifest.classes), preparation, manifest, about=about)

    return make


@pytest.fixture(scope="module")
def three(made):
    return [
        made(0, "axial"),
        made(1, "coronal", size=[16, 32], fit="resize"),
        replace(made(2, "sagittal", neighbours=1), flips=((1,),), batch_size=3),
    ]


@pytest.fixture(scope="module")
def volume():
    """A patient with an empty slice at each end."""
    from medseg.datasets.reading.volume import Volume
    from medseg.geometry.grid import Geometry

    draw = np.random.default_rng(3)
    affine = np.array([[0, 0, -1.5, 20], [-1, 0, 0, 5], [0, 2, 0, -8], [0, 0, 0, 1.0]])
    grid = Geometry(SHAPE, affine)
    image = draw.normal(size=(4, *grid.to_ras(np.empty(SHAPE)).shape)).astype(np.float32)
    image[:, :, :, [0, -1]] = 0
    return Volume(image, None, grid)


def by_hand(models, volume):
    return np.mean([each.predict_volume(volume, probabilities=True).probabilities for each in models], axis=0)


def test_probabilities_are_the_mean_in_the_volume(three, volume) -> None:
    from medseg.learning.inference.ensemble import ensemble

    found = ensemble(three).predict_volume(volume, probabilities=True)
    expected = by_hand(three, volume)

    assert found.probabilities.shape == (5, *SHAPE)
    np.testing.assert_allclose(found.probabilities, expected, atol=1e-6)
    np.testing.assert_array_equal(found.labels, found.probabilities.argmax(axis=0))
    plain = ensemble(three).predict_volume(volume)
    np.testing.assert_array_equal(plain.labels, found.labels)
    assert plain.probabilities is None
    assert any((found.labels != each.predict_volume(volume).labels).any() for each in three)


def test_what_is_saved_as_one_model_predicts_the_same(three, volume, tmp_path) -> None:
    from medseg.learning.inference.ensemble import ensemble
    from medseg.learning.inference.predictor import Predictor

    model = ensemble(three)
    loaded = Predictor.load(model.save(tmp_path / "model"))
    before, after = (each.predict_volume(volume, probabilities=True) for each in (model, loaded))

    np.testing.assert_array_equal(before.probabilities, after.probabilities)
    card = (tmp_path / "model" / "README.md").read_text()
    assert "axial and coronal and sagittal" in card
    assert loaded.about["run"] == "run0, run1, run2"
    again = Predictor.load(loaded.save(tmp_path / "again"))
    np.testing.assert_array_equal(after.labels, again.predict_volume(volume).labels)


def test_an_axis_counts_once_however_many_models_it_has(made, volume) -> None:
    from medseg.learning.inference.ensemble import ensemble

    folds, other = [made(0, "axial"), made(3, "axial")], made(1, "coronal")
    found = ensemble([folds[0], other, folds[1]]).predict_volume(volume, probabilities=True)

    expected = by_hand([ensemble(folds), other], volume)
    np.testing.assert_allclose(found.probabilities, expected, atol=1e-6)


def test_models_that_differ_in_more_than_their_slices_are_refused(made) -> None:
    from medseg.learning.inference.ensemble import ensemble

    axial, coronal = made(0, "axial"), made(1, "coronal")
    with pytest.raises(ModelError, match="model 3 has other settings of slices than model 1"):
        ensemble([axial, coronal, made(2, "axial", size=[16, 16])])
    other = replace(coronal, manifest=coronal.manifest.model_copy(update={"label_values": {0: "x"}}))
    with pytest.raises(ModelError, match="model 2 has other label values than model 1"):
        ensemble([axial, other])
    aligned = made(1, "coronal", align={"reference": "t1"})
    with pytest.raises(ModelError, match="other channel that others are brought onto"):
        ensemble([axial, aligned])
    with pytest.raises(ModelError, match="model 2 is several models already"):
        ensemble([axial, ensemble([axial, coronal])])


def test_slices_alone_have_no_answer_and_one_network_is_no_such_model(three, tmp_path) -> None:
    from medseg.learning.inference.ensemble import ensemble
    from medseg.learning.inference.export.bundle.folder import write_bundle
    from medseg.learning.inference.export.file import write_onnx

    model = ensemble(three)
    with pytest.raises(ModelError, match="predict_volume"):
        model.labels(np.zeros((1, 4, 24, 16), np.float32))
    for write in (write_onnx, write_bundle):
        with pytest.raises(ModelError, match="several axes"):
            write(model, tmp_path / "out")
        assert not (tmp_path / "out").exists()


def test_a_damaged_description_is_told(three, tmp_path) -> None:
    from medseg.learning.inference.ensemble import ensemble
    from medseg.learning.inference.predictor import Predictor

    place = ensemble(three).save(tmp_path / "model") / "model.json"
    described = json.loads(place.read_text())
    for broken in ([{"network": {}}], [None], "x", described["others"][:1]):
        place.write_text(json.dumps({**described, "others": broken}))
        with pytest.raises(ModelError):
            Predictor.load(tmp_path / "model")
