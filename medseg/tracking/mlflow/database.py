"""The database of tracked runs in a file: made whole or not at all, by one process at a time."""

# ruff: noqa: PLC0415 - mlflow takes 2 s to import, and must find its telemetry switched off
from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path

from medseg.errors import TrackingError
from medseg.files.lock import NoLocksError, refused, take
from medseg.places import clear_leftovers, written_whole
from medseg.tracking.mlflow.address import sqlite_path
from medseg.tracking.mlflow.quiet import quiet_mlflow

_PATIENCE = 600.0  # seconds; a slow disk takes minutes for the schema
_STILL = 10.0  # seconds without a change, after which nobody is at a database that is half made
_KEPT = ("runs", "_alembic_tmp_runs", "registered_models", "logged_models", "trace_info")
_BESIDE = ("-journal", "-wal", "-shm")


def make_database(uri: str, still: float = _STILL) -> None:
    """Make the database of a sqlite address, unless it is there; of any other address nothing is done.

    MLflow makes it in place, step after step. Killed meanwhile it leaves one that nobody can use: it is made
    beside, and takes its place once it is whole. A half-made one that holds nothing yet is made anew.

    Args:
        uri: Address of the tracking store.
        still: Seconds for which a half-made one must not have changed: until then somebody may be at it.

    Raises:
        TrackingError: The one that is there is half made, and holds runs; or its lock cannot be had.
    """
    path = sqlite_path(uri)
    if path is None:
        return
    path = path.resolve()  # of a link, what it leads to
    clear_leftovers(path.parent, below=path.name)  # also where another process has made it since
    if _is_whole(path):
        return
    with _alone(path):
        if not _is_whole(path) and not _made_meanwhile(path, still):
            _refuse_to_lose(path)
            _make(path)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    lock = path.with_name(f".{path.name}.lock")
    try:
        held = take(lock, _PATIENCE)
    except NoLocksError:  # two that begin at once may then make it twice: the later one counts
        yield
        return
    except OSError as error:
        raise TrackingError(
            f"the tracking database {path.name} cannot be made: {refused(lock, error)}"
        ) from error
    if held is None:
        raise TrackingError(
            f"another process has been making {path.name} for {_PATIENCE:g} seconds. End it, and try again."
        )
    try:
        yield
    finally:
        held.let_go()


def _make(path: Path) -> None:
    with written_whole(path) as beside:
        _create(beside, path.parent)
        for ending in _BESIDE:  # what an older one left would be taken for part of the new one
            path.with_name(path.name + ending).unlink(missing_ok=True)


def _create(path: Path, home: Path) -> None:
    """Let MLflow make its tables, for about ten seconds."""
    quiet_mlflow()
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    store = SqlAlchemyStore(f"sqlite:///{path.as_posix()}", (home / "mlartifacts").as_uri())
    store._dispose_engine()  # noqa: SLF001 - it has no public name, and an open file cannot be moved on Windows


def _is_whole(path: Path) -> bool:
    """Whether it can be used as it is; what is no database of MLflow, or of another version, is MLflow's to judge."""
    if not path.exists():
        return False
    try:
        with closing(sqlite3.connect(path, timeout=30)) as database:
            tables = {
                name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            }
            if not tables or any(name.startswith("_alembic_tmp_") for name in tables):
                return False
            if not tables & {"experiments", "alembic_version"}:
                return True
            if "alembic_version" not in tables:
                return False
            (version,) = database.execute("SELECT max(version_num) FROM alembic_version").fetchone()
            return version is not None and (version == _latest() or bool(_content(database, tables)))
    except sqlite3.DatabaseError:
        return True


@cache
def _latest() -> str:
    quiet_mlflow()
    from mlflow.store.db.utils import _get_latest_schema_revision

    return str(_get_latest_schema_revision())


def _content(database: sqlite3.Connection, tables: set[str]) -> int:
    """Runs, models and traces in it, and experiments that somebody made."""
    counts = [f"SELECT count(*) FROM {name}" for name in _KEPT if name in tables]  # noqa: S608 - our own names
    if "experiments" in tables:
        counts.append("SELECT count(*) FROM experiments WHERE experiment_id <> 0")  # 0 is MLflow's own
    return sum(database.execute(count).fetchone()[0] for count in counts)


def _made_meanwhile(path: Path, still: float) -> bool:
    """Wait while another program, such as MLflow's own page, may be making it; whether it is whole then."""
    seen, since = None, time.monotonic()
    while path.exists():
        stamps = tuple(each.stat().st_mtime_ns for each in (path, *path.parent.glob(f"{path.name}-*")))
        if seen is None and abs(time.time() - max(stamps) / 1e9) > still:
            return False
        if stamps != seen:
            seen, since = stamps, time.monotonic()
        if time.monotonic() - since >= still:
            return _is_whole(path)
        time.sleep(min(0.5, still / 4))
    return False


def _refuse_to_lose(path: Path) -> None:
    if not path.exists():
        return
    with closing(sqlite3.connect(path)) as database:
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        content = _content(database, tables)
    if content:
        raise TrackingError(
            f"the tracking database {path.name} was left half made or half upgraded, and holds {content} runs, "
            f"experiments, models or traces. Move it to another folder, {path.name}-journal too if that is there, "
            "and start again: a new one is made. What the runs recorded is in their own folders too. If there is a "
            f"copy from before the upgrade, put that back as {path.name} instead."
        )
