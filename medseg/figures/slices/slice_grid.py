"""Slices side by side: every channel, the truth, the prediction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from medseg.datasets.unannotated import annotated
from medseg.figures.legend import class_legend, legend_height
from medseg.figures.lettering import fit_text, write_heading
from medseg.figures.overlay import grey, overlay

_CELL = 1.9  # inches across
_GAP = 0.05
_MARGIN = 0.15
_TITLE = 0.27
_HEADING = 0.38


@dataclass(frozen=True)
class SliceView:
    """One row of a grid of slices.

    Attributes:
        title: What is seen: the case's public name, the slice, a score.
        channels: (H, W) intensities, or (H, W, 3) colours in 0..255, by the channel's name; at least one.
        truth: (H, W) class indices, if there are any; `UNANNOTATED` where nobody annotated.
        predicted: (H, W) class indices, if there are any.
        spacing: Height and width of a pixel, in mm.
    """

    title: str
    channels: Mapping[str, NDArray[Any]]
    truth: NDArray[Any] | None = None
    predicted: NDArray[Any] | None = None
    spacing: tuple[float, float] = (1.0, 1.0)

    def pictures(self, n_classes: int) -> dict[str, NDArray[Any]]:
        """What the columns of the row show, by their heading; each in greys or colours."""
        shown = {name: image if image.ndim == 3 else grey(image) for name, image in self.channels.items()}
        first = next(iter(self.channels.values()))
        for heading, labels in (("truth", self.truth), ("prediction", self.predicted)):
            if labels is not None:
                shown[heading] = overlay(first, labels, n_classes)
        return shown

    @property
    def partly(self) -> bool:
        """Whether some of the truth is not annotated."""
        return self.truth is not None and not bool(annotated(self.truth).all())

    @property
    def stretch(self) -> float:
        """Height over width of the slice, in mm."""
        height, width = next(iter(self.channels.values())).shape[:2]
        return height * self.spacing[0] / (width * self.spacing[1])


def slice_grid(views: Sequence[SliceView], classes: Sequence[str], *, heading: str = "") -> Figure:
    """Show one row a view: each channel in grey, truth and prediction laid over the first channel.

    Args:
        views: The rows, at least one.
        classes: Class names in the order of their indices; class 0 is transparent.
        heading: Shown above all; may be empty.

    Raises:
        ValueError: No views, a view without channels, or labels that do not fit their image or classes.
    """
    if not views or not all(view.channels for view in views):
        raise ValueError("a grid of slices wants at least one view, and each at least one channel")
    rows = [view.pictures(len(classes)) for view in views]
    present = dict.fromkeys(name for row in rows for name in row)
    results = [name for name in ("truth", "prediction") if name in present]
    columns = [name for name in present if name not in results] + results

    width = max(2 * _MARGIN + len(columns) * (_CELL + _GAP) - _GAP, 4.0)
    partly = any(view.partly for view in views)
    below = legend_height(classes, width, partly=partly)
    heights = [min(max(_CELL * view.stretch, 0.4), 3 * _CELL) for view in views]
    top = _HEADING if heading else 0.05
    height = top + _TITLE + sum(heights) + len(rows) * (_TITLE + _GAP) + below
    figure = Figure(figsize=(width, height), facecolor="white")
    sheet = _sheet(figure)
    write_heading(figure, heading, 0.2, size=12)
    left = (width - len(columns) * (_CELL + _GAP) + _GAP) / 2
    for number, name in enumerate(columns):
        across = (left + number * (_CELL + _GAP) + _CELL / 2) / width
        where = 1 - (top + _TITLE / 2) / height
        title = figure.text(
            across, where, name, ha="center", va="center", fontsize=10, weight="bold", parse_math=False
        )
        fit_text(title, _CELL)
    edge = height - top - _TITLE
    for view, row, row_height in zip(views, rows, heights, strict=True):
        where = (edge - _TITLE / 2) / height
        title = figure.text(
            left / width, where, view.title, ha="left", va="center", fontsize=9, parse_math=False
        )
        fit_text(title, width - left - _MARGIN)
        edge -= _TITLE + row_height
        for number, name in enumerate(columns):
            if name in row:
                box = (left + number * (_CELL + _GAP), edge, _CELL, row_height)
                _draw(sheet, box, row[name], view.stretch)
        edge -= _GAP
    class_legend(figure, classes, below, partly=partly)
    return figure


def _sheet(figure: Figure) -> Axes:
    """Axes of all pictures, in inches from the lower left corner: axes for each would take most of the time."""
    width, height = figure.get_size_inches()
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(0, height))
    axes.set_axis_off()
    return axes


def _draw(sheet: Axes, box: tuple[float, float, float, float], picture: NDArray[Any], stretch: float) -> None:
    """Draw a picture into the middle of a box: left, bottom, width and height; as large as its shape lets it be."""
    left, bottom, across, up = box
    width = min(across, up / stretch)
    height = width * stretch
    left, bottom = left + (across - width) / 2, bottom + (up - height) / 2
    # one number a pixel means grey; the window was chosen already
    sheet.imshow(
        picture,
        cmap="gray",
        vmin=0,
        vmax=255,
        extent=(left, left + width, bottom, bottom + height),
        aspect="auto",
        interpolation="nearest",
    )
