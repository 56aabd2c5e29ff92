"""Slices listed one by one with what they are for, as the original notebook on BraTS kept them in `index.csv`.

A row is a slice: the subdivision that it is in and its place there (subdivisions hold 500), whether it is for `train`
or `test`, the file of its case, and its position along the axis. The original had no third part: its `test` is what a
training is validated with. A split of such rows is by slice, and leaks.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from medseg.datasets.finding.text_table import Rows
from medseg.datasets.roles import Role
from medseg.errors import DataError
from medseg.splits.by_slice import Place, uniform

COLUMNS = ("subset_name", "train_or_test", "subset_position", "file_name", "slice")
SUBDIVISION = 500
"""Slices in each subdivision but the last."""

ENDINGS = (".npz", ".nii.gz", ".nii")
_ROLES: Mapping[str, Role] = {"train": "train", "test": "val"}
_NEEDED = ("train_or_test", "file_name", "slice")

Listed = Mapping[str, Mapping[str, Sequence[int]]]
"""Positions of the slices in each role, of each case by its name."""


def is_index(columns: Sequence[str]) -> bool:
    """Whether a table is such a list."""
    return set(_NEEDED) <= set(columns)


def listed(table: Rows) -> Listed:
    """The slices of each case in each role.

    Raises:
        DataError: A row has another word, or no position, or a slice is in two rows; the message names the line.
    """
    found: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    seen: set[Place] = set()
    for line, row in table.lines:
        word, position, name = (row[column].strip() for column in ("train_or_test", "slice", "file_name"))
        if word not in _ROLES or not position.isdecimal() or len(position) > 6:
            raise DataError(
                f"line {line} of the split file has something else than train or test as train_or_test, or no whole "
                "number from 0 as slice. Correct the row, or the names of the columns"
            )
        name = name.replace("\\", "/").rpartition("/")[2]
        name = next((name.removesuffix(ending) for ending in ENDINGS if name.endswith(ending)), name)
        if (name, int(position)) in seen:
            raise DataError(
                f"line {line} of the split file lists a slice that another line lists; expected one"
            )
        seen.add((name, int(position)))
        found[name][_ROLES[word]].append(int(position))
    return found


def index_rows(places: Mapping[Role, Sequence[Place]], seed: int) -> Iterator[tuple[str, str, int, str, int]]:
    """The rows of `index.csv`, of slices for training and validation, in an order that the seed draws.

    Args:
        places: Slices by role; others than those for training and validation are passed over.
        seed: Of the order.
    """
    for word, role in _ROLES.items():
        order = sorted(places.get(role, ()), key=lambda place: uniform(seed, place))
        for number, (case, position) in enumerate(order):
            subset, at = divmod(number, SUBDIVISION)
            yield f"{word}_{subset}", word, at, f"{case}{ENDINGS[0]}", position
