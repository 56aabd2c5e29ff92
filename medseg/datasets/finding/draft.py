"""A case before it has its public name, and what finds cases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from medseg.errors import Fault
from medseg.progress import Progress


@dataclass(frozen=True)
class Complaint:
    """What is wrong with one case: a `Fault` before the case has its public name."""

    part: str
    found: str
    remedy: str
    path: Path | None


@dataclass
class Draft:
    """A case before it has its public name.

    Attributes:
        raw: Its id as the data set spells it. Private where ids are identifying.
        files: Its files by part: `<root's name>/<path relative to the root>`, in NFC, and path.
        complaints: What is wrong with it.
        broken: Whether it cannot be used for what a fault of the whole data set says.
        group: Its patient, where the finder knows it; else empty.
        labels: Its classes, where the finder knows them.
        extra: Further columns that the finder knows.
        unlabelled: Whether the data set says that nobody has told its classes.
    """

    raw: str
    files: dict[str, list[tuple[str, Path]]] = field(default_factory=dict)
    complaints: list[Complaint] = field(default_factory=list)
    broken: bool = False
    group: str = ""
    labels: tuple[str, ...] | None = None
    extra: dict[str, str] = field(default_factory=dict)
    unlabelled: bool = False


@dataclass
class Found:
    """What a finder found.

    Attributes:
        drafts: The cases.
        faults: What is wrong, and belongs to no case.
        pairs: Names of what was paired by order.
        notes: What to know of it, though it is no fault: sentences without a full stop.
        files: How many files there are of each use, in words; empty where nobody counts them.
        left: Names of files that belong to no case, which a note counts.
    """

    drafts: list[Draft] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    pairs: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    files: dict[str, int] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)


class Finder(Protocol):
    """What finds the files of cases."""

    def find(self, root: Path, parts: Sequence[str], *, truth: bool, progress: Progress) -> Found:
        """The cases below a root that have any of these parts, with what is wrong; faults if there are none.

        Without a wish for truth nothing is wrong that concerns the truth alone. Where files are opened to find them,
        the progress shows it.
        """
