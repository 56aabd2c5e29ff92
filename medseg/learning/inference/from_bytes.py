"""Asking a model about files that came as bytes, as a server gets them."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medseg.component import named
from medseg.datasets.case import Case
from medseg.datasets.manifest.manifest import Manifest
from medseg.datasets.reading.unforeseen import one_case
from medseg.errors import DataError, MedsegError, ModelError
from medseg.images.itk import nrrd
from medseg.learning.inference.predictor import Predictor
from medseg.places import passing_folder

MOST_BYTES = 2**30
"""Of a file, as it came."""

MOST_VOXELS = 512**3
"""Of a file, as its header says; looked at before its voxels are unpacked."""

_GZIP = b"\x1f\x8b"
_SIGNS = {
    ".nrrd": nrrd.MAGIC,
    ".mgz": _GZIP,
    ".mgh": b"\0\0\0\1\0\0",
}  # of kinds whose files are not all read alike


def parts_of(manifest: Manifest, channels: tuple[str, ...]) -> tuple[str, ...]:
    """Names of the files that make a case: of each channel, or `image` where one file holds all."""
    return tuple(dict.fromkeys(manifest.part(channel) for channel in channels))


def answer(predictor: Predictor, files: Mapping[str, Any]) -> dict[str, Any]:
    """What a model says of one case, exactly as `medseg predict` writes it.

    Args:
        predictor: The model.
        files: Bytes of each file, by the names of `parts_of`.

    Returns:
        `measures`, `warnings`, and `mask` as base64 where it gives one; or `error` alone.
    """
    try:
        with passing_folder("medseg-served") as place:
            return _answered(predictor, files, place)
    except DataError as error:
        return {"error": "; ".join(fault.text() for fault in error.faults) or str(error)}
    except MedsegError as error:
        return {"error": str(error)}


def _answered(predictor: Predictor, files: Mapping[str, Any], place: Path) -> dict[str, Any]:
    kind = predictor.preparation.files
    paths = {}
    for part in parts_of(predictor.manifest, predictor.channels):
        path = _written(part, files.get(part), place, kind.suffixes)
        with one_case(Case("file", "file", {part: path})):
            shape = kind.geometry(path).shape
        voxels = int(shape[0]) * int(shape[1]) * int(shape[2])
        if voxels > MOST_VOXELS:
            raise DataError(f"{part} has {voxels} voxels, expected at most {MOST_VOXELS}")
        paths[part] = path
    images = {channel: paths[predictor.manifest.part(channel)] for channel in predictor.channels}
    output: Any = named(predictor.task.output(kind))()
    wishes: Any = named("medseg.api.outputs.Wishes")()
    case = Case("file", "file", images)
    with one_case(case):
        found = output.predict(predictor, case, place / "out", wishes)
    mask = {} if found.path is None else {"mask": base64.b64encode(found.path.read_bytes()).decode()}
    return {"measures": dict(found.measures), "warnings": list(found.warnings), **mask}


def _written(part: str, content: object, place: Path, suffixes: tuple[str, ...]) -> Path:
    """A file with the bytes, with an ending by which it is read.

    Raises:
        ModelError: It is missing, or too large.
    """
    if not isinstance(content, bytes) or not content:
        raise ModelError(f"{part} is missing: expected the bytes of a file, in JSON as base64")
    if len(content) > MOST_BYTES:
        raise ModelError(f"{part} has {len(content)} bytes, expected at most {MOST_BYTES}")
    fitting = [suffix for suffix in suffixes if suffix in _SIGNS and content.startswith(_SIGNS[suffix])]
    fitting += [suffix for suffix in suffixes if suffix.endswith(".gz") == content.startswith(_GZIP)]
    path = place / f"{part}{(fitting or list(suffixes) or [''])[0]}"
    path.write_bytes(content)
    return path
