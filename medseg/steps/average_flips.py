"""The step that averages predictions over mirror images, where that helps on the validation cases."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import ClassVar

import torch

from medseg.errors import RunError
from medseg.learning.inference.flips import Flips, described, flips_of, trained_flips
from medseg.learning.inference.predictor import Predictor
from medseg.learning.training.batches import Batches
from medseg.learning.training.cache_placement import Placement
from medseg.places import read_kept, written_whole
from medseg.progress import Bar
from medseg.splits.split import Role
from medseg.steps.feeding import role_batches
from medseg.steps.step import Fits, Run, Stage, Work

_KEPT = "flips.json"


class AverageFlips:
    """Predict mirror images too, and average: test-time augmentation, by flips that the training used and no others.

    The mean is kept only where the score of the validation slices rises by it; test cases are never looked at. Each
    flip makes predictions take as long again. A flip that training did not see does harm: it cost 0.12 to 0.28 of
    Dice in a trial.
    """

    stage: ClassVar[Stage] = Stage.LOGITS
    fits: ClassVar[Fits] = {"mirror images": ("val",)}

    @property
    def roles(self) -> tuple[Role, ...]:
        """Validation alone."""
        return ("val",)

    def check(self, predictor: Predictor) -> None:
        """Nothing can be wrong with it."""

    def __call__(self, work: Work, run: Run) -> Work:
        """Score the validation slices with and without."""
        flips = trained_flips(run.loading.augment, work.predictor.task.target.keys)
        if not flips:
            run.progress.say(
                "No flip is averaged: loading.augment has none that the training saw.", loud=True
            )
            return self._done(work, run, (), "none: the training saw no flip")
        batches = role_batches(work, run, "val", Placement("disk", None, ""))
        ways = {"without": replace(work.predictor, flips=()), "with": replace(work.predictor, flips=flips)}
        with run.progress.bar("averaging flips", len(batches.order) * 2, "slices") as bar:
            found = {name: _score(predictor, batches, bar) for name, predictor in ways.items()}
        scores = {name: score for name, score in found.items() if score is not None}
        if len(scores) < len(ways):
            run.progress.say(
                "No flip is averaged: the validation cases do not define the score by which that is judged, since "
                "none of them has what is scored.",
                loud=True,
            )
            return self._done(work, run, (), "none: no score")
        gain = scores["with"] - scores["without"]
        run.recorder.metrics(
            {f"{run.step}/score_{name}": score for name, score in scores.items()}, work.epochs
        )
        verdict = "kept" if gain > 0 else "not kept, since it does not rise"
        run.progress.say(
            f"Averaged over mirror images ({described(flips)}) the validation score is {scores['with']:.4f}, and "
            f"{scores['without']:.4f} without: {verdict}."
        )
        return self._done(
            work, run, flips if gain > 0 else (), described(flips) if gain > 0 else "none: no gain"
        )

    def recall(self, work: Work, run: Run) -> Work:
        """Take the flips that were kept."""
        try:
            flips = flips_of(read_kept(run.place / _KEPT, dict).get("flips"))
        except ValueError as error:
            raise RunError(f"{_KEPT} of the run is damaged. Start the pipeline again.") from error
        return replace(work, predictor=replace(work.predictor, flips=flips))

    def _done(self, work: Work, run: Run, flips: Flips, tag: str) -> Work:
        with written_whole(run.place / _KEPT) as target:
            target.write_text(json.dumps({"flips": flips}), encoding="utf-8")
        run.recorder.tags({f"{run.step}.flips": tag})
        return replace(work, predictor=replace(work.predictor, flips=flips))


def _score(predictor: Predictor, batches: Batches, bar: Bar) -> float | None:
    """The score of the task, by which the best epoch is chosen, of the slices of a role; None where there is none."""
    scorer = predictor.task.scorer()
    for batch in batches.at(0):
        logits = predictor.logits(batch["image"].numpy())
        scorer.update(batches.cases(batch), torch.from_numpy(logits), batch["label"])
        bar.advance(len(logits))
    return scorer.compute().get("score")
