"""Running a sweep, and going on with one."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from shutil import rmtree
from typing import Any

from medseg.api.finding import mark_gone, own_address
from medseg.api.opening import open_pipeline
from medseg.api.running import refuse_needless_run
from medseg.api.sweeping.apart import trials_apart, winners_apart
from medseg.api.sweeping.definitions import (
    fixed_split,
    refuse_unrunnable,
    refuse_wrong,
)
from medseg.api.sweeping.result import SweepResult, Tried, minutes_of, put_together, ranked, val_score
from medseg.api.sweeping.runs import Runs
from medseg.api.sweeping.study import Watch, combinations, import_optuna, next_trial, open_study
from medseg.errors import DataError, DefinitionError, MedsegError, RunError, StoreError, TrackingError
from medseg.pipeline.made import damaged
from medseg.pipeline.options import RunOptions, refuse_own_tags
from medseg.pipeline.study.sweep import MOST_SEEDS, MOST_TRIALS, Sweep, find_sweep
from medseg.pipeline.study.varied import Varied, refuse_unlike, varied
from medseg.progress import Progress, Silent, quiet_libraries
from medseg.recorder import StoppedEarly

_TRIALS = 20  # where a setting has a range


def run_sweep(
    name: str | Path,
    data: str | Path | None = None,
    *,
    vary: Sequence[str] = (),
    trials: int | None = None,
    seeds: int = 1,
    minutes: float | None = None,
    set: Sequence[str] = (),  # noqa: A002  # as on the command line
    device: str = "auto",
    skip_bad: bool = False,
    allow_duplicates: bool = False,
    tracking_uri: str | None = None,
    allow: Sequence[str] = (),
    jobs: int | None = None,
    on: str = "",
    run_name: str | None = None,
    note: str = "",
    tags: Sequence[str] = (),
    progress: Progress | None = None,
) -> SweepResult:
    """Try combinations of settings, rank them by the validation score, and score the winner alone on the test part.

    All runs share the patients of each role, also those of other seeds. Steps that look at the test part are left
    out of them; they are run once for the winner, with the weights that won. What is interrupted goes on with
    `resume_sweep`. Needs the extra `medseg[sweep]`.

    Args:
        name: A pipeline that learns something.
        data: As of `run_pipeline`, like all below `minutes`.
        vary: `path=value,value` or `path=low..high` strings (`path=log:low..high` in steps by factors).
        trials: How many combinations at most; by default all of them, or 20 where a setting has a range.
        seeds: How many runs each combination gets, with seeds one after another from that of the definition; the
            mean of their scores counts.
        minutes: After how many no further combination is begun.
        set: `path=value` strings that change the definition of all runs.
        device: auto, cpu or cuda.
        skip_bad: Go on without cases that have faults.
        allow_duplicates: Go on though pictures that are one, or nearly, are in different roles.
        tracking_uri: Of MLflow.
        allow: Packages that declared objects may come from, beside the usual ones.
        jobs: Cases that are read at a time.
        on: Where the work is done, such as `slurm:20` (docs/scale.md); by default on this machine.
        run_name: What MLflow calls the run above the others.
        note: Shown with it in MLflow, as Markdown.
        tags: `key=value` strings that all of them have in MLflow.
        progress: Where it is shown.

    Raises:
        DefinitionError: There is nothing to vary, a setting or value is wrong, or scores would not compare.
        RunError: The extra is missing, or no combination could be trained.
        MedsegError: What is wrong with the data or the tracking store.
    """
    from medseg.tracking.mlflow.address import default_uri, masked, place_below, reach  # noqa: PLC0415

    options = RunOptions.of(
        device=device,
        skip_bad=skip_bad,
        allow_duplicates=allow_duplicates,
        allow=allow,
        jobs=jobs,
        on=on,
        run_name=run_name,
        note=note,
        tags=tags,
    )
    import_optuna()
    given = [varied(each) for each in vary]
    refuse_unlike(given, set)
    count = combinations(given)
    _refuse_numbers(trials, seeds, minutes, nothing=not given)
    if trials is None and count is not None and count > MOST_TRIALS:
        raise DefinitionError(
            f"there are {count:,} combinations, and a sweep tries {MOST_TRIALS:,} at most. Give --trials, or fewer "
            "values."
        )
    root = None if data is None else Path(data)
    opened = open_pipeline(name, assignments=set, sample=root is None)
    refuse_needless_run(opened, root)
    definition = fixed_split(opened.definition)
    refuse_own_tags(options.tags, definition.steps)
    refuse_wrong(definition, given, seeds, options.allowed)
    with quiet_libraries():
        refuse_unrunnable(definition, opened.manifest, root, given, options.allowed)
    uri = default_uri(tracking_uri)
    reach(uri)
    asked = Sweep(
        name=Sweep.named(definition.name),
        data=None if root is None else str(root.resolve()),
        vary=tuple(vary),
        trials=min(trials or count or _TRIALS, count or MOST_TRIALS, MOST_TRIALS),
        seeds=seeds,
        minutes=minutes,
        options=options.but(own_store=place_below(uri, Path())),
        declared={
            "definition": definition.to_dict(),
            "manifest": opened.manifest.model_dump(mode="json", by_alias=True, exclude_none=True),
        },
        tracking_uri=masked(uri),
    )
    asked.begin()
    try:
        return _Sweeping.of(asked, uri, progress or Silent()).to_its_end()
    finally:
        if not any(
            True for _ in asked.runs()
        ):  # refused before anything was learned: there is nothing to go on with
            rmtree(asked.folder, ignore_errors=True)


def resume_sweep(
    name: str,
    *,
    tracking_uri: str | None = None,
    allow: Sequence[str] = (),
    on: str = "",
    progress: Progress | None = None,
) -> SweepResult:
    """Go on with a sweep that was interrupted: runs that have ended are not run again.

    Args:
        name: Of the sweep, or its folder.
        tracking_uri: Of MLflow, where that address has changed, or has a password.
        allow: Packages that declared objects may come from, which must be named again.
        on: Where runs are done that have not ended, such as `slurm:20`; by default in this process.
        progress: Where it is shown.

    Raises:
        RunError: There is none of this user, or another process works on it.
        MedsegError: As of `run_sweep`.
    """
    from medseg.tracking.mlflow.address import default_uri  # noqa: PLC0415

    found = find_sweep(name)
    if found is None:
        raise RunError(f"no sweep {name!r} in this folder.")
    if not found.mine:
        raise RunError(
            f"the sweep {found.name} was made by somebody else, or edited. Start it again: medseg pipeline sweep"
        )
    missing = sorted({*found.options.allow} - {*allow})
    if missing:
        raise RunError(
            f"the sweep needs the packages {', '.join(missing)}: name them again, --allow {missing[0]}."
        )
    found = replace(found, options=found.options.but(on=on))
    mark_gone()
    runs = [state.name for _, state in found.runs() if state.tracked]
    kept = found.tracking_uri
    uri = tracking_uri or own_address(
        found.name, kept, found.folder, own=found.options.own_store, tracked=bool(runs), runs=runs
    )
    sweeping = _Sweeping.of(found, default_uri(uri), progress or Silent())
    found.take()
    return sweeping.to_its_end()


def _refuse_numbers(trials: int | None, seeds: int, minutes: float | None, *, nothing: bool) -> None:
    if nothing and seeds == 1:
        raise DefinitionError(
            "nothing varies. Give --vary PATH=VALUE,VALUE, such as --vary steps.fit.optimiser.lr=0.001,0.003; or "
            "--seeds 5."
        )
    if trials is not None and not 1 <= trials <= MOST_TRIALS:
        raise DefinitionError(f"trials is {trials}, expected 1 to {MOST_TRIALS}.")
    if not 1 <= seeds <= MOST_SEEDS:
        raise DefinitionError(f"seeds is {seeds}, expected 1 to {MOST_SEEDS}.")
    if minutes is not None and not (math.isfinite(minutes) and minutes > 0):
        raise DefinitionError(f"minutes is {minutes}, expected more than 0.")


@dataclass(frozen=True)
class _Sweeping:
    """A sweep that this process works on."""

    asked: Sweep
    given: Sequence[Varied]
    runs: Runs
    uri: str
    shown: Progress

    @classmethod
    def of(cls, asked: Sweep, uri: str, shown: Progress) -> _Sweeping:
        return cls(asked, [varied(each) for each in asked.vary], Runs.of(asked, uri, shown), uri, shown)

    def to_its_end(self) -> SweepResult:
        try:
            study = open_study(self.asked, self.given)
            tried = self._all_tried(study)
            best = next(iter(ranked(tried)), None)
            if best is None or best.score is None:
                faults = [each.fault for each in tried if each.fault]
                raise RunError(f"no combination of values could be trained. {next(iter(faults), '')}".strip())
            if self.asked.options.on:
                winners_apart(self.asked, best.number, best.settings, self.uri, self.shown)
            seeds = range(self.asked.seeds)
            results = [self.runs.winner(best.number, seed, best.settings) for seed in seeds]
            return put_together(self.asked, tried, best, results, self.shown, self.uri)
        finally:
            self.asked.let_go()

    def _all_tried(self, study: Any) -> list[Tried]:
        began, states = time.monotonic(), import_optuna().trial.TrialState
        if self.asked.options.on:
            trials_apart(self.asked, study, self.given, self.uri, self.shown)
        before = sum(minutes_of(each) for each in study.get_trials())
        while True:
            spent = (time.monotonic() - began) / 60 + before
            more = self.asked.minutes is None or spent < self.asked.minutes
            trial = next_trial(study, self.asked, more=more)
            if trial is None:
                break
            self._tried(study, trial)
        return [self._looked_at(each, states) for each in study.get_trials() if each.state.is_finished()]

    def _looked_at(self, trial: Any, states: Any) -> Tried:
        """What was tried, by its runs: of the journal, which is not signed, only values that may be are taken."""
        values = tuple(f"{each.path}={each.kept(trial.params.get(each.path))}" for each in self.given)
        ended = "failed"
        scores: tuple[float, ...] = ()
        if trial.state == states.PRUNED:
            ended = "stopped early"
        elif trial.state == states.COMPLETE:
            ended = "finished"
            scores = tuple(self._kept_score(trial.number, seed) for seed in range(self.asked.seeds))
        fault = "" if ended != "failed" else str(trial.user_attrs.get("fault", ""))
        score = sum(scores) / len(scores) if scores else None
        return Tried(trial.number, values, score, scores, ended, fault, minutes_of(trial))

    def _kept_score(self, trial: int, seed: int) -> float:
        """The validation score of a run that has ended, by its own record."""
        found = self.asked.run_of(self.asked.part(trial, seed))
        score = None
        if found is not None and not damaged(found[0], "metrics.jsonl"):
            score = val_score(found[0].path)
        if score is None:
            raise RunError(
                f"the run of combination {trial + 1}, seed {seed + 1}, of {self.asked.name} is gone, or its record "
                "is not as it was made. Put it back; or delete the folder of the sweep, and start it again."
            )
        return score

    def _tried(self, study: Any, trial: Any) -> None:
        states = import_optuna().trial.TrialState
        values = [f"{each.path}={each.chosen(trial)}" for each in self.given]
        of = f" of {self.asked.trials}"
        self.shown.say(f"Combination {trial.number + 1}{of}: {', '.join(values) or 'as declared'}.")
        began, scores = time.monotonic() - 60 * minutes_of(trial), []
        try:
            for seed in range(self.asked.seeds):
                watch = [Watch(trial)] if seed == 0 and len(self.given) else []
                scores.append(self.runs.score_of(trial.number, seed, values, watch))
            ended: dict[str, Any] = {"values": sum(scores) / len(scores)}
        except StoppedEarly:
            self.shown.say("It falls behind the median of those before, and is stopped.")
            ended = {"state": states.PRUNED}
        except (DataError, StoreError, TrackingError):
            raise  # of all combinations
        except MedsegError as error:
            self.shown.say(f"It cannot be trained: {error}", loud=True)
            trial.set_user_attr("fault", str(error))
            ended = {"state": states.FAIL}
        finally:
            trial.set_user_attr("minutes", (time.monotonic() - began) / 60)
        study.tell(trial.number, **ended)
