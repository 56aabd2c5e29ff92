from __future__ import annotations

import re
import socket
import sqlite3
import time
from pathlib import Path
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

import pytest

from medseg.errors import TrackingError
from medseg.tracking.mlflow.address import (
    artifact_location,
    default_uri,
    is_of_copied,
    is_of_store,
    masked,
    place_below,
    reach,
    sqlite_path,
    unreachable,
)


def test_given_beats_environment_beats_the_working_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert sqlite_path(default_uri(None)) == tmp_path / "mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://server:5000")
    assert default_uri(None) == "http://server:5000"
    assert default_uri("https://other") == "https://other"
    assert sqlite_path(default_uri("sqlite:///sub/my.db")) == tmp_path / "sub" / "my.db"
    assert sqlite_path(default_uri("sqlite:///sub/../my.db")) == tmp_path / "my.db"
    assert default_uri("sqlite:///my.db?timeout=5").endswith("/my.db?timeout=5")


def test_artifacts_of_a_sqlite_store_lie_beside_it(tmp_path: Path) -> None:
    location = artifact_location(default_uri(f"sqlite:///{(tmp_path / 'a b' / 'mlflow.db').as_posix()}"))
    assert location is not None
    assert Path(url2pathname(unquote(urlsplit(location).path))) == tmp_path / "a b" / "mlartifacts"
    assert artifact_location("http://server:5000") is None


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://me:pa-ss@host:5000/x", "http://***@host:5000/x"),
        ("API request to https://token@host/api failed", "API request to https://***@host/api failed"),
        ("postgresql://u:p%40@h/db?password=abc&x=1", "postgresql://***@h/db?password=***&x=1"),
        ("http://host:5000", "http://host:5000"),
    ],
)
def test_credentials_are_never_shown(text: str, shown: str) -> None:
    assert masked(text) == shown


@pytest.mark.parametrize(
    "uri",
    [
        "http://me:secret@127.0.0.1:1",
        "postgresql://me:secret@127.0.0.1:1/db",
        "http://me:secret@:5000",
        "http://me:secret@host:notaport",
        "ftp://me:secret@host",
        "./mlruns",
        "file:///somewhere/mlruns",
        "sqlite://",
        "",
    ],
)
def test_an_address_that_cannot_work_is_refused_at_once_without_its_password(uri: str) -> None:
    begun = time.monotonic()
    with pytest.raises(TrackingError, match="--tracking-uri") as caught:
        reach(uri)
    assert time.monotonic() - begun < 5
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None or "secret" not in str(caught.value.__cause__)


def test_a_server_that_takes_the_call_and_never_answers_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        begun = time.monotonic()
        with pytest.raises(TrackingError):
            reach(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout=0.5)
        assert time.monotonic() - begun < 5


@pytest.mark.parametrize("uri", ["databricks", "databricks-uc", "databricks://profile"])
def test_databricks_is_left_to_mlflow(uri: str) -> None:
    reach(uri)


def test_a_database_file_may_be_new_or_real_and_nothing_else(tmp_path: Path) -> None:
    new = tmp_path / "sub" / "new.db"
    reach(f"sqlite:///{new.as_posix()}")
    assert not new.exists()  # asking makes no file
    real = tmp_path / "real.db"
    with sqlite3.connect(real) as database:
        database.execute("create table t (x)")
    database.close()
    before = real.read_bytes()
    reach(f"sqlite:///{real.as_posix()}")
    assert real.read_bytes() == before
    (tmp_path / "text.db").write_text("this is no database at all")
    with pytest.raises(TrackingError, match="no SQLite database"):
        reach(f"sqlite:///{(tmp_path / 'text.db').as_posix()}")
    with pytest.raises(TrackingError):
        reach(f"sqlite:///{tmp_path.as_posix()}")  # a folder


@pytest.mark.parametrize(
    ("why", "remedy"),
    [
        ("(sqlite3.OperationalError) database or disk is full", "Free space on its disk"),
        ("[Errno 28] No space left on device", "Free space on its disk"),
        ("(sqlite3.DatabaseError) database disk image is malformed", "Put back a copy of it; or move it to"),
        ("that file is no SQLite database", r"of the names runs\.db-journal"),
        ("(sqlite3.OperationalError) database is locked", "Another program is at it"),
        ("PermissionError: Permission denied", "Give this user the right"),
        ("attempt to write a readonly database", "Give this user the right"),
        ("Detected out-of-date database schema", "Correct --tracking-uri"),
    ],
)
def test_of_a_database_in_a_file_it_is_said_what_can_be_done_and_that_is_not_to_start_it(
    why: str, remedy: str
) -> None:
    error = str(unreachable("sqlite:////data/runs.db", why))

    assert re.search(f"runs\\.db cannot be used: .*{remedy}", error)
    assert "Start it" not in error
    assert "Start it" in str(unreachable("http://there:5000", why))


@pytest.mark.parametrize(
    ("place", "uri", "expected"),
    [
        ("{here}/mlartifacts/1/models/m-1/artifacts", "sqlite:///{here}/mlflow.db", True),
        ("file://{here}/mlartifacts/1/models/m-1/artifacts", "sqlite:///{here}/mlflow.db", True),
        ("file://{here}/mlartifacts/../elsewhere", "sqlite:///{here}/mlflow.db", False),
        ("/etc", "sqlite:///{here}/mlflow.db", False),
        ("http://127.0.0.1:9/models/x", "sqlite:///{here}/mlflow.db", False),
        ("s3://bucket/models", "sqlite:///{here}/mlflow.db", False),
        ("mlflow-artifacts:/1/models/m-1", "http://tracking.hospital:5000", True),
        ("http://tracking.hospital:5000/api/x", "http://tracking.hospital:5000", True),
        ("http://elsewhere/api/x", "http://tracking.hospital:5000", False),
    ],
)
def test_a_store_names_no_place_outside_of_itself(place, uri, expected, tmp_path):
    here = tmp_path.as_posix()
    assert is_of_store(place.format(here=here), uri.format(here=here)) is expected


def test_a_copied_database_leaves_its_files_to_the_first_of_the_same_user(tmp_path):
    for name in ("first", "copy"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mlflow.db").touch()
    (tmp_path / "public" / "mlartifacts").mkdir(parents=True)
    uri = f"sqlite:///{(tmp_path / 'copy' / 'mlflow.db').as_posix()}"

    assert is_of_copied((tmp_path / "first" / "mlartifacts" / "1" / "run").as_uri(), uri)
    assert not is_of_copied((tmp_path / "public" / "mlartifacts" / "1").as_uri(), uri)
    assert not is_of_copied((tmp_path / "first" / "elsewhere").as_uri(), uri)
    assert not is_of_copied("http://127.0.0.1:9/mlartifacts/1", uri)


@pytest.mark.parametrize(
    ("uri", "place"),
    [
        ("sqlite:///{}/mlflow.db", "mlflow.db"),
        ("sqlite:///{}/sub/my.db?timeout=3", "sub/my.db"),
        ("sqlite:///{}x/mlflow.db", ""),
        ("sqlite:////elsewhere/mlflow.db", ""),
        ("http://127.0.0.1:5000", ""),
    ],
)
def test_a_database_below_a_folder_has_a_place_there(uri: str, place: str, tmp_path: Path) -> None:
    assert place_below(uri.format(tmp_path.as_posix()), tmp_path) == place
