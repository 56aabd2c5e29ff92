"""Reading a file that assigns cases to roles."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from medseg.datasets.case import Case, safe_name
from medseg.datasets.pseudonym import pseudonym, secret_key
from medseg.datasets.roles import ROLES, Role
from medseg.errors import DataError
from medseg.files.regular import open_text, parse_json
from medseg.text import composed

#: A split file of more characters is refused.
MOST_TEXT = 64_000_000


def read_split_file(path: Path) -> dict[str, Any]:
    """The content of a split file: names by role, or seed, ratios and cases of a split by slice.

    Raises:
        DataError: The file cannot be read, or holds something else.
    """
    return _from_csv(path) if path.suffix.lower() == ".csv" else _from_json(path)


def same_cases(named: Sequence[str], cases: Sequence[Case], left_out: Sequence[Case] = ()) -> None:
    """Refuse names that are not exactly the cases', but for those that are left out, which may be named.

    Raises:
        DataError: Some are missing or unknown; the message counts them.
    """
    there = {case.id for case in cases}
    unknown, unnamed = set(named) - there - {case.id for case in left_out}, there - set(named)
    if unknown or unnamed:
        raise _strangers(len(unknown), len(unnamed), len(there))


def _from_json(path: Path) -> dict[str, Any]:
    try:
        given = parse_json(_text(path))
    except ValueError as error:
        raise DataError(f"the split file is no JSON: {error}") from error
    if isinstance(given, dict) and given.get("by") == "slice":
        ratios, names, seed = given.get("ratios"), given.get("cases"), given.get("seed")
        if isinstance(ratios, dict) and isinstance(seed, int) and _are_names(names):
            return given
        raise DataError("the split file is by slice, and lacks one of seed, ratios and cases")
    roles = {key: value for key, value in given.items() if key != "by"} if isinstance(given, dict) else {}
    if not roles or set(roles) - set(ROLES) or not all(_are_names(names) for names in roles.values()):
        raise DataError(
            'the split file holds something else than {"train": [names], "val": [...], "test": [...]}'
        )
    return roles


def _are_names(names: object) -> bool:
    return isinstance(names, list) and all(isinstance(name, str) for name in names)


def _from_csv(path: Path) -> dict[str, Any]:
    try:
        rows = list(csv.DictReader(_text(path).splitlines()))
    except csv.Error as error:
        raise DataError(f"the split file is no CSV: {error}") from error
    columns = list(rows[0]) if rows else []
    key = next((name for name in ("case", "group") if name in columns), None)
    if key is None or "role" not in columns:
        raise DataError(f"the split file has the columns {columns}, expected 'case' or 'group', and 'role'")
    roles: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        if row["role"] not in ROLES:
            raise DataError(f"the split file holds the role '{row['role']}', expected one of {list(ROLES)}")
        roles[row["role"]].append(row[key] or "")
    return dict(roles)


def _text(path: Path) -> str:
    try:
        with open_text(path) as file:
            text = file.read(MOST_TEXT + 1)
    except OSError as error:
        raise DataError(
            f"the split file cannot be read: {error.strerror}. Put it where split.file says, or correct split.file."
        ) from error
    except UnicodeDecodeError as error:
        raise DataError("the split file is no UTF-8 text") from error
    if len(text) > MOST_TEXT:
        raise DataError(f"the split file has more than {MOST_TEXT} characters, expected names by role")
    return text


def roles_of_cases(
    given: Mapping[str, Sequence[str]], cases: Sequence[Case], left_out: Sequence[Case] = ()
) -> dict[str, Role]:
    """Role of each case, from names of cases and patients by role; those that are left out may be named.

    Raises:
        DataError: A name is unknown, a case is left out, or a patient is in two roles; messages count them.
    """
    members: dict[str, set[str]] = defaultdict(set)
    every = (*cases, *left_out)
    for case in every:
        members[case.id].add(case.id)
        if case.group:  # of a case without all its files the patient may not be known
            members[case.group].add(case.id)
    group_of = {case.id: case.group or case.id for case in every}
    key = secret_key() if ids_are_hidden(every) else None
    roles: dict[str, set[Role]] = defaultdict(set)
    named: set[str] = set()
    unknown = 0
    for role in ROLES:
        for name in given.get(role, ()):
            meant = next((members[each] for each in _spellings(name, key) if each in members), None)
            unknown += meant is None
            for case_id in meant or ():
                roles[group_of[case_id]].add(role)
                named.add(case_id)
    torn = sum(len(each) > 1 for each in roles.values())
    if torn:
        raise DataError(f"the split file puts {torn} patients into more than one role; expected one each")
    unnamed = {case.id for case in cases} - named
    if unknown or unnamed:
        raise _strangers(unknown, len(unnamed), len(cases))
    return {case.id: next(iter(roles[case.group])) for case in cases}


def ids_are_hidden(cases: Sequence[Case]) -> bool:
    """Whether cases or patients go by pseudonyms that this machine gave them."""
    return any(case.id.startswith("case-") or case.group.startswith("patient-") for case in cases)


def _spellings(name: str, key: bytes | None) -> tuple[str, ...]:
    """What a name may stand for: itself, its public form and, where ids are hidden, the pseudonyms of it."""
    own = composed(name)
    if key is None:
        return (own, safe_name(own))
    return (own, pseudonym("case", own, key), pseudonym("patient", own, key))


def _strangers(unknown: int, left_out: int, total: int) -> DataError:
    return DataError(
        f"the split file names {unknown} cases or patients that are not in the data set, and leaves out "
        f"{left_out} of its {total} cases. Use the file of these data"
    )
