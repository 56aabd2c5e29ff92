"""The record of a run on an MLflow tracking store, by its id: no active run, no global address."""

from __future__ import annotations

import getpass
import itertools
import math
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from medseg.recorder import DataInput, Status, is_score
from medseg.tracking.jsonl import FolderRecorder
from medseg.tracking.mlflow.address import is_of_store, masked, reach, sqlite_path
from medseg.tracking.mlflow.calls import (
    Call,
    data_call,
    key_of,
    metrics_call,
    params_call,
    tags_call,
)
from medseg.tracking.mlflow.giving_back import give_back
from medseg.tracking.mlflow.sending.background import Background
from medseg.tracking.mlflow.sending.outbox import Outbox
from medseg.tracking.mlflow.store import existing_run, experiment_id, open_store, tagged_run
from medseg.tracking.mlflow.system import SystemWatch

SOURCE = "medseg"
RUN_TAG = "medseg.run"


def _say_nothing(_text: str) -> None:
    """Be the listener of a library call."""


class MlflowRecorder:
    """Writes down what happened on an MLflow tracking store; made by `start` or `resume`.

    Once made, nothing that the server does or fails to do raises, see `Outbox`, or is waited for before `close`, see
    `Background`; but for the model, and files outside the run's folder, which may be gone or others a moment later.
    """

    def __init__(
        self,
        client: Any,
        run_id: str,
        folder: Path,
        *,
        reach_again: Callable[[], None],
        settled: Mapping[str, str] | None = None,
        say: Callable[[str], None] = _say_nothing,
        system: bool = False,
        register: tuple[str, str] | None = None,
    ) -> None:
        """Wrap a run that exists.

        Args:
            client: An `MlflowClient`.
            run_id: The run.
            folder: The run's own folder.
            reach_again: Raises `TrackingError` soon if the server does not answer.
            settled: Parameters that an earlier process recorded, None for a new run.
            say: Called with each trouble with the server, one sentence at a time.
            system: Whether to record how busy the machine is, every ten seconds.
            register: Name and alias with which the model is registered; None: it is not.
        """
        self.run_id = run_id
        self._client = client
        self._folder = folder.resolve()
        self._say = say
        self._lock = threading.RLock()
        self._outbox = Outbox(
            lambda call: call.send(client, run_id, self._folder), reach_again, self._folder, say
        )
        self._sender = Background(self._outbox, self._folder, say)
        self._seen: dict[str, dict[int, float]] = {}  # the last value at each step, by metric
        self._settled = dict(settled or {})
        self._resumed = settled is not None
        self._registered = register
        if self._resumed:
            self._outbox.forget("status")  # an end that was none: the run goes on
        self._outbox.flush()  # what an earlier process could not tell
        self._watch = self._watched() if system else None

    @classmethod
    def start(
        cls,
        uri: str,
        *,
        experiment: str,
        name: str,
        folder: Path,
        note: str = "",
        tags: Mapping[str, str] | None = None,
        say: Callable[[str], None] = _say_nothing,
        system: bool = True,
        register: tuple[str, str] | None = None,
    ) -> MlflowRecorder:
        """Make a new run.

        Args:
            uri: Address of the tracking store, see `default_uri`.
            experiment: Name of the experiment; made if missing.
            name: Name of the run.
            folder: The run's own folder. Its name is kept as tag `medseg.run`, its path is not.
            note: Description shown on the run's page, as Markdown.
            tags: That the run has from the start.
            say: Called with each trouble with the server, one sentence at a time.
            system: Whether to record how busy the machine is, every ten seconds.
            register: Name and alias with which the model is registered; None: it is not.

        Raises:
            TrackingError: The address is malformed, or the store does not answer.
        """
        database = sqlite_path(uri)
        if database is not None and not database.exists():
            say("Making the tracking database: about ten seconds, only this once.")
        with open_store(uri) as client:
            run = client.create_run(
                experiment_id(client, uri, experiment),
                run_name=name,
                tags={
                    **{key_of(key): value for key, value in (tags or {}).items()},
                    "mlflow.user": _user(),
                    "mlflow.source.name": SOURCE,
                    "mlflow.source.type": "LOCAL",
                    RUN_TAG: folder.name,
                    **({"mlflow.note.content": note} if note else {}),
                },
            )
        folder.mkdir(parents=True, exist_ok=True)
        return cls(
            client,
            run.info.run_id,
            folder,
            reach_again=lambda: reach(uri, 2.0),
            say=say,
            system=system,
            register=register,
        )

    @classmethod
    def resume(
        cls,
        uri: str,
        run_id: str,
        folder: Path,
        *,
        say: Callable[[str], None] = _say_nothing,
        system: bool = True,
        register: tuple[str, str] | None = None,
    ) -> MlflowRecorder:
        """Go on with a run: it is RUNNING again, and gets first what an earlier process could not tell it.

        Args:
            uri: Address of the tracking store.
            run_id: The run.
            folder: The run's own folder.
            say: Called with each trouble with the server, one sentence at a time.
            system: Whether to record how busy the machine is, every ten seconds.
            register: Name and alias with which the model is registered; None: it is not.

        Raises:
            TrackingError: The store does not answer.
            RunError: The store has no such run, or it was deleted.
        """
        with open_store(uri) as client:
            run = existing_run(client, run_id)
            client.update_run(run_id, status="RUNNING")
        place = run.info.artifact_uri
        if sqlite_path(uri) is not None and not is_of_store(place, uri):
            say(
                "The tracking database was copied without the files of this run: those that come are put beside its "
                f"earlier ones, at {masked(place)}."
            )
        return cls(
            client,
            run_id,
            folder,
            reach_again=lambda: reach(uri, 2.0),
            settled=run.data.params,
            say=say,
            system=system,
            register=register,
        )

    @staticmethod
    def find(uri: str, experiment: str, folder: Path) -> str:
        """Return the id of the run that was made for a folder, empty if there is none.

        Args:
            uri: Address of the tracking store.
            experiment: Name of the experiment.
            folder: The run's own folder.

        Raises:
            TrackingError: The store does not answer.
        """
        database = sqlite_path(uri)
        if database is not None and not database.exists():  # to look must not make an empty store
            return ""
        with open_store(uri) as client:
            return tagged_run(client, experiment, RUN_TAG, folder.name)

    @property
    def refused(self) -> int:
        """Records of this process that the server has refused for good."""
        return self._outbox.refused

    def params(self, values: Mapping[str, object]) -> None:
        """Record settings; one that was recorded before keeps its first value, as MLflow wants it."""
        call = params_call(values)
        new = {name: text for name, text in call.body.items() if name not in self._settled}
        self._settled |= new
        if new:
            self._sender.put(Call(call.what, new))

    def tags(self, values: Mapping[str, str]) -> None:
        """Record tags; a tag that was there before is replaced."""
        if values:
            self._sender.put(tags_call(values))

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """Record numbers at a step, but for NaN and infinite ones, and for a (name, step) recorded before.

        A score that has changed since is recorded again: a store shows the later of two at one step.
        """
        with self._lock:
            new = {
                name: value
                for name, value in values.items()
                if math.isfinite(value) and self._is_new(name, value, step)
            }
            for name, value in new.items():
                self._steps(key_of(name))[step] = value
        if new:
            self._sender.put(metrics_call(new, step, _now_ms()))

    def data(self, inputs: Sequence[DataInput]) -> None:
        """Record what the run learned from, one MLflow data set `<name>/<role>` each."""
        if inputs:
            self._sender.put(data_call(inputs))

    def artifact(self, path: Path, folder: str = "") -> None:
        """Keep a file, or a whole folder under its own name, below `folder` of the run's artifacts."""
        self._send_file(Call("artifact", {"path": self._inside(path), "folder": folder}))

    def table(self, path: Path) -> None:
        """Keep a CSV of scores as a table of MLflow's evaluation view."""
        self._send_file(Call("table", {"path": self._inside(path)}))

    def model(self, folder: Path) -> None:
        """Keep a `Predictor` folder as the run's model, `runs:/<run id>/<pipeline>`; register it if asked to."""
        registered = dict(zip(("name", "alias"), self._registered or (), strict=False))
        self._sender.put(Call("model", {"path": self._inside(folder), **registered}))
        self.settle()  # a later step may write another in its place

    def give_back(self, recorder: FolderRecorder) -> None:
        """Let the record in the run's own folder have again what it has lost, as far as the store has it."""
        give_back(self._client, self.run_id, recorder, self._say)

    def settle(self) -> None:
        """Wait until the server has what was recorded so far, or is known to be away."""
        self._sender.settle()

    def close(self, status: Status) -> None:
        """End the run. If the server is still away, says where everything is and how it gets there."""
        if self._watch is not None:
            self._watch.stop()
        self._sender.put(Call("status", {"status": status, "time": _now_ms()}))
        self.settle()
        everything = self._outbox.flush()
        if self._outbox.waiting:
            self._outbox.save()  # which tells of a full disk: what waits lies in that file alone from now on
        if self._outbox.unsent:
            how = " They are sent by: medseg runs sync"
            self._say(
                f"NOT EVERYTHING IS ON THE TRACKING SERVER. Of the run {self._folder.name} {self._outbox.unsent}."
                f"{'' if everything else how}"
            )

    def _send_file(self, call: Call) -> None:
        self._sender.put(call)
        if Path(call.body["path"]).is_absolute():
            self.settle()

    def _watched(self) -> SystemWatch:
        first = max(self._steps("system/cpu_utilization_percentage"), default=-1) + 1
        following = itertools.count(first)
        watch = SystemWatch(lambda numbers: self.metrics(numbers, next(following)))
        watch.start()
        return watch

    def _is_new(self, name: str, value: float, step: int) -> bool:
        known = self._steps(key_of(name))
        return step not in known or (is_score(name) and known[step] != value)

    def _steps(self, name: str) -> dict[int, float]:
        """What is recorded of a metric, by step; of a resumed run, asked of the server at the first use."""
        if name not in self._seen:
            self._seen[name] = self._asked_steps(name) if self._resumed else {}
        return self._seen[name]

    def _asked_steps(self, name: str) -> dict[int, float]:
        if self._outbox.waiting:  # the server is away: a number too many is better than a wait each
            return {}
        try:
            history = self._client.get_metric_history(self.run_id, name)
        except Exception:  # noqa: BLE001 - MLflow raises whatever its stores and HTTP layers raise
            return {}
        return {each.step: each.value for each in sorted(history, key=lambda each: each.timestamp)}

    def _inside(self, path: Path) -> str:
        """Relative to the run's folder where it lies inside, so that the folder may be moved."""
        whole = path.resolve()
        return (
            whole.relative_to(self._folder).as_posix() if whole.is_relative_to(self._folder) else str(whole)
        )


def _user() -> str:
    """Who runs it: `MEDSEG_USER`, else the name of the account."""
    named = os.environ.get("MEDSEG_USER", "").strip()
    try:
        return named or getpass.getuser()
    except (OSError, KeyError):  # an account without a name, as in a container
        return SOURCE


def _now_ms() -> int:
    return int(time.time() * 1000)
