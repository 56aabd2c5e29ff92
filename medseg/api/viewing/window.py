"""Opening napari."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from medseg.errors import RunError

if TYPE_CHECKING:
    from medseg.api.viewing.layers import Layer

_LATER = "To write the scene alone, for 3D Slicer: --no-window (in a script window=False)"


def refuse_without_window() -> None:
    """Refuse to open a window where it cannot be.

    Raises:
        RunError: napari is not installed, or there is no display.
    """
    _napari()
    displays = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
    if sys.platform not in ("darwin", "win32") and not any(map(os.environ.get, displays)):
        raise RunError(f"there is no display here that napari could open its window on. {_LATER}.")


def open_window(layers: Sequence[Layer], title: str) -> None:
    """Show layers, until the window is closed."""
    napari = _napari()
    add_layers(napari.Viewer(title=title), layers)
    napari.run()


def add_layers(viewer: Any, layers: Sequence[Layer]) -> None:
    """Add layers to a viewer of napari, in their order."""
    for layer in layers:
        common: dict[str, Any] = {
            "name": layer.name,
            "scale": layer.scale,
            "visible": layer.visible,
            "metadata": {"affine": layer.affine},
        }
        if layer.kind == "image":
            viewer.add_image(layer.data, contrast_limits=layer.window, rgb=layer.window is None, **common)
            continue
        added = viewer.add_labels(
            layer.data, colormap=_colormap(layer.colours), features=_features(layer.names), **common
        )
        added.contour = 1 if layer.outlined else 0


def _colormap(colours: Mapping[int, tuple[int, int, int]]) -> Any:
    clear = (0.0, 0.0, 0.0, 0.0)
    shown: dict[int | None, tuple[float, ...]] = {None: clear, 0: clear}
    shown |= {value: (*(level / 255 for level in colour), 1.0) for value, colour in colours.items()}
    return import_module("napari.utils.colormaps").DirectLabelColormap(color_dict=shown)


def _features(names: Mapping[int, str]) -> dict[str, Any]:
    """What napari tells of the value below the pointer."""
    values = [0, *names]
    return {"index": np.array(values), "class": np.array(["", *names.values()], dtype=object)}


def _napari() -> Any:
    try:
        return import_module("napari")
    except ImportError as error:
        raise RunError(
            f"napari, which shows images, cannot be imported: {error}. Install it: pip install "
            f'"napari[pyqt6]>=0.9" (it is the extra `view` of medseg). {_LATER}.'
        ) from error
