"""Runs of a working folder are found by name, by id, and as the latest."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from medseg.api.finding import find_run_folder, own_address, unfinished
from medseg.errors import DefinitionError, RunError
from medseg.pipeline.folder import RUNS, RunFolder, State
from medseg.pipeline.options import RunOptions
from medseg.pipeline.process import this_process
from medseg.pipeline.study.part import Part

OPTIONS = RunOptions.of(device="cpu")


def made(name: str, *holding: str, touched: float = 2_000_000_000, **changes: object) -> Path:
    """A run of that name, written at that time, with these folders."""
    folder = RunFolder(RUNS / name)
    for each in ("", *holding):
        (folder.path / each).mkdir(parents=True, exist_ok=True)
    state = State(name, name.rsplit("-", 3)[0], "/data", OPTIONS, status="FINISHED")
    folder.write(replace(state, **changes))  # type: ignore[arg-type]
    os.utime(folder.path / "run.json", (touched, touched))
    return folder.path


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    "names",
    [
        ["zebra-20260101-120000-aaaa", "acdc-20260102-110000-0000"],
        ["acdc-20260101-120000-ffff", "zebra-20260102-110000-0000"],
        ["zebra-20260102-110000-ffff", "acdc-20260102-120000-0000"],
        ["emps-two-stages-20260101-120000-aaaa", "emps-20260102-110000-0000"],
        ["a-20260101-120000-aaaa", "9-9-9-9-20260101-120001-0000"],
    ],
    ids=["other day", "other day too", "other hour", "dashes before", "dashes after"],
)
@pytest.mark.parametrize("touched", [1, -1], ids=["written last", "written first"])
def test_the_latest_of_several_pipelines_is_the_one_begun_last_whatever_its_name(
    names: list[str], touched: int
) -> None:
    """Nor does it matter which was written to last: an older run may have been resumed or marked since."""
    for place, name in enumerate(names):
        made(name, touched=1_800_000_000 + touched * place)

    assert find_run_folder("latest").path.name == names[-1]


def test_the_latest_model_is_that_of_the_latest_run_that_has_one() -> None:
    made("acdc-20260101-120000-aaaa", "model")
    made("zebra-20260102-120000-aaaa", "model")
    made("brats2d-20260103-120000-aaaa")

    assert find_run_folder("latest", holding="model").path.name.startswith("zebra")
    assert find_run_folder("latest").path.name.startswith("brats2d")


def test_a_run_that_failed_before_it_began_is_not_the_latest() -> None:
    began = made("acdc-20260101-120000-aaaa", status="FAILED", tracked="0123abcd")
    made("acdc-20260102-120000-aaaa", status="FAILED")  # as earlier versions left where a login was refused

    assert find_run_folder("latest").path == began
    assert find_run_folder("acdc-20260102").path.name == "acdc-20260102-120000-aaaa"


def test_there_is_no_latest_model_before_one_was_saved() -> None:
    made("acdc-20260101-120000-aaaa")

    with pytest.raises(RunError, match=r"no run of yours.*has a model.*acdc-20260101-120000-aaaa"):
        find_run_folder("latest", holding="model")


def test_a_run_is_found_by_folder_name_id_and_the_begin_of_either() -> None:
    one = made("acdc-20260101-120000-aaaa", tracked="0123abcd")
    other = made("acdc-20260101-120000-aaaa-20260102-120000-bbbb", tracked="0123ffff")

    assert find_run_folder(str(one)).path == one
    assert find_run_folder(str(one.absolute())).path == one.absolute()
    assert find_run_folder(one.name).path == one  # though the other's name begins with it
    assert find_run_folder("0123abcd").path == one
    assert find_run_folder("0123f").path == other
    assert find_run_folder("acdc-20260101-120000-aaaa-").path == other
    for unknown in ("", "0", "brats"):
        with pytest.raises(RunError, match=r"no run|Give more"):
            find_run_folder(unknown)


def test_the_unfinished_run_is_the_one_of_several_pipelines_that_stopped_last() -> None:
    made("zebra-20260101-120000-aaaa", status="KILLED", touched=1_800_000_001)
    stopped = made("acdc-20260102-120000-aaaa", status="FAILED", touched=1_800_000_002)
    made("emps-20260103-120000-aaaa", touched=1_800_000_003)
    made("nuclei-20260104-120000-aaaa", status="RUNNING", process=this_process(), touched=1_800_000_004)
    away = {**this_process(), "host": "another machine"}
    elsewhere = made("b-20260104-120000-aaaa", status="RUNNING", process=away, touched=1_800_000_005)

    assert unfinished().path == stopped
    assert unfinished(take_over=True).path == elsewhere


def test_without_an_unfinished_run_it_says_so() -> None:
    made("acdc-20260101-120000-aaaa")

    with pytest.raises(RunError, match="no unfinished run"):
        unfinished()


def test_a_run_is_found_by_the_name_that_a_tracker_shows() -> None:
    made("acdc-20260103-110522-0000", options=RunOptions.of(device="cpu", run_name="wider crop"))
    made("acdc-20260102-110522-00ff", part_of=Part("acdc-folds-x", 2))

    assert find_run_folder("wider crop").path.name == "acdc-20260103-110522-0000"
    assert find_run_folder("0102-1105-00ff-fold2").path.name == "acdc-20260102-110522-00ff"
    with pytest.raises(RunError, match="no run 'wider stop'"):
        find_run_folder("wider stop")


def database_of(folder: Path, *runs: str) -> str:
    """A tracking database that has these runs; gives its address."""
    folder.mkdir(exist_ok=True)
    with closing(sqlite3.connect(folder / "mlflow.db")) as database, database:
        database.execute("CREATE TABLE tags (key TEXT, value TEXT, run_uuid TEXT)")
        database.executemany("INSERT INTO tags VALUES ('medseg.run', ?, 'f')", [(run,) for run in runs])
    return f"sqlite:///{(folder / 'mlflow.db').as_posix()}"


@pytest.mark.parametrize(
    ("there", "beside", "expected"),
    [
        (["other"], ["run"], "beside"),  # the folder was moved, and another project is where it was
        (["run"], ["run"], "beside"),  # it was copied
        (["run"], ["other"], "there"),  # the run alone was moved, and its tracking store was not
        (["run"], [], "there"),
        (None, [], "beside"),
        (["run"], None, "there"),
    ],
)
def test_a_run_is_tracked_in_the_database_beside_it_if_that_has_it(
    there: list[str] | None, beside: list[str] | None, expected: str, tmp_path: Path
) -> None:
    folder = tmp_path / "new" / "medseg-runs" / "run"
    places = {"there": tmp_path / "old", "beside": tmp_path / "new"}
    found = {"there": there, "beside": beside}
    uris = {name: database_of(places[name], *runs) for name, runs in found.items() if runs is not None}
    kept = f"sqlite:///{(places['there'] / 'mlflow.db').as_posix()}"

    assert own_address("run", kept, folder, own="mlflow.db", tracked=True) == uris[expected]


@pytest.mark.parametrize("left", [0.0, 0.5, 0.9], ids=["nothing", "half", "all but its end"])
def test_a_damaged_database_of_a_copied_folder_is_not_passed_over_for_the_original(
    left: float, tmp_path: Path
) -> None:
    kept = database_of(tmp_path / "old", *(f"run-{number}" for number in range(2000)))
    copy = Path(shutil.copytree(tmp_path / "old", tmp_path / "new")) / "mlflow.db"
    content = copy.read_bytes()
    copy.write_bytes(content[: int(left * len(content))])

    found = own_address(
        "run-7", kept, tmp_path / "new" / "medseg-runs" / "run-7", own="mlflow.db", tracked=True
    )

    assert found == f"sqlite:///{copy.as_posix()}"


@pytest.mark.parametrize(
    "there",
    [None, [], ["other"], ["run"]],
    ids=["nothing", "an empty one", "another project", "the copied one"],
)
@pytest.mark.parametrize("beside", [None, ["other"]], ids=["none yet", "of a new run"])
@pytest.mark.parametrize("own", ["mlflow.db", "sub/track.db"])
def test_a_run_that_was_stopped_before_it_was_tracked_begins_with_the_database_of_its_folder(
    there: list[str] | None, beside: list[str] | None, own: str, tmp_path: Path
) -> None:
    """Its folder was moved or copied, and whatever lies where it was is left alone."""
    (tmp_path / "old").mkdir()
    if there is not None:
        database_of(tmp_path / "old", *there)
    if beside is not None:
        database_of(tmp_path / "new", *beside)
    kept = f"sqlite:///{(tmp_path / 'old' / own).as_posix()}"

    found = own_address("run", kept, tmp_path / "new" / "medseg-runs" / "run", own=own, tracked=False)

    assert found == f"sqlite:///{(tmp_path / 'new' / own).as_posix()}"


def test_a_run_that_was_to_be_tracked_elsewhere_still_is(tmp_path: Path) -> None:
    shared = database_of(tmp_path / "shared", "other")

    assert (
        own_address("run", shared, tmp_path / "new" / "medseg-runs" / "run", own="", tracked=False) == shared
    )


def test_of_several_runs_one_tells_which_database_has_them(tmp_path: Path) -> None:
    old, new = database_of(tmp_path / "old", "other"), database_of(tmp_path / "new", "trial-1", "trial-2")
    folder = tmp_path / "new" / "medseg-sweeps" / "sweep"

    assert own_address("sweep", old, folder, own="mlflow.db", tracked=True, runs=["trial-2"]) == new
    assert own_address("sweep", old, folder, own="mlflow.db", tracked=True) == old


def test_a_run_that_is_named_by_a_way_back_lies_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = made("brats2d-20260101-000000-aaaa").absolute()
    (tmp_path / "beside").mkdir()
    monkeypatch.chdir(tmp_path / "beside")

    assert find_run_folder(f"../{RUNS}/brats2d-20260101-000000-aaaa").path == place


def test_runs_that_may_be_meant_are_told_with_the_names_that_they_were_given() -> None:
    made("brats2d-20260101-000000-aaaa", options=RunOptions.of(device="cpu", run_name="with flips"))
    made("brats2d-20260101-000001-bbbb")
    with pytest.raises(RunError, match=r"may be .*with flips \(brats2d-20260101-000000-aaaa\)"):
        find_run_folder("brats2d")


def test_no_run_is_named_latest() -> None:
    with pytest.raises(DefinitionError, match="latest stands for the latest run"):
        RunOptions.of(run_name="Latest")
