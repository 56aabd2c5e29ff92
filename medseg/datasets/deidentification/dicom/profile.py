"""The Basic Application Level Confidentiality Profile as a table: what is done with which attribute."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

from pydicom.tag import BaseTag, Tag

Action = Literal["X", "Z", "D", "U", "U*"]
"""Remove; empty; replace by a dummy; replace a UID; keep a sequence, and clean its items."""

_LAST: Mapping[str, Action] = {"X": "X", "Z": "Z", "D": "D", "U": "U", "U*": "U*"}

#: Whole groups of curves and overlays are removed: the table takes their data, without which the rest says nothing.
_GRAPHICS = (0x5000, 0x6000)


@dataclass(frozen=True)
class Rule:
    """A row of table E.1-1 of DICOM PS3.15.

    Attributes:
        action: Of the Basic Profile. Of several that depend on the kind of object (`X/Z/D`) it is the last, which is
            allowed in every one.
        device: Whether the option "Retain Device Identity" keeps it.
    """

    action: Action
    device: bool


@cache
def table() -> Mapping[BaseTag, Rule]:
    """All rows for single attributes. Source: PS3.15 2026c, table E.1-1, in `profile.csv`."""
    text = files(__package__).joinpath("profile.csv").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return {
        Tag(int(row["tag"], 16)): Rule(_LAST[row["basic"].split("/")[-1]], row["device"] == "K")
        for row in csv.DictReader(lines)
        if "x" not in row["tag"]
    }


def is_graphic(tag: BaseTag) -> bool:
    """Whether an attribute belongs to a curve (50xx) or an overlay (60xx)."""
    return tag.group & 0xFF00 in _GRAPHICS
