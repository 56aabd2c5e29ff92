"""Where a run writes down what happened: one seam, so that no science code knows a tracker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

Status = Literal["RUNNING", "FINISHED", "FAILED", "KILLED"]

SCORE_OF = "val/score.of"
"""The tag that says what `val/score` of a run is, such as `dice of core`: numbers of two kinds do not compare."""


@dataclass(frozen=True)
class DataInput:
    """What a run learned from, as a tracker may know it: no path, no identifier.

    Attributes:
        name: Of the manifest.
        digest: Fingerprint of files and preparation, hexadecimal, at most 36 characters.
        context: The role: `train`, `val` or `test`.
        profile: Counts to show, such as cases, groups and slices.
        source: Where the manifest says that the data come from; public.
    """

    name: str
    digest: str
    context: str
    profile: Mapping[str, int]
    source: str = ""


class StoppedEarly(KeyboardInterrupt):
    """A run is stopped on purpose, as one of a sweep that falls behind the others; it ends KILLED, and can go on."""


def is_score(name: str) -> bool:
    """Whether a number is a score of a role: the last one counts, as after longer training."""
    return name.startswith(("train/", "val/", "test/"))


class Recorder(Protocol):
    """Where a run writes down what happened."""

    def params(self, values: Mapping[str, object]) -> None:
        """Settings, flattened to dotted names."""

    def tags(self, values: Mapping[str, str]) -> None:
        """What a run is found by."""

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """Numbers at a step. A (name, step) that was recorded before is not, but for a score that has changed."""

    def data(self, inputs: Sequence[DataInput]) -> None:
        """What the run learned from."""

    def artifact(self, path: Path, folder: str = "") -> None:
        """Keep a file of the run's folder, or a whole folder, under `folder`."""

    def table(self, path: Path) -> None:
        """Keep a CSV of scores, which lies in the run's folder, as one by which runs are compared case by case."""

    def model(self, folder: Path) -> None:
        """Keep a saved `Predictor` folder as the run's model."""

    def close(self, status: Status) -> None:
        """End the record; nothing comes after."""


class NoRecord:
    """Writes nothing down: for scripts and tests that look at return values only."""

    def params(self, values: Mapping[str, object]) -> None:
        """Forget settings."""

    def tags(self, values: Mapping[str, str]) -> None:
        """Forget tags."""

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """Forget numbers."""

    def data(self, inputs: Sequence[DataInput]) -> None:
        """Forget inputs."""

    def artifact(self, path: Path, folder: str = "") -> None:
        """Forget a file."""

    def table(self, path: Path) -> None:
        """Forget a table."""

    def model(self, folder: Path) -> None:
        """Forget a model."""

    def close(self, status: Status) -> None:
        """End nothing."""
