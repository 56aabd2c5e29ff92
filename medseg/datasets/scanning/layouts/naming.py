"""What names of cases tell beside the case: the patient, the role; and the pattern that all names follow."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from medseg.datasets.roles import MEANINGS, ROLE
from medseg.text import many

_LEAST_PATIENTS = 3
_MOST_SHAPES = 4

#: What an examination, a time or a slice is called before its number.
_EXAMINATIONS = (
    *(
        "visit",
        "ses",
        "session",
        "scan",
        "frame",
        "fr",
        "slice",
        "sl",
        "z",
        "t",
        "time",
        "tp",
        "v",
        "day",
        "week",
    ),
    *("month", "ed", "es", "pre", "post", "baseline", "bl", "fu", "followup", "left", "right", "l", "r", ""),
)

#: Words of names that tell nobody.
_WORDS = frozenset(
    {*_EXAMINATIONS, "patient", "pat", "case", "sub", "subject", "img", "image", "volume", "vol", "id"}
)

_PIECES = re.compile(r"\d+|[^\W\d_]+|[\W_]")
_LAST = re.compile(r"^(.+)[-_ ]([A-Za-z]*)\d*$")


@dataclass(frozen=True)
class PatientRule:
    """What tells the patient of a case.

    Attributes:
        group: As a manifest says it.
        columns: Columns that it needs.
        why: What it is, in words.
    """

    group: str | dict[str, str]
    why: str
    columns: Mapping[str, str] = field(default_factory=dict)


def patient_rule(ids: Sequence[str], names: Sequence[str]) -> PatientRule | None:
    """What may tell that several cases are of one patient; None where nothing does.

    Args:
        ids: Of the cases.
        names: A file of each, below the folder of the data.
    """
    folders = [name.split("/")[-2] if "/" in name else "" for name in names]
    several = len(set(folders)) < len(folders)
    begins = all(folder and case.startswith(folder) for folder, case in zip(folders, ids, strict=True))
    if several and begins and len(set(folders)) >= _LEAST_PATIENTS:
        why = f"a folder is a patient: {many(len(set(folders)), 'patient', 'have')} {many(len(ids), 'case')}"
        return PatientRule({"column": "patient"}, why, {"patient": r"([^/]+)/[^/]+$"})
    found = [match for case in ids if (match := _LAST.match(case)) and match[2].lower() in _EXAMINATIONS]
    patients = {match[1] for match in found}
    if len(found) == len(ids) and _LEAST_PATIENTS <= len(patients) < len(set(ids)):
        words = "|".join(sorted({match[2] for match in found}))
        count = f"{many(len(patients), 'patient', 'have')} {many(len(ids), 'case')}"
        why = f"what stands before the last number of a name is a patient: {count}"
        either = f"(?:{words})" if "|" in words else words
        return PatientRule(rf"^(.+)[-_ ]{either}\d{'*' if words else '+'}$", why)
    return None


@dataclass(frozen=True)
class RoleColumn:
    """Folders that share out the cases."""

    columns: Mapping[str, str]
    names: tuple[str, ...]


def role_column(names: Sequence[str]) -> RoleColumn | None:
    """The column of roles, if every file lies below a folder that is called as one, and there are several."""
    found: Counter[str] = Counter()
    for name in names:
        roles = [folder for folder in name.split("/")[:-1] if folder.lower() in MEANINGS]
        if not roles:
            return None
        found[roles[0]] += 1
    if len(found) < 2:
        return None
    either = "|".join(re.escape(name) for name in sorted(found))
    return RoleColumn({ROLE: f"(?:^|/)({either})/"}, tuple(sorted(found)))


def ids_pattern(ids: Sequence[str]) -> str:
    """A regular expression that all ids fit; empty if they have too many shapes.

    Letters stand in it only where they are words that tell nobody, such as `patient`: any others might be a name.
    """
    shapes = sorted({"".join(_stands(piece) for piece in _PIECES.findall(case)) for case in ids})
    if not 0 < len(shapes) <= _MOST_SHAPES:
        return ""
    return shapes[0] if len(shapes) == 1 else f"(?:{'|'.join(shapes)})"


def _stands(piece: str) -> str:
    """What stands for a piece of an id in a regular expression."""
    if piece.isdecimal():
        return r"\d+"
    if piece.isalpha() and piece.lower() not in _WORDS:
        return r"[^\W\d_]+"
    return re.escape(piece)
