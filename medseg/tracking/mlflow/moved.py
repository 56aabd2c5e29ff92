"""A tracking database in a file that was moved or copied: MLflow keeps whole paths of artifacts in it."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from medseg.tracking.mlflow.address import sqlite_path

_PLACES = {
    "experiments": ("artifact_location",),
    "runs": ("artifact_uri",),
    "logged_models": ("artifact_location",),
    "model_versions": ("source", "storage_location"),
}
_FOLDER = "mlartifacts"
_HOME = re.compile(rf"(file:.*/{_FOLDER})(/.*)?")
_FIRST = "0"  # MLflow's own experiment, which is made with the database


def follow(uri: str) -> None:
    """Let what is written from now on lie beside a database that was moved or copied, whatever lies where it was.

    Where it was tells the place of the experiment that was made with it. What earlier runs wrote is looked for beside
    the database; of a copy without it, it is read where it still lies. A folder of somebody's choice that is there is
    left alone.

    Args:
        uri: Address of a tracking store; other ones than files know places of their own.

    Raises:
        sqlite3.Error: It cannot be read or written.
    """
    path = sqlite_path(uri)
    if path is None or not path.exists():
        return
    if path.is_symlink():
        path = path.resolve()  # its artifacts lie where it does, and not beside the link
    with closing(sqlite3.connect(path, timeout=30, isolation_level=None)) as database:
        if not any(_left(database, path)):
            return
        with database:
            database.execute("BEGIN IMMEDIATE")
            for old in list(_left(database, path)):  # another process may have been first
                _replace(database, old, (path.parent / _FOLDER).as_uri())


def _left(database: sqlite3.Connection, path: Path) -> Iterator[str]:
    """Folders of artifacts that lay beside the database, which lies elsewhere now, as addresses."""
    try:
        found = database.execute("SELECT experiment_id, artifact_location FROM experiments").fetchall()
    except sqlite3.DatabaseError:  # no database, or none of MLflow: whoever opens it says so
        return
    places = {place: str(number) for number, place in found if isinstance(place, str)}
    for old in {match[1] for place in places if (match := _HOME.fullmatch(place))}:
        folder = _folder(old)
        if folder is None or _is_one(folder.parent, path.parent):
            continue
        at_home = (folder.parent / path.name).exists()
        # medseg gives its experiments this very folder, and MLflow folders in one of somebody's choice
        begun = places.get(f"{old}/{_FIRST}") == _FIRST and (old in places or at_home)
        if begun or not (at_home or folder.exists()):
            yield old


def _folder(address: str) -> Path | None:
    try:
        return Path(url2pathname(urlsplit(address).path))
    except ValueError:  # anybody may have written it
        return None


def _is_there(address: str) -> bool:
    folder = _folder(address)
    return folder is not None and folder.exists()


def _is_one(folder: Path, other: Path) -> bool:
    """Whether two paths lead to one folder, as through a link."""
    try:
        return folder == other or folder.samefile(other)
    except OSError:  # there is none
        return False


def _replace(database: sqlite3.Connection, old: str, now: str) -> None:
    for table, columns in _PLACES.items():
        for column in columns:
            found = database.execute(
                f"SELECT rowid, {column} FROM {table} WHERE {column} = ? OR substr({column}, 1, ?) = ?",  # noqa: S608 - our own names
                (old, len(old) + 1, f"{old}/"),
            ).fetchall()
            moved = [(now + place[len(old) :], place, row) for row, place in found]
            database.executemany(
                f"UPDATE {table} SET {column} = ? WHERE rowid = ?",  # noqa: S608 - our own names
                [
                    (new, row)
                    for new, place, row in moved
                    if table == "experiments" or _is_there(new) or not _is_there(place)
                ],
            )
