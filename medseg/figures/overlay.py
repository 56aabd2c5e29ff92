"""Label maps drawn over the image they belong to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from medseg.datasets.unannotated import annotated
from medseg.figures.legend import class_legend, legend_height
from medseg.figures.lettering import write_heading
from medseg.figures.palette import colours

_HATCH = 6  # pixels from one dark stripe to the next
_HATCH_SHARE = 0.6  # of the stripes; the rest is the image
_OVERVIEW_SLICES = 12
_OVERVIEW_COLUMNS = 4
_OVERVIEW_WIDTH = 9.0  # inches
_LEAST_STRETCH, _MOST_STRETCH = 0.2, 4.0  # height of a cell over its width


def grey(image: NDArray[Any], window: tuple[float, float] | None = None) -> NDArray[np.uint8]:
    """Show an image of any range in 256 greys.

    Args:
        image: Intensities of any type and shape; what is not finite is shown black.
        window: Intensities shown black and white; by default those that `window_of` finds.

    Returns:
        Greys in 0..255, of the same shape.
    """
    low, high = window or window_of(image)
    scaled = (np.where(np.isfinite(image), image, low).astype(np.float64) - low) / (high - low)
    return (np.clip(scaled, 0, 1) * 255).round().astype(np.uint8)


def window_of(image: NDArray[Any]) -> tuple[float, float]:
    """Find the 1st and 99th percentile of what is not background.

    Background is the most frequent value on the border of the first two axes, if it fills at least half
    of it: zero in stripped brains, a negative constant in normalised ones, nothing in a micrograph.
    """
    edges = np.concatenate(
        [np.ravel(image[side]) for side in (0, -1)] + [np.ravel(image[:, side]) for side in (0, -1)]
    )
    values, counts = np.unique(edges, return_counts=True)
    seen = np.ravel(image)[np.isfinite(np.ravel(image))].astype(np.float64)
    if counts.max() * 2 >= edges.size:
        content = seen[seen != values[counts.argmax()]]
        seen = content if content.size else seen
    if not seen.size:
        return 0.0, 1.0
    low, high = (float(edge) for edge in np.percentile(seen, (1, 99)))
    return (low, high) if high > low else (low, low + 1.0)


def overlay(
    image: NDArray[Any],
    labels: NDArray[Any],
    n_classes: int,
    *,
    alpha: float = 0.45,
    window: tuple[float, float] | None = None,
) -> NDArray[np.uint8]:
    """Tint an image with the colours of its classes; class 0 stays as it is.

    Args:
        image: (H, W) intensities, shown in greys, or (H, W, 3) colours in 0..255.
        labels: (H, W) class indices; what is `UNANNOTATED` is hatched in grey.
        n_classes: Number of classes, class 0 included.
        alpha: Share of the class's colour, in [0, 1].
        window: Intensities shown black and white, for greys.

    Returns:
        (H, W, 3) colours in 0..255.

    Raises:
        ValueError: Image and labels differ in shape, or a label is no class index.
    """
    if image.shape[:2] != labels.shape or image.shape[2:] not in ((), (3,)):
        raise ValueError(
            f"image is {image.shape}, labels are {labels.shape}; expected (H, W) twice, or (H, W, 3)"
        )
    labels, unknown = np.where(annotated(labels), labels, 0), ~annotated(labels)
    if labels.size and not 0 <= int(labels.min()) <= int(labels.max()) < n_classes:
        raise ValueError(
            f"labels hold {labels.min()}..{labels.max()}; expected class indices 0..{n_classes - 1}"
        )
    shown = image if image.ndim == 3 else np.repeat(grey(image, window)[..., None], 3, axis=2)
    share = np.where(labels > 0, alpha, 0.0)[..., None]
    tints = colours(n_classes)[labels.astype(np.intp)]
    if unknown.any():
        share, tints = (
            np.where(unknown[..., None], _HATCH_SHARE, share),
            np.where(unknown[..., None], _hatch(labels.shape)[..., None], tints),
        )
    return (shown * (1 - share) + tints * share).round().astype(np.uint8)


def _hatch(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """(H, W) of diagonal stripes, dark and light: seen on black and on bright tissue."""
    rows, columns = np.indices(shape)
    return np.where((rows + columns) % _HATCH < _HATCH // 2, 90, 190).astype(np.uint8)


def volume_overview(
    image: NDArray[Any],
    labels: NDArray[Any],
    classes: Sequence[str],
    *,
    spacing: Sequence[float] = (1.0, 1.0, 1.0),
    heading: str = "",
) -> Figure:
    """Show up to 12 axial slices, evenly spaced over the labelled part, or over the image where none is.

    Slices lie as radiologists see them: row 0 anterior, column 0 the patient's right.

    Args:
        image: (I, J, K) intensities, oriented RAS+.
        labels: (I, J, K) class indices on the same grid.
        classes: Class names in the order of their indices.
        spacing: Size of a voxel along I, J and K, in mm.
        heading: Shown above; may be empty.

    Raises:
        ValueError: The grids differ, or a label is no class index.
    """
    if image.ndim != 3 or image.shape != labels.shape:
        raise ValueError(f"image is {image.shape}, labels are {labels.shape}; expected one grid (I, J, K)")
    window = window_of(image)
    places = _places(labels > 0 if (labels > 0).any() else image > window[0])
    columns = min(_OVERVIEW_COLUMNS, len(places))
    rows = -(-len(places) // columns)
    cell = _OVERVIEW_WIDTH / _OVERVIEW_COLUMNS
    stretch = (image.shape[1] * spacing[1]) / (image.shape[0] * spacing[0])
    # a header may say any size of voxels: a figure of a kilometre would take all memory
    cell_height = cell * min(max(stretch, _LEAST_STRETCH), _MOST_STRETCH)
    top = 0.42 if heading else 0.08
    width = max(columns * cell, 4.0)
    below = legend_height(classes, width)
    height = top + rows * cell_height + below
    figure = Figure(figsize=(width, height), facecolor="white")
    write_heading(figure, heading, 0.2, size=11)
    left = (width - columns * cell) / 2
    for number, place in enumerate(places):
        row, column = divmod(number, columns)
        bottom = height - top - (row + 1) * cell_height
        axes = figure.add_axes(
            (
                (left + column * cell + 0.02) / width,
                (bottom + 0.02) / height,
                (cell - 0.04) / width,
                (cell_height - 0.04) / height,
            )
        )
        picture = overlay(_axial(image, place), _axial(labels, place), len(classes), window=window)
        axes.imshow(picture, aspect=spacing[1] / spacing[0], interpolation="nearest")
        axes.set_axis_off()
        label = f"slice {place + 1}/{image.shape[2]}"
        _caption(axes, 0.03, 0.03, label, ha="left", va="bottom")
        if number == 0:
            for side, at in (("R", 0.03), ("L", 0.97)):
                _caption(axes, at, 0.5, side, ha="center", va="center")
    class_legend(figure, classes, below)
    return figure


def _caption(axes: Any, across: float, up: float, text: str, **place: str) -> None:
    """White on a dark patch: legible on bright tissue too."""
    patch = {"facecolor": "black", "edgecolor": "none", "alpha": 0.6, "pad": 1.2}
    axes.text(across, up, text, transform=axes.transAxes, color="white", fontsize=8, bbox=patch, **place)


def _axial(volume: NDArray[Any], place: int) -> NDArray[Any]:
    """(H, W) of a RAS+ volume, seen from the feet: row 0 is anterior, column 0 the patient's right."""
    return volume[::-1, ::-1, place].T


def _places(content: NDArray[np.bool_]) -> list[int]:
    """Up to 12 positions along the last axis, evenly from the first with content to the last."""
    filled = np.flatnonzero(content.any(axis=(0, 1)))
    first, last = (int(filled[0]), int(filled[-1])) if filled.size else (0, content.shape[2] - 1)
    return [int(place) for place in np.unique(np.linspace(first, last, _OVERVIEW_SLICES).round())]
