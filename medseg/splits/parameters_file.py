"""The settings of the original notebook on BraTS, as it kept them in `parameters.csv`: one row below their names."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from medseg.datasets.finding.text_table import read_rows
from medseg.errors import DataError
from medseg.images.refusal import RefusedError
from medseg.splits.rule import MOST_COUNTED
from medseg.text import many

COLUMNS = ("image_axis", "channels", "img_shape", "train_size", "validation_ratio")
_LONGEST = 100  # characters of a number
_AXES = ("sagittal", "coronal", "axial")  # of X, Y and Z


@dataclass(frozen=True)
class Parameters:
    """What decides which slices are learned from.

    Attributes:
        axis: axial, coronal or sagittal; the file has 2, 1 or 0.
        channels: Names, in order.
        shape: Height and width of a slice.
        train_size: Slices for training.
        validation_ratio: Slices for validation, as a share of those; above 1 where they are more.
    """

    axis: str
    channels: tuple[str, ...]
    shape: tuple[int, int]
    train_size: int
    validation_ratio: float

    @property
    def validation_size(self) -> int:
        """Slices for validation."""
        return max(1, round(self.validation_ratio * self.train_size))

    def row(self) -> tuple[str, ...]:
        """The values as text, in the order of `COLUMNS`."""
        height, width = self.shape
        number = str(_AXES.index(self.axis))
        return (
            number,
            " ".join(self.channels),
            f"{height} {width}",
            str(self.train_size),
            str(self.validation_ratio),
        )

    def settings(self) -> tuple[str, ...]:
        """The settings of a definition that they stand for."""
        return (
            f"slices.axis={self.axis}",
            f"channels=[{', '.join(self.channels)}]",
            f"slices.size=[{self.shape[0]}, {self.shape[1]}]",
            f"split={{by: slice, train: {self.train_size}, val: {self.validation_size}, test: 0}}",
        )


def read_parameters(path: Path, known: Sequence[str]) -> Parameters:
    """Read them.

    Args:
        path: The file.
        known: The channels of the data set, which `channels` names; a number n alone stands for the first n.

    Raises:
        DataError: The file cannot be read, or a value is none; the message names the column.
    """
    try:
        table = read_rows(path)
    except (OSError, RefusedError) as error:
        raise DataError(f"parameters.csv cannot be read: {error}") from error
    lacking = [name for name in COLUMNS if name not in table.columns]
    if lacking or len(table.lines) != 1:
        raise DataError(
            f"parameters.csv lacks {', '.join(lacking) or 'no column'} and has {many(len(table.lines), 'row')} of "
            f"values; expected one row of {', '.join(COLUMNS)}"
        )
    row = table.lines[0][1]
    words = tuple(re.findall(r"\w+", row["channels"]))
    count = int(words[0]) if len(words) == 1 and words[0].isdecimal() and len(words[0]) < 4 else 0
    channels = tuple(known[:count]) if 0 < count <= len(known) else words
    sizes = [int(size) for size in re.findall(r"\d{1,4}", row["img_shape"])][:2]
    _refuse(row["image_axis"].strip() in ("0", "1", "2"), "image_axis", "0, 1 or 2")
    _refuse(bool(channels) and set(channels) <= set(known), "channels", f"some of {', '.join(known)}")
    _refuse(len(sizes) == 2 and min(sizes) > 0, "img_shape", "height and width")
    size = row["train_size"].strip()
    _refuse(
        size.isdecimal() and len(size) <= len(str(MOST_COUNTED)) and 0 < int(size) <= MOST_COUNTED,
        "train_size",
        f"a whole number from 1 to {MOST_COUNTED:,}",
    )
    share = _number(row["validation_ratio"])
    _refuse(
        share * int(size) < MOST_COUNTED + 0.5,
        "validation_ratio",
        f"a number from 0, which makes at most {MOST_COUNTED:,} slices of train_size",
    )
    axis = _AXES[int(row["image_axis"])]
    return Parameters(axis, channels, (sizes[0], sizes[1]), int(size), share)


def _number(text: str) -> float:
    """A number from 0, as programs write it (0.25, .25, 2.5e-05); infinite where the text is none."""
    plain = len(text) < _LONGEST and re.fullmatch(
        r"\s*(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\s*", text, re.ASCII | re.IGNORECASE
    )
    return float(text) if plain else math.inf


def _refuse(fine: bool, column: str, expected: str) -> None:
    if not fine:
        raise DataError(f"parameters.csv has something else as {column}; expected {expected}. Correct it.")
