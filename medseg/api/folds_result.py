"""The scores of all folds of a cross-validation, put together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from medseg.api.result import RunResult
from medseg.component import build
from medseg.pipeline.folder import RunFolder
from medseg.pipeline.study.cross_validation import CrossValidation
from medseg.places import written_whole
from medseg.progress import Progress

if TYPE_CHECKING:
    from pandas import DataFrame

    from medseg.steps.evaluation.pooled import Pooled
    from medseg.steps.step import Evaluates
    from medseg.tracking.mlflow.recorder import MlflowRecorder

_ROLE = "folds"


@dataclass(frozen=True)
class FoldsResult:
    """A cross-validation that has ended.

    Attributes:
        name: Of the run above the folds, which is that of its folder.
        folder: Where pooled tables and figures lie.
        run_id: Of the run above the folds, on the tracking store.
        tracking_uri: Where that is.
        results: Of each fold.
        generated: Whether it ran on a generated sample.
    """

    name: str
    folder: Path
    run_id: str
    tracking_uri: str
    results: tuple[RunResult, ...]
    generated: bool

    @property
    def mixture(self) -> str:
        """As `RunResult.mixture`."""
        return next((each.mixture for each in self.results), "")

    @property
    def leaks(self) -> Sequence[str]:
        """What leaks in which folds, as sentences; none where the leak certificates found nothing."""
        from medseg.pipeline.audit.together import leak_lines  # noqa: PLC0415

        return leak_lines(
            {f"fold {fold}": RunFolder(each.folder) for fold, each in enumerate(self.results, 1)}
        )

    def summary(self, role: str = "test") -> DataFrame:
        """Scores of all test parts together, as `RunResult.summary` gives those of one.

        Args:
            role: `test`; the pooled parts are no other.
        """
        from medseg.learning.scores.tables import read_summary  # noqa: PLC0415 - numpy takes 0.1 s to import

        return read_summary(self.folder / f"{role}_summary.csv")


def put_together(
    asked: CrossValidation,
    results: Sequence[RunResult],
    shown: Progress,
    uri: str | None,
) -> FoldsResult:
    """Score the test parts of all folds as one, and track that in a run above them.

    Args:
        asked: The cross-validation, with the options that count now.
        results: Of its folds, in order.
        shown: Where progress is shown.
        uri: Of MLflow, with credentials; None as by default.
    """
    from medseg.learning.inference.predictor import Predictor  # noqa: PLC0415
    from medseg.pipeline.audit.together import leak_tag  # noqa: PLC0415
    from medseg.tracking.mlflow.address import default_uri, masked  # noqa: PLC0415
    from medseg.tracking.mlflow.runs import put_below  # noqa: PLC0415

    first, uri = results[0], default_uri(uri)
    definition, allowed = asked.declared["definition"], asked.options.allowed
    last = list(definition["steps"].values())[-1]
    step: Evaluates = build(last, at="steps", kind=None, allowed=allowed)
    evaluation = step.evaluation(Predictor.load(first.folder / "model", allowed=allowed))
    parts = [{ending: result.table(f"test{ending}") for ending in evaluation.parts} for result in results]
    pooled = evaluation.pooled(parts, definition["seed"])
    recorder = _recorder(asked, uri, noun=evaluation.noun, say=shown.say)
    leaks = leak_tag([RunFolder(result.folder) for result in results])
    recorder.tags({"pipeline": str(definition["name"]), "folds": str(len(results)), **leaks})
    recorder.metrics(evaluation.metrics(pooled.tables, _ROLE), 0)
    for path in _written(pooled, asked.folder):
        recorder.artifact(path, "figures" if path.suffix == ".png" else "scores")
    put_below(uri, recorder.run_id, [result.run_id for result in results])
    recorder.close("FINISHED")
    return FoldsResult(
        asked.name, asked.folder, recorder.run_id, masked(uri), tuple(results), first.generated
    )


def _recorder(asked: CrossValidation, uri: str, *, noun: str, say: Callable[[str], None]) -> MlflowRecorder:
    from medseg.tracking.mlflow.recorder import MlflowRecorder  # noqa: PLC0415

    begun = MlflowRecorder.find(uri, asked.experiment, asked.folder)  # by a process that was killed at it
    if begun:
        return MlflowRecorder.resume(uri, begun, asked.folder, say=say, system=False)
    return MlflowRecorder.start(
        uri,
        experiment=asked.experiment,
        name=asked.options.run_name or asked.name.removeprefix(f"{asked.declared['definition']['name']}-"),
        folder=asked.folder,
        tags=asked.options.own_tags(),
        note=f"{asked.options.note}\n\n{asked.folds} folds, each of the {noun} tested once. Research use only; "
        "not a medical device.",
        say=say,
        system=False,
    )


def _written(pooled: Pooled, folder: Path) -> list[Path]:
    from medseg.figures.saving import save_figure  # noqa: PLC0415

    paths = []
    for ending, content in pooled.tables.items():
        paths.append(folder / f"test{ending}.csv")
        with written_whole(paths[-1]) as target:
            content.to_csv(target, index=content.index.name is not None)
    figures = pooled.figures.items()
    return [*paths, *(save_figure(draw(), folder / f"{_ROLE}_{name}.png") for name, draw in figures)]
