"""Where a predicted mask is right and where it is wrong, pixel by pixel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from medseg.datasets.unannotated import UNANNOTATED, annotated
from medseg.figures.legend import UNANNOTATED_NAME, hatched
from medseg.figures.lettering import fit_text, write_heading
from medseg.figures.mask_grid import check_shapes, draw_picture, shrunk, shrunk_mask
from medseg.figures.overlay import overlay
from medseg.figures.palette import colours
from medseg.figures.saving import DPI

_CELL = 3.1  # inches across
_COUNTS = 2.35  # inches beside the pictures
_ROW = (1.4, 3.9)  # inches up: what the counts want, and what a page has room for
_GAP = 0.08
_MARGIN = 0.15
_TITLE = 0.32
_HEADING = 0.42
_KINDS = ("true negative", "true positive", "false positive", "false negative")
_OPACITY = 0.75
_LUMINANCE = (0.299, 0.587, 0.114)  # ITU-R BT.601


@dataclass(frozen=True)
class ConfusionView:
    """One row of confusion images.

    Attributes:
        title: What is seen: the picture's public name, what it stands for, a score.
        image: (H, W) intensities of any range, or (H, W, 3) colours in 0..255.
        truth: (H, W) true foreground.
        predicted: (H, W) predicted foreground.
        known: (H, W) whether a pixel is annotated; the others are hatched, and are of no kind. None where all are.
    """

    title: str
    image: NDArray[Any]
    truth: NDArray[np.bool_]
    predicted: NDArray[np.bool_]
    known: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        masks = {"truth": self.truth, "predicted": self.predicted, "known": self.known}
        check_shapes(
            self.title, self.image, **{name: mask for name, mask in masks.items() if mask is not None}
        )

    def kinds(self) -> NDArray[np.uint8]:
        """(H, W): 0 true negative, 1 true positive, 2 false positive, 3 false negative; or `UNANNOTATED`."""
        # truth and prediction as the two digits of a binary number: TN, FP, FN, TP
        code = 2 * self.truth.astype(np.uint8) + self.predicted
        kinds = np.array([0, 2, 3, 1], np.uint8)[code]
        return kinds if self.known is None else np.where(self.known, kinds, np.uint8(UNANNOTATED))


def confusion_images(views: Sequence[ConfusionView], *, heading: str = "") -> Figure:
    """Show one row a view: the picture, the picture in grey under the colours of right and wrong, the counts.

    Args:
        views: The rows, at least one.
        heading: Shown above all; may be empty.

    Raises:
        ValueError: No views.
    """
    if not views:
        raise ValueError("confusion images want at least one view")
    width = 2 * _MARGIN + 2 * (_CELL + _GAP) + _COUNTS
    heights = [
        min(max(_CELL * view.image.shape[0] / view.image.shape[1], _ROW[0]), _ROW[1]) for view in views
    ]
    top = _HEADING if heading else 0.05
    height = top + _TITLE + sum(heights) + len(views) * (_TITLE + _GAP) + _MARGIN
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
    write_heading(figure, heading, 0.22, size=12)
    for number, name in enumerate(("image", "confusion")):
        across = _MARGIN + number * (_CELL + _GAP) + _CELL / 2
        where = 1 - (top + _TITLE / 2) / height
        figure.text(across / width, where, name, ha="center", va="center", fontsize=10, weight="bold")
    edge = height - top - _TITLE
    for view, up in zip(views, heights, strict=True):
        where = (edge - _TITLE / 2) / height
        line = figure.text(
            _MARGIN / width, where, view.title, ha="left", va="center", fontsize=9.5, parse_math=False
        )
        fit_text(line, width - 2 * _MARGIN)
        edge -= _TITLE + up
        _row(figure, view, edge, up)
        edge -= _GAP
    return figure


def _row(figure: Figure, view: ConfusionView, bottom: float, up: float) -> None:
    width, height = figure.get_size_inches()
    kinds = view.kinds()
    image = view.image if view.image.ndim == 2 else view.image @ _LUMINANCE
    tinted = overlay(shrunk(image), shrunk_mask(kinds), len(_KINDS), alpha=_OPACITY, window=(0, 255))
    for number, picture in enumerate((shrunk(view.image), tinted)):
        left = _MARGIN + number * (_CELL + _GAP)
        axes = figure.add_axes((left / width, bottom / height, _CELL / width, up / height))
        draw_picture(axes, picture, view.image.shape)
    _counts(figure, kinds, (_MARGIN + 2 * (_CELL + _GAP), bottom + up / 2))


def _counts(figure: Figure, kinds: NDArray[np.uint8], where: tuple[float, float]) -> None:
    """Draw the legend of a row, with the number of pixels of each kind and the Dice that follows from them."""
    width, height = figure.get_size_inches()
    known = kinds[annotated(kinds)]
    counts = [int(count) for count in np.bincount(known, minlength=len(_KINDS))]
    tones = colours(len(_KINDS)) / 255
    tones[0] = 0.75  # true negatives are not tinted
    order = (1, 2, 3, 0)
    handles = [
        Patch(
            facecolor=tuple(tones[kind]),
            edgecolor="0.4",
            linewidth=0.5,
            label=f"{_KINDS[kind]}: {counts[kind]:,} px",
        )
        for kind in order
    ]
    if known.size < kinds.size:
        handles.append(hatched(f"{UNANNOTATED_NAME}: {kinds.size - known.size:,} px"))
    figure.legend(
        handles=handles,
        title=_dice(counts),
        loc="center left",
        bbox_to_anchor=(where[0] / width, where[1] / height),
        fontsize=9,
        title_fontproperties={"size": 10, "weight": "bold"},
        alignment="left",
        frameon=False,
        handlelength=1.2,
        borderaxespad=0.2,
    )


def _dice(counts: Sequence[int]) -> str:
    """Dice, "Measures of the amount of ecologic association between species", Ecology 26 (1945)."""
    _, tp, fp, fn = counts
    if not tp + fp + fn:
        return "Dice undefined: both empty"
    return f"Dice {2 * tp / (2 * tp + fp + fn):.3f}"
