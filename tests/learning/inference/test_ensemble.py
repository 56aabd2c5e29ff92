"""Models that fit together are one, whose logits are the mean; others are refused with what differs."""

from __future__ import annotations

import copy
import json
from dataclasses import replace

import numpy as np
import pytest

from medseg.errors import ModelError

UNET = {
    "_target_": "monai.networks.nets.UNet",
    "spatial_dims": 2,
    "in_channels": 4,
    "out_channels": 5,
    "channels": [4, 8],
    "strides": [2],
}


@pytest.fixture(scope="module")
def made():
    """Make models of one pipeline by their seeds."""
    from pathlib import Path

    import torch

    from medseg.component import build
    from medseg.datasets.manifest.manifest import Manifest
    from medseg.learning.inference.predictor import Predictor
    from medseg.learning.tasks.class_masks import ClassMasks
    from medseg.slices.preparation import Preparation
    from medseg.slices.rule import SliceRule

    manifest = Manifest.from_yaml(Path(__file__).parents[3] / "data_manifests" / "brats2019.yaml")
    rule = SliceRule.model_validate({"size": [32, 32]})

    def make(seed):
        torch.manual_seed(seed)
        network = build(UNET, at="network", kind=torch.nn.Module)
        about = {"pipeline": "tiny", "run": f"run{seed}", "version": "1"}
        task = ClassMasks(manifest.classes)
        return Predictor(network, UNET, task, Preparation(manifest.channels, rule), manifest, about=about)

    return make


@pytest.fixture
def slices():
    return np.random.default_rng(0).normal(size=(3, 4, 32, 32)).astype(np.float32)


def test_logits_are_the_mean_and_what_is_saved_predicts_the_same(made, slices, tmp_path) -> None:
    from medseg.learning.inference.ensemble import ensemble
    from medseg.learning.inference.predictor import Predictor

    models = [made(seed) for seed in range(3)]

    both = ensemble(models)
    loaded = Predictor.load(both.save(tmp_path / "model"))

    expected = np.mean([each.logits(slices) for each in models], axis=0)
    np.testing.assert_allclose(both.logits(slices), expected, atol=1e-6)
    np.testing.assert_array_equal(loaded.logits(slices), both.logits(slices))
    assert both.about["run"] == "run0, run1, run2"
    assert both.about["version"] == "1"
    assert "3 models" in (tmp_path / "model" / "README.md").read_text()


def test_what_is_to_be_known_of_the_data_of_one_is_said_of_all(made, tmp_path) -> None:
    from medseg.learning.inference.ensemble import ensemble

    one, other = made(0), made(1)
    noted = replace(other, about={**other.about, "data.note": "Trained on a generated sample."})

    both = ensemble([one, noted])
    both.save(tmp_path / "model")

    assert "data.kind" not in both.about  # of neither it is known
    assert "**Trained on a generated sample.**" in (tmp_path / "model" / "README.md").read_text()


def test_one_model_stays_what_it_is_and_none_is_refused(made) -> None:
    from medseg.learning.inference.ensemble import ensemble

    model = made(0)

    assert ensemble([model]) is model
    with pytest.raises(ModelError, match="no model was given"):
        ensemble([])


def test_an_ensemble_may_be_part_of_another(made, slices) -> None:
    from medseg.learning.inference.ensemble import ensemble

    models = [made(seed) for seed in range(3)]
    nested = ensemble([ensemble(models[:2]), models[2]])

    a, b, c = (each.logits(slices) for each in models)
    np.testing.assert_allclose(nested.logits(slices), ((a + b) / 2 + c) / 2, atol=1e-6)


def test_what_all_do_alike_is_done(made) -> None:
    from medseg.learning.inference.cleaning import Cleaning
    from medseg.learning.inference.ensemble import ensemble

    one = replace(made(0), flips=((0,), (1,)), cleaning=(Cleaning(1, largest=True),))
    other = replace(made(1), flips=((1,), (0, 1)), cleaning=(Cleaning(2, largest=True),))

    assert ensemble([one, other]).flips == ((1,),)
    assert ensemble([one, other]).cleaning == ()
    assert ensemble([one, replace(other, cleaning=one.cleaning)]).cleaning == one.cleaning


def test_what_not_all_do_is_kept_in_words(made) -> None:
    from medseg.learning.inference.cleaning import Cleaning
    from medseg.learning.inference.ensemble import ensemble

    one = replace(made(0), flips=((0,), (1,)), cleaning=(Cleaning(1, largest=True),))
    other = replace(made(1), flips=((1,), (0,)), cleaning=one.cleaning)

    def left_out(*models):
        return ensemble(models).about.get("ensemble.left_out")

    assert left_out(one, other) is None
    assert left_out(one, replace(other, cleaning=())) == "post-processing, which not all have chosen alike"
    assert left_out(one, replace(other, flips=((1,),))) == "mirror images, over which not all average"
    assert left_out(made(0), one).count(";") == 1


