"""Slices listed one by one, as the original notebook on BraTS kept them."""

from __future__ import annotations

import csv
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from medseg.datasets.case import Case
from medseg.errors import DataError
from medseg.splits.index_file import COLUMNS, index_rows
from medseg.splits.parameters_file import Parameters, read_parameters
from medseg.splits.rule import MOST_COUNTED
from medseg.splits.split import Split

CHANNELS = ("flair", "t1", "t1ce", "t2")
PARAMETERS = Parameters("axial", CHANNELS, (240, 240), 4000, 0.2)
ROW = dict(
    zip(
        ("image_axis", "channels", "img_shape", "train_size", "validation_ratio"),
        ("2", "flair t1 t1ce t2", "(240, 240)", "4000", "0.2"),
        strict=True,
    )
)


def cases(count: int) -> list[Case]:
    return [Case(f"p{p}", f"p{p}", {}) for p in range(count)]


def written(path: Path, rows: object, columns: object = COLUMNS) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([columns, *rows])  # type: ignore[list-item, misc]
    return path


def test_listed_slices_have_their_roles_and_others_are_not_used(tmp_path: Path) -> None:
    rows = [
        ("train_0", "train", 0, "p0.npz", 4),
        ("train_0", "train", 1, "data/p1.npz", 7),
        ("test_0", "test", 0, "p0.npz", 5),
    ]
    split = Split.from_file(written(tmp_path / "index.csv", rows), cases(3))
    assert split.leaking
    roles = [split.role(*place) for place in (("p0", 4), ("p1", 7), ("p0", 5), ("p0", 6), ("p2", 4))]
    assert roles == ["train", "train", "val", "unused", "unused"]
    assert (split.cases("train"), split.cases("val"), split.cases("test")) == (("p0", "p1"), ("p0",), ())


def test_what_a_list_does_not_name_is_counted_and_not_used(tmp_path: Path) -> None:
    rows = [
        ("train_0", "train", 0, "p0.npz", 4),
        ("train_0", "train", 1, "p1.npz", 7),
        ("test_0", "test", 0, "p0.npz", 5),
    ]
    path = written(tmp_path / "index.csv", rows)
    split = Split.from_file(path, cases(5))
    assert split.cases("unused") == ("p2", "p3", "p4")
    assert split.note() == (
        "Split by slice, as the split file lists them: 2 of 2 cases for training, 1 of 1 case to validate. "
        "The split file lists no slice of 3 of 5 cases: they are not used."
    )
    whole = Split.from_file(path, cases(2))
    assert whole.unnamed_note() == ""
    assert whole.cases("unused") == ()


def test_listed_slices_that_are_not_there_are_refused_with_their_count(tmp_path: Path) -> None:
    rows = [("train_0", "train", at, f"p{at % 2}.npz", at) for at in range(6)]
    split = Split.from_file(written(tmp_path / "index.csv", rows), cases(2))
    every = [(f"p{p}", at) for p in range(2) for at in range(6)]
    assert split.settled(every) is split
    with pytest.raises(DataError, match="lists 4 of its 6 slices, of 2 cases, where there is none"):
        split.settled(every[:3])


def test_a_split_of_listed_slices_is_read_back(tmp_path: Path) -> None:
    rows = [("train_0", "train", n, f"p{n % 3}.npz", n) for n in range(30)]
    split = Split.from_file(written(tmp_path / "index.csv", rows), cases(3))
    split.to_json(tmp_path / "split.json")
    again = Split.from_file(tmp_path / "split.json", cases(3))
    assert again.digest() == split.digest()
    assert again.places == split.places


def test_rows_are_in_subdivisions_of_five_hundred() -> None:
    places = {
        "train": [(f"p{n % 7}", n) for n in range(1100)],
        "val": [("p0", n) for n in range(30)],
        "test": [("p1", 0)],
    }
    rows = list(index_rows(places, seed=3))  # type: ignore[arg-type]
    sizes = {name: sum(row[0] == name for row in rows) for name in {row[0] for row in rows}}
    assert sizes == {"train_0": 500, "train_1": 500, "train_2": 100, "test_0": 30}
    assert [row[2] for row in rows[:500]] == list(range(500))
    assert {(row[3], row[4]) for row in rows if row[1] == "test"} == {("p0.npz", n) for n in range(30)}
    assert rows == list(index_rows(places, seed=3)) != list(index_rows(places, seed=4))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (("t", "validate", 0, "p0.npz", 4), "line 2 of the split file has something else than train or test"),
        (("t", "train", 0, "p0.npz", "x"), "or no whole number from 0 as slice"),
        (("t", "train", 0, "p9.npz", 4), "names 1 cases or patients that are not in the data set"),
    ],
)
def test_rows_that_mean_nothing_are_refused(tmp_path: Path, row: object, expected: str) -> None:
    with pytest.raises(DataError, match=expected):
        Split.from_file(written(tmp_path / "index.csv", [row]), cases(2))


