"""onnx and onnxruntime: an extra that not everyone has."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from medseg.errors import ModelError


def import_onnx() -> Any:
    """Import onnx, which holds files of networks.

    Raises:
        ModelError: It cannot be imported.
    """
    return _imported("onnx")


def import_onnxruntime() -> Any:
    """Import onnxruntime, which runs them.

    Raises:
        ModelError: It cannot be imported.
    """
    runtime = _imported("onnxruntime")
    runtime.disable_telemetry_events()  # its builds for Windows send some
    return runtime


def _imported(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise ModelError(
            f"{name} cannot be imported: {error}. ONNX needs onnx and onnxruntime, the extra medseg[onnx]: "
            'pip install "onnx>=1.19" "onnxruntime>=1.22".'
        ) from error
