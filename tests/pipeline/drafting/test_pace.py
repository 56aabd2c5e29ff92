"""The pace of a training is that of the training itself."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from medseg.allowed import SHIPPED
from medseg.datasets.manifest.manifest import Manifest
from medseg.datasets.scanning.look import look
from medseg.pipeline.declaration.completion import complete
from medseg.pipeline.declaration.definition import PipelineDefinition
from medseg.pipeline.declaration.overrides import apply_set
from medseg.pipeline.drafting.draft import drafted
from medseg.pipeline.drafting.machine import Machine
from medseg.pipeline.drafting.pace import measured
from medseg.testing.layouts import write_nnunet
from medseg.testing.pictures import shapes, write_picture
from medseg.yaml import parse_yaml


def volumes(folder: Path) -> Path:
    return write_nnunet(folder, cases=3, shape=(24, 28, 8))


def classes(folder: Path) -> Path:
    for name in ("yes", "no"):
        for number in range(4):
            write_picture(folder / name / f"{number}.png", shapes((40, 48), number)[0])
    return folder


@pytest.mark.parametrize(
    ("make", "small"),
    [
        (volumes, {"network.channels": [4, 8], "network.strides": [2]}),
        (classes, {"network.block_config": [1], "network.init_features": 4, "network.growth_rate": 2}),
    ],
    ids=["masks", "classes"],
)
def test_a_few_steps_tell_the_seconds_of_a_slice_and_the_memory_of_a_batch(
    tmp_path: Path, make, small: dict[str, object]
) -> None:
    folder = make(tmp_path)
    draft = drafted("mine", look(folder), Machine())
    definition = apply_set(parse_yaml(draft.definition, "mine"), small)
    manifest = Manifest.from_json(parse_yaml(draft.manifest, "mine"))
    whole = complete(PipelineDefinition.from_dict(definition, "mine"), manifest, folder, SHIPPED)

    pace = measured(whole.definition, whole.manifest, torch.device("cpu"))

    assert 0 < pace.trained < 5
    assert 0 <= pace.validated < 5
    assert 0 < pace.gib < 1
    pixels = math.prod(whole.definition.slices.size)
    assert (
        2 * pixels <= pace.kept * 2**30 <= 2 * 3 * pixels + 8
    )  # float16 of up to three colours, or a label map
