"""The step that learns from its own predictions on images without a label."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from contextlib import suppress
from copy import deepcopy
from dataclasses import asdict, replace
from pathlib import Path
from typing import ClassVar

import pandas as pd
import torch
from pydantic import TypeAdapter, ValidationError

from medseg.datasets.roles import UNLABELLED
from medseg.errors import DefinitionError, RunError
from medseg.learning.features.table import write_table
from medseg.learning.inference.predictor import Predictor
from medseg.learning.selftraining.rounds import KEPT, Quality, Round, best_round, ending, outcome, quality_of
from medseg.learning.selftraining.rules import Rule
from medseg.learning.settings import is_number, refuse_unless
from medseg.learning.tasks.task import Task, temperature_task
from medseg.places import read_kept, written_whole
from medseg.splits.split import Role
from medseg.steps.features.groupings import class_task
from medseg.steps.feeding import try_augmentation
from medseg.steps.rounds.asked import Ask, by_network, precision, predictions, quality
from medseg.steps.rounds.concluding import conclude, record_round, say_round
from medseg.steps.rounds.kept import PREDICTED, is_sound, keep_made
from medseg.steps.rounds.quietly import BarsAlone, CurvesAlone
from medseg.steps.scale_temperature import with_temperature
from medseg.steps.step import Fits, Run, Stage, Step, Work, fits_of

_ROUNDS = TypeAdapter(tuple[Round, ...])

Weights = Mapping[str, torch.Tensor]


class SelfTrain:
    """Predict the images without a label, learn from those of which the network is sure, and again, in rounds.

    Each round predicts with the best weights so far, and learns from the labelled training images and from what it
    accepted itself, never from what an earlier round accepted. A round with a better validation score is kept; after
    another, the next begins from the best weights again. Each network gets the temperature that fits the validation
    images best, since what is accepted rests on how sure it is. Predicted labels are never validated or tested on,
    and the work is left with its images as they were, and the best weights at their temperature.

    Args:
        rule: What a round accepts: `medseg.learning.ThresholdSchedule`, `medseg.learning.ByRank`, or
            `medseg.learning.Agreement` of one of them over augmented views.
        learn: How a round learns, from the best weights: `Fit` for the network, `Probe` for its head alone.
        continued: How a round learns that follows one that was kept; when left out, as the others.
        weight: How much an accepted image counts beside a labelled one, above 0.
        patience: Rounds without a better score, after which it ends.
        stop_calibration: Calibration error of the validation images above which it ends, in (0, 1]: that of a network
            as it has learned, before it gets its temperature.
        key: Column of the cases that holds the true class of images without a label, to say how many accepted labels
            are right. It is for that alone: nothing is learned or chosen by it.
    """

    stage: ClassVar[Stage] = Stage.WEIGHTS
    settles: ClassVar[Stage] = Stage.DECISION  # the temperature of its weights

    def __init__(
        self,
        rule: Rule,
        learn: Step,
        continued: Step | None = None,
        weight: float = 1.0,
        patience: int = 3,
        stop_calibration: float = 0.6,
        key: str | None = None,
    ) -> None:
        refuse_unless(_is_rule(rule), "rule", rule, "such as {_target_: medseg.learning.ThresholdSchedule}")
        for name, step in (("learn", learn), ("continued", continued)):
            fine = _learns(step) or (name == "continued" and step is None)
            refuse_unless(fine, name, step, "a step that learns, such as {_target_: medseg.steps.Fit, ...}")
        refuse_unless(is_number(weight) and 0 < weight < float("inf"), "weight", weight, "a number above 0")
        whole = isinstance(patience, int) and not isinstance(patience, bool) and patience >= 1
        refuse_unless(whole, "patience", patience, "a whole number, 1 or more")
        fine = is_number(stop_calibration) and 0 < stop_calibration <= 1
        refuse_unless(fine, "stop_calibration", stop_calibration, "a number above 0, 1 at most")
        refuse_unless(key is None or isinstance(key, str), "key", key, "the name of a column, or nothing")
        self.rule, self.learn, self.continued = rule, learn, continued
        self.weight, self.patience, self.stop_calibration = float(weight), patience, stop_calibration
        self.key = key
        self.needs = tuple(dict.fromkeys(need for step in self._steps for need in getattr(step, "needs", ())))

    @property
    def roles(self) -> tuple[Role, ...]:
        """To learn from, to choose the best round by, and to accept from."""
        return ("train", "val", UNLABELLED)

    @property
    def fits(self) -> Fits:
        """What its steps fit, on images that were predicted too; labels, and the round that is kept."""
        return self._fits(None)

    def fits_of(self, task: Task) -> Fits:
        """The same with what depends on the task."""
        return self._fits(task)

    def _fits(self, task: Task | None) -> Fits:
        found = {what: on for step in self._steps for what, on in (fits_of(step, task) or {}).items()}
        found = {what: (*on, UNLABELLED) if on and "train" in on else on for what, on in found.items()}
        return {**found, "predicted labels": (UNLABELLED,), "best round": ("val",)}

    @property
    def _steps(self) -> tuple[Step, ...]:
        return (self.learn,) if self.continued is None else (self.learn, self.continued)

    def _ask(self, work: Work) -> Ask:
        """How images are predicted: where the head alone learns, their features are known, if one slice is a case."""
        makers = [getattr(step, "asker", None) for step in self._steps]
        known = [make for make in makers if make is not None]
        if len(known) < len(makers) or not work.predictor.preparation.files.flat:
            return by_network(work)
        found: Ask = known[0](work)
        return found

    def check(self, predictor: Predictor) -> None:
        """Check the steps that learn.

        Raises:
            DefinitionError: The task is not ImageClasses, a step cannot learn, or the data set has no such column.
        """
        class_task(predictor, "SelfTrain")
        for step in self._steps:
            step.check(predictor)
        try_augmentation(getattr(self.rule, "augment", ()), predictor.input_shape, at="rule.augment")
        known = predictor.manifest.column_names
        if self.key is not None and self.key not in known:
            raise DefinitionError(
                f"key is {self.key!r}, and the columns of the data set {predictor.manifest.name} are "
                f"{list(known) or 'none'}. Name one of them, or leave key out."
            )

    def one_process(self, predictor: Predictor) -> str:
        """As of the steps that learn."""
        asked = (getattr(step, "one_process", None) for step in self._steps)
        return next((reason for ask in asked if ask is not None and (reason := ask(predictor))), "")

    def __call__(self, work: Work, run: Run) -> Work:
        """Go on after the last round that is done, until nothing is to be gained."""
        network = work.predictor.network.to(run.device)
        work = replace(work, predictor=replace(work.predictor, network=network, device=run.device))
        first = deepcopy(network.state_dict())
        rounds = self._sound(run)
        if not rounds:
            rounds = (Round(0, "start", quality(work, run, self._ask(work))),)
            _keep(rounds, run)
        for each in rounds:
            record_round(each, self.rule, run)
        while not (why := self._ending(rounds)):
            best = best_round(rounds)
            network.load_state_dict(self._weights(best, first, run))
            rounds = (*rounds, self._round(_calibrated(work, quality_of(best)), rounds, run))
            here = _round_run(run, len(rounds) - 1)
            keep_made(here.place)
            _keep(rounds, run)
            _tidy(here)
            record_round(rounds[-1], self.rule, run)
            say_round(rounds[-1], self.rule, best_round(rounds), run)
        best = best_round(rounds)
        network.load_state_dict(self._weights(best, first, run))
        tables = {each.number: _table(_round_run(run, each.number)) for each in rounds[1:]}
        self._keep_labels(tables.get(best.number), run)
        conclude(rounds, tables, self.rule, why, self.stop_calibration, run)
        found = quality_of(best)
        run.recorder.metrics({"val/score": found.score, "val/loss": found.log_loss}, work.epochs)
        work = _calibrated(work, found)
        work.predictor.network.eval()
        work.predictor.save(run.place / "predictor")
        return replace(work, epochs=work.epochs + _epochs(rounds))

    def recall(self, work: Work, run: Run) -> Work:
        """Load the best weights from the run's folder."""
        saved = Predictor.load(run.place / "predictor", device=run.device, allowed=run.allowed)
        predictor = replace(work.predictor, network=saved.network, device=run.device)
        work = replace(work, predictor=predictor, epochs=work.epochs + _epochs(self._done(run)))
        return with_temperature(work, temperature_task(saved.task).temperature)

    def _ending(self, rounds: tuple[Round, ...]) -> str:
        return ending(
            rounds, most=self.rule.rounds, patience=self.patience, stop_calibration=self.stop_calibration
        )

    def _round(self, work: Work, rounds: tuple[Round, ...], run: Run) -> Round:
        """Predict, accept and learn, from the best weights, which the network of the work has now."""
        number, best = len(rounds), best_round(rounds)
        here = _round_run(run, number)
        place = here.place / PREDICTED
        if not place.is_file():  # else the round was interrupted: what it accepted stays what it learns from
            write_table(predictions(work, run, self._ask(work), self.rule, number), place)
            keep_made(here.place)
        table = _table(here)
        accepted = table[table["accepted"]]
        counts = {name: int((accepted["label"] == name).sum()) for name in work.predictor.task.classes}
        found = Round(
            number,
            "nothing",
            value=self.rule.value(number),
            pool=len(table),
            accepted=counts,
            precision=precision(work, accepted, self.key),
        )
        if accepted.empty:
            return found
        if sum(count > 0 for count in counts.values()) == 1:
            return replace(found, outcome="one class")
        step = self.continued if self.continued and number > 1 and rounds[-1].outcome in KEPT else self.learn
        begun = work.epochs + _epochs(rounds)
        done = step(replace(self._taught(work, accepted), epochs=begun), here)
        taught = replace(work, predictor=done.predictor)
        got = quality(taught, run, self._ask(taught))
        _calibrated(taught, got).predictor.save(here.place / "predictor")
        return replace(
            found,
            quality=got,
            outcome=outcome(got, quality_of(best), self.stop_calibration),
            epochs=done.epochs - begun,
        )

    def _taught(self, work: Work, accepted: pd.DataFrame) -> Work:
        """The work of one round: what was accepted is there to train, and nothing else has changed."""
        label = dict(zip(accepted["case"], accepted["label"], strict=True))
        samples = tuple(
            replace(each, role="train", labels=(label[each.case],), weight=self.weight, pseudo=True)
            if each.role == UNLABELLED and each.case in label
            else each
            for each in work.store.samples
        )
        return replace(work, store=replace(work.store, samples=samples))

    def _weights(self, best: Round, first: Weights, run: Run) -> Weights:
        if best.number == 0:
            return first
        place = _round_place(run, best.number) / "predictor"
        return Predictor.load(place, device=run.device, allowed=run.allowed).network.state_dict()

    def _sound(self, run: Run) -> tuple[Round, ...]:
        """The rounds that are done, up to the first whose files are damaged: what comes after is removed."""
        rounds: tuple[Round, ...] = ()
        broken = "rounds.json" if any(run.place.glob("round_*")) else ""
        with suppress(RunError):
            rounds = self._done(run)
            broken = "" if rounds else broken
        places = [_round_place(run, number) for number in range(1, len(rounds) + 1)]
        for number, place in enumerate(places, start=1):
            if number == len(rounds) and not (place.is_dir() and any(place.iterdir())):
                break  # it was not begun
            if not is_sound(place):
                rounds, broken = rounds[:number], f"files of round {number}"
                break
        if broken:
            again = f"after round {len(rounds) - 1}" if len(rounds) > 1 else "from the first on"
            run.progress.say(f"Damaged or half made: {broken}. Rounds are made again {again}.", loud=True)
            for place in set(run.place.glob("round_*")) - set(places[: max(len(rounds) - 1, 0)]):
                shutil.rmtree(place)
            _keep(rounds, run)
        return rounds

    def _done(self, run: Run) -> tuple[Round, ...]:
        """The rounds that are done, the first network before them; none where nothing was begun.

        Raises:
            RunError: What was kept of them is damaged.
        """
        if not (run.place / "rounds.json").exists():
            return ()
        try:
            rounds = _ROUNDS.validate_json(json.dumps(read_kept(run.place / "rounds.json", list)))
        except ValidationError as error:
            raise RunError("rounds.json of the run is damaged. Start the pipeline again.") from error
        if [each.number for each in rounds] != list(range(len(rounds))):
            raise RunError("rounds.json of the run is damaged. Start the pipeline again.")
        return rounds

    def _keep_labels(self, table: pd.DataFrame | None, run: Run) -> None:
        """Keep the labels that the best round learned from; no file where it learned from none."""
        if table is None:
            return
        path = run.place / f"{run.step}_weak_labels.parquet"
        run.recorder.artifact(write_table(table[table["accepted"]].drop(columns="accepted"), path), "tables")


