"""What a recorder asks of a tracking server, as data: it can wait, be written down, and be sent later."""

# ruff: noqa: PLC0415 - mlflow takes 2 s to import, and must find its telemetry switched off
from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from medseg.errors import RunError
from medseg.files.inside import inside, is_normal
from medseg.files.regular import parse_json
from medseg.recorder import DataInput
from medseg.tracking.mlflow.model import log_model
from medseg.tracking.mlflow.registry import register
from medseg.tracking.mlflow.sending.local import flush_artifact
from medseg.tracking.mlflow.tables import send_table

# MLflow's limits: mlflow/utils/validation.py and the REST documentation of log-batch.
_KEY, _PARAM, _TAG = 250, 6000, 8000
_PARAMS_A_BATCH, _METRICS_A_BATCH = 100, 1000
_CUT = " … (cut)"
_PRIVATE = frozenset(
    {"run.json", "folds.json", "untracked.jsonl"}
)  # paths of the data, and what waits itself
_FOREIGN = re.compile(r"[^\w\-. :/]")


@dataclass(frozen=True)
class Call:
    """One thing to tell the server.

    Attributes:
        what: Name of the sender: `params`, `tags`, `metrics`, `data`, `artifact`, `table`, `model` or `status`.
        body: Its arguments, as JSON holds them.
    """

    what: str
    body: Mapping[str, Any]

    @property
    def is_file(self) -> bool:
        """Whether files are sent, which may be too large for a server, or its place for them broken."""
        return self.what in ("artifact", "table", "model")

    def line(self) -> str:
        """One line of JSON."""
        return json.dumps({"what": self.what, "body": self.body}, ensure_ascii=False)

    @staticmethod
    def from_line(line: str) -> Call:
        """Read what `line` wrote.

        Raises:
            ValueError: It is something else.
        """
        content = parse_json(line)
        if not isinstance(content, dict) or content.get("what") not in _SENDERS:
            raise ValueError("no record of a run")
        if not isinstance(content.get("body"), dict):
            raise ValueError("a record without content")  # noqa: TRY004  # one error for all that is no record
        return Call(content["what"], content["body"])

    def send(self, client: Any, run_id: str, folder: Path) -> str | None:
        """Send it. Twice does no harm: a number keeps its time, and a store keeps one of two equals.

        Args:
            client: An `MlflowClient`.
            run_id: The run.
            folder: The run's folder, which relative paths start from.

        Returns:
            What the user should know of it, as a sentence; None for nothing.

        Raises:
            RunError: It would send a file that does not lie in the run's folder, or is not for others to see.
        """
        return _SENDERS[self.what](client, run_id, folder, self.body)


def key_of(name: str) -> str:
    """Return `name` as MLflow takes it: foreign characters replaced by `_`, at most 250 characters."""
    return _FOREIGN.sub("_", name)[:_KEY]


def params_call(values: Mapping[str, object]) -> Call:
    """Settings: text as it is, all else as JSON; at most 6000 characters, a longer one is cut and says so."""
    texts = {
        key_of(name): value if isinstance(value, str) else _json(value) for name, value in values.items()
    }
    return Call("params", {name: _cut(text, _PARAM) for name, text in texts.items()})


def value_of(text: str) -> object:
    """A setting from the text that `params_call` made of it: a text that reads as JSON comes back as its value."""
    try:
        found: object = parse_json(text)
    except ValueError:
        return text
    return found


def tags_call(values: Mapping[str, str]) -> Call:
    """Tags, at most 8000 characters each."""
    return Call("tags", {key_of(name): _cut(str(value), _TAG) for name, value in values.items()})


def metrics_call(values: Mapping[str, float], step: int, time_ms: int) -> Call:
    """Numbers at a step; NaN and infinite ones are left out, for no server stores and shows them alike."""
    finite = {key_of(name): float(value) for name, value in values.items() if math.isfinite(value)}
    return Call("metrics", {"values": finite, "step": step, "time": time_ms})


def data_call(inputs: Sequence[DataInput]) -> Call:
    """What the run learned from."""
    return Call("data", {"inputs": [asdict(one) | {"profile": dict(one.profile)} for one in inputs]})


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - len(_CUT)] + _CUT


