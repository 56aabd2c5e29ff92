"""Classes of whole images: their names, and where they may stand."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

from medseg.text import composed

ImageLabels = Literal["one", "many"]
"""Whether an image has one class, or any number of classes at once."""

#: What stands behind a score in the place where a class may, in lower case.
_TAKEN = frozenset({"low", "high", "patients", "all", "macro", "micro", "weighted", "mean"})

#: What a key may hold: the letters and digits of any script, `_`, `-`, `.` and the space. MLflow takes a colon
#: as well, but not on Windows.
_NO_KEY = re.compile(r"[^\w.\- ]")

_LONGEST = 100  # of MLflow's 250 characters for a whole key

#: Control characters, halves of characters and separators of lines, which no name of a class may hold.
_BREAKING = frozenset({"Cc", "Cs", "Zl", "Zp"})

_SHOWN = 5

BETWEEN = "; "
"""Between the names of several classes of one image, in tables and figures; no name holds it."""


def class_name(text: str) -> str:
    """A class as it is compared and shown: without spaces around it, in Unicode's composed form (NFC)."""
    return composed(text.strip())


def key_name(name: str) -> str:
    """A class's name as a part of the key of a score, such as `test/recall/<key_name>`.

    Characters that keys cannot hold become `_`; a name that means something else behind a score, such as
    `low` for the lower bound of its interval, has `class ` before it. Two classes that would share a key are no
    classes of one data set: see `misnamed`.
    """
    written = _NO_KEY.sub("_", composed(name))[:_LONGEST].rstrip()
    return f"class {written}" if written.lower() in _TAKEN else written


def misnamed(names: Sequence[str]) -> Iterator[str]:
    """What is wrong with names of classes, as sentences without a full stop; nothing if all can be used."""
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        yield f"{twice} are named more than once"
    odd = sorted({name for name in names if not _usable(name)})
    if odd:
        yield (
            f"{odd} cannot be the name of a class; expected text without '/', '\\', control characters or spaces "
            "around it, and not '.' or '..'"
        )
    several = sorted({name for name in names if BETWEEN in name})
    if several:
        yield (
            f"{several} cannot be the name of a class: '{BETWEEN}' stands between the classes of one image in tables "
            "and figures"
        )
    formulas = sorted({name for name in names if name.startswith(("=", "+", "-", "@"))})
    if formulas:
        yield (
            f"{formulas} cannot be the name of a class: tables are opened in spreadsheet programs, which would take "
            "a name that begins with =, +, - or @ for a formula"
        )
    sharing: defaultdict[str, set[str]] = defaultdict(set)
    for name in names:
        sharing[key_name(name)].add(name)
    for key, alike in sorted(sharing.items()):
        if len(alike) > 1:
            yield f"{sorted(alike)} cannot be distinguished in the names of scores, where each is '{key}'"


def ordered(labels: Iterable[str], classes: Sequence[str]) -> tuple[str, ...]:
    """Labels of one image, each once, in the order of the classes, then by code point."""
    place = {name: number for number, name in enumerate(classes)}
    return tuple(sorted(set(labels), key=lambda name: (place.get(name, len(place)), name)))


def joined(labels: Iterable[str], none: str = "") -> str:
    """The classes of one image in a line; `none` where it has none of them."""
    return BETWEEN.join(labels) or none


def shown(names: Iterable[str]) -> str:
    """The first few names of classes, and how many more there are."""
    listed = sorted(names)
    more = f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    return ", ".join(repr(name) for name in listed[:_SHOWN]) + more


def _usable(name: str) -> bool:
    broken = any(unicodedata.category(letter) in _BREAKING for letter in name)
    return (
        not broken and name == class_name(name) and name not in {"", ".", ".."} and not set(name) & set("/\\")
    )
