"""The tracking database is there whole or not at all, however the process that makes it ends."""

from __future__ import annotations

import os
import shutil
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from medseg.errors import TrackingError
from medseg.tracking.mlflow.address import reach
from medseg.tracking.mlflow.database import make_database
from medseg.tracking.mlflow.store import open_store

HALF = (
    "CREATE TABLE experiments (experiment_id)",
    "CREATE TABLE runs (a)",
    "CREATE TABLE _alembic_tmp_runs (a)",
)
OLD = ("CREATE TABLE alembic_version (version_num)", "INSERT INTO alembic_version VALUES ('451aebb31d03')")


def address(path: Path) -> str:
    return f"sqlite:///{path.as_posix()}"


def half_made(path: Path, *statements: str) -> Path:
    with closing(sqlite3.connect(path)) as made, made:
        for statement in statements:
            made.execute(statement)
    os.utime(path, (1, 1))
    return path


def usable(path: Path) -> bool:
    with open_store(address(path)) as client:
        return [each.name for each in client.search_experiments()] == ["Default"]


@pytest.fixture
def quickly_made(monkeypatch: pytest.MonkeyPatch, empty_tracking: Path) -> list[Path]:
    """MLflow's ten seconds of migrations are spared: the tables come from a copy."""
    made: list[Path] = []

    def create(path: Path, _home: Path) -> None:
        made.append(path)
        time.sleep(0.05)
        shutil.copyfile(empty_tracking, path)

    monkeypatch.setattr("medseg.tracking.mlflow.database._create", create)
    return made


@pytest.mark.parametrize(
    "left", [HALF, HALF[:2], (*HALF, *OLD), (*HALF[:2], *OLD), OLD[:1], (*HALF[:2], *OLD[:1]), ()]
)
def test_a_database_that_was_left_half_made_is_made_anew(
    left: tuple[str, ...], tmp_path: Path, quickly_made: list[Path]
) -> None:
    path = half_made(tmp_path / "mlflow.db", *left)
    (tmp_path / "mlflow.db-journal").write_bytes(b"left by the same kill")

    make_database(address(path))

    assert usable(path)
    assert [each.name for each in tmp_path.iterdir()] == ["mlflow.db"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_what_ends_its_making_leaves_nothing(
    error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(path: Path, _home: Path) -> None:
        half_made(path, *HALF)
        raise error

    monkeypatch.setattr("medseg.tracking.mlflow.database._create", half)
    with pytest.raises((TrackingError, KeyboardInterrupt)), open_store(address(tmp_path / "mlflow.db")):
        pass

    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_of_it_is_cleared_although_a_later_one_has_made_it(
    tmp_path: Path, empty_tracking: Path
) -> None:
    path = tmp_path / "mlflow.db"
    shutil.copyfile(empty_tracking, path)
    left = tmp_path / ".mlflow.db.abcdefgh.part"
    left.mkdir()
    (left / ".writing").touch()
    half_made(left / "mlflow.db", *HALF)
    os.utime(left, (1, 1))

    make_database(address(path))

    assert [each.name for each in tmp_path.iterdir()] == ["mlflow.db"]


def test_of_processes_that_need_it_at_once_one_makes_it(tmp_path: Path, quickly_made: list[Path]) -> None:
    path = tmp_path / "mlflow.db"
    threads = [threading.Thread(target=make_database, args=(address(path),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(quickly_made) == 1
    assert quickly_made[0] != path
    assert [each.name for each in tmp_path.iterdir()] == ["mlflow.db"]


def test_a_half_made_one_that_holds_runs_is_left_alone_and_its_remedy_works(
    tmp_path: Path, quickly_made: list[Path]
) -> None:
    path = half_made(tmp_path / "mlflow.db", *HALF, *OLD, "INSERT INTO runs VALUES (1)")

    with pytest.raises(TrackingError, match=r"holds 1 runs.*Move it"):
        make_database(address(path))
    assert quickly_made == []

    path.rename(tmp_path / "elsewhere.db")
    make_database(address(path))
    assert usable(path)


def test_one_of_another_version_that_holds_an_experiment_is_left_alone(
    tmp_path: Path, empty_tracking: Path, quickly_made: list[Path]
) -> None:
    path = tmp_path / "mlflow.db"
    shutil.copyfile(empty_tracking, path)
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE alembic_version SET version_num = 'zzzz'")
        database.execute("INSERT INTO experiments (name) VALUES ('mine')")

    make_database(address(path), still=0.01)
    assert quickly_made == []


def test_of_a_link_the_database_is_made_where_it_leads(tmp_path: Path, quickly_made: list[Path]) -> None:
    (tmp_path / "big").mkdir()
    (tmp_path / "mlflow.db").symlink_to(tmp_path / "big" / "mlflow.db")
    make_database(address(tmp_path / "mlflow.db"))
    assert (tmp_path / "mlflow.db").is_symlink()
    assert usable(tmp_path / "big" / "mlflow.db")


def test_one_that_somebody_is_making_is_waited_for(
    tmp_path: Path, empty_tracking: Path, quickly_made: list[Path]
) -> None:
    path = half_made(tmp_path / "mlflow.db", *HALF[:2])
    os.utime(path)
    ready = threading.Timer(0.2, lambda: shutil.copyfile(empty_tracking, path))
    ready.start()
    make_database(address(path), still=0.6)
    ready.join()

    assert quickly_made == []
    assert usable(path)


def test_a_usable_one_and_what_is_none_are_left_alone(tmp_path: Path, empty_tracking: Path) -> None:
    whole, other, text = tmp_path / "whole.db", tmp_path / "other.db", tmp_path / "text.db"
    shutil.copyfile(empty_tracking, whole)
    half_made(other, "CREATE TABLE patients (a)")
    text.write_text("no database at all")
    before = [path.read_bytes() for path in (whole, other, text)]

    for path in (whole, other, text):
        make_database(address(path))

    assert [path.read_bytes() for path in (whole, other, text)] == before


def test_to_ask_whether_a_place_can_be_written_never_touches_the_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "mlflow.db"
    before = Path.exists

    def made_just_now(asked: Path, **rest: Any) -> bool:
        there = before(asked, **rest)
        if asked == path:
            path.write_bytes(b"SQLite format 3\x00 of another process")
        return there

    monkeypatch.setattr(Path, "exists", made_just_now)
    reach(address(path))

    assert path.read_bytes().endswith(b"of another process")


def test_a_lock_that_cannot_be_had_is_named_with_what_to_do(tmp_path: Path, quickly_made: list[Path]) -> None:
    outside, lock = tmp_path / "outside", tmp_path / ".mlflow.db.lock"
    outside.write_text("of somebody else", encoding="utf-8")
    lock.symlink_to(outside)
    with pytest.raises(
        TrackingError,
        match=r"mlflow\.db cannot be made: the lock file \.mlflow\.db\.lock is a link.*Remove the link",
    ):
        usable(tmp_path / "mlflow.db")
    assert outside.read_text(encoding="utf-8") == "of somebody else"
    assert not quickly_made

    lock.unlink()
    assert usable(tmp_path / "mlflow.db")


def test_a_database_that_was_cut_off_is_told_with_what_is_lost_if_it_is_moved_away(
    tmp_path: Path, empty_tracking: Path
) -> None:
    (tmp_path / "mlflow.db").write_bytes(empty_tracking.read_bytes()[:200_000])

    with (
        pytest.raises(TrackingError, match=r"malformed.*move it to another folder.*registered models"),
        open_store(f"sqlite:///{(tmp_path / 'mlflow.db').as_posix()}"),
    ):
        pass
