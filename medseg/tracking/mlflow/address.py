"""Where the tracking store is, whether it answers, and how its address is shown."""

# ruff: noqa: PLC0415 - requests takes 0.2 s to import, and `medseg --help` needs none of it
from __future__ import annotations

import os
import re
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path
from urllib.parse import SplitResult, urlsplit
from urllib.request import url2pathname

from medseg.errors import TrackingError

_SQLITE = "sqlite:///"
_USER = re.compile(r"(?<=://)[^/@\s]+@")
_SECRET = re.compile(r"(?i)((?:pass(?:word|wd)?|pwd|token|secret|key|signature)=)[^&\s'\"]+")
_DATABRICKS = ("databricks", "databricks-uc")
_DATABASE_PORTS = {"postgresql": 5432, "postgres": 5432, "mysql": 3306, "mssql": 1433}

_OTHER = (
    "Correct --tracking-uri or MLFLOW_TRACKING_URI; leave both out for sqlite:///mlflow.db in this folder."
)
#: What to do about a database in a file, by what SQLite or the system says of it.
_OF_FILES = {
    r"disk is full|no space left|quota": "Free space on its disk, and give the command again.",
    r"malformed|not a database|no SQLite database": (
        "Put back a copy of it; or move it to another folder, with what else there is of the names {name}-journal, "
        "{name}-wal and {name}-shm: a new one is made. What MLflow shows of the runs until now is lost with it, and "
        "so are registered models; and runs that have not ended cannot go on. What runs have made is in medseg-runs/ "
        "as well."
    ),
    r"locked": "Another program is at it: wait for that, or end it, and give the command again.",
    r"permission|readonly|read-only|unable to open": (
        "Give this user the right to write to it and to its folder, or name another: --tracking-uri sqlite:///PATH"
    ),
}


def default_uri(given: str | None) -> str:
    """Return the tracking store's address: `given`, else `MLFLOW_TRACKING_URI`, else `./mlflow.db`.

    A relative sqlite path is made absolute, so that every process finds the same file.

    Args:
        given: What the user asked for, if anything.
    """
    uri = given or os.environ.get("MLFLOW_TRACKING_URI") or f"{_SQLITE}mlflow.db"
    path = sqlite_path(uri)
    return uri if path is None else "?".join([f"{_SQLITE}{path.as_posix()}", *uri.split("?")[1:]])


def sqlite_path(uri: str) -> Path | None:
    """Return the absolute path of a sqlite store's file, None for any other address."""
    if not uri.startswith(_SQLITE):
        return None
    path = Path(uri.removeprefix(_SQLITE).split("?")[0])
    return path.parent.resolve() / path.name if ".." in path.parts else path.absolute()


def place_below(uri: str, folder: Path) -> str:
    """Place of a sqlite store's file below a folder, with `/`; empty where it lies elsewhere, or is none."""
    path, above = sqlite_path(uri), folder.absolute()
    return path.relative_to(above).as_posix() if path is not None and path.is_relative_to(above) else ""


def is_database(uri: str) -> bool:
    """Whether `uri` is a database that this process opens itself, rather than a server that it asks."""
    return urlsplit(uri).scheme.split("+")[0] in {"sqlite", *_DATABASE_PORTS}


def artifact_location(uri: str) -> str | None:
    """Return where a new experiment keeps files: beside a sqlite file, else where the server wants them."""
    path = sqlite_path(uri)
    return None if path is None else (path.parent / "mlartifacts").as_uri()


def is_of_store(place: str, uri: str) -> bool:
    """Whether a file that a tracking store names may be fetched: a database is anybody's to write.

    Args:
        place: Address of an artifact, as the store has it.
        uri: Address of the store, which the user gave.

    Returns:
        Of a sqlite file, whether the place lies in `mlartifacts` beside it, or beside what a link of that name leads
        to; of another store, whether it is no web address of another host.
    """
    database, parts = sqlite_path(uri), urlsplit(place)
    if database is not None:
        path = Path(url2pathname(parts.path)).resolve()
        beside = [(each.parent / "mlartifacts").resolve() for each in (database, database.resolve())]
        return parts.scheme in ("", "file") and any(map(path.is_relative_to, beside))
    return parts.scheme not in ("http", "https", "ftp", "sftp") or parts.hostname == urlsplit(uri).hostname


def is_of_copied(place: str, uri: str) -> bool:
    """Whether a file that a database names belongs to the database of this user that it was copied from.

    Args:
        place: Address of an artifact, as the store has it.
        uri: Address of the store, which the user gave.
    """
    database, parts = sqlite_path(uri), urlsplit(place)
    if database is None or parts.scheme not in ("", "file"):
        return False
    path = Path(url2pathname(parts.path)).resolve()
    homes = [each.parent for each in (path, *path.parents) if each.name == "mlartifacts"]
    try:
        return any((home / database.name).stat().st_uid == database.stat().st_uid == _me() for home in homes)
    except OSError:
        return False