def _keep(rounds: tuple[Round, ...], run: Run) -> None:
    with written_whole(run.place / "rounds.json") as target:
        target.write_text(json.dumps([asdict(each) for each in rounds], indent=1), encoding="utf-8")


def _calibrated(work: Work, found: Quality) -> Work:
    """The work at the temperature of its network."""
    return with_temperature(work, found.temperature)


def _epochs(rounds: tuple[Round, ...]) -> int:
    return sum(each.epochs for each in rounds)


def _round_place(run: Run, number: int) -> Path:
    return run.place / f"round_{number:02d}"


def _round_run(run: Run, number: int) -> Run:
    """Where a round has its files, and records no more than its curves."""
    recorder, progress = CurvesAlone(run.recorder), BarsAlone(run.progress)
    at = f"{run.step}/{_round_place(run, number).name}"
    here = replace(run.at(at), recorder=recorder, progress=progress)
    here.place.mkdir(parents=True, exist_ok=True)
    return here


def _tidy(here: Run) -> None:
    """Remove the checkpoints of a training that is done: its weights are in its model."""
    for path in (here.place / "last.pt", *here.place.glob("best-*.safetensors")):
        path.unlink(missing_ok=True)


def _table(here: Run) -> pd.DataFrame:
    """What was predicted in a round."""
    return pd.read_parquet(here.place / PREDICTED, engine="pyarrow")


def _is_rule(given: object) -> bool:
    return callable(getattr(given, "accept", None)) and isinstance(getattr(given, "rounds", None), int)


def _learns(given: object) -> bool:
    return (
        callable(given) and "train" in getattr(given, "roles", ()) and callable(getattr(given, "check", None))
    )