def test_a_slice_in_two_rows_is_refused(tmp_path: Path) -> None:
    rows = [("train_0", "train", 0, "p0.npz", 4), ("test_0", "test", 0, "p0.npz", 4)]
    with pytest.raises(DataError, match="line 3 of the split file lists a slice that another line lists"):
        Split.from_file(written(tmp_path / "index.csv", rows), cases(2))


def test_a_list_without_a_row_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="lists no slice of these cases"):
        Split.from_file(written(tmp_path / "index.csv", []), cases(2))


def test_parameters_are_read_as_they_were_written(tmp_path: Path) -> None:
    path = written(tmp_path / "parameters.csv", [PARAMETERS.row()], ROW)
    assert read_parameters(path, CHANNELS) == PARAMETERS
    assert PARAMETERS.settings()[-1] == "split={by: slice, train: 4000, val: 800, test: 0}"


@given(
    st.sampled_from(["axial", "coronal", "sagittal"]),
    st.lists(st.sampled_from(CHANNELS), min_size=1, unique=True),
    st.tuples(st.integers(1, 8192), st.integers(1, 8192)),
    st.integers(1, MOST_COUNTED),
    st.integers(1, MOST_COUNTED),
)
@example("axial", ["flair"], (48, 48), 40, 60)
@example("axial", ["flair"], (48, 48), 100_000, 1)
@example("axial", ["flair"], (48, 48), 3, MOST_COUNTED)
@settings(max_examples=50, deadline=None)
def test_whatever_counts_were_asked_for_are_read_again(
    axis: str, channels: list[str], shape: tuple[int, int], train: int, val: int
) -> None:
    asked = Parameters(axis, tuple(channels), shape, train, val / train)
    with TemporaryDirectory() as folder:
        read = read_parameters(written(Path(folder) / "parameters.csv", [asked.row()], ROW), CHANNELS)
    assert read == asked
    assert read.validation_size == val


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, PARAMETERS),
        ({"validation_ratio": " 2.E-1 "}, PARAMETERS),
        ({"channels": "4"}, PARAMETERS),
        ({"channels": "['t2', 'flair']"}, Parameters("axial", ("t2", "flair"), (240, 240), 4000, 0.2)),
        ({"image_axis": "1", "img_shape": "240 144"}, Parameters("coronal", CHANNELS, (240, 144), 4000, 0.2)),
    ],
)
def test_values_may_be_written_as_programs_write_them(
    tmp_path: Path, changes: dict[str, str], expected: Parameters
) -> None:
    row = ROW | changes
    assert read_parameters(written(tmp_path / "parameters.csv", [row.values()], row), CHANNELS) == expected


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("image_axis", "3"),
        ("channels", "flair pet"),
        ("channels", "9"),
        ("img_shape", "240"),
        ("train_size", "0"),
        ("train_size", "many"),
        ("validation_ratio", "-0.5"),
        ("validation_ratio", "1e9"),
        ("validation_ratio", "1e999"),
        ("train_size", "1000000001"),
        ("validation_ratio", "nan"),
    ],
)
def test_values_that_are_none_are_refused_with_their_column(tmp_path: Path, column: str, value: str) -> None:
    row = ROW | {column: value}
    path = written(tmp_path / "parameters.csv", [row.values()], row)
    with pytest.raises(DataError, match=f"parameters.csv has something else as {column}; expected"):
        read_parameters(path, CHANNELS)


def test_a_table_of_other_columns_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected one row of image_axis, channels"):
        read_parameters(written(tmp_path / "parameters.csv", [("2",)], ("image_axis",)), CHANNELS)
