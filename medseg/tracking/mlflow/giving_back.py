"""Gives the record in a run's own folder back what it has lost and a tracking store still has."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from medseg.tracking.jsonl import METRICS, PARAMS, TAGS, FolderRecorder
from medseg.tracking.mlflow.calls import value_of

_NOT_OURS = ("mlflow.", "medseg.")  # tags that the store, or the beginning of a run, has set


def give_back(client: Any, run_id: str, recorder: FolderRecorder, say: Callable[[str], None]) -> None:
    """Let a record have its numbers, tags and settings again; what it learned from it records anew by itself.

    Args:
        client: An `MlflowClient`.
        run_id: The run.
        recorder: The record; where nothing of it was damaged, nothing is done.
        say: Called with what was given back, or why nothing was.
    """
    if not recorder.lost & {METRICS, TAGS, PARAMS}:
        return
    try:
        data = client.get_run(run_id).data
        numbers = _numbers(client, run_id, data.metrics) if METRICS in recorder.lost else {}
    except Exception as error:  # noqa: BLE001 - MLflow raises whatever its stores and HTTP layers raise
        say(f"The tracking store could not be asked for what is lost ({type(error).__name__}).")
        return
    for step, values in sorted(numbers.items()):
        recorder.metrics(values, step)
    if TAGS in recorder.lost:
        recorder.tags({name: text for name, text in data.tags.items() if not name.startswith(_NOT_OURS)})
    if PARAMS in recorder.lost:
        recorder.params({name: value_of(text) for name, text in data.params.items()})
    say("What the tracking store had of it has been written into the run's folder again.")


def _numbers(client: Any, run_id: str, names: Iterable[str]) -> dict[int, dict[str, float]]:
    """What the store has of metrics, by step; but for how busy the machine was."""
    numbers: dict[int, dict[str, float]] = {}
    for name in (each for each in names if not each.startswith("system/")):
        for each in client.get_metric_history(run_id, name):
            numbers.setdefault(each.step, {})[name] = each.value
    return numbers