def _send_params(client: Any, run_id: str, _folder: Path, body: Mapping[str, Any]) -> None:
    from mlflow.entities import Param

    for part in _parts(body.items(), _PARAMS_A_BATCH):
        client.log_batch(run_id, params=[Param(name, text) for name, text in part], synchronous=True)


def _send_tags(client: Any, run_id: str, _folder: Path, body: Mapping[str, Any]) -> None:
    from mlflow.entities import RunTag

    for part in _parts(body.items(), _PARAMS_A_BATCH):
        client.log_batch(run_id, tags=[RunTag(name, text) for name, text in part], synchronous=True)


def _send_metrics(client: Any, run_id: str, _folder: Path, body: Mapping[str, Any]) -> None:
    from mlflow.entities import Metric

    for part in _parts(body["values"].items(), _METRICS_A_BATCH):
        metrics = [Metric(name, value, body["time"], body["step"]) for name, value in part]
        client.log_batch(run_id, metrics=metrics, synchronous=True)


def _send_data(client: Any, run_id: str, _folder: Path, body: Mapping[str, Any]) -> None:
    from mlflow.entities import Dataset, DatasetInput, InputTag
    from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT

    # MLflow keeps one input for a (name, digest), whatever its context, and the first profile for all runs of
    # an experiment: so the role is part of the name, and the counts are tags of the input as well.
    inputs = [
        DatasetInput(
            Dataset(
                name=f"{one['name']}/{one['context']}",
                digest=one["digest"][:36],
                source_type="medseg",
                source=_json({"source": one["source"]}),
                profile=_json(one["profile"]),
            ),
            [InputTag(MLFLOW_DATASET_CONTEXT, one["context"])]
            + [InputTag(f"medseg.{name}", str(count)) for name, count in one["profile"].items()],
        )
        for one in body["inputs"]
    ]
    client.log_inputs(run_id, inputs)


def _send_artifact(client: Any, run_id: str, folder: Path, body: Mapping[str, Any]) -> None:
    path, below = _sendable(folder, body["path"]), body["folder"]
    if below and not is_normal(below):
        raise RunError(f"{path.name} would leave the artifacts of the run.")
    target = "/".join(filter(None, [below, path.name]))
    if path.is_dir():
        client.log_artifacts(run_id, str(path), target)
    else:
        client.log_artifact(run_id, str(path), below or None)
    flush_artifact(client, run_id, target)


def _send_model(client: Any, run_id: str, folder: Path, body: Mapping[str, Any]) -> str | None:
    """Log it, and register it where that is asked for: in one call, for the second rests on the first."""
    predictor = _sendable(folder, body["path"])
    log_model(client, run_id, predictor, folder / "mlflow_model")
    if "alias" not in body:
        return None
    return register(client, run_id, predictor, body["name"], body["alias"])


def _send_table(client: Any, run_id: str, folder: Path, body: Mapping[str, Any]) -> None:
    flush_artifact(client, run_id, send_table(client, run_id, _sendable(folder, body["path"])))


def _sendable(folder: Path, given: str) -> Path:
    """A file or folder of the run; `untracked.jsonl` may come from anybody."""
    path = inside(folder, given)
    if path == folder.resolve() or path.name in _PRIVATE:
        raise RunError(f"{path.name} stays on this machine.")
    return path


def _send_status(client: Any, run_id: str, _folder: Path, body: Mapping[str, Any]) -> None:
    client.set_terminated(run_id, status=body["status"], end_time=body["time"])


def _parts(items: Any, size: int) -> Iterator[Sequence[tuple[str, Any]]]:
    every = list(items)
    for start in range(0, len(every), size):
        yield every[start : start + size]


_SENDERS: Mapping[str, Callable[[Any, str, Path, Mapping[str, Any]], str | None]] = {
    "params": _send_params,
    "tags": _send_tags,
    "metrics": _send_metrics,
    "data": _send_data,
    "artifact": _send_artifact,
    "table": _send_table,
    "model": _send_model,
    "status": _send_status,
}