def test_the_ways_in_which_files_are_read_must_be_the_same_and_texts_need_not(made) -> None:
    from medseg.datasets.manifest.rules import PictureRule
    from medseg.learning.inference.ensemble import ensemble

    one, other = made(0), made(1)

    def read_as(model, **fields):
        return replace(model, manifest=model.manifest.model_copy(update=fields))

    red, grey = (PictureRule(channels=channels) for channels in ("rgb", "grey"))
    with pytest.raises(ModelError, match=r"other 'pictures' in the manifest than model 1: .*grey"):
        ensemble([read_as(one, pictures=red), read_as(other, pictures=grey)])
    with pytest.raises(ModelError, match="other 'format' in the manifest"):
        ensemble([one, read_as(other, format="spectra")])
    texts = {"name": "other", "about": "b", "source": "c", "licence": "d", "citation": "e", "group": "(.*)"}
    ensemble([one, read_as(other, **texts)])


def test_thresholds_and_temperatures_of_their_own_are_averaged(made) -> None:
    from medseg.learning.inference.ensemble import ensemble
    from medseg.learning.tasks.binary_mask import BinaryMask
    from medseg.learning.tasks.image_classes import ImageClasses
    from medseg.learning.tasks.region_masks import RegionMasks

    masks = [replace(made(seed), task=BinaryMask(("no", "yes"), t)) for seed, t in ((0, 0.3), (1, 0.5))]
    images = [
        replace(made(seed), task=ImageClasses(("no", "yes")).at_temperature(t))
        for seed, t in ((0, 1.0), (1, 2.0))
    ]

    regions = {"head": [1, 2, 3, 4], "whole": [2, 3, 4], "core": [2, 4], "active": [4]}
    names = made(0).task.classes
    cut = [
        replace(made(seed), task=RegionMasks(names, regions, thresholds={"core": t, "head": 0.6}))
        for seed, t in ((0, 0.3), (1, 0.5))
    ]

    assert ensemble(cut).task.cuts == pytest.approx({"head": 0.6, "whole": 0.5, "core": 0.4, "active": 0.5})
    assert ensemble(masks).task.threshold == pytest.approx(0.4)
    assert ensemble(images).task.temperature == pytest.approx(1.5)


def test_ranges_of_the_training_data_are_those_of_all(made) -> None:
    from medseg.learning.inference.ensemble import ensemble
    from medseg.learning.inference.training_profile import CaseProfile, Intensities, TrainingProfile

    def profile(size, orientation):
        seen = CaseProfile((size, size, size), orientation, {"t1": Intensities(size, 2 * size, 3 * size)})
        return TrainingProfile.of([seen])

    one, other = replace(made(0), profile=profile(1.0, "RAS")), replace(made(1), profile=profile(2.0, "LPS"))

    joined = ensemble([one, other]).profile
    assert joined.spacing == ((1.0, 2.0),) * 3
    assert joined.orientations == ("LPS", "RAS")
    assert joined.intensities == {"t1": {"p01": (1.0, 2.0), "p50": (2.0, 4.0), "p99": (3.0, 6.0)}}
    assert ensemble([one, made(1)]).profile is None


def test_models_that_do_not_fit_together_are_refused_with_what_differs(made) -> None:
    from medseg.learning.inference.ensemble import ensemble
    from medseg.learning.tasks.class_masks import ClassMasks
    from medseg.slices.preparation import Preparation
    from medseg.slices.rule import SliceRule

    one, other = made(0), made(1)
    names = one.manifest.classes
    sized = Preparation(one.channels, SliceRule.model_validate({"size": [64, 64]}))
    fewer = Preparation(one.channels[:3], one.preparation.rule)

    for changed, what in (
        ({"task": ClassMasks(("other", *names[1:]))}, "classes"),
        ({"task": ClassMasks(names, regions={"both": [1, 2]})}, "settings of the task"),
        ({"preparation": sized}, "settings of slices"),
        ({"preparation": fewer}, "channels"),
        (
            {"manifest": one.manifest.model_copy(update={"label_values": {0: names[0], 9: names[1]}})},
            "label values",
        ),
    ):
        with pytest.raises(ModelError, match=f"model 2 has other {what} than model 1"):
            ensemble([one, replace(other, **changed)])


def test_which_slices_were_trained_on_does_not_matter(made, slices) -> None:
    from medseg.learning.inference.ensemble import ensemble
    from medseg.slices.preparation import Preparation
    from medseg.slices.rule import SliceRule

    kept = Preparation(made(0).channels, SliceRule.model_validate({"size": [32, 32], "keep": "foreground"}))

    both = ensemble([made(0), replace(made(1), preparation=kept)])

    np.testing.assert_array_equal(both.logits(slices), ensemble([made(0), made(1)]).logits(slices))


def test_a_description_with_weights_of_fewer_networks_is_refused(made, tmp_path) -> None:
    from medseg.learning.inference.ensemble import ensemble
    from medseg.learning.inference.predictor import Predictor

    folder = ensemble([made(0), made(1)]).save(tmp_path / "model")
    described = json.loads((folder / "model.json").read_text())
    more = copy.deepcopy(described)
    more["network"]["networks"].append(more["network"]["networks"][0])
    (folder / "model.json").write_text(json.dumps(more))

    with pytest.raises(ModelError):
        Predictor.load(folder)
