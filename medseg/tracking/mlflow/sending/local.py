"""Files that MLflow puts into a folder of this machine: it copies and renames them, and never flushes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from medseg.files.durable import flush, flush_folder
from medseg.tracking.mlflow.address import is_database

_FOLDER = "mlartifacts"


def flush_artifact(client: Any, run_id: str, below: str) -> None:
    """Send an artifact that was logged to a local store to the disk: after a power cut nobody would send it again.

    Args:
        client: An `MlflowClient`; a server is not asked, for it has files on a disk of its own.
        run_id: The run.
        below: Its place among the artifacts of the run, a file or a folder.

    Raises:
        OSError: The disk does not take it.
    """
    if is_database(client.tracking_uri):
        flush_place(client.get_run(run_id).info.artifact_uri, below)


def flush_place(address: str, below: str = "") -> None:
    """Send to the disk what lies at an address, and the names of the folders that lead there.

    Args:
        address: Of artifacts; of another place than a folder of this machine nothing is done.
        below: What of it, all by default.

    Raises:
        OSError: The disk does not take it.
    """
    parts = urlsplit(address)
    if parts.scheme not in ("", "file"):
        return
    root = Path(url2pathname(parts.path))
    made = root / below
    if not made.exists():  # a folder without files
        return
    flush(made)
    last = next((each.parent for each in made.parents if each.name == _FOLDER), root)
    for folder in made.parents:
        flush_folder(folder)
        if folder == last:
            return
