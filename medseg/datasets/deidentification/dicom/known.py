"""What the files of a folder say of their patients: one file may lack what the others of its study have."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from pydicom.dataset import Dataset

from medseg.datasets.deidentification.dicom.dataset import identifiers
from medseg.errors import DataError
from medseg.images.dicom.header import parsed
from medseg.images.dicom.quiet import quiet
from medseg.progress import Bar

_Group: TypeAlias = tuple[str, str]


@dataclass(frozen=True)
class Known:
    """Names and numbers by study, and by patient; by folder for files of neither.

    Attributes:
        parts: Parts of names and numbers that stand in any file of a group, in lower case.
        patients: Number and name of the patients of each study, either of which may be empty.
    """

    parts: Mapping[_Group, frozenset[str]] = field(default_factory=dict)
    patients: Mapping[str, frozenset[tuple[str, str]]] = field(default_factory=dict)

    def naming(self, path: Path, data: Dataset) -> frozenset[str]:
        """What may stand in no text of a file that stays."""
        nothing: frozenset[str] = frozenset()
        return identifiers(data).union(*(self.parts.get(each, nothing) for each in _groups(path, data)))

    def patient(self, data: Dataset) -> str:
        """What tells the patient of a file apart.

        Its number or, where it has none, the one number in its study that fits its name; else its name, the one name
        in its study, or the study itself.
        """
        number, name, study = _number(data), _name(data), _study(data)
        others = self.patients.get(study, ())
        numbers = {each for each, called in others if each and name in ("", called)}
        names = {called for _, called in others if called}
        return number or _only(numbers) or name or _only(names) or study


def gather(paths: Iterable[Path], bar: Bar) -> Known:
    """Read the headers of DICOM files; one that cannot be read says nothing, and is left out later with its reason.

    Args:
        paths: Of DICOM files.
        bar: Advances by each.
    """
    parts: dict[_Group, set[str]] = defaultdict(set)
    patients: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for path in paths:
        data = _header(path)
        bar.advance()
        if data is None:
            continue
        own = identifiers(data)
        for group in {*_groups(path, data), ("folder", str(path.parent))}:
            parts[group] |= own
        patients[_study(data)].add((_number(data), _name(data)))
    return Known(
        {group: frozenset(found) for group, found in parts.items()},
        {study: frozenset(found) for study, found in patients.items() if study},
    )


def _header(path: Path) -> Dataset | None:
    with quiet():
        try:
            data = parsed(path, pixels=False)[0]
            _groups(path, data)
            _name(data)
            identifiers(data)
        except (DataError, OSError, RecursionError, NotImplementedError):
            return None
        return data


def _number(data: Dataset) -> str:
    return str(data.get("PatientID") or "")


def _name(data: Dataset) -> str:
    return str(data.get("PatientName") or "")


def _only(found: Collection[str]) -> str:
    return next(iter(found)) if len(found) == 1 else ""


def _study(data: Dataset) -> str:
    return str(data.get("StudyInstanceUID") or "")


def _groups(path: Path, data: Dataset) -> tuple[_Group, ...]:
    named = (("study", _study(data)), ("patient", _number(data) or _name(data)))
    return tuple(each for each in named if each[1]) or (("folder", str(path.parent)),)
