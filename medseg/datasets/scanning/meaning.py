"""What the values in label maps stand for, as far as a layout tells."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

_LONGEST = 80  # letters of a name in a draft
_ODD = re.compile(r"[^A-Za-z0-9]+")

#: Names that `medseg` or a manifest takes for something else.
_TAKEN = frozenset({"mask", "image"})


@dataclass(frozen=True)
class Names:
    """Names of stored values.

    Attributes:
        values: Name of each stored value, 0 first.
        regions: Unions of classes that are scored beside them, by name.
        open: Values whose names a person must decide.
        why: Where the names come from, in words.
        ignored: Values of voxels that nobody annotated, which have no names.
    """

    values: Mapping[int, str]
    regions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    open: tuple[int, ...] = ()
    why: str = ""
    ignored: tuple[int, ...] = ()


class Meaning(Protocol):
    """What tells the names of stored values."""

    def names(self, values: Collection[int]) -> Names:
        """Names for the values that label maps hold."""


@dataclass(frozen=True)
class UnknownLabels:
    """Nothing tells what the values stand for."""

    why: str = "no file of the data set says what the values stand for"

    def names(self, values: Collection[int]) -> Names:
        """Neutral names; where there is one value beside 0, `foreground`."""
        marked = sorted(set(values) - {0})
        named = {0: "background", **{value: f"label_{value}".replace("-", "minus_") for value in marked}}
        if len(marked) == 1:
            return Names({0: "background", marked[0]: "foreground"}, why=f"{self.why}; there is one beside 0")
        return Names(named, open=tuple(marked), why=self.why)


@dataclass(frozen=True)
class DeclaredLabels:
    """A description of the data set names the values.

    Attributes:
        declared: Name of each value, as it stands there.
        unions: Values of each region that it declares.
        why: Which description.
        ignored: Values that it says are to be left out.
    """

    declared: Mapping[int, str]
    unions: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    why: str = "dataset.json names them"
    ignored: tuple[int, ...] = ()

    def names(self, values: Collection[int]) -> Names:
        """The names of the description; a value that it does not name gets a neutral one, to be decided."""
        unnamed = tuple(sorted(set(values) - {*self.declared, *self.ignored, 0}))
        written = {0: "background", **self.declared, **{value: f"label_{value}" for value in unnamed}}
        order = sorted(written)
        named = dict(zip(order, identifiers([written[value] for value in order]), strict=True))
        regions = {
            name: tuple(named[value] for value in self.unions[region] if value in named)
            for region, name in zip(self.unions, identifiers(list(self.unions)), strict=True)
        }
        return Names(named, regions, unnamed, self.why, self.ignored)


def identifiers(names: Sequence[str], otherwise: str = "label") -> list[str]:
    """Names as a manifest takes them, all different: letters, digits and `_`, with a letter first."""
    made: list[str] = []
    for number, name in enumerate(names):
        word = _ODD.sub("_", name.strip()[:_LONGEST]).strip("_").lower()
        word = word if word[:1].isalpha() and word.isascii() else f"{otherwise}_{word or number}"
        word = f"{word}_1" if word in _TAKEN else word
        while word in made:
            word = f"{word}_{number}"
        made.append(word)
    return made
