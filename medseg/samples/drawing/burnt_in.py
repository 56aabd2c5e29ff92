"""What microscopes and authors write into a picture: scale bars, panel letters, information strips.

The letters are drawn here, five by seven points each, so that the bytes depend on no installed font.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medseg.samples.drawing.fields import Bools, Floats

_POINTS = {
    "0": "01110 10001 10011 10101 11001 10001 01110",
    "1": "00100 01100 00100 00100 00100 00100 01110",
    "2": "01110 10001 00001 00110 01000 10000 11111",
    "3": "11110 00001 00001 01110 00001 00001 11110",
    "4": "00010 00110 01010 10010 11111 00010 00010",
    "5": "11111 10000 11110 00001 00001 10001 01110",
    "6": "00110 01000 10000 11110 10001 10001 01110",
    "7": "11111 00001 00010 00100 01000 01000 01000",
    "8": "01110 10001 10001 01110 10001 10001 01110",
    "9": "01110 10001 10001 01111 00001 00010 01100",
    "n": "00000 00000 11110 10001 10001 10001 10001",
    "m": "00000 00000 11010 10101 10101 10101 10101",
    "k": "10000 10000 10010 10100 11000 10100 10010",
    "V": "10001 10001 10001 10001 10001 01010 00100",
    "x": "00000 00000 10001 01010 00100 01010 10001",
    "a": "00000 00000 01110 00001 01111 10001 01111",
    "b": "10000 10000 11110 10001 10001 10001 11110",
    "c": "00000 00000 01111 10000 10000 10000 01111",
    "d": "00001 00001 01111 10001 10001 10001 01111",
    "(": "00010 00100 01000 01000 01000 00100 00010",
    ")": "01000 00100 00010 00010 00010 00100 01000",
    " ": "00000 00000 00000 00000 00000 00000 00000",
}


def lettering(text: str, scale: int) -> Bools:
    """Draw a line of text as (7 * scale, W), true where there is ink."""
    drawn = [np.array([[p == "1" for p in row] for row in _POINTS[c].split()]) for c in text]
    line = np.concatenate([np.pad(one, ((0, 0), (0, 1))) for one in drawn], axis=1)[:, :-1]
    return np.kron(line, np.ones((scale, scale), bool)).astype(bool)


@dataclass(frozen=True)
class Marking:
    """What is written into the pictures of an article.

    Attributes:
        ink: Brightness of letters and bar, 0 to 1.
        paper: Brightness of a box behind them; None for none.
        strip: Height in pixels of a black strip below the picture; 0 for none.
        right: Whether the bar lies at the right.
        letter: Whether each picture has its panel's letter at the top.
        scale: Pixels a point of the letters.
        bar: Length of the bar in pixels.
        label: Text over the bar.
    """

    ink: float
    paper: float | None
    strip: int
    right: bool
    letter: bool
    scale: int
    bar: int
    label: str

    @classmethod
    def draw(cls, bright_ground: bool, rng: np.random.Generator) -> Marking:
        """Draw how an article marks its pictures; ink stands out from the ground, or lies on a box."""
        ink = 0.02 if bright_ground else 0.98
        boxed = rng.random() < 0.3
        number = (5, 10, 20, 50, 100, 200, 500)[rng.integers(7)]
        strip = 20 if rng.random() < 0.3 else 0
        return cls(
            ink=0.98 if strip else ink,
            paper=1 - ink if boxed and not strip else None,
            strip=strip,
            right=bool(rng.random() < 0.6),
            letter=bool(rng.random() < 0.7),
            scale=1 if strip else 2,
            bar=int(rng.integers(36, 80)),
            label=f"{number} nm" if rng.random() < 0.7 else f"{number}0 nm",
        )


def _ink(image: Floats, mask: Bools, at: tuple[int, int], value: float) -> None:
    region = image[at[0] : at[0] + mask.shape[0], at[1] : at[1] + mask.shape[1]]
    region[mask[: region.shape[0], : region.shape[1]]] = value


def _block(marking: Marking) -> Bools:
    """The bar with its label over it, as ink."""
    text = lettering(marking.label, marking.scale)
    width = max(text.shape[1], marking.bar)
    block = np.zeros((text.shape[0] + 3 + 2 * marking.scale, width), bool)
    left = (width - text.shape[1]) // 2
    block[: text.shape[0], left : left + text.shape[1]] = text
    left = (width - marking.bar) // 2
    block[-2 * marking.scale :, left : left + marking.bar] = True
    return block


def burn(image: Floats, marking: Marking, panel: int, facts: str) -> NDArray[np.bool_]:
    """Write bar, letter and strip into a picture, in place.

    Args:
        image: (H, W), brightness 0 to 1.
        marking: How.
        panel: Which letter, from 0: a, b, c, d and again.
        facts: Text of the strip, of digits and "kVxnm".

    Returns:
        (H, W), true where nothing but what was written may be seen.
    """
    height, width = image.shape
    covered = np.zeros(image.shape, bool)
    block = _block(marking)
    if marking.strip:
        image[-marking.strip :] = 0.0
        covered[-marking.strip :] = True
        _ink(image, lettering(facts, 1), (height - 14, 6), marking.ink)
    top = height - block.shape[0] - (3 if marking.strip else 8)
    left = width - block.shape[1] - 10 if marking.right or marking.strip else 10
    box = (slice(top - 4, top + block.shape[0] + 4), slice(left - 4, left + block.shape[1] + 4))
    covered[box] = True
    if marking.paper is not None:
        image[box] = marking.paper
    _ink(image, block, (top, left), marking.ink)
    if marking.letter:
        sign = lettering(f"({'abcd'[panel % 4]})", 2)
        box = (slice(4, 8 + sign.shape[0] + 2), slice(4, 8 + sign.shape[1] + 2))
        covered[box] = True
        _ink(image, sign, (7, 7), _letter_ink(marking, image, box))
    return covered


def _letter_ink(marking: Marking, image: Floats, box: tuple[slice, slice]) -> float:
    """Prepare the ground of the panel's letter and give its ink; there a strip is of no use."""
    if marking.paper is not None:
        image[box] = marking.paper
    return marking.ink if not marking.strip else float(image[box].mean() < 0.5)
