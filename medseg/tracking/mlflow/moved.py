"""A tracking database in a file that was moved with its folder: MLflow keeps whole paths of artifacts in it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from medseg.tracking.mlflow.address import artifact_location, sqlite_path

_PLACES = {
    "experiments": ("artifact_location",),
    "runs": ("artifact_uri",),
    "logged_models": ("artifact_location",),
    "model_versions": ("source", "storage_location"),
}
_FOLDER = "/mlartifacts"


def follow(uri: str) -> None:
    """Let artifacts of a moved database lie beside it again; of one that has not moved nothing is changed.

    It has moved if the folder of its artifacts is gone, and no database of its name lies beside where that was. One
    that was copied leaves its artifacts to the first, which still needs them; a folder of somebody's choice that is
    there is left alone.

    Args:
        uri: Address of a tracking store; other ones than files know places of their own.

    Raises:
        sqlite3.Error: It cannot be read or written.
    """
    path, now = sqlite_path(uri), artifact_location(uri)
    if path is None or now is None or not path.exists():
        return
    with closing(sqlite3.connect(path, timeout=30)) as database, database:
        for old in _homes(database):
            if old != now and _is_gone(old, path.name):
                _replace(database, old, now)


def _is_gone(address: str, name: str) -> bool:
    try:
        folder = Path(url2pathname(urlsplit(address).path))
        return not folder.exists() and not (folder.parent / name).exists()
    except (ValueError, OSError):  # anybody may have written it
        return False


def _homes(database: sqlite3.Connection) -> set[str]:
    """Folders of artifacts, as addresses."""
    try:
        found = database.execute("SELECT DISTINCT artifact_location FROM experiments").fetchall()
    except sqlite3.DatabaseError:  # no database, or none of MLflow: whoever opens it says so
        return set()
    known = (
        place
        for (place,) in found
        if isinstance(place, str) and place.startswith("file:") and _FOLDER in place
    )
    return {place[: place.rindex(_FOLDER)] + _FOLDER for place in known}


def _replace(database: sqlite3.Connection, old: str, now: str) -> None:
    for table, columns in _PLACES.items():
        for column in columns:
            database.execute(
                f"UPDATE {table} SET {column} = ? || substr({column}, ?) "  # noqa: S608 - our own names
                f"WHERE {column} = ? OR substr({column}, 1, ?) = ?",
                (now, len(old) + 1, old, len(old) + 1, f"{old}/"),
            )
