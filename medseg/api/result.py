"""What a run gives back to a script."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from medseg.allowed import SHIPPED
from medseg.errors import RunError
from medseg.pipeline.folder import RunFolder
from medseg.pipeline.made import refuse_damaged
from medseg.places import read_kept

if TYPE_CHECKING:
    from pandas import DataFrame

    from medseg.learning.inference.predictor import Predictor


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
        allow: Packages that parts of its model may come from, beside the usual ones.
        refused: Records that the tracking server has refused for good, which are in the folder alone.
        mixture: How many of its cases were generated, such as `8 of 11`, where others were not; else empty.
    """

    name: str
    folder: Path
    run_id: str
    tracking_uri: str
    generated: bool
    leaking: bool
    allow: tuple[str, ...] = ()
    refused: int = 0
    mixture: str = ""

    def scores(self, role: str = "test") -> DataFrame:
        """Scores of every case: one row for each case and class or region, or the prediction for each image."""
        return self._table(f"{role}.csv")

    def summary(self, role: str = "test") -> DataFrame:
        """Each score and class or region with its interval and the number of patients.

        Of images, the name of the rows for all classes together is empty.
        """
        from medseg.learning.scores.tables import read_summary  # noqa: PLC0415

        return self._read(f"{role}_summary.csv", read_summary)

    def verdicts(self) -> dict[str, dict[str, str]]:
        """What the learning curves of each training step say: `kind`, `text` and `next_step`, by step, in order.

        `courses` stands beside where the schedule of the learning rate was made anew for another number of epochs.
        """
        from medseg.pipeline.declaration.definition import PipelineDefinition  # noqa: PLC0415 - only where files are read

        found = {}
        for step in PipelineDefinition.from_yaml(self.folder / "definition.yaml").steps:
            path = self.folder / "steps" / step / "verdict.json"
            self._refuse_damaged(f"steps/{step}/verdict.json")
            if path.exists():
                found[step] = read_kept(path, dict)
                if not {"kind", "text", "next_step"} <= found[step].keys() or not all(
                    isinstance(value, str) for value in found[step].values()
                ):
                    raise RunError(
                        f"verdict.json of the run {self.name} is damaged. Start the pipeline again."
                    )
        return found

    def leaks(self) -> dict[str, str]:
        """What leaks, as sentences by its kind; empty where the leak certificate found nothing.

        Raises:
            RunError: The certificate is damaged.
        """
        from medseg.pipeline.audit.certificate import leaks_of  # noqa: PLC0415

        return leaks_of(self.folder)

    def changed(self) -> dict[str, object]:
        """What of its definition was changed when the run went on, and its values now, by dotted key."""
        from medseg.pipeline.declaration.definition import PipelineDefinition  # noqa: PLC0415

        if not (self.folder / "run.json").exists():
            return {}
        now = PipelineDefinition.from_yaml(self.folder / "definition.yaml").flat()
        return {path: now.get(path) for path in RunFolder(self.folder).read().changed}

    @property
    def grouped_by(self) -> str:
        """What a score is the mean over: patients, or the groups of a data set of pictures."""
        from medseg.datasets.manifest.manifest import Manifest  # noqa: PLC0415

        path = self.folder / "manifest.yaml"
        return f"{Manifest.from_yaml(path).groups_are}s" if path.exists() else "patients"

    def table(self, name: str) -> DataFrame:
        """A table of scores by its name without `.csv`, such as `test_confusion`.

        Raises:
            RunError: The run has none of that name.
        """
        return self._table(f"{name}.csv")

    def _table(self, name: str) -> DataFrame:
        from medseg.learning.scores.tables import read_scores  # noqa: PLC0415 - numpy takes 0.1 s to import

        return self._read(name, read_scores)

    def _read(self, name: str, read: Callable[[Path], DataFrame]) -> DataFrame:
        path = self.folder / "scores" / name
        self._refuse_damaged(f"scores/{name}")
        if not path.exists():
            raise RunError(f"the run {self.name} has no table {name}: no step of it scores that role")
        return read(path)

    @cached_property
    def predictor(self) -> Predictor:
        """The trained model."""
        from medseg.learning.inference.predictor import Predictor  # noqa: PLC0415  # imports torch and MONAI

        self._refuse_damaged("model/")
        return Predictor.load(self.folder / "model", allowed=SHIPPED.also(*self.allow))

    def _refuse_damaged(self, below: str) -> None:
        if (self.folder / "run.json").exists():
            refuse_damaged(RunFolder(self.folder), below)
