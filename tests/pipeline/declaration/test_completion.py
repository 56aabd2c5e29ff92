"""What a definition leaves to its data is filled in before anything is built."""

from __future__ import annotations

from pathlib import Path

import pytest

from medseg.component import Allowed
from medseg.datasets.manifest.manifest import Manifest
from medseg.errors import DataError, DefinitionError
from medseg.pipeline.declaration.completion import complete
from medseg.pipeline.declaration.definition import PipelineDefinition
from medseg.testing.labelled import write_class_folders

ROOT = Path(__file__).parents[3]
CLASSES = ("10_x", "2_y", "A", "b", "é")


def definition(network, task=None):
    return PipelineDefinition.from_dict(
        {
            "name": "tiny",
            "manifest": "image_folders",
            "channels": ["picture"],
            "slices": {"size": [32, 32], "fit": "resize"},
            "task": {"_target_": "medseg.learning.ImageClasses", **(task or {})},
            "network": network,
            "steps": {"evaluate": {"_target_": "medseg.steps.EvaluateClasses"}},
        },
        "tiny",
    )


DENSE = {
    "_target_": "monai.networks.nets.DenseNet",
    "spatial_dims": 2,
    "init_features": 4,
    "block_config": [1],
}


@pytest.fixture
def manifest():
    return Manifest.from_yaml(ROOT / "data_manifests" / "image_folders.yaml")


@pytest.fixture
def folders(tmp_path):
    return write_class_folders(tmp_path / "data", CLASSES, cases=2)


def test_classes_inputs_and_outputs_are_those_of_the_data(manifest, folders):
    whole = complete(definition(DENSE), manifest, folders, Allowed())

    assert whole.manifest.classes == CLASSES
    assert tuple(whole.definition.task["classes"]) == CLASSES
    assert whole.definition.network["in_channels"] == 1
    assert whole.definition.network["out_channels"] == len(CLASSES)


def test_what_is_declared_stays(manifest, folders):
    network = {**DENSE, "in_channels": 3, "out_channels": 7}
    whole = complete(definition(network, {"classes": ["a", "b"]}), manifest, folders, Allowed())

    assert whole.definition.network == network
    assert whole.definition.task["classes"] == ["a", "b"]


def test_completing_again_changes_nothing(manifest, folders):
    once = complete(definition(DENSE), manifest, folders, Allowed())

    assert complete(once.definition, once.manifest, folders, Allowed()) == once


@pytest.mark.parametrize(
    ("network", "inputs", "outputs"),
    [
        ({"_target_": "monai.networks.nets.EfficientNetBN", "model_name": "efficientnet-b0", "pretrained": False,
          "spatial_dims": 2}, "in_channels", "num_classes"),
        ({"_target_": "medseg.learning.networks.TutorialCNN"}, "in_channels", "out_channels"),
    ],
)  # fmt: skip
def test_each_network_is_told_by_the_names_it_uses(manifest, folders, network, inputs, outputs):
    found = complete(definition(network), manifest, folders, Allowed()).definition.network

    assert (found[inputs], found[outputs]) == (1, len(CLASSES))


def test_a_network_of_one_size_of_image_is_told_that_of_the_slices(manifest, folders):
    network = {"_target_": "medseg.learning.networks.TutorialCNN"}

    assert complete(definition(network), manifest, folders, Allowed()).definition.network["image_size"] == [
        32,
        32,
    ]


def test_without_data_the_classes_are_those_of_the_sample():
    manifest = Manifest.from_yaml(ROOT / "data_manifests" / "radiology.yaml")

    assert len(complete(definition(DENSE), manifest, None, Allowed()).manifest.classes) == 6


def test_without_data_and_without_sample_the_classes_cannot_be_known(manifest):
    with pytest.raises(DefinitionError, match="give its folder with --data"):
        complete(definition(DENSE), manifest, None, Allowed())


def test_data_with_one_class_are_refused(manifest, tmp_path):
    write_class_folders(tmp_path / "one", ("only",), cases=2)

    with pytest.raises(DataError):
        complete(definition(DENSE), manifest, tmp_path / "one", Allowed())
