"""Generated data sets, on which a pipeline runs when no data are given."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "BrainPictures": "medseg.samples.brain_pictures",
    "BrainTumours": "medseg.samples.brain_tumour",
    "GliomaSlices": "medseg.samples.glioma_slices",
    "Nuclei": "medseg.samples.nuclei",
    "Particles": "medseg.samples.particles",
    "Radiology": "medseg.samples.radiology",
}

__all__ = [
    "BrainPictures",
    "BrainTumours",
    "GliomaSlices",
    "Nuclei",
    "Particles",
    "Radiology",
]  # imported on first use


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
