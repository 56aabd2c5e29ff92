"""A DICOMDIR as pydicom writes it: what it lists of each series, and what of that is not there."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.fileset import FileSet

from medseg.errors import DataError
from medseg.images.dicom.series.directory import missing, of_disc
from medseg.testing.series import uid_of, write_series

SERIES = {"a": 4, "b": 3}
FIRST = "OffsetOfTheFirstDirectoryRecordOfTheRootDirectoryEntity"


@pytest.fixture
def disc(tmp_path: Path) -> Path:
    """A disc with two series of a study."""
    study = {
        "StudyInstanceUID": uid_of("study"),
        "StudyID": "1",
        "StudyDate": "20200101",
        "StudyTime": "101500",
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom leaves its temporary folders to be cleaned up
        _write(tmp_path, study)
        gc.collect()
    return tmp_path / "disc"


def _write(place: Path, study: dict[str, str]) -> None:
    files = FileSet()
    for number, (name, count) in enumerate(SERIES.items()):
        own = {"SeriesInstanceUID": uid_of(name), "SeriesNumber": number, "SeriesDescription": name}
        for path in write_series(place / name, np.zeros((count, 8, 8), np.uint16), **own, **study):
            files.add(path)
    files.write(place / "disc")


def names(disc: Path) -> dict[str, list[str]]:
    """Files of each series by their names below the disc."""
    found: dict[str, list[str]] = {}
    for path in sorted(path for path in disc.rglob("*") if path.is_file() and path.name != "DICOMDIR"):
        found.setdefault(str(dcmread(path).SeriesInstanceUID), []).append(path.relative_to(disc).as_posix())
    return found


def of(disc: Path, there: list[str], name: str = "DICOMDIR") -> dict[str, tuple[int, int]]:
    return missing(disc / "DICOMDIR", name, there)


def test_of_a_whole_disc_nothing_is_missing(disc: Path) -> None:
    every = [name for found in names(disc).values() for name in found]

    assert len(every) == sum(SERIES.values())
    assert of(disc, every) == {}


def test_of_a_series_that_is_there_in_part_the_rest_is_missing(disc: Path) -> None:
    found = names(disc)
    first = found[uid_of("a")][:-1]

    assert of(disc, [*first, *found[uid_of("b")]]) == {uid_of("a"): (1, 4)}


def test_a_series_that_was_left_out_as_a_whole_is_not_missing(disc: Path) -> None:
    assert of(disc, names(disc)[uid_of("b")]) == {}


@pytest.mark.parametrize("change", [str.lower, "{};1".format, "{}.".format, "{}.dcm".format])
def test_names_that_a_system_changed_are_those_of_the_directory(
    disc: Path, change: Callable[[str], str]
) -> None:
    assert of(disc, [change(name) for found in names(disc).values() for name in found]) == {}


def test_names_are_below_the_directory(disc: Path) -> None:
    found = [f"cd/{name}" for name in names(disc)[uid_of("a")][1:]]

    assert of(disc, found, "cd/DICOMDIR") == {uid_of("a"): (1, 4)}
    assert of(disc, found, "DICOMDIR") == {}


def test_records_that_lead_back_end(disc: Path) -> None:
    data = dcmread(disc / "DICOMDIR")
    for record in data.DirectoryRecordSequence:
        record.OffsetOfTheNextDirectoryRecord = data[FIRST].value
    data.save_as(disc / "DICOMDIR")

    assert of(disc, ["elsewhere"]) == {}


@pytest.mark.parametrize(
    "keyword", ["DirectoryRecordSequence", "OffsetOfTheFirstDirectoryRecordOfTheRootDirectoryEntity"]
)
def test_a_damaged_directory_is_refused(disc: Path, keyword: str) -> None:
    data = dcmread(disc / "DICOMDIR")
    del data[keyword]
    data.save_as(disc / "DICOMDIR")

    with pytest.raises(DataError, match="DICOMDIR is damaged"):
        of(disc, ["elsewhere"])


def test_a_directory_that_is_given_stands_for_its_folder(disc: Path) -> None:
    assert of_disc(disc / "DICOMDIR") == disc
    assert of_disc(disc) == disc
    assert of_disc(disc / "other") == disc / "other"
