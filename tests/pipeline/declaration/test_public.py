from __future__ import annotations

from pathlib import Path

import pytest

from medseg.datasets.manifest.manifest import Manifest
from medseg.pipeline.declaration.definition import PipelineDefinition, flatten
from medseg.pipeline.declaration.public import public_definition
from medseg.yaml import read_yaml

ROOT = Path(__file__).resolve().parents[3]


def opened(ids: str, **changed: object) -> tuple[PipelineDefinition, Manifest]:
    data = read_yaml(ROOT / "pipelines" / "brats2d.yaml") | changed
    manifest = Manifest.from_yaml(ROOT / "data_manifests" / "brats2019.yaml")
    return PipelineDefinition.from_dict(data, "test"), manifest.model_copy(update={"ids": ids})


def test_no_path_of_a_definition_is_public() -> None:
    definition, manifest = opened(
        "pseudonyms", manifest="/home/jane_doe/mine.yaml", split={"file": "/home/jane_doe/split.json"}
    )

    public = flatten(public_definition(definition, manifest))

    assert not any("jane_doe" in str(value) for value in public.values())
    assert (public["manifest"], public["split.file"]) == ("brats2019", "given")


@pytest.mark.parametrize(("ids", "shown"), [("identifying", "given"), ("pseudonyms", "SMITH")])
def test_values_that_choose_patients_are_public_only_as_pseudonyms(ids: str, shown: str) -> None:
    definition, manifest = opened(ids, split={"test": {"doctor": "SMITH"}, "val": 0.2})

    assert {"doctor": shown} == public_definition(definition, manifest)["split"]["test"]


def test_all_else_is_public_as_it_is() -> None:
    definition, manifest = opened("identifying")

    assert definition.to_dict() == public_definition(definition, manifest)


def test_weights_that_a_network_brings_itself_are_public_and_files_are_not() -> None:
    start = {"_target_": "medseg.steps.StartFrom"}
    steps = {"own": {**start, "weights": "own"}, "file": {**start, "weights": "/home/jane_doe/own"}}
    definition, manifest = opened("pseudonyms", steps=steps)

    public = public_definition(definition, manifest)["steps"]

    assert {name: step["weights"] for name, step in public.items()} == {"own": "own", "file": "given"}
