"""The transforms of a pipeline in order, as YAML comments below its definition."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from medseg.datasets.manifest.manifest import Manifest
from medseg.pipeline.declaration.definition import PipelineDefinition
from medseg.slices.stages import case_stages

_FIRST = "Each case goes through these MONAI transforms"


def stage_comments(definition: PipelineDefinition, manifest: Manifest) -> str:
    """Say which MONAI transforms a case goes through, and which a slice in training; each line is a comment."""
    truth = manifest.image_labels is None
    files = "nifti" if manifest.volumes is None else "manifest.files()"
    files = files if manifest.pictures is None else manifest.pictures.channels
    stages = case_stages(definition.channels, definition.slices, files, truth=truth)
    whose = " (prediction leaves out the label)" if truth else ""
    lines = [
        f"{_FIRST}, from its files to slices{whose}:",
        *_numbered(stages),
    ]
    if definition.loading.augment:
        lines += ["In training each slice then goes through:", *_numbered(definition.loading.augment)]
    return "".join(f"# {line}\n" for line in lines)


def without_stages(text: str) -> str:
    """A definition that was written with such comments, without them."""
    return text.partition(f"# {_FIRST}")[0]


def _numbered(stages: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for number, stage in enumerate(stages, start=1):
        given = ", ".join(
            f"{_plain(key)}={_value(value)}" for key, value in stage.items() if key != "_target_"
        )
        yield f"  {number}. {_plain(stage['_target_'])}({given})"


def _value(value: Any) -> str:
    return json.dumps(value, default=str)  # on one line, whatever it holds


def _plain(word: Any) -> str:
    return _value(str(word))[1:-1]
