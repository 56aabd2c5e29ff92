"""Optuna, an extra that not everyone has: which values are tried next, and the journal of what was tried."""

from __future__ import annotations

import itertools
import random
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any

from medseg.errors import RunError
from medseg.files.durable import cut_damage
from medseg.pipeline.study.sweep import Sweep
from medseg.pipeline.study.varied import Choice, Varied
from medseg.recorder import NoRecord, StoppedEarly

_WATCHED = "epoch/val/score"
_FIRST = 4  # trials that are never stopped early: there is nothing to compare them with


def import_optuna() -> Any:
    """Import optuna, without its own talk.

    Raises:
        RunError: It cannot be imported.
    """
    try:
        optuna = import_module("optuna")
    except ImportError as error:
        raise RunError(
            f'optuna cannot be imported: {error}. Sweeps need the extra medseg[sweep]: pip install "optuna>=4.2".'
        ) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def open_study(sweep: Sweep, given: Sequence[Varied]) -> Any:
    """The study of a sweep, made in its journal if it is not there yet.

    Where all settings have some values each, the combinations are tried in their order, or as many of them as
    there are trials, drawn by the seed of the definition; where one has a range, they are chosen by what was tried
    before (the tree-structured Parzen estimator, Bergstra et al., NeurIPS 2011). A trial whose validation score
    lies, at an epoch, below the median of those before it is stopped (after the first four).

    Args:
        sweep: What was asked for.
        given: What varies.
    """
    optuna = import_optuna()
    cut_damage(sweep.journal)
    seed = int(sweep.declared["definition"]["seed"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        storage = _storage(optuna, sweep)
        study = optuna.create_study(
            storage=storage,
            study_name=sweep.name,
            direction="maximize",
            load_if_exists=True,
            pruner=optuna.pruners.MedianPruner(n_startup_trials=_FIRST),
        )
        study.sampler = optuna.samplers.TPESampler(seed=seed + len(study.get_trials(deepcopy=False)))
    for params in _combinations(given, sweep.trials, seed):
        study.enqueue_trial(params, skip_if_exists=True)
    return study


def _storage(optuna: Any, sweep: Sweep) -> Any:
    """The journal of a sweep, read.

    Raises:
        RunError: It is damaged.
    """
    try:
        return optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(sweep.journal)))
    except (AssertionError, LookupError, TypeError, ValueError) as error:
        raise RunError(
            f"trials.log of {sweep.name} is damaged. Remove it from medseg-sweeps/{sweep.name} and go on: runs that "
            "have ended are taken as they are."
        ) from error


def _combinations(given: Sequence[Varied], trials: int, seed: int) -> list[Mapping[str, str]]:
    """Of settings with some values each; none where one has a range."""
    choices = [each for each in given if isinstance(each, Choice)]
    if len(choices) < len(given):
        return []
    found: list[Mapping[str, str]] = [
        dict(zip([each.path for each in choices], values, strict=True))
        for values in itertools.product(*(each.values for each in choices))
    ]
    if trials >= len(found):
        return found
    drawn = random.Random(seed).sample(range(len(found)), trials)  # noqa: S311 - no secret
    return [found[place] for place in sorted(drawn)]


def combinations(given: Sequence[Varied]) -> int | None:
    """How many combinations of values there are; None where one has a range."""
    count = 1
    for each in given:
        if each.count is None:
            return None
        count *= each.count
    return count


def next_trial(study: Any, sweep: Sweep, *, more: bool) -> Any:
    """The trial that was interrupted, else a new one; None if enough were tried.

    Args:
        study: Of Optuna.
        sweep: What was asked for.
        more: Whether a new one may begin.
    """
    optuna = import_optuna()
    states = optuna.trial.TrialState
    known = study.get_trials(deepcopy=False)
    interrupted = next((each for each in known if each.state == states.RUNNING), None)
    if interrupted is not None:
        return optuna.trial.Trial(study, interrupted._trial_id)  # noqa: SLF001 - it has no public name
    begun = sum(each.state != states.WAITING for each in known)
    return study.ask() if more and begun < sweep.trials else None


def next_trials(study: Any, sweep: Sweep, *, more: Callable[[], bool]) -> Iterator[Any]:
    """The trials that were interrupted, then new ones until there are enough; each is begun as it is asked for."""
    optuna = import_optuna()
    states = optuna.trial.TrialState
    for each in study.get_trials(deepcopy=False, states=(states.RUNNING,)):
        yield optuna.trial.Trial(study, each._trial_id)  # noqa: SLF001 - it has no public name
    while more():
        begun = sum(each.state != states.WAITING for each in study.get_trials(deepcopy=False))
        if begun >= sweep.trials:
            return
        yield study.ask()


def watch_of(sweep: Sweep, number: int) -> Watch:
    """Who watches a trial that another process has begun, by its number."""
    optuna = import_optuna()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study = optuna.load_study(
            study_name=sweep.name,
            storage=_storage(optuna, sweep),
            pruner=optuna.pruners.MedianPruner(n_startup_trials=_FIRST),
        )
    (found,) = (each for each in study.get_trials(deepcopy=False) if each.number == number)
    return Watch(optuna.trial.Trial(study, found._trial_id))  # noqa: SLF001 - as above


class Watch(NoRecord):
    """Tells Optuna the validation score of each epoch, and stops the run where it falls behind.

    Args:
        trial: Of Optuna.
    """

    def __init__(self, trial: Any) -> None:
        self._trial = trial

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """Pass a validation score on.

        Raises:
            StoppedEarly: It is below the median of the trials before.
        """
        score = values.get(_WATCHED)
        if score is None or score != score:  # noqa: PLR0124 - not defined in this epoch
            return
        known = self._trial.storage.get_trial(self._trial._trial_id).intermediate_values  # noqa: SLF001
        if step not in known:
            self._trial.report(float(score), step)
        if self._trial.should_prune():
            raise StoppedEarly
