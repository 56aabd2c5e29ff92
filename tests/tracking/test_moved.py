"""Artifacts of a tracking database that was moved with its folder lie beside it again."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pytest

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
