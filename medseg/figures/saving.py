"""Figures as files: whole or not at all, and the same bytes for the same figure."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from medseg.places import written_whole

DPI = 110
_AS_PNG: dict[str, Any] = {"dpi": DPI, "format": "png", "metadata": {"Software": None}}


def save_figure(figure: Figure, path: Path) -> Path:
    """Write a figure as PNG, without the software's name or a date, so that its bytes can be compared.

    Args:
        figure: What to write; its canvas is replaced by one that draws without a screen.
        path: The file; its folder is made, and an older file is replaced in one move.

    Returns:
        The path.
    """
    canvas = FigureCanvasAgg(figure)
    with written_whole(path) as target:
        canvas.print_figure(target, **_AS_PNG)
    return path


def png_of(figure: Figure) -> bytes:
    """The bytes that `save_figure` would write."""
    written = io.BytesIO()
    FigureCanvasAgg(figure).print_figure(written, **_AS_PNG)
    return written.getvalue()
