"""Opens a tracking store, and finds in it what a recorder needs."""

# ruff: noqa: PLC0415 - mlflow takes 2 s to import, and must find its telemetry switched off
from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from json import JSONDecodeError
from typing import Any
from urllib.parse import urlsplit

from medseg.errors import RunError, TrackingError
from medseg.files.regular import parse_json
from medseg.tracking.mlflow.address import (
    artifact_location,
    is_database,
    is_of_copied,
    is_of_store,
    masked,
    reach,
    sqlite_path,
    unreachable,
)
from medseg.tracking.mlflow.database import make_database
from medseg.tracking.mlflow.moved import follow
from medseg.tracking.mlflow.quiet import quiet_mlflow
from medseg.tracking.mlflow.sending.refusal import LOGIN, code_of

_UPLOADS = "/mlflow-artifacts/artifacts/"
_NO_JSON = "was successful but the response body was not in a valid JSON format"  # MLflow's words
_PAGE = "it answers with a page, such as that of a login, and not as MLflow does"


@contextmanager
def open_store(uri: str) -> Iterator[Any]:
    """Yield a client of a store that answers; whatever MLflow raises inside becomes a TrackingError.

    Args:
        uri: Address of the tracking store.

    Raises:
        TrackingError: The address is malformed, or the store does not answer.
    """
    reach(uri)
    quiet_mlflow()
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        _refuse_other_answers()
        make_database(uri)
        follow(uri)
        _refuse_bad_database(uri)
        # The registry lies where the runs lie: an address from the environment would be another server.
        yield MlflowClient(tracking_uri=uri, registry_uri=uri)
    except ImportError as error:
        raise _lacks_driver(uri, str(error.name)) from None
    except (MlflowException, SQLAlchemyError, sqlite3.Error, OSError) as error:
        if code_of(error) in LOGIN:
            raise _refuses_login(uri) from None
        lines = str(error).strip().splitlines() or [type(error).__name__]
        page = isinstance(error, JSONDecodeError) or _NO_JSON in str(error)
        told = _PAGE if page else " ".join(lines[:2])[:500].rstrip(".")
        raise unreachable(uri, told) from None


def _refuses_login(uri: str) -> TrackingError:
    names = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN")
    given = [name for name in names if os.environ.get(name)]
    came = f"It was sent the login in {' and '.join(given)}" if given else "It was sent no login"
    return TrackingError(
        f"The tracking server {masked(uri)} refuses the login. {came}. Set {names[0]} and {names[1]} to a user of "
        f"that server who may write to it, or {names[2]} where it wants a token."
    )


def _lacks_driver(uri: str, package: str) -> TrackingError:
    return TrackingError(
        f"The tracking database {masked(uri)} needs the Python package {package}, which is not installed. Install "
        "it; or, for PostgreSQL, pip install 'medseg[server]' and name its driver: postgresql+psycopg2://HOST/NAME."
    )


def _refuse_other_answers() -> None:
    """Let a redirected file, or one that a page answers, be an error: MLflow takes both for success."""
    from mlflow.store.artifact import http_artifact_repo as files
    from mlflow.utils.rest_utils import augmented_raise_for_status

    def refuse(answer: Any) -> None:
        if answer.is_redirect:
            raise OtherAnswerError(answer, "a redirect, as to a login page")
        augmented_raise_for_status(answer)
        if _is_upload(answer.request) and answer.text and not _is_object(answer.text):
            raise OtherAnswerError(answer, "a page, such as that of a login, which keeps no file")
        if _is_page(answer):
            raise OtherAnswerError(answer, "a page, such as that of a login, in place of a file")

    files.augmented_raise_for_status = refuse


def _is_upload(request: Any) -> bool:
    """Whether a file was sent to MLflow's own server, and not to the store of its parts, which answers otherwise."""
    return request.method == "PUT" and _UPLOADS in request.url


def _is_page(answer: Any) -> bool:
    """Whether a file was asked for and a page came; MLflow calls the kind of a file by its ending."""
    place = urlsplit(answer.request.url).path.lower()
    asked = answer.request.method == "GET" and _UPLOADS in place and not place.endswith((".html", ".htm"))
    return asked and answer.headers.get("Content-Type", "").lower().startswith("text/html")


