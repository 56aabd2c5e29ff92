"""A network's answer about one picture, and how it is written above it."""

from __future__ import annotations

from dataclasses import dataclass
from math import isnan
from typing import Any

from matplotlib.figure import Figure
from numpy.typing import NDArray

from medseg.figures.lettering import fit_text
from medseg.figures.mask_grid import check_shapes

CLAIM_HEIGHT = 0.4  # inches of two lines
_LINE = 0.17
_SIZE = 9


@dataclass(frozen=True)
class Claim:
    """The predicted and true classes of a picture.

    Attributes:
        image: (H, W) intensities of any range, or (H, W, 3) colours in 0..255.
        truth: Name of the true class; empty where it is not known. Several classes at once are joined in it.
        predicted: Name of the class that the network chose; empty where it was not asked.
        probability: That it gave to its choice, in [0, 1]; NaN where it gave none.
    """

    image: NDArray[Any]
    truth: str
    predicted: str
    probability: float

    def __post_init__(self) -> None:
        check_shapes(f"{self.truth} → {self.predicted}", self.image)
        if not (isnan(self.probability) or 0 <= self.probability <= 1):
            raise ValueError(f"the probability is {self.probability}; expected 0..1, or NaN")

    def lines(self) -> tuple[str, str]:
        """The truth, and what was predicted: 'cat →' and 'dog, 0.981', to be written one after the other."""
        if not self.predicted:
            return ("", self.truth)
        chance = "" if isnan(self.probability) else f", {self.probability:.3f}"
        return (f"{self.truth} →" if self.truth else "predicted:", f"{self.predicted}{chance}")


def write_claim(figure: Figure, claim: Claim, place: tuple[float, float], room: float) -> None:
    """Write a claim on one line, or on two where it is too long, so that no name hides the other.

    Args:
        figure: To write on.
        claim: What is written.
        place: Middle of the lower edge, in inches from the left and from the bottom; `CLAIM_HEIGHT` above
            it is written on.
        room: Inches across.
    """
    width, height = figure.get_size_inches()
    across, bottom = place

    def written(words: str, line: int) -> Any:
        up = bottom + _LINE * (line + 0.5) + 0.03
        return figure.text(
            across / width,
            up / height,
            words,
            ha="center",
            va="center",
            fontsize=_SIZE,
            parse_math=False,
        )

    whole = " ".join(filter(None, claim.lines()))
    single = written(whole, 0)
    fit_text(single, 100 * room)  # for its letters alone
    if single.get_window_extent().width / figure.dpi <= 0.97 * room:
        return
    single.remove()
    for line, words in zip((1, 0), claim.lines(), strict=True):
        fit_text(written(words, line), room)
