"""Keeps a saved predictor as an MLflow model that any MLflow tool can load and serve."""

# ruff: noqa: PLC0415 - mlflow takes 2 s to import, and must find its telemetry switched off
from __future__ import annotations

import os
import re
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from medseg.files.regular import read_json
from medseg.places import FULL, written_whole
from medseg.slices.rule import SliceRule
from medseg.tracking.mlflow.address import is_of_store, sqlite_path
from medseg.tracking.mlflow.quiet import quiet_mlflow
from medseg.tracking.mlflow.sending.local import flush_place

_USE = "research use only, not a medical device"
_LONGEST_NOTE = 5000  # characters, of MLflow
_SLICES, _FILES = (Path(__file__).parent / "serving" / name for name in ("slices.py", "files.py"))


def log_model(client: Any, run_id: str, predictor: Path, into: Path) -> str:
    """Save an MLflow model and log it to a run, in place of one that was logged there before.

    One that a version of a registered model is of stays: its alias may be in use.

    It is called as its pipeline, has the settings and the scores of the run, and is reachable as `models:/<id>` and
    as `runs:/<run id>/<pipeline>`.

    Args:
        client: An `MlflowClient`; nothing of MLflow's global state is used.
        run_id: The run that made the model.
        predictor: Folder of a saved `Predictor`.
        into: Where the MLflow model is saved first; replaced if it exists.

    Returns:
        Id of the logged model, `m-...`.
    """
    from mlflow.entities import LoggedModelOutput
    from mlflow.models import Model

    run = client.get_run(run_id)
    experiment = run.info.experiment_id
    older = _unregistered(client, run_id, models_of(client, run_id, experiment))
    described = read_json(predictor / "model.json")
    logged = client.create_logged_model(
        experiment,
        name=_name(described),
        source_run_id=run_id,
        model_type="segmentation" if described.get("truth", "masks") == "masks" else "classification",
        params=run.data.params,
        tags={
            "channels": ", ".join(described["channels"]),
            "maps": ", ".join(described["maps"]),
            "use": _USE,
            "mlflow.note.content": card_of(predictor),
        },
    )
    try:
        record = Model(
            artifact_path=logged.artifact_location,
            model_uuid=logged.model_id,
            run_id=run_id,
            model_id=logged.model_id,
        )
        save_model(predictor, into, record)
        client.log_model_artifacts(logged.model_id, str(into))
        flush_place(logged.artifact_location)
        client.finalize_logged_model(logged.model_id, "READY")
        client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=0)])
        _log_scores(client, run_id, logged.model_id)
    except Exception:
        _delete(client, [logged])  # a half-logged one must not be found under the run's name
        raise
    _delete(client, older)
    return str(logged.model_id)


def card_of(predictor: Path) -> str:
    """The model card as Markdown, as MLflow shows it."""
    card = predictor / "README.md"
    return card.read_text(encoding="utf-8")[:_LONGEST_NOTE] if card.exists() else ""


def _name(described: Any) -> str:
    """That of the pipeline, in characters that MLflow takes."""
    return re.sub(r"[^\w -]", "_", str(described.get("about", {}).get("pipeline", "model"))) or "model"


def _log_scores(client: Any, run_id: str, model_id: str) -> None:
    """Show the scores of the run with the model too: a number of one time and step is kept once by the run."""
    from mlflow.entities import Metric

    run = client.get_run(run_id)
    data = {
        one.dataset.name.rpartition("/")[2]: {
            "dataset_name": one.dataset.name,
            "dataset_digest": one.dataset.digest,
        }
        for one in run.inputs.dataset_inputs
    }
    scores = [
        Metric(each.key, each.value, each.timestamp, each.step, model_id=model_id, **data.get(role, {}))
        for role in ("train", "val", "test")
        for name in run.data.metrics
        if name.startswith(f"{role}/")
        for each in client.get_metric_history(run_id, name)[-1:]
    ]
    if scores:
        client.log_batch(run_id, metrics=scores, synchronous=True)


def save_model(predictor: Path, into: Path, record: Any = None) -> None:
    """Save a predictor folder as an MLflow model *from code*: a script, the folder, no pickle.

    Args:
        predictor: Folder of a saved `Predictor`.
        into: Where to save; replaced if it exists.
        record: MLflow's record of the model, made by the caller who knows its id.
    """
    quiet_mlflow()
    import numpy as np

    # Read, not built: the parts of a model may come from a package that only the caller of a run allowed.
    described = read_json(predictor / "model.json")
    spatial = described.get("truth", "masks") == "masks"
    rule, maps = SliceRule.model_validate(described["slices"]), described["maps"]
    channels = rule.inputs(described["channels"])
    blank = np.zeros((1, *rule.size), dtype=np.float32)  # no patient
    known = {
        "signature": _signature(channels, maps, spatial=spatial),
        "input_example": dict.fromkeys(channels, blank),
        **({} if record is None else {"mlflow_model": record}),
    }
    _save(_SLICES, predictor, into, known)


