"""Reading a file that assigns cases to roles."""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from medseg.datasets.case import Case, labelled, safe_name
from medseg.datasets.finding.text_table import read_rows
from medseg.datasets.pseudonym import pseudonym, secret_key
from medseg.datasets.roles import ROLES, UNLABELLED, UNUSED, Role
from medseg.errors import DataError
from medseg.files.regular import open_text, parse_json
from medseg.images.refusal import RefusedError
from medseg.splits.index_file import Listed, is_index, listed
from medseg.text import composed, many

#: A split file of more characters is refused.
MOST_TEXT = 64_000_000

_MEANT = (*ROLES, UNLABELLED, UNUSED)


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
    if isinstance(given, dict) and "places" in given:
        if _are_places(given["places"]):
            return given
        raise DataError(
            "the split file names 'places', and holds something else than positions by case and role"
        )
    if isinstance(given, dict) and given.get("by") == "slice":
        ratios, names, seed = given.get("ratios"), given.get("cases"), given.get("seed")
        others = given.get(UNLABELLED, [])
        if _are_ratios(ratios) and isinstance(seed, int) and _are_names(names) and _are_names(others):
            return given
        raise DataError("the split file is by slice, and lacks one of seed, ratios and cases")
    roles = {key: value for key, value in given.items() if key != "by"} if isinstance(given, dict) else {}
    if not roles or set(roles) - {*_MEANT} or not all(_are_names(names) for names in roles.values()):
        raise DataError(
            'the split file holds something else than {"train": [names], "val": [...], "test": [...]}, and '
            '"unlabelled" beside where there are images without a label'
        )
    return roles


def _are_names(names: object) -> bool:
    return isinstance(names, list) and all(isinstance(name, str) for name in names)


def _are_places(given: object) -> bool:
    return isinstance(given, dict) and all(
        isinstance(roles, dict)
        and set(roles) <= {*ROLES}
        and all(isinstance(each, list) and all(type(at) is int for at in each) for each in roles.values())
        for roles in given.values()
    )


def places_of_cases(
    given: Listed, cases: Sequence[Case], left_out: Sequence[Case] = ()
) -> dict[str, dict[int, Role]]:
    """Role of each slice that is listed, by case and position; of cases that are left out, nothing.

    Raises:
        DataError: A name is of no case of these, or of several, or a slice has two roles; messages count them.
    """
    names, known = _Names((*cases, *left_out)), {case.id for case in cases}
    found: dict[str, dict[int, Role]] = {}
    unknown = torn = 0
    for name, roles in given.items():
        meant = names.meant(name)
        unknown += len(meant) != 1
        for case_id in meant & known if len(meant) == 1 else ():
            at = found.setdefault(case_id, {})
            for role in ROLES:
                positions = roles.get(role, ())
                torn += len({*positions} & {*at})
                at |= dict.fromkeys(positions, role)
    if unknown:
        raise _strangers(unknown, 0, len(cases))
    if not any(found.values()):
        raise DataError("the split file lists no slice of these cases. Use the file of these data")
    if torn:
        raise DataError(f"the split file gives {many(torn, 'slice')} more than one role; expected one each")
    return {case: at for case, at in found.items() if at}


def _are_ratios(given: object) -> bool:
    return isinstance(given, dict) and all(
        role in ROLES and isinstance(ratio, int | float) and 0 <= ratio <= 1 for role, ratio in given.items()
    )


def _from_csv(path: Path) -> dict[str, Any]:
    try:
        table = read_rows(path)
    except OSError as error:
        raise _unreadable(error) from error
    except RefusedError as error:
        raise DataError(f"the split file cannot be read: {error}") from error
    columns = list(table.columns)
    if is_index(columns):
        return {"by": "slice", "places": listed(table)}
    key = next((name for name in ("case", "group") if name in columns), None)
    if key is None or "role" not in columns:
        lost = [
            *(["'case' or 'group'"] if key is None else []),
            *(["'role'"] if "role" not in columns else []),
        ]
        raise DataError(
            f"the split file lacks a column {' and '.join(lost)} among its {many(len(columns), 'column')}. Name the "
            "columns in its first line: 'case' or 'group', and 'role'"
        )
    roles: dict[str, list[str]] = defaultdict(list)
    for line, row in table.lines:
        if row["role"] not in _MEANT:
            raise DataError(_no_role(line, row["role"], row[key]))
        roles[row["role"]].append(row[key])
    return dict(roles)


