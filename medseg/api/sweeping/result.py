"""What a sweep gives: a table of what was tried, the winner, and its scores."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from math import inf, isfinite
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

from medseg.api.kept.listing import best_score
from medseg.api.result import RunResult
from medseg.files.regular import open_regular
from medseg.pipeline.folder import RunFolder
from medseg.pipeline.study.sweep import Sweep
from medseg.places import written_whole
from medseg.progress import Progress

if TYPE_CHECKING:
    from pandas import DataFrame

    from medseg.tracking.mlflow.recorder import MlflowRecorder

_TABLE = "trials.csv"


@dataclass(frozen=True)
class Tried:
    """One combination of values.

    Attributes:
        number: From 0, in the order in which they were begun.
        settings: `path=value` strings.
        score: Mean validation score of its seeds; None where it was stopped early or could not be trained.
        scores: Of each seed.
        ended: `finished`, `stopped early` or `failed`.
        fault: Why it could not be trained.
        minutes: How long it took.
    """

    number: int
    settings: tuple[str, ...]
    score: float | None
    scores: tuple[float, ...]
    ended: str
    fault: str = ""
    minutes: float = 0.0


def minutes_of(trial: Any) -> float:
    """Minutes that were worked on a trial of Optuna, as its journal has them."""
    found = trial.user_attrs.get("minutes", 0.0)
    return float(found) if isinstance(found, int | float) and found >= 0 else 0.0


@dataclass(frozen=True)
class SweepResult:
    """A sweep that has ended.

    Attributes:
        name: Of the run above the others, which is that of its folder.
        folder: Where its table lies.
        run_id: Of the run above the others, on the tracking store.
        tracking_uri: Where that is.
        tried: What was tried, in order.
        best: What won.
        results: Runs that score the winner on the test part, one for each seed.
        generated: Whether it ran on a generated sample.
        leaks: What leaks in which of its runs, as sentences; none where the leak certificates found nothing.
    """

    name: str
    folder: Path
    run_id: str
    tracking_uri: str
    tried: tuple[Tried, ...]
    best: Tried
    results: tuple[RunResult, ...]
    generated: bool
    leaks: tuple[str, ...] = ()

    @property
    def mixture(self) -> str:
        """As `RunResult.mixture`."""
        return next((each.mixture for each in self.results), "")

    def test_scores(self) -> dict[str, tuple[float, ...]]:
        """Scores of the winner on the test part by their names in MLflow, one for each seed."""
        found = [_last_scores(result.folder, "test/") for result in self.results]
        names = [name for name in found[0] if all(name in each for each in found)] if found else []
        return {name: tuple(each[name] for each in found) for name in names}

    def trials(self) -> DataFrame:
        """What was tried: a row each with its values, the best first."""
        from pandas import DataFrame  # noqa: PLC0415

        return DataFrame(_rows(self.tried))


def val_score(folder: Path) -> float | None:
    """The validation score of the weights that a run kept; None if it has none."""
    found = best_score(RunFolder(folder))
    return found if isfinite(found) else None


def ranked(tried: Sequence[Tried]) -> list[Tried]:
    """The highest score first, of equal ones that which was begun first; those without a score come last."""
    return sorted(
        tried, key=lambda each: (-inf if each.score is None else each.score, -each.number), reverse=True
    )


def put_together(
    asked: Sweep,
    tried: Sequence[Tried],
    best: Tried,
    results: Sequence[RunResult],
    shown: Progress,
    uri: str,
) -> SweepResult:
    """Write the table, and track it in a run above the others.

    Args:
        asked: What was asked for.
        tried: What was tried.
        best: What won.
        results: Runs that score it.
        shown: Where progress is shown.
        uri: Of MLflow, with credentials.
    """
    from medseg.pipeline.audit.together import leak_lines, leak_tag  # noqa: PLC0415
    from medseg.tracking.mlflow.address import masked  # noqa: PLC0415
    from medseg.tracking.mlflow.runs import put_below  # noqa: PLC0415

    definition = asked.declared["definition"]
    table = asked.folder / _TABLE
    runs = {folder.path.name: folder for folder, state in asked.runs() if state.mine}
    result = SweepResult(
        *(asked.name, asked.folder, "", masked(uri), tuple(tried), best, tuple(results), asked.generated),
        leaks=tuple(leak_lines(runs)),
    )
    with written_whole(table) as target:
        result.trials().to_csv(target, index=False)
    recorder = _recorder(asked, uri, shown)
    recorder.tags(
        {
            "pipeline": str(definition["name"]),
            "sweep.trials": str(len(tried)),
            "sweep.best": "; ".join(best.settings)[:400] or "as declared",
            **leak_tag(list(runs.values())),
        }
    )
    tested = {name: mean(values) for name, values in result.test_scores().items()}
    recorder.metrics({"val/score": best.score or 0.0, **tested}, 0)
    recorder.artifact(table)
    put_below(uri, recorder.run_id, [state.tracked for _, state in asked.runs() if state.tracked])
    recorder.close("FINISHED")
    return replace(result, run_id=recorder.run_id)


def _rows(tried: Sequence[Tried]) -> list[Mapping[str, Any]]:
    return [
        {
            "trial": each.number + 1,
            **dict(value.split("=", 1) for value in each.settings),
            "score": each.score,
            **({"seeds": len(each.scores)} if len(each.scores) > 1 else {}),
            **({"least": min(each.scores), "most": max(each.scores)} if len(each.scores) > 1 else {}),
            "ended": each.ended,
            "minutes": round(each.minutes, 2),
            "fault": each.fault,
        }
        for each in ranked(tried)
    ]


def _last_scores(folder: Path, beginning: str) -> dict[str, float]:
    found: dict[str, float] = {}
    with open_regular(folder / "metrics.jsonl") as file:
        for line in file.read().splitlines():
            with suppress(ValueError):
                metrics = json.loads(line).get("metrics", {})
                found |= {name: value for name, value in metrics.items() if name.startswith(beginning)}
    return found


def _recorder(asked: Sweep, uri: str, shown: Progress) -> MlflowRecorder:
    from medseg.tracking.mlflow.recorder import MlflowRecorder  # noqa: PLC0415

    begun = MlflowRecorder.find(uri, asked.experiment, asked.folder)  # by a process that was killed at it
    if begun:
        return MlflowRecorder.resume(uri, begun, asked.folder, say=shown.say, system=False)
    pipeline = asked.declared["definition"]["name"]
    return MlflowRecorder.start(
        uri,
        experiment=asked.experiment,
        name=asked.options.run_name or asked.name.removeprefix(f"{pipeline}-"),
        folder=asked.folder,
        tags=asked.options.own_tags(),
        note=f"{asked.options.note}\n\nA sweep: combinations of settings, ranked on validation; the test part was "
        "looked at once, for the winner. Research use only; not a medical device.",
        say=shown.say,
        system=False,
    )
