"""The runs of a sweep as tasks, each in a process of its own; this process alone says what is tried next."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from medseg.api.apart.task import Apart, all_apart, stop_file
from medseg.api.strangers import Given
from medseg.api.sweeping.result import minutes_of
from medseg.api.sweeping.runs import Runs
from medseg.api.sweeping.study import import_optuna, next_trials, watch_of
from medseg.errors import DataError, MedsegError, RunError, StoreError, TrackingError
from medseg.machine.crew.crew import Needs
from medseg.machine.workers import looks_here
from medseg.pipeline.options import default_jobs, working
from medseg.pipeline.study.sweep import Sweep
from medseg.pipeline.study.varied import Varied
from medseg.progress import Progress, Silent
from medseg.recorder import StoppedEarly


@dataclass(frozen=True)
class Ended:
    """How the run of a combination and a seed ended: with a score, with a fault, or stopped early."""

    score: float | None = None
    fault: str = ""


@dataclass
class _Tried:
    """A combination whose runs go on."""

    trial: Any
    began: float
    scores: list[float] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    came: int = 0


def trials_apart(asked: Sweep, study: Any, given: Sequence[Varied], uri: str, shown: Progress) -> None:
    """Try combinations until there are enough: as many runs at a time as there are workers.

    Args:
        asked: The sweep; this process works on it.
        study: Of Optuna.
        given: What varies.
        uri: Of MLflow, with credentials.
        shown: Where progress is shown.

    Raises:
        MedsegError: What is wrong with all combinations.
    """
    tried: dict[int, _Tried] = {}
    began = time.monotonic()
    spent = sum(minutes_of(each) for each in study.get_trials())

    def more() -> bool:
        return asked.minutes is None or (time.monotonic() - began) / 60 + spent < asked.minutes

    def tasks(made: Callable[..., Apart]) -> Iterator[Apart]:
        for trial in next_trials(study, asked, more=more):
            values = [f"{each.path}={each.chosen(trial)}" for each in given]
            shown.say(
                f"Combination {trial.number + 1} of {asked.trials}: {', '.join(values) or 'as declared'}."
            )
            tried[trial.number] = _Tried(trial, time.monotonic() - 60 * minutes_of(trial))
            for seed in range(asked.seeds):
                called = f"combination {trial.number + 1}, seed {seed + 1}"
                yield made(called, "trial_by_itself", trial=trial.number, seed=seed, values=values)

    for task, ended in _apart(asked, tasks, uri, shown, "trying combinations"):
        one = tried[task.arguments["trial"]]
        one.came += 1
        one.scores += [] if ended.score is None else [ended.score]
        one.faults += [ended.fault] if ended.fault else []
        if one.came == asked.seeds:
            _tell(study, one, shown, asked.seeds)


def _tell(study: Any, one: _Tried, shown: Progress, seeds: int) -> None:
    """Say how a combination ended, as the sweep of one process does."""
    states = import_optuna().trial.TrialState
    one.trial.set_user_attr("minutes", (time.monotonic() - one.began) / 60)
    number = one.trial.number
    if one.faults:
        shown.say(f"Combination {number + 1} cannot be trained: {one.faults[0]}", loud=True)
        one.trial.set_user_attr("fault", one.faults[0])
        study.tell(number, state=states.FAIL)
    elif len(one.scores) < seeds:
        shown.say(f"Combination {number + 1} falls behind the median of those before, and is stopped.")
        study.tell(number, state=states.PRUNED)
    else:
        study.tell(number, values=sum(one.scores) / len(one.scores))


def winners_apart(asked: Sweep, trial: int, values: Sequence[str], uri: str, shown: Progress) -> None:
    """Score the winner on the test part, one run for each seed; arguments as of `trials_apart`."""

    def tasks(made: Callable[..., Apart]) -> Iterator[Apart]:
        for seed in range(asked.seeds):
            called = f"the winner with seed {seed + 1}"
            yield made(called, "winner_by_itself", trial=trial, seed=seed, values=list(values))

    for _ in _apart(asked, tasks, uri, shown, "scoring the winner"):
        pass


def _apart(
    asked: Sweep,
    tasks: Callable[[Callable[..., Apart]], Iterator[Apart]],
    uri: str,
    shown: Progress,
    label: str,
) -> Iterator[tuple[Apart, Any]]:
    stop = stop_file(asked.folder)
    read = () if asked.data is None else (Path(asked.data),)
    needs = Needs(read, asked.folder, tuple(asked.options.allow))
    with working(asked.options, shown) as crew, shown.bar(label, None, "runs") as bar:
        threads = crew.share(default_jobs())
        said = {"allow": tuple(asked.options.allow), "device": asked.options.device, "jobs": threads}

        def made(called: str, function: str, **arguments: Any) -> Apart:
            own = {"folder": str(asked.folder), "uri": uri, **said, **arguments}
            where = (Path.cwd(), uri, stop)
            return Apart(called, __name__, function, own, *where, threads=threads, with_folder=looks_here())

        for task, ended in all_apart(crew, tasks(made), needs, stop):
            bar.advance()
            yield task, ended


def trial_by_itself(
    folder: str, trial: int, seed: int, values: Sequence[str], uri: str, **said: Any
) -> Ended:
    """A run of a sweep that another process sees to its end.

    Args:
        folder: Of the sweep.
        trial: Number of the combination of values, from 0.
        seed: Number of the seed, from 0.
        values: `path=value` strings.
        uri: Of MLflow.
        **said: What else the caller says, as of `Given`.

    Raises:
        MedsegError: What is wrong with all combinations.
    """
    asked = _asked(folder, said)
    try:
        watch = [watch_of(asked, trial)] if seed == 0 and asked.vary else []
        return Ended(Runs.of(asked, uri, Silent()).score_of(trial, seed, values, watch))
    except StoppedEarly:
        return Ended()
    except (DataError, StoreError, TrackingError):
        raise
    except MedsegError as error:
        return Ended(fault=str(error))


def winner_by_itself(folder: str, trial: int, seed: int, values: Sequence[str], uri: str, **said: Any) -> str:
    """Score the winner, as of `trial_by_itself`; gives the name of the run."""
    return Runs.of(_asked(folder, said), uri, Silent()).winner(trial, seed, values).name


def _asked(folder: str, said: dict[str, Any]) -> Sweep:
    asked = Sweep.read(Path(folder))
    if not asked.mine:
        raise RunError(
            f"{asked.name} was signed by another key. Every worker must have the folder of keys (MEDSEG_CONFIG) of "
            "the one who gave the command."
        )
    return replace(asked, options=Given(**said).over(asked.options))