def save_file_model(predictor: Path, into: Path, parts: Sequence[str]) -> None:
    """Save a predictor folder as an MLflow model that takes the bytes of files; see `serving/files.py`.

    Args:
        predictor: Folder of a saved `Predictor`.
        into: Where to save; replaced if it exists.
        parts: Names of the files of a case.
    """
    quiet_mlflow()
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema

    schema = Schema([ColSpec(DataType.binary, part) for part in parts])  # in JSON base64
    _save(_FILES, predictor, into, {"signature": ModelSignature(inputs=schema)})


def _save(script: Path, predictor: Path, into: Path, known: Mapping[str, Any]) -> None:
    import mlflow.pyfunc

    with (
        written_whole(into) as beside,
        _full_disk_named(),
        _temporary_in(beside.parent),
        _installed_as_it_is(),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")  # MLflow's own
        mlflow.pyfunc.save_model(
            path=str(beside),
            python_model=str(script),
            artifacts={"predictor": str(predictor.resolve())},
            pip_requirements=[_requirement()],
            metadata={"use": _USE},
            **known,
        )
        for cache in beside.rglob("__pycache__"):
            shutil.rmtree(cache, ignore_errors=True)
        _forget_paths(beside, script)


@contextmanager
def _full_disk_named() -> Iterator[None]:
    """Raise again what MLflow wraps into an error of its own: that no space is left."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        said = f"{error} {error.__cause__} {error.__context__}"
        for code in FULL:
            if os.strerror(code) in said:
                raise OSError(code, os.strerror(code)) from error
        raise


@contextmanager
def _temporary_in(folder: Path) -> Iterator[None]:
    """Let MLflow put its copies of the model where they are cleared after a kill, and not among the system's."""
    before = tempfile.tempdir
    tempfile.tempdir = str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = before


@contextmanager
def _installed_as_it_is() -> Iterator[None]:
    """Spare seconds in which MLflow lists the files of all packages, to compare versions with those right here."""
    from mlflow.utils import environment

    compare = environment.warn_dependency_requirement_mismatches
    environment.warn_dependency_requirement_mismatches = lambda _: None
    try:
        yield
    finally:
        environment.warn_dependency_requirement_mismatches = compare


def _forget_paths(model: Path, script: Path) -> None:
    """Take the folders of this machine out of the record: MLflow notes them, and loads without them."""
    from mlflow.models import Model

    record = Model.load(str(model))
    if record.artifact_path is not None:
        record.artifact_path = "model"  # the store knows the place, and finds the model without this
    flavor = record.flavors["python_function"]
    flavor["model_code_path"] = script.name
    for artifact in flavor["artifacts"].values():
        artifact["uri"] = artifact["path"]
    record.save(str(model / "MLmodel"))


def _signature(channels: Sequence[str], maps: Sequence[str], *, spatial: bool) -> Any:
    """Slices (B, H, W) of each channel in, probabilities of each class out, by their names."""
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    float32, shape = np.dtype(np.float32), (-1, -1, -1)
    return ModelSignature(
        inputs=Schema([TensorSpec(float32, shape, name) for name in channels]),
        outputs=Schema([TensorSpec(float32, shape if spatial else (-1,), name) for name in maps]),
    )


def _requirement() -> str:
    try:
        return f"medseg=={version('medseg')}"
    except PackageNotFoundError:  # run from a folder that was never installed
        return "medseg"


def models_of(client: Any, run_id: str, experiment: str) -> list[Any]:
    """Models of a run, also those whose upload was killed."""
    found: list[Any] = []
    token: str | None = None
    while True:
        of_run = f"source_run_id = '{run_id}'"
        page = client.search_logged_models([experiment], filter_string=of_run, page_token=token)
        found += page
        token = page.token
        if not token:
            return found


def _unregistered(client: Any, run_id: str, models: Sequence[Any]) -> list[Any]:
    """Those that no version of a registered model is of; none where this user may not look."""
    from mlflow.exceptions import MlflowException

    named = [f"models:/{model.model_id}" for model in models]  # as MLflow itself registers them
    asked = [f"run_id = '{run_id}'", *(f"source_path = '{source}'" for source in named)] if models else []
    try:
        sources = {each.source for text in asked for each in _versions(client, text)}
    except MlflowException:
        return []
    return [model for model in models if not sources & {model.artifact_location, f"models:/{model.model_id}"}]


def _versions(client: Any, asked: str) -> Iterator[Any]:
    token: str | None = None
    while True:
        page = client.search_model_versions(asked, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _delete(client: Any, models: Sequence[Any]) -> None:
    """Delete models, and their files where they lie beside a sqlite file: MLflow would keep those for ever."""
    from mlflow.exceptions import MlflowException

    for model in models:
        try:
            client.delete_logged_model(model.model_id)
        except MlflowException:
            continue
        place, uri = model.artifact_location, client.tracking_uri
        if sqlite_path(uri) is not None and is_of_store(place, uri):
            folder = Path(url2pathname(urlsplit(place).path)).parent
            if folder.name == model.model_id:
                shutil.rmtree(folder, ignore_errors=True)
