"""What a run gives back to a script."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from medseg.errors import RunError

if TYPE_CHECKING:
    from pandas import DataFrame

    from medseg.learning.predictor import Predictor


@dataclass(frozen=True)
class RunResult:
    """A run that has ended.

    Attributes:
        name: Of the run, which is that of its folder.
        folder: Where everything about it lies.
        run_id: Its id on the tracking store.
        tracking_uri: Where that is.
        generated: Whether it ran on a generated sample.
        leaking: Whether its split lets slices of a patient into training and test.
    """

    name: str
    folder: Path
    run_id: str
    tracking_uri: str
    generated: bool
    leaking: bool

    def scores(self, role: str = "test") -> DataFrame:
        """Scores of every patient volume, one row for each case and class or region."""
        return self._table(f"{role}.csv")

    def summary(self, role: str = "test") -> DataFrame:
        """Mean, median, spread and number of patients of each score and class or region."""
        return self._table(f"{role}_summary.csv")

    def verdicts(self) -> dict[str, dict[str, str]]:
        """What the learning curves of each training step say: `kind`, `text` and `next_step`, by step."""
        found = {}
        for path in sorted((self.folder / "steps").glob("*/verdict.json")):
            found[path.parent.name] = json.loads(path.read_text(encoding="utf-8"))
        return found

    @property
    def grouped_by(self) -> str:
        """What a score is the mean over: patients, or the groups of a data set of pictures."""
        from medseg.cases.manifest import Manifest  # noqa: PLC0415

        path = self.folder / "manifest.yaml"
        pictures = path.exists() and Manifest.from_yaml(path).pictures is not None
        return "groups" if pictures else "patients"

    def _table(self, name: str) -> DataFrame:
        import pandas as pd  # noqa: PLC0415  # half a second

        path = self.folder / "scores" / name
        if not path.exists():
            raise RunError(f"the run {self.name} has no table {name}: no step of it scores that role")
        return pd.read_csv(path, dtype={"case": str, "group": str})

    @cached_property
    def predictor(self) -> Predictor:
        """The trained model."""
        from medseg.learning.predictor import Predictor  # noqa: PLC0415  # imports torch and MONAI

        return Predictor.load(self.folder / "model")
