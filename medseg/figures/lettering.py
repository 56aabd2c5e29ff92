"""Names of any script on a figure: fonts that have their letters, or the letters' codes where none has."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, fontManager, get_font
from matplotlib.text import Text

# Fonts of last resort have a box for every letter there is, and so tell none from another.
_SHOWS_BOXES = "lastresort"
_SIDE = 0.15  # inches free on both sides of a heading
_PLAIN = ("normal", 400, "normal")  # style, weight and stretch


@dataclass(frozen=True)
class FittedName:
    """A name as it can be drawn.

    Attributes:
        text: Its letters.
        families: The fonts that have them.
        width: What it takes across, in inches.
    """

    text: str
    families: tuple[str, ...]
    width: float


def settle(text: Text) -> None:
    """Make sure that every letter of a text can be drawn, since a missing one would be a bare box.

    Letters and their accents are joined (Unicode's form NFC), and what controls a terminal becomes a space.
    A letter that the text's fonts lack is drawn in another font of this machine, if one has it; else its
    code is written, as in `[U+732B]`, so that two classes stay two.

    Args:
        text: Changed in place, its fonts too.
    """
    whole = unicodedata.normalize("NFC", text.get_text())
    whole = "".join(" " if unicodedata.category(one) == "Cc" and one != "\n" else one for one in whole)
    families: list[str] = list(text.get_fontfamily())
    known = _known(families)
    for letter in sorted(set(whole) - {"\n"}):
        if ord(letter) in known:
            continue
        family = _family_with(letter)
        if family is None:
            whole = whole.replace(letter, f"[U+{ord(letter):04X}]")
        else:
            families.append(family)
            known |= _letters(family)
    text.set_text(whole)
    if families != text.get_fontfamily():
        text.set_fontfamily(families)


def fit_text(text: Text, room: float) -> None:
    """Take characters out of the middle of a line until it fits: names begin, and scores end, a title.

    Letters that the font lacks are seen to first, as `settle` tells.

    Args:
        text: A line of text that is on its figure already.
        room: Inches it may take.
    """
    settle(text)
    whole = text.get_text().replace("\n", " ")
    kept, room = len(whole), 0.97 * room  # letters are some pixels wider at other resolutions
    text.set_text(whole)
    while kept > 2 and (width := _width(text)) > room:
        kept = min(kept - 1, max(2, int(kept * room / width)))
        text.set_text(f"{whole[: kept - kept // 2]}…{whole[len(whole) - kept // 2 :]}")


def write_heading(figure: Figure, words: str, down: float, *, size: float) -> None:
    """Write a line in the middle of a figure's width, shortened until it fits.

    Args:
        figure: To write on, of its final size.
        words: The line; none is written where it is empty.
        down: Inches from the upper edge to the middle of the line.
        size: Of the letters, in points.
    """
    if words:
        width, height = figure.get_size_inches()
        up = 1 - down / height
        line = figure.text(0.5, up, words, ha="center", va="center", fontsize=size, parse_math=False)
        fit_text(line, width - 2 * _SIDE)


def fit_names(figure: Figure, names: Sequence[str], room: float, *, size: float) -> list[FittedName]:
    """Shorten names to the room there is, so that different names stay different.

    Args:
        figure: What they will be drawn on.
        names: Any number.
        room: Inches that each may take.
        size: Of the letters, in points.

    Returns:
        One for each name; where several would be shortened to the same, their places in `names`, from 1,
        stand before them.
    """
    fitted = [_fitted(figure, name, room, size) for name in names]
    seen = Counter(one.text for one in fitted)
    return [
        _fitted(figure, f"{place}: {name}", room, size) if seen[one.text] > 1 else one
        for place, (name, one) in enumerate(zip(names, fitted, strict=True), start=1)
    ]


def _fitted(figure: Figure, name: str, room: float, size: float) -> FittedName:
    trial = figure.text(0, 0, name, fontsize=size, parse_math=False)
    fit_text(trial, room)
    width = _width(trial)
    trial.remove()
    return FittedName(trial.get_text(), tuple(trial.get_fontfamily()), width)


def _width(text: Text) -> float:
    """Inches that a line takes across.

    A figure that has no canvas to draw on, as a new one, would make one for each question, and leave it.
    """
    figure: Any = text.get_figure(root=True)
    if not isinstance(figure.canvas, FigureCanvasAgg):
        FigureCanvasAgg(figure)
    return float(text.get_window_extent(figure.canvas.get_renderer()).width / figure.dpi)


def _known(families: Iterable[str]) -> frozenset[int]:
    return frozenset().union(*map(_letters, families))


@lru_cache(maxsize=256)
def _letters(family: str) -> frozenset[int]:
    """Codes of the letters that the font of a family has; none where there is no such font."""
    try:
        path = fontManager.findfont(FontProperties(family=[family]), fallback_to_default=False)
        font: Any = get_font(path)
    except (ValueError, OSError, RuntimeError):  # not installed, gone, or broken
        return frozenset()
    return frozenset(font.get_charmap())


@lru_cache(maxsize=4096)
def _family_with(letter: str) -> str | None:
    """The first family in the alphabet, sans serif before others, that has a letter."""
    families = {
        entry.name
        for entry in fontManager.ttflist
        if (entry.style, entry.weight, entry.stretch) == _PLAIN
        and _SHOWS_BOXES not in entry.name.replace(" ", "").lower()
    }
    for family in sorted(families, key=lambda name: ("Sans" not in name, name)):
        if ord(letter) in _letters(family):
            return family
    return None
