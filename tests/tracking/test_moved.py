"""Artifacts of a tracking database that was moved with its folder lie beside it again."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pytest

from medseg.tracking.mlflow.moved import follow
from medseg.tracking.mlflow.store import experiment_id, open_store


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


def test_a_copied_database_leaves_the_artifacts_to_the_first(
    tracked: tuple[Path, str, str], tmp_path: Path
) -> None:
    home, run_id, model_id = tracked
    shutil.copytree(home, tmp_path / "copy")
    with open_store(address(home)) as client:
        before = places(client, run_id, model_id)

    with open_store(address(tmp_path / "copy")) as client:
        assert places(client, run_id, model_id) == before


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
