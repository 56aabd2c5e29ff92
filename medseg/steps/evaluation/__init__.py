"""What is reported of each kind of task and files."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {"ForegroundEvaluation": "foreground", "LabelEvaluation": "labels", "VolumeEvaluation": "volumes"}

__all__ = ["ForegroundEvaluation", "LabelEvaluation", "VolumeEvaluation"]  # imported on first use


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
