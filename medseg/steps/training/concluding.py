"""What a training leaves beside its weights: curves, a verdict, pictures of patients."""

from __future__ import annotations

import json
from collections.abc import Mapping

from medseg.errors import ModelError
from medseg.figures.learning_curves import learning_curves
from medseg.figures.saving import save_figure
from medseg.learning.inference.predictor import Predictor
from medseg.learning.training.batches import Batches
from medseg.learning.training.checkpoint import Standing
from medseg.learning.training.curve_verdict import read_curves
from medseg.learning.training.longer import course_note
from medseg.learning.training.plan import Plan
from medseg.places import written_whole
from medseg.recorder import SCORE_OF
from medseg.steps.evaluation.evaluation import evaluation_of
from medseg.steps.step import Run, Work

_LONGEST_TAG = 500  # characters, of MLflow's 5000: a tag is read in a list


def picture_validation(
    predictor: Predictor, val: Batches, scores: Mapping[str, float], epoch: int, run: Run
) -> None:
    """Draw the best, the median and the worst validation patient of an epoch, from the score of each."""
    draw = evaluation_of(predictor).validation_picture
    try:
        figure = draw(predictor, val.dataset, scores, heading=f"validation, epoch {epoch}")
    except ModelError as error:  # a later epoch may do better: a picture ends no training
        run.progress.say(f"No picture of the validation cases at epoch {epoch}: {error}")
        return
    name = f"{run.step}_validation_{epoch:04d}.png"
    run.recorder.artifact(save_figure(figure, run.figures / name), "figures")


def conclude(run: Run, standing: Standing, work: Work, plan: Plan) -> None:
    """Keep and record what a training came to; the work is that before it."""
    task, before = work.predictor.task, work.epochs
    history, best_epoch = standing.history, standing.best_epoch
    with written_whole(table := run.place / "history.json") as target:
        target.write_text(json.dumps(list(history), indent=1), encoding="utf-8")
    groups = {sample.group for sample in work.store.role("val")}
    verdict = read_curves(history, run.step, patients=len(groups))
    kept = {"kind": verdict.kind, "text": verdict.text(), "next_step": verdict.next_step}
    if standing.courses:
        kept["courses"] = " ".join(map(course_note, standing.courses))
        run.recorder.tags({f"{run.step}.learning_rate": kept["courses"][:_LONGEST_TAG]})
    with written_whole(run.place / "verdict.json") as target:
        target.write_text(json.dumps(kept, indent=1), encoding="utf-8")
    figure = learning_curves(
        history,
        task.classes,
        heading=verdict.text(),
        best=best_epoch,
        background=task.target.background,
    )
    run.recorder.artifact(save_figure(figure, run.figures / f"{run.step}_learning_curves.png"), "figures")
    run.recorder.artifact(table, "tables")
    by = plan.chosen_by
    run.recorder.tags(
        {
            SCORE_OF: standing.score_name,
            f"{run.step}.best_epoch": str(best_epoch),
            f"{run.step}.best_by": standing.score_name if by == "score" else by,
            f"{run.step}.verdict": verdict.text()[:_LONGEST_TAG],
        }
    )
    best = {key: value for key, value in standing.best_row.items() if key in ("val/score", "val/loss")}
    run.recorder.metrics(best, before)  # of the kept weights: one a training, at step 0 of the first
    last = int(history[-1]["epoch"])
    early = f", stopped early after {last}" * (last < plan.epochs)
    run.progress.say(
        f"Best epoch {best_epoch} of {last}{early}: validation score {standing.score_text} "
        f"({standing.score_name}{'' if by == 'score' else f'; the epoch was chosen by {by}'})."
    )