def _no_role(line: int, word: str, name: str) -> str:
    """That a row has no role; not what it has instead, which is an id where columns are swapped."""
    problem = f"line {line} of the split file has a role that is none of {list(_MEANT)}"
    if name in _MEANT:
        return f"{problem}, and one in the column of names. Swap the names of the columns"
    near = difflib.get_close_matches(word.strip().lower(), _MEANT, n=1)
    return f"{problem}. Did you mean '{near[0]}'?" if near else f"{problem}. Correct the row"


def _unreadable(error: OSError) -> DataError:
    return DataError(
        f"the split file cannot be read: {error.strerror}. Put it where split.file says, or correct split.file."
    )


def _text(path: Path) -> str:
    try:
        with open_text(path) as file:
            text = file.read(MOST_TEXT + 1)
    except OSError as error:
        raise _unreadable(error) from error
    except UnicodeDecodeError as error:
        raise DataError("the split file is no UTF-8 text") from error
    if len(text) > MOST_TEXT:
        raise DataError(f"the split file has more than {MOST_TEXT} characters, expected names by role")
    return text


def roles_of_cases(
    given: Mapping[str, Sequence[str]], cases: Sequence[Case], left_out: Sequence[Case] = ()
) -> dict[str, Role]:
    """Role of each case with a label, from names of cases and patients by role; those that are left out may be named.

    Raises:
        DataError: A name is unknown, or is of images without a label, a case is left out, or a patient is in two
            roles; messages count them.
    """
    known = labelled(cases)
    names = _Names((*cases, *left_out))
    group_of = {case.id: case.group or case.id for case in names.every}
    without = {case.id for case in names.every if case.unlabelled}
    roles: dict[str, set[Role]] = defaultdict(set)
    named: set[str] = set()
    unknown = strays = 0
    for role in (*ROLES, UNUSED):
        for name in given.get(role, ()):
            meant = names.meant(name)
            unknown += not meant
            strays += bool(meant) and meant <= without
            for case_id in meant - without:
                roles[group_of[case_id]].add(role)
                named.add(case_id)
    if strays:
        raise DataError(
            f"the split file names {strays} images without a label, or patients who have no others, for training, "
            f"validation or test. Name them in '{UNLABELLED}', or not at all"
        )
    torn = sum(len(each) > 1 for each in roles.values())
    if torn:
        raise DataError(
            f"the split file puts {many(torn, 'patient')} into more than one role; expected one each"
        )
    unnamed = {case.id for case in known} - named
    if unknown or unnamed:
        raise _strangers(unknown, len(unnamed), len(known))
    return {case.id: next(iter(roles[case.group])) for case in known}


def unlabelled_named(
    given: Mapping[str, Sequence[str]], cases: Sequence[Case], left_out: Sequence[Case] = ()
) -> set[str] | None:
    """Images without a label that a split file names, by themselves or by their patients; None if it says nothing.

    Raises:
        DataError: A name is unknown, or of cases with a label alone; messages count them.
    """
    if UNLABELLED not in given:
        return None
    names = _Names((*cases, *left_out))
    without = {case.id for case in names.every if case.unlabelled}
    meant = [names.meant(name) for name in given[UNLABELLED]]
    if not all(meant):
        raise _strangers(sum(not each for each in meant), 0, len(cases))
    if wrong := sum(not each & without for each in meant):
        raise DataError(
            f"the split file names {wrong} cases or patients in '{UNLABELLED}' that have no image without a label. "
            "Name them for training, validation or test"
        )
    return set().union(*meant) & without


class _Names:
    """What names in a split file may mean: cases, by themselves or by their patients."""

    def __init__(self, every: Sequence[Case]) -> None:
        self.every = every
        self._key = secret_key() if ids_are_hidden(every) else None
        self._members: dict[str, set[str]] = defaultdict(set)
        for case in every:
            self._members[case.id].add(case.id)
            if case.group:  # of a case without all its files the patient may not be known
                self._members[case.group].add(case.id)

    def meant(self, name: str) -> set[str]:
        """Ids of the cases that a name stands for; none if it is unknown."""
        spellings = _spellings(name, self._key)
        return next((self._members[each] for each in spellings if each in self._members), set())


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
        f"the split file names {unknown} cases or patients that are not in the data set, and leaves out {left_out} "
        f"of its {many(total, 'case')}. Use the file of these data"
    )
