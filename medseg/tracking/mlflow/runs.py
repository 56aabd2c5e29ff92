"""Finds runs on a tracking store, and what they left."""

# ruff: noqa: PLC0415 - mlflow takes 2 s to import, and must find its telemetry switched off
from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from medseg.errors import MedsegError, RunError
from medseg.files.inside import own_place
from medseg.places import written_whole
from medseg.tracking.mlflow.address import is_of_store, sqlite_path
from medseg.tracking.mlflow.model import models_of
from medseg.tracking.mlflow.recorder import RUN_TAG, SOURCE
from medseg.tracking.mlflow.store import existing_run, open_store

LATEST = "latest"
GATHERS = "medseg.gathers"
"""Tag of a run that gathers the scores of others: how many."""
LEARNED_FROM = ("split.json", "slices.csv")
"""Artifacts of a run that hold its cases and their roles, by public names."""
_SHOWN = 10


def find_run(uri: str, text: str) -> str:
    """Return the id of the run that `text` names.

    Args:
        uri: Address of the tracking store.
        text: A run id, a unique prefix of one, a run's name or that of its folder, or `latest` for the one started
            last, among the runs that medseg tracked.

    Raises:
        RunError: None or several fit; the message lists candidates.
        TrackingError: The store does not answer.
    """
    path = sqlite_path(uri)
    if path is not None and not path.exists():  # to look must not make an empty store
        raise RunError(
            f"No run {text!r}: nothing has been tracked here yet. Start one: medseg pipeline run NAME"
        )
    with open_store(uri) as client:
        runs = list(_tracked(client))
    if text == LATEST and runs:
        return str(runs[0].info.run_id)
    fitting = (
        [run for run in runs if run.info.run_id == text]
        or [run for run in runs if text in (run.info.run_name, run.data.tags.get(RUN_TAG))]
        or [run for run in runs if text and run.info.run_id.startswith(text)]
    )
    if len(fitting) == 1:
        return str(fitting[0].info.run_id)
    if fitting:
        raise RunError(f"{text!r} names {len(fitting)} runs: {_listed(fitting)}. Give more of the id.")
    raise RunError(f"No run {text!r}. Latest runs: {_listed(runs) or 'none'}. Give an id or a name of these.")


def run_folder_of(uri: str, run_id: str, below: Path | None = None) -> Path | None:
    """Return the folder of a run on this machine, None if it is not here.

    The store knows the folder's name alone, so it is looked for below the working folder.

    Args:
        uri: Address of the tracking store.
        run_id: The run.
        below: Folder of run folders; by default `./medseg-runs`.

    Raises:
        RunError: The store has no such run.
        TrackingError: The store does not answer.
    """
    with open_store(uri) as client:
        name = existing_run(client, run_id).data.tags.get(RUN_TAG, "")
    if (
        name in {"", ".", ".."} or Path(name).name != name
    ):  # a tag is anyone's to write: never a way out of the folder
        return None
    folder = (below or Path("medseg-runs")) / name
    return folder if folder.is_dir() else None


def may_hold_run(database: Path, names: Sequence[str]) -> bool:
    """Whether a database in a file has a run that was made for a folder of one of these names, or is damaged.

    A damaged one may have it, so that no other takes its place; whoever opens it says that it is damaged.
    """
    if database.stat().st_size == 0:  # SQLite calls that a database without tables
        return True
    given = ", ".join("?" * len(names))
    try:
        with closing(
            sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", timeout=30, uri=True)
        ) as found:
            asked = f"SELECT 1 FROM tags WHERE key = ? AND value IN ({given})"  # noqa: S608 - question marks
            return found.execute(asked, (RUN_TAG, *names)).fetchone() is not None
    except sqlite3.OperationalError:  # such as: it has no tables yet
        return False
    except sqlite3.DatabaseError:
        return True