def _is_object(text: str) -> bool:
    """Whether it is an object of JSON: MLflow's server answers a file with an empty one, or with nothing."""
    try:
        return isinstance(parse_json(text), dict)
    except ValueError:
        return False


class OtherAnswerError(OSError):
    """An answer to a file that is none of MLflow's server: the file has not arrived."""

    def __init__(self, answer: Any, what: str) -> None:
        self.response = answer
        super().__init__(f"{answer.status_code}, {what}")


def _refuse_bad_database(uri: str) -> None:
    """Open a database once: MLflow tries a wrong password or a spoilt file fifteen times, for an hour."""
    import sqlalchemy

    if is_database(uri):
        engine = sqlalchemy.create_engine(uri)
        try:
            sqlalchemy.inspect(engine).get_table_names()
        finally:
            engine.dispose()


def refuse_login(uri: str) -> None:
    """Ask a store on a server for something: who may not is told so before data are looked through.

    Args:
        uri: Address of the tracking store; a database in a file has no logins, and is not asked.

    Raises:
        TrackingError: The login is refused, or the store does not answer.
    """
    if sqlite_path(uri) is None:
        with open_store(uri) as client:
            client.search_experiments(max_results=1)


def experiment_id(client: Any, uri: str, name: str) -> str:
    """Return the id of an experiment, made if missing.

    Args:
        client: An `MlflowClient`.
        uri: Address of the tracking store.
        name: Of the experiment.

    Raises:
        TrackingError: An experiment of that name was deleted, or keeps its files away from the store.
    """
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return str(client.create_experiment(name, artifact_location=artifact_location(uri)))
        except MlflowException:  # another run made it in between
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    if found.lifecycle_stage != "active":
        raise TrackingError(
            f"The experiment {name!r} was deleted on the tracking store. Restore it "
            f"(mlflow experiments restore -x {found.experiment_id}), or give the pipeline another name."
        )
    _refuse_foreign(found.artifact_location, uri, f"The experiment {name!r}")
    return str(found.experiment_id)


def _refuse_foreign(place: str, uri: str, whose: str) -> None:
    """Refuse to send files, and with them what identifies this user, to a place that only the store names."""
    if not is_of_store(place, uri) and not is_of_copied(place, uri):
        raise TrackingError(
            f"{whose} of the tracking store keeps its files at {masked(place)!r}, which is not of that store: files "
            "of a database belong to `mlartifacts` beside it, those of a server to its host. Track elsewhere "
            "(--tracking-uri), or give the pipeline another name."
        )


def tagged_run(client: Any, experiment: str, tag: str, value: str) -> str:
    """Return the id of the latest run of an experiment with a tag, empty if there is none.

    Args:
        client: An `MlflowClient`.
        experiment: Its name.
        tag: Name of the tag.
        value: What it says; without quotation marks.
    """
    found = client.get_experiment_by_name(experiment)
    if found is None:
        return ""
    runs = client.search_runs(
        [found.experiment_id],
        filter_string=f"tags.`{tag}` = '{value}'",
        order_by=["attributes.start_time DESC"],
        max_results=1,
    )
    return str(runs[0].info.run_id) if runs else ""


def existing_run(client: Any, run_id: str) -> Any:
    """Return MLflow's record of a run.

    Args:
        client: An `MlflowClient`.
        run_id: The run.

    Raises:
        RunError: The store has no such run, or it was deleted.
        TrackingError: Its files are kept away from the store.
    """
    from mlflow.exceptions import MlflowException

    try:
        run = client.get_run(run_id)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        raise RunError(
            f"The tracking store has no run {run_id!r}. Give the address that it was tracked at "
            "(--tracking-uri), or start a new run."
        ) from None
    if run.info.lifecycle_stage != "active":
        raise RunError(f"Run {run_id} was deleted. Restore it (mlflow runs restore --run-id {run_id}) first.")
    _refuse_foreign(run.info.artifact_uri, client.tracking_uri, f"The run {run_id}")
    return run
