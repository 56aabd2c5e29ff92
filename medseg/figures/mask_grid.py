"""Pictures in equal cells, each with its predicted mask laid over it and the outline of the truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import Stroke, withStroke
from numpy.typing import NDArray

from medseg.datasets.unannotated import UNANNOTATED
from medseg.figures.legend import hatched
from medseg.figures.lettering import fit_text, write_heading
from medseg.figures.overlay import grey, overlay
from medseg.figures.palette import colours
from medseg.figures.saving import DPI

MOST_PIXELS = 700  # a side, past which a picture is shown smaller: more than a cell of a page can show

_CELL = 2.7  # inches across
_GAP = 0.14
_MARGIN = 0.15
_TITLE = 0.27
_HEADING = 0.42
_LEGEND = 0.36
_STRETCH = (0.5, 1.6)  # height over width of a cell
_OPACITY = 0.5
_SHARP = 400  # pixels a side, up to which outlines are drawn finer than the pixels they follow
_TINT, _OUTLINE = colours(4)[1], colours(4)[3]


@dataclass(frozen=True)
class MaskView:
    """One cell of a grid of masks.

    Attributes:
        title: What is seen: the picture's public name, a score.
        image: (H, W) intensities of any range, or (H, W, 3) colours in 0..255.
        mask: (H, W) predicted foreground.
        truth: (H, W) true foreground, whose outline is drawn; if there is any.
        known: (H, W) whether a pixel is annotated; the others are hatched. None where all are.
    """

    title: str
    image: NDArray[Any]
    mask: NDArray[np.bool_]
    truth: NDArray[np.bool_] | None = None
    known: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        given = {"mask": self.mask, "truth": self.truth, "known": self.known}
        check_shapes(
            self.title, self.image, **{name: mask for name, mask in given.items() if mask is not None}
        )

    @property
    def tinted(self) -> NDArray[np.uint8]:
        """(H, W): 1 where the mask is, `UNANNOTATED` where nobody annotated."""
        mask = self.mask.astype(np.uint8)
        return mask if self.known is None else np.where(self.known, mask, np.uint8(UNANNOTATED))


def mask_grid(views: Sequence[MaskView], *, columns: int = 3, heading: str = "") -> Figure:
    """Show pictures in equal cells, row by row, each keeping its shape.

    Args:
        views: The cells, at least one; nine fill three rows.
        columns: Cells in a row, at most.
        heading: Shown above all; may be empty.

    Raises:
        ValueError: No views, or no columns.
    """
    if not views or columns < 1:
        raise ValueError(
            f"a grid of masks wants at least one view and one column; got {len(views)}, {columns}"
        )
    columns = min(columns, len(views))
    rows = -(-len(views) // columns)
    stretches = [view.image.shape[0] / view.image.shape[1] for view in views]
    up = _CELL * min(max(float(np.median(stretches)), _STRETCH[0]), _STRETCH[1])
    across = columns * (_CELL + _GAP) - _GAP
    partly = any(view.known is not None for view in views)
    width = max(across + 2 * _MARGIN, 5.6 if partly else 4.4)  # what the legend takes
    top = _HEADING if heading else 0.08
    height = top + rows * (_TITLE + up + _GAP) + _LEGEND
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
    write_heading(figure, heading, 0.22, size=12)
    for number, view in enumerate(views):
        row, column = divmod(number, columns)
        left = (width - across) / 2 + column * (_CELL + _GAP)
        edge = height - top - row * (_TITLE + up + _GAP)
        line = figure.text(
            (left + _CELL / 2) / width,
            (edge - _TITLE / 2) / height,
            view.title,
            ha="center",
            va="center",
            fontsize=9,
            parse_math=False,
        )
        fit_text(line, _CELL)
        axes = figure.add_axes((left / width, (edge - _TITLE - up) / height, _CELL / width, up / height))
        small = shrunk_mask(view.tinted)
        draw_picture(
            axes,
            overlay(shrunk(view.image), small, 2, alpha=_OPACITY, window=(0, 255)),
            view.image.shape,
        )
        if view.truth is not None:
            _outline(axes, view.truth)
    _legend(
        figure,
        outlined=any(view.truth is not None for view in views),
        partly=partly,
    )
    return figure


def _outline(axes: Any, truth: NDArray[np.bool_]) -> None:
    """Draw the edge between foreground and the rest, closed along the border of the picture."""
    if not truth.any():
        return
    # both edges of the picture count as background, so that what touches them is closed too
    small = shrunk_mask(truth)
    times = max(1, _SHARP // max(small.shape))  # of single pixels too, a contour shows squares then
    small = np.pad(small.repeat(times, axis=0).repeat(times, axis=1), 1)
    ups, acrosses = (
        (np.arange(-1, shown + 1) + 0.5) * full / shown
        for shown, full in zip((small.shape[0] - 2, small.shape[1] - 2), truth.shape, strict=True)
    )
    lines = axes.contour(acrosses, ups, small, levels=[0.5], colors=[tuple(_OUTLINE / 255)], linewidths=0.9)
    lines.set(path_effects=_cased())


def _cased() -> list[Stroke]:
    """A dark edge around a light line: seen on dark and on light pictures."""
    return [withStroke(linewidth=1.9, foreground="black", alpha=0.75)]


def _legend(figure: Figure, *, outlined: bool, partly: bool) -> None:
    handles: list[Any] = [
        Patch(facecolor=tuple(_TINT / 255), edgecolor="0.4", linewidth=0.5, label="predicted mask")
    ]
    if outlined:
        ink = tuple(_OUTLINE / 255)
        handles.append(
            Line2D([], [], color=ink, linewidth=1.4, path_effects=_cased(), label="outline of the truth")
        )
    handles += [hatched()] if partly else []
    figure.legend(
        handles=handles,
        loc="lower center",
        ncols=len(handles),
        fontsize=9,
        frameon=False,
        handlelength=1.4,
        columnspacing=1.8,
        borderaxespad=0.2,
    )


def check_shapes(title: str, image: NDArray[Any], **masks: NDArray[Any]) -> None:
    """Refuse a picture that cannot be shown, and masks that do not lie on its pixels.

    Raises:
        ValueError: The picture is empty, neither (H, W) nor (H, W, 3), or has colours beyond 0..255; or a
            mask is not (H, W) or holds other values than false and true.
    """
    if image.ndim not in (2, 3) or image.shape[2:] not in ((), (3,)) or not image.size:
        raise ValueError(f"view {title!r}: the image is {image.shape}; expected (H, W) or (H, W, 3)")
    if image.ndim == 3 and not (image.min() >= 0 and image.max() <= 255):
        raise ValueError(f"view {title!r}: colours are {image.min()}..{image.max()}; expected 0..255")
    for name, mask in masks.items():
        if mask.shape != image.shape[:2]:
            raise ValueError(
                f"view {title!r}: {name} is {mask.shape}; expected {image.shape[:2]} as the image"
            )
        if mask.dtype != np.bool_:
            raise ValueError(f"view {title!r}: {name} is of type {mask.dtype}; expected bool")


def shrunk(image: NDArray[Any]) -> NDArray[np.uint8]:
    """Ready a picture for showing: greys or colours in 0..255, at most 700 pixels a side.

    Larger ones are averaged over whole blocks of pixels, each side by its own factor, so that a long thin
    picture keeps its short side; `draw_picture` gives it back its shape.

    Args:
        image: (H, W) intensities of any range, or (H, W, 3) colours in 0..255.

    Returns:
        (h, w), of colours too that are all grey, since a window then brings dark ones to light; or (h, w, 3).
    """
    if image.ndim == 3 and (image == image[..., :1]).all():
        image = image[..., 0]
    steps = _steps(image.shape)
    if steps != (1, 1):
        room = [(0, -side % step) for side, step in zip(image.shape, steps, strict=False)]
        filled = np.pad(image, [*room, (0, 0)][: image.ndim], mode="edge")
        blocks = filled.reshape(
            filled.shape[0] // steps[0], steps[0], filled.shape[1] // steps[1], steps[1], *image.shape[2:]
        )
        image = blocks.mean(axis=(1, 3))
    return grey(image) if image.ndim == 2 else image.round().astype(np.uint8)


def shrunk_mask(mask: NDArray[Any]) -> NDArray[Any]:
    """Take the middle pixel of each block that `shrunk` averages; nothing is mixed."""
    up, across = _steps(mask.shape)
    rows, columns = (
        np.minimum(np.arange(0, side, step) + step // 2, side - 1)
        for side, step in zip(mask.shape, (up, across), strict=True)
    )
    return mask[np.ix_(rows, columns)]


def _steps(shape: tuple[int, ...]) -> tuple[int, int]:
    return (-(-shape[0] // MOST_PIXELS), -(-shape[1] // MOST_PIXELS))


def draw_picture(axes: Any, picture: NDArray[np.uint8], shape: tuple[int, ...]) -> None:
    """Draw a shrunk picture with square pixels, on axes that count the pixels of the whole one.

    Args:
        axes: To draw on; the picture keeps its shape and lies in their middle.
        picture: (h, w) greys or (h, w, 3) colours.
        shape: (H, W, ...) of the whole picture.
    """
    extent = (0, shape[1], shape[0], 0)
    axes.imshow(picture, cmap="gray", vmin=0, vmax=255, extent=extent)
    axes.autoscale(False)  # outlines along the border do not widen the view
    axes.set_axis_off()
