"""Cross-validation: a run for each fold, and the scores of all test parts together in one run above them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from medseg.api.conductor import quiet_libraries
from medseg.api.opening import load_pipeline
from medseg.api.result import RunResult
from medseg.api.running import run_pipeline
from medseg.cases.manifest import Manifest
from medseg.errors import DefinitionError
from medseg.places import written_whole
from medseg.progress import Progress, Silent

if TYPE_CHECKING:
    from pandas import DataFrame

    from medseg.learning.class_scores import ClassScorer

FOLDER = Path("medseg-folds")
"""Where the pooled tables and figures lie, below the working folder."""

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

    def summary(self, role: str = "test") -> DataFrame:
        """Scores of all test parts together, as `RunResult.summary` gives those of one.

        Args:
            role: `test`; the pooled parts are no other.
        """
        from medseg.api.result import read_scores  # noqa: PLC0415

        return read_scores(self.folder / f"{role}_summary.csv")


def run_folds(
    name: str | Path,
    data: str | Path | None = None,
    *,
    folds: int = 5,
    set: Sequence[str] = (),  # noqa: A002  # as on the command line
    device: str = "auto",
    skip_bad: bool = False,
    allow_duplicates: bool = False,
    tracking_uri: str | None = None,
    allow: Sequence[str] = (),
    jobs: int | None = None,
    progress: Progress | None = None,
) -> FoldsResult:
    """Run a pipeline of whole images once for each fold, and score all test parts together.

    Every image is tested once, by a model that saw neither it nor another of its patient. Intervals are over
    patients; they hold the models of the folds for given, and say nothing of how much these differ.

    Args:
        name: A pipeline whose last step is `EvaluateClasses` of the role test.
        data: As of `run_pipeline`, like all that follows; None runs on the generated sample.
        folds: How many, 2 or more.
        set: `path=value` strings that change the definition.
        device: auto, cpu or cuda.
        skip_bad: Go on without cases that have faults.
        allow_duplicates: Go on though pictures that are one, or nearly, are in different roles.
        tracking_uri: Of MLflow.
        allow: Packages that declared objects may come from, beside the usual ones.
        jobs: Cases that are read at a time.
        progress: Where it is shown.

    Raises:
        DefinitionError: The pipeline does not score classes of whole images.
        MedsegError: What is wrong with a run.
    """
    shown = progress or Silent()
    _refuse_others(name, set)
    results = []
    for fold in range(1, folds + 1):
        shown.say(f"Fold {fold} of {folds}.")
        roles = ("split.test=null", "split.column=null", "split.file=null")
        changes = [*set, *roles, f"split.folds={folds}", f"split.fold={fold}"]
        result = run_pipeline(
            name,
            data,
            set=changes,
            device=device,
            skip_bad=skip_bad,
            allow_duplicates=allow_duplicates,
            tracking_uri=tracking_uri,
            allow=allow,
            jobs=jobs,
            progress=progress,
        )
        results.append(result)
    with quiet_libraries():
        return _together(results, shown, tracking_uri)


def _refuse_others(name: str | Path, changes: Sequence[str]) -> None:
    definition = load_pipeline(name, set=changes)
    last = list(definition.steps.values())[-1]
    if last["_target_"] != "medseg.steps.EvaluateClasses" or last.get("role", "test") != "test":
        raise DefinitionError(
            f"folds are of pipelines that end with medseg.steps.EvaluateClasses of the role test, and "
            f"{definition.name} ends with {last['_target_']}."
        )


def _together(results: Sequence[RunResult], shown: Progress, tracking_uri: str | None) -> FoldsResult:
    from medseg.learning.class_tables import class_metrics  # noqa: PLC0415
    from medseg.learning.pooling import pooled  # noqa: PLC0415
    from medseg.tracking.mlflow.address import default_uri, masked  # noqa: PLC0415
    from medseg.tracking.mlflow.recorder import MlflowRecorder  # noqa: PLC0415
    from medseg.tracking.mlflow.runs import put_below  # noqa: PLC0415

    first = results[0]
    manifest = Manifest.from_yaml(first.folder / "manifest.yaml")
    scorer = pooled(
        [result.scores() for result in results], manifest.classes, exclusive=manifest.image_labels == "one"
    )
    pipeline = first.name.rsplit("-", 3)[0]
    name = f"{pipeline}-folds-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    folder = (FOLDER / name).absolute()
    uri = default_uri(tracking_uri)
    recorder = MlflowRecorder.start(
        uri,
        experiment=f"{pipeline}{'-generated' if first.generated else ''}",
        name=name,
        folder=folder,
        note=f"{len(results)} folds, each image tested once. Research use only; not a medical device.",
        say=shown.say,
        system=False,
    )
    summary = scorer.summary()
    recorder.tags({"pipeline": pipeline, "folds": str(len(results))})
    recorder.metrics(class_metrics(summary, _ROLE), 0)
    for path in _written(scorer, summary, folder):
        recorder.artifact(path, "figures" if path.suffix == ".png" else "scores")
    recorder.close("FINISHED")
    put_below(uri, recorder.run_id, [result.run_id for result in results])
    return FoldsResult(name, folder, recorder.run_id, masked(uri), tuple(results), first.generated)


def _written(scorer: ClassScorer, summary: DataFrame, folder: Path) -> list[Path]:
    from medseg.figures.saving import save_figure  # noqa: PLC0415
    from medseg.steps.class_figures import class_figures  # noqa: PLC0415

    paths = [folder / "test.csv", folder / "test_summary.csv"]
    for path, content in zip(paths, (scorer.frame(), summary), strict=True):
        with written_whole(path) as target:
            content.to_csv(target, index=False)
    for name, draw in class_figures(scorer, _ROLE).items():
        paths.append(save_figure(draw(), folder / f"{_ROLE}_{name}.png"))
    return paths
