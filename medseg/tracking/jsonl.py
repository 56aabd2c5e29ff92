"""The record of a run in its own folder: plain files that outlive any tracking server."""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from medseg.errors import RunError
from medseg.files.durable import append_line, cut_damage
from medseg.files.regular import open_regular, parse_json, read_json
from medseg.places import written_whole
from medseg.recorder import DataInput, Status, is_score

PARAMS = "params.json"
TAGS = "tags.json"
METRICS = "metrics.jsonl"
INPUTS = "inputs.json"
STATUS = "status.json"


class FolderRecorder:
    """Writes what happened into the run's own folder, and goes on where an earlier process stopped.

    `params.json`, `tags.json`, `inputs.json` and `status.json` are replaced whole; `metrics.jsonl` grows by
    one line `{"step", "time", "metrics"}` a call, with `time` in seconds since 1970. A number that is NaN or
    infinite is written as `null`, for JSON has no other word.

    Args:
        folder: The run's folder; made if missing.
        say: Called if something of an earlier process is damaged: the end of `metrics.jsonl` is cut off, and the
            other files are made anew of what is recorded from now on.

    Attributes:
        lost: Names of files that were damaged: what is missing in them a tracking store may still have.

    Raises:
        RunError: A line of metrics other than the last is no longer JSON.
    """

    def __init__(self, folder: Path, say: Callable[[str], None] = lambda _: None) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.lost: set[str] = set()

        def damaged(name: str, text: str) -> None:
            self.lost.add(name)
            say(text)

        self._params: dict[str, Any] = _read(folder / PARAMS, {}, partial(damaged, PARAMS))
        self._tags: dict[str, Any] = _read(folder / TAGS, {}, partial(damaged, TAGS))
        self._inputs: list[Any] = _read(folder / INPUTS, [], partial(damaged, INPUTS))
        lines = read_metrics(folder, partial(damaged, METRICS))
        self._seen = {
            (name, line["step"]): value for line in lines for name, value in line["metrics"].items()
        }
        note_status(folder, "RUNNING")

    def params(self, values: Mapping[str, object]) -> None:
        """Merge settings into `params.json`; what JSON cannot hold is written as text."""
        self._params |= values
        self._write(PARAMS, self._params)

    def tags(self, values: Mapping[str, str]) -> None:
        """Merge tags into `tags.json`."""
        self._tags |= values
        self._write(TAGS, self._tags)

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """Append one line; a (name, step) that was recorded before is left out, but for a score that has changed."""
        new = {
            name: float(value)
            for name, value in values.items()
            if (name, step) not in self._seen or (is_score(name) and self._seen[name, step] != value)
        }
        if not new:
            return
        shown = {name: value if math.isfinite(value) else None for name, value in new.items()}
        line = json.dumps({"step": step, "time": time.time(), "metrics": shown}, allow_nan=False)
        append_line(self._folder / METRICS, line)
        self._seen |= {(name, step): value for name, value in shown.items()}

    def data(self, inputs: Sequence[DataInput]) -> None:
        """Write what the run learned from; a role that was there before is replaced."""
        new = [
            {
                "name": one.name,
                "digest": one.digest,
                "context": one.context,
                "profile": dict(one.profile),
                "source": one.source,
            }
            for one in inputs
        ]
        replaced = {(one["name"], one["context"]) for one in new}
        kept = [one for one in self._inputs if (one["name"], one["context"]) not in replaced]
        self._inputs = [*kept, *new]
        self._write(INPUTS, self._inputs)

    def artifact(self, path: Path, folder: str = "") -> None:
        """Copy a file or folder from elsewhere; one that lies in the run's folder stays where it is."""
        if path.resolve().is_relative_to(self._folder.resolve()):
            return
        target = self._folder / folder / path.name
        with written_whole(target) as beside:
            if path.is_dir():
                shutil.copytree(path, beside)
            else:
                shutil.copyfile(path, beside)

    def table(self, path: Path) -> None:
        """Leave a table where it is: it lies in the run's folder."""

    def model(self, folder: Path) -> None:
        """Keep a saved `Predictor` folder under its own name."""
        self.artifact(folder)

    def close(self, status: Status) -> None:
        """Write how the run ended."""
        note_status(self._folder, status)

    def _write(self, name: str, content: object) -> None:
        _write(self._folder / name, content)


def note_status(folder: Path, status: Status) -> None:
    """Write how a run is doing, also of one whose process is gone: nothing else in its folder is read or mended."""
    _write(folder / STATUS, {"status": status, "time": time.time()})


def _write(path: Path, content: object) -> None:
    with written_whole(path) as beside:
        text = json.dumps(content, indent=2, ensure_ascii=False, default=str)
        beside.write_text(text + "\n", encoding="utf-8")


def read_metrics(folder: Path, say: Callable[[str], None]) -> list[dict[str, Any]]:
    """Read the lines of `metrics.jsonl`, oldest first, and cut off an end that a kill or a power cut has damaged.

    Args:
        folder: The run's folder.
        say: Called if something was cut off.

    Raises:
        RunError: A line other than the last is not JSON, or holds something else.
    """
    path = folder / METRICS
    if not path.exists():
        return []
    if not path.stat().st_size:
        say(f"{METRICS} is empty. What was recorded in it before is lost here; MLflow may have it.")
    cut = cut_damage(path)
    if cut:
        say(f"The last {cut} bytes of {METRICS} were damaged, as by a power cut, and are cut off.")
    with open_regular(path) as file:
        content = file.read()
    try:
        return [_line(parse_json(line)) for line in content.decode("utf-8").splitlines()]
    except ValueError as error:
        raise RunError(
            f"{METRICS} of run {folder.name} holds a line that medseg did not write ({error}). "
            "Someone else wrote to it: remove that line, or start a new run."
        ) from error


def _line(read: Any) -> dict[str, Any]:
    if not (
        isinstance(read, dict) and isinstance(read.get("metrics"), dict) and isinstance(read.get("step"), int)
    ):
        raise ValueError("expected step, time and metrics")  # noqa: TRY004  # one error for all
    return read


def _is_input(read: Any) -> bool:
    return isinstance(read, dict) and all(isinstance(read.get(key), str) for key in ("name", "context"))


def _read(path: Path, empty: Any, say: Callable[[str], None]) -> Any:
    if not path.exists():
        return empty
    with suppress(ValueError):
        content = read_json(path)
        if isinstance(content, type(empty)) and (isinstance(content, dict) or all(map(_is_input, content))):
            return content
    say(
        f"{path.name} is damaged and is made again. What steps that are done had written to it is lost here; MLflow "
        "may have it."
    )
    return empty
