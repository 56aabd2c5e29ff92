"""What the training of a round records and says: its curves and bars, since the step itself tells of the round."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from medseg.progress import Bar, Progress
from medseg.recorder import NoRecord, Recorder

_CURVES = "epoch/"


class CurvesAlone(NoRecord):
    """Records what is of epochs, and figures: tags, settings and scores of a round are not those of the run.

    Args:
        recorder: Where it is written down.
    """

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """Pass on the curves."""
        curves = {name: value for name, value in values.items() if name.startswith(_CURVES)}
        if curves:
            self._recorder.metrics(curves, step)

    def artifact(self, path: Path, folder: str = "") -> None:
        """Pass on figures."""
        if folder == "figures":
            self._recorder.artifact(path, folder)


class BarsAlone:
    """Shows bars, and what must not be overlooked.

    Args:
        progress: Where they are shown.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def bar(self, label: str, total: float | None, unit: str = "") -> AbstractContextManager[Bar]:
        """Open a bar."""
        return self._progress.bar(label, total, unit)

    def say(self, text: str, *, loud: bool = False) -> None:
        """Pass on what is loud."""
        if loud:
            self._progress.say(text, loud=True)
