"""Artifacts of a tracking database that was moved with its folder lie beside it again."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pytest

from medseg.tracking.mlflow.moved import follow
from medseg.tracking.mlflow.recorder import MlflowRecorder
from medseg.tracking.mlflow.store import existing_run, experiment_id, open_store


def address(folder: Path) -> str:
    return f"sqlite:///{(folder / 'mlflow.db').as_posix()}"


@pytest.fixture
def tracked(tmp_path: Path, empty_tracking: Path) -> tuple[Path, str, str]:
    """A working folder with a run that has an artifact, and a model."""
    home = tmp_path / "first ü"
    home.mkdir()
    shutil.copyfile(empty_tracking, home / "mlflow.db")
    with open_store(address(home)) as client:
        run = client.create_run(experiment_id(client, address(home), "tests"))
        client.log_text(run.info.run_id, "x", "a.txt")
        model = client.create_logged_model(run.info.experiment_id, name="m", source_run_id=run.info.run_id)
    return home, run.info.run_id, model.model_id


def places(client: Any, run_id: str, model_id: str) -> list[str]:
    experiment = client.get_experiment_by_name("tests").artifact_location
    return [
        experiment,
        client.get_run(run_id).info.artifact_uri,
        client.get_logged_model(model_id).artifact_location,
    ]


def read(client: Any, run_id: str, name: str, below: Path) -> str:
    into = below / "fetched"
    into.mkdir(exist_ok=True)
    return Path(client.download_artifacts(run_id, name, str(into))).read_text()


def test_a_moved_database_reads_and_writes_beside_itself(
    tracked: tuple[Path, str, str], tmp_path: Path
) -> None:
    home, run_id, model_id = tracked
    moved = tmp_path / "second"
    home.rename(moved)

    with open_store(address(moved)) as client:
        beside = (moved / "mlartifacts").as_uri()
        assert all(place.startswith(beside) for place in places(client, run_id, model_id))
        new = client.create_run(
            client.get_experiment_by_name("tests").experiment_id
        )  # MLflow remembers the other's
        client.log_text(new.info.run_id, "y", "b.txt")
        assert Path(url2pathname(urlsplit(client.get_run(run_id).info.artifact_uri).path), "a.txt").is_file()
    assert len(list(moved.rglob("b.txt"))) == 1
    assert not home.exists()


def test_what_is_written_after_a_move_lies_beside_the_database_whatever_lies_where_it_was(
    tracked: tuple[Path, str, str], tmp_path: Path, empty_tracking: Path
) -> None:
    home, run_id, model_id = tracked
    moved = tmp_path / "second"
    home.rename(moved)
    (home / "mlartifacts" / "0").mkdir(parents=True)
    shutil.copyfile(empty_tracking, home / "mlflow.db")
    others = sorted(home.rglob("*")), (home / "mlflow.db").read_bytes()

    with open_store(address(moved)) as client:
        beside = (moved / "mlartifacts").as_uri()
        assert all(place.startswith(beside) for place in places(client, run_id, model_id))
        new = client.create_run(client.get_experiment_by_name("tests").experiment_id)
        client.log_text(new.info.run_id, "y", "b.txt")
    assert len(list(moved.rglob("b.txt"))) == 1
    assert others == (sorted(home.rglob("*")), (home / "mlflow.db").read_bytes())


def test_a_copy_of_a_whole_folder_has_files_of_its_own(
    tracked: tuple[Path, str, str], tmp_path: Path
) -> None:
    home, run_id, model_id = tracked
    copy = tmp_path / "copy"
    shutil.copytree(home, copy)
    with open_store(address(home)) as client:
        before = places(client, run_id, model_id)

    with open_store(address(copy)) as client:
        beside = (copy / "mlartifacts").as_uri()
        assert places(client, run_id, model_id)[:2] == [beside, f"{beside}/{run_id}/artifacts"]
        assert read(client, run_id, "a.txt", tmp_path) == "x"
        new = client.create_run(client.get_experiment_by_name("tests").experiment_id)
        client.log_text(new.info.run_id, "y", "b.txt")
    assert [path.is_relative_to(copy) for path in tmp_path.rglob("b.txt")] == [True]
    with open_store(address(home)) as client:
        assert places(client, run_id, model_id) == before


def test_earlier_runs_of_a_database_that_was_copied_alone_stay_readable(
    tracked: tuple[Path, str, str], tmp_path: Path
) -> None:
    home, run_id, _ = tracked
    copy = tmp_path / "copy"
    copy.mkdir()
    shutil.copyfile(home / "mlflow.db", copy / "mlflow.db")

    with open_store(address(copy)) as client:
        assert read(client, run_id, "a.txt", tmp_path) == "x"
        experiment = client.get_experiment_by_name("tests")
        assert experiment.artifact_location == (copy / "mlartifacts").as_uri()
    (copy / "run").mkdir()
    said: list[str] = []
    MlflowRecorder.resume(address(copy), run_id, copy / "run", say=said.append, system=False).close("KILLED")
    assert f"beside its earlier ones, at {home.as_uri()}/mlartifacts" in said[0]


@pytest.mark.skipif(os.name != "posix", reason="links need a right of their own there")
@pytest.mark.parametrize("linked", ["folder", "file"])
def test_a_database_that_is_reached_through_a_link_has_not_moved(
    linked: str, tracked: tuple[Path, str, str], tmp_path: Path
) -> None:
    home, run_id, model_id = tracked
    link = tmp_path / "link"
    if linked == "folder":
        link.symlink_to(home)
    else:
        link.mkdir()
        (link / "mlflow.db").symlink_to(home / "mlflow.db")
    with open_store(address(home)) as client:
        before = places(client, run_id, model_id)

    with open_store(address(link)) as client:
        assert places(client, run_id, model_id) == before
        assert existing_run(client, run_id)


def test_a_store_whose_files_a_server_was_told_to_keep_elsewhere_is_left_alone(
    tmp_path: Path, empty_tracking: Path
) -> None:
    shutil.copyfile(empty_tracking, tmp_path / "mlflow.db")
    root = tmp_path / "share" / "mlartifacts"
    root.mkdir(parents=True)
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database, database:
        database.execute("UPDATE experiments SET artifact_location = ?", (f"{root.as_uri()}/0",))

    follow(address(tmp_path))

    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database:
        (kept,) = database.execute("SELECT artifact_location FROM experiments").fetchone()
    assert kept == f"{root.as_uri()}/0"


def test_a_folder_of_artifacts_that_somebody_chose_is_left_alone(
    tmp_path: Path, empty_tracking: Path
) -> None:
    shutil.copyfile(empty_tracking, tmp_path / "mlflow.db")
    chosen = tmp_path / "share" / "mlartifacts"
    chosen.mkdir(parents=True)
    with open_store(address(tmp_path)) as client:
        made = client.create_experiment("mine", artifact_location=chosen.as_uri())

    with open_store(address(tmp_path)) as client:
        assert client.get_experiment(made).artifact_location == chosen.as_uri()


@pytest.mark.parametrize("place", [b"f", 5, "file://[x/mlartifacts/1"])
def test_whatever_stands_in_a_database_its_places_are_left_as_they_are(
    place: object, tmp_path: Path, empty_tracking: Path
) -> None:
    path = tmp_path / "mlflow.db"
    shutil.copyfile(empty_tracking, path)
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE experiments SET artifact_location = ?", (place,))
        (kept,) = database.execute("SELECT artifact_location FROM experiments").fetchone()

    follow(address(tmp_path))

    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT artifact_location FROM experiments").fetchone() == (kept,)