def _me() -> int:
    return os.getuid() if hasattr(os, "getuid") else 0  # where files have no owner by number, it is 0


def masked(text: str) -> str:
    """Hide user names, passwords and keys in any address that `text` holds."""
    return _SECRET.sub(r"\1***", _USER.sub("***@", text))


def reach(uri: str, timeout: float = 5.0) -> None:
    """Check that something answers at `uri`, within about `timeout` seconds.

    MLflow itself retries for minutes, so it is not asked before this has passed.

    Args:
        uri: Address of the tracking store.
        timeout: Seconds to wait for an answer.

    Raises:
        TrackingError: The address is malformed, or nothing answers there.
    """
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError as error:
        raise _malformed(uri, str(error)) from error
    # `databricks` and `databricks://PROFILE` are both addresses of MLflow.
    scheme = uri if uri in _DATABRICKS else parts.scheme.split("+")[0]
    checks: dict[str, Callable[[], None]] = {
        "http": lambda: _reach_server(uri, parts, timeout),
        "https": lambda: _reach_server(uri, parts, timeout),
        "sqlite": lambda: _reach_file(uri),
        **dict.fromkeys(_DATABRICKS, lambda: None),  # MLflow finds host and key in the user's profile
        **{
            name: lambda: _reach_port(uri, parts, port or _DATABASE_PORTS[scheme], timeout)
            for name in _DATABASE_PORTS
        },
    }
    check = checks.get(scheme)
    if check is None:
        raise _malformed(uri, "MLflow 3 keeps runs in a database or on a server, not in a plain folder")
    check()


def _malformed(uri: str, why: str) -> TrackingError:
    return TrackingError(
        f"The tracking address {masked(uri)!r} cannot be used: {why}. Expected http(s)://HOST:PORT, "
        "sqlite:///PATH or postgresql://HOST/NAME; correct --tracking-uri or MLFLOW_TRACKING_URI, "
        "or leave both out for sqlite:///mlflow.db in this folder."
    )


def unreachable(uri: str, why: str) -> TrackingError:
    """Return the error for a store that does not answer, with credentials hidden."""
    path = sqlite_path(uri)
    if path is not None:
        remedy = next(
            (text for told, text in _OF_FILES.items() if re.search(told, why, re.IGNORECASE)), _OTHER
        )
        return TrackingError(
            f"The tracking database {masked(uri)} cannot be used: {masked(why)}. {remedy.format(name=path.name)}"
        )
    return TrackingError(
        f"The tracking server {masked(uri)} cannot be used: {masked(why)}. Start it, or correct "
        "--tracking-uri or MLFLOW_TRACKING_URI; leave both out for sqlite:///mlflow.db in this folder."
    )


def _reach_server(uri: str, parts: SplitResult, timeout: float) -> None:
    import requests

    if not parts.hostname:
        raise _malformed(uri, "it names no host")
    try:
        answer = requests.get(f"{uri.rstrip('/')}/health", timeout=timeout, allow_redirects=False)
    except requests.exceptions.SSLError:
        return  # it answers; whether its certificate will do is set by MLflow's own variables
    except requests.RequestException as error:
        raise unreachable(uri, _first_cause(error)) from None  # the cause may hold the credentials
    if answer.is_redirect:
        where = answer.headers["Location"]
        raise unreachable(
            uri,
            f"it sends on to {where}, and medseg goes to no address that you did not give; give that one, or log in",
        )
    if answer.status_code >= 500:
        raise unreachable(uri, f"it answers with status {answer.status_code}")


def _reach_port(uri: str, parts: SplitResult, port: int, timeout: float) -> None:
    if not parts.hostname:
        raise _malformed(uri, "it names no host")
    try:
        socket.create_connection((parts.hostname, port), timeout=timeout).close()
    except OSError as error:
        raise unreachable(uri, str(error)) from None


def _reach_file(uri: str) -> None:
    path = sqlite_path(uri)
    if path is None or not path.name:
        raise _malformed(uri, "sqlite wants three slashes and a file name")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            # Not under its own name: another process may put its own there at the same moment.
            with tempfile.TemporaryFile(dir=path.parent):
                return
        with path.open("ab+") as handle:  # also proves that it may be written
            handle.seek(0)
            start = handle.read(16)
    except OSError as error:
        raise unreachable(uri, f"{type(error).__name__}: {error.strerror}") from error
    if start and start != b"SQLite format 3\x00":
        raise unreachable(uri, "that file is no SQLite database")


def _first_cause(error: BaseException) -> str:
    """Return the innermost reason of a failed request, such as `Connection refused`."""
    inner: BaseException | None = error
    reason = getattr(error.args[0], "reason", None) if error.args else None
    if isinstance(reason, BaseException):
        inner = reason
    while inner is not None and inner.__context__ is not None:
        inner = inner.__context__
    return f"{type(inner).__name__}: {inner}"
