"""One record kept in several places."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from medseg.recorder import DataInput, Recorder, Status


class FanOut:
    """Passes everything to several recorders, in order: the run's own folder comes first.

    Args:
        recorders: What to write to. The first one is written to before any other is tried.
    """

    def __init__(self, recorders: Sequence[Recorder]) -> None:
        self._recorders = tuple(recorders)

    def params(self, values: Mapping[str, object]) -> None:
        """Pass settings on."""
        for recorder in self._recorders:
            recorder.params(values)

    def tags(self, values: Mapping[str, str]) -> None:
        """Pass tags on."""
        for recorder in self._recorders:
            recorder.tags(values)

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """Pass numbers on."""
        for recorder in self._recorders:
            recorder.metrics(values, step)

    def data(self, inputs: Sequence[DataInput]) -> None:
        """Pass inputs on."""
        for recorder in self._recorders:
            recorder.data(inputs)

    def artifact(self, path: Path, folder: str = "") -> None:
        """Pass a file or folder on."""
        for recorder in self._recorders:
            recorder.artifact(path, folder)

    def table(self, path: Path) -> None:
        """Pass a table on."""
        for recorder in self._recorders:
            recorder.table(path)

    def model(self, folder: Path) -> None:
        """Pass a saved model on."""
        for recorder in self._recorders:
            recorder.model(folder)

    def close(self, status: Status) -> None:
        """Close every recorder, also those after one that fails; the failure is raised afterwards."""
        with ExitStack() as stack:
            for recorder in reversed(self._recorders):  # an exit stack runs backwards
                stack.callback(recorder.close, status)
