"""Fetches what a tracking server has of a run whose folder is not on this machine."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medseg.errors import RunError
from medseg.places import cache_folder
from medseg.tracking.mlflow.recorder import RUN_TAG
from medseg.tracking.mlflow.runs import fetch_model, find_run
from medseg.tracking.mlflow.store import existing_run, open_store

_DECLARED = ("definition.yaml", "split.json")
_SCORES = "scores"
#: Tables of scores that a run writes; what else whoever may write to the store has put there is not fetched.
_TABLE = re.compile(rf"{_SCORES}/[A-Za-z0-9][A-Za-z0-9_.-]{{0,99}}\.csv")
_MOST_TABLES = 100
_LARGEST = 1 << 28
"""Bytes of one such file."""


@dataclass(frozen=True)
class Fetched:
    """A run as a tracking server has it.

    Attributes:
        name: That of its folder.
        folder: Holds `definition.yaml`, `split.json`, `model/` and `scores/`.
        tags: What it says of itself.
        roles: Its `split.json`, where it stays: a run that takes its roles from there can go on.
    """

    name: str
    folder: Path
    tags: dict[str, str]
    roles: Path


def fetch_kept(uri: str, text: str, below: Path) -> Fetched:
    """Fetch definition, roles, model and tables of scores of a finished run.

    Args:
        uri: Address of the tracking store.
        text: Id, name or `latest`, as of `find_run`.
        below: Takes a folder of it.

    Raises:
        RunError: There is no such run, it is not finished, or the store lacks what medseg logs of
            each, or has damaged tables.
        TrackingError: The store does not answer.
    """
    run_id = find_run(uri, text)
    with open_store(uri) as client:
        run = existing_run(client, run_id)
        tags = dict(run.data.tags)
        name = tags.get(RUN_TAG, "")
        name = name if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,199}", name) else run_id
        if run.info.status != "FINISHED":
            raise RunError(
                f"the run {name} is not finished ({run.info.status}), so that there is nothing to compare with."
            )
        folder = below / name
        (folder / _SCORES).mkdir(parents=True)
        for path in _wanted(client, run_id):
            client.download_artifacts(run_id, path, str((folder / path).parent))
    lacking = [each for each in _DECLARED if not (folder / each).is_file()]
    if lacking:
        raise RunError(f"the tracking server has no {' and no '.join(lacking)} of the run {name}.")
    tables = sorted((folder / _SCORES).glob("*.csv"))
    if not tables:
        raise RunError(
            f"the tracking server has no tables of scores of the run {name}: there is nothing to compare with."
        )
    for table in tables:
        _refuse_damaged(table, name)
    model = fetch_model(uri, run_id, cache_folder() / "models")
    shutil.copytree(model, folder / "model")
    return Fetched(name, folder, tags, model.with_name("split.json"))


def _refuse_damaged(table: Path, name: str) -> None:
    from medseg.learning.scores.tables import read_scores  # noqa: PLC0415 - pandas

    try:
        read_scores(table)
    except (RunError, OSError, ValueError) as error:
        raise RunError(
            f"{table.name} of the run {name} is damaged on the tracking server: it is no table."
        ) from error


def _wanted(client: Any, run_id: str) -> Iterator[str]:
    """Paths of the artifacts that are fetched."""
    listed = [each for each in client.list_artifacts(run_id) if each.path in _DECLARED]
    tables = [each for each in client.list_artifacts(run_id, _SCORES) if _TABLE.fullmatch(each.path)]
    for each in [*listed, *tables[:_MOST_TABLES]]:
        if not each.is_dir:
            if (each.file_size or 0) > _LARGEST:
                raise RunError(f"{each.path} of the run is larger than any that medseg logs.")
            yield str(each.path)