def fetch_model(uri: str, run_id: str, below: Path) -> Path:
    """Fetch the saved `Predictor` folder of a run, unless what the store has now was fetched before.

    Beside it lies what the run logged of the cases that it learned from: `split.json`, `slices.csv`, `tags.json`.

    Args:
        uri: Address of the tracking store.
        run_id: The run.
        below: Where fetched models are kept, each whole or not at all, by the id of the logged model.

    Returns:
        The folder of the predictor.

    Raises:
        RunError: The store has no such run, or the run has no model yet.
        TrackingError: The store does not answer.
    """
    with open_store(uri) as client:
        run = existing_run(client, run_id)
        models = models_of(client, run_id, run.info.experiment_id)
        if not models:
            raise RunError(
                f"Run {run_id} has no model: it ended before one was saved. Where its folder is, see how to finish "
                f"it, or whether its training diverged: medseg runs show {run_id}"
            )
        place, into = models[0].artifact_location, own_place(below, models[0].model_id)
        if not is_of_store(place, uri):
            raise RunError(
                f"the tracking store says that the model of run {run_id} lies outside of it, at a place that you did "
                "not name. Give the model's folder itself."
            )
        if not into.is_dir():
            _fetch(client, run, place, into)
    return into / "model"


def _fetch(client: Any, run: Any, place: str, into: Path) -> None:
    from mlflow.artifacts import download_artifacts

    with written_whole(into) as target:
        beside = target.with_name(f"{target.name}.fetched")  # cleared with the rest if this process is killed
        beside.mkdir()
        # By its place: MLflow looks `models:/<id>` up in the default store, whatever address it is given.
        fetched = download_artifacts(
            artifact_uri=place, dst_path=str(beside), tracking_uri=client.tracking_uri
        )
        shutil.copytree(_predictor_folder(Path(fetched)), target / "model")
        for each in client.list_artifacts(run.info.run_id):
            if each.path in LEARNED_FROM and not each.is_dir:
                client.download_artifacts(run.info.run_id, each.path, str(target))
        (target / "tags.json").write_text(json.dumps(run.data.tags), encoding="utf-8")


def mark_killed(uri: str, run_id: str) -> bool:
    """Mark a run KILLED whose process is gone, if the store still thinks that it is RUNNING.

    Args:
        uri: Address of the tracking store.
        run_id: The run.

    Returns:
        Whether the run was marked; False also if the store does not answer or has no such run.
    """
    path = sqlite_path(uri)
    if path is not None and not path.exists():
        return False
    try:
        with open_store(uri) as client:
            if existing_run(client, run_id).info.status != "RUNNING":
                return False
            client.set_terminated(run_id, status="KILLED")
    except MedsegError:
        return False
    return True


def put_below(uri: str, parent: str, children: Sequence[str]) -> None:
    """Show runs below another, which gathers their scores and has no model of its own.

    Raises:
        TrackingError: The store does not answer.
    """
    with open_store(uri) as client:
        client.set_tag(parent, GATHERS, str(len(children)))
        for child in children:
            client.set_tag(child, "mlflow.parentRunId", parent)


def _tracked(client: Any) -> Iterator[Any]:
    """Runs that medseg tracked, the latest first; not those that only gather the scores of others."""
    for run in _runs(client):
        if GATHERS not in run.data.tags:
            yield run


def _runs(client: Any) -> Iterator[Any]:
    experiments = [
        one.experiment_id for one in _pages(lambda token: client.search_experiments(page_token=token))
    ]
    if experiments:
        yield from _pages(
            lambda token: client.search_runs(
                experiments,
                filter_string=f"tags.mlflow.source.name = '{SOURCE}'",
                order_by=["attributes.start_time DESC"],
                page_token=token,
            )
        )


def _pages(fetch: Any) -> Iterator[Any]:
    token = None
    while True:
        page = fetch(token)
        yield from page
        token = page.token
        if not token:
            return


def _listed(runs: Sequence[Any]) -> str:
    shown = [f"{run.info.run_id[:8]} ({run.info.run_name}, {run.info.status})" for run in runs[:_SHOWN]]
    return ", ".join(shown) + (f" and {len(runs) - _SHOWN} more" if len(runs) > _SHOWN else "")


def _predictor_folder(model: Path) -> Path:
    from mlflow.exceptions import MlflowException
    from mlflow.models import Model

    try:
        artifacts = Model.load(str(model)).flavors["python_function"]["artifacts"]
        folder = (model / artifacts["predictor"]["path"]).resolve()
    except (MlflowException, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(
            "the run's model is none that medseg logged: its MLmodel names no predictor."
        ) from error
    # Whoever may write to the store wrote this path: never a way out of what was fetched.
    inside = folder.is_relative_to(model.resolve()) and folder != model.resolve()
    if not inside or any(path.is_symlink() for path in (folder, *folder.rglob("*"))):
        raise RunError("the run's model points out of its own folder: it is not as medseg logged it.")
    if not folder.is_dir():
        raise RunError("the run's model is not whole: the folder of its predictor is missing.")
    return folder
