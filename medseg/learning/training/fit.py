"""Training: one engine for every task, on MONAI's trainer and evaluator."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.engines import SupervisedEvaluator, SupervisedTrainer
from monai.engines.utils import IterationEvents

from medseg.errors import DefinitionError, TrainingError
from medseg.learning.tasks.task import Loss, Scorer, Task, on_device
from medseg.learning.training.batches import Batches, workers_watched
from medseg.learning.training.checkpoint import Checkpoints, Standing
from medseg.learning.training.longer import at_new_length, course_note
from medseg.learning.training.memory import MemoryNeed, free_memory, lacks_memory, out_of_memory
from medseg.learning.training.objective import SUPERVISED, Objective
from medseg.learning.training.optimiser import make_optimiser, try_step
from medseg.learning.training.plan import Plan, Precision
from medseg.learning.training.weighting import weighted
from medseg.progress import Bar, Progress, Silent


@dataclass(frozen=True)
class Watch:
    """What is called as a training goes on.

    Attributes:
        epoch_done: Called with the row of an epoch after its checkpoint was written, and again, on going on,
            for the rows that the checkpoint holds.
        validated: Called with the network, the epoch and the score of each case after each validation.
        progress: Where bars are shown.
    """

    epoch_done: Callable[[Mapping[str, float]], None] = lambda _: None
    validated: Callable[[torch.nn.Module, int, Mapping[str, float]], None] = lambda *_: None
    progress: Progress = field(default_factory=Silent)


@dataclass(frozen=True)
class Parts:
    """The objects that a training changes."""

    network: torch.nn.Module
    optimiser: torch.optim.Optimizer
    schedule: Any | None
    scaler: torch.amp.GradScaler

    def stateful(self) -> dict[str, Any]:
        """Those whose state a checkpoint holds."""
        kept = {"network": self.network, "optimiser": self.optimiser, "scaler": self.scaler}
        return {**kept, "schedule": self.schedule} if self.schedule is not None else kept


def fit(
    network: torch.nn.Module,
    task: Task,
    train: Batches,
    val: Batches,
    *,
    plan: Plan,
    device: torch.device,
    seed: int,
    folder: Path,
    need: MemoryNeed,
    watch: Watch = Watch(),  # frozen
    objective: Objective = SUPERVISED,
) -> Standing:
    """Train `network` and leave it with the weights that scored best on `val`.

    Goes on from the checkpoint in `folder`, if there is one; then the result is that of a training that was
    never interrupted (bit for bit on a CPU). Where the plan has another number of epochs now, a schedule that is as
    long as the training is made anew, and stands where the training stopped: see `Standing.courses`.

    Args:
        network: On `device`.
        task: What labels and outputs mean.
        train: Slices to learn from.
        val: Slices to choose the best epoch by.
        plan: How to train.
        device: Where.
        seed: Of everything random in the training.
        folder: Where checkpoints are kept.
        need: Predicted memory, for the message when it did not suffice.
        watch: What is called after each epoch and validation.
        objective: What is computed of a batch.

    Raises:
        TrainingError: The loss is not finite (that of validation where the best epoch is chosen by it), or the
            device, or a process that loads slices, ran out of memory.
    """
    precision = resolve_precision(plan.precision, device)
    each = 1 if plan.schedule_each == "epoch" else len(train.loader)
    optimiser, schedule = make_optimiser(network, plan, steps=plan.epochs * each)
    scaler = torch.amp.GradScaler(device.type, enabled=precision == "float16")
    parts = Parts(network, optimiser, schedule, scaler)
    checkpoints = Checkpoints(folder, every=plan.keep == "every")
    if damaged := checkpoints.drop_damaged():
        watch.progress.say(
            f"The checkpoint of this training is damaged ({damaged}): the training begins anew.", loud=True
        )
    known, standing = _restored(parts, checkpoints, plan, each, device)
    for course in standing.courses[len(known.courses) :]:
        watch.progress.say(course_note(course), loud=True)
    for row in standing.history:
        watch.epoch_done(row)
    loss = on_device(task.loss(), device)
    engine = _Epochs(parts, task, loss, train, val, plan, device, precision, need, watch, objective)
    with workers_watched(train.loader.num_workers):
        while _goes_on(standing, plan):
            torch.manual_seed(_seed_of(seed, standing.epoch + 1))
            standing = engine.run(standing)
            checkpoints.save(standing, parts.stateful())
            watch.epoch_done(standing.history[-1])
    checkpoints.load_best(network, standing)
    network.eval()
    return standing


def _restored(
    parts: Parts, checkpoints: Checkpoints, plan: Plan, each: int, device: torch.device
) -> tuple[Standing, Standing]:
    """Where the checkpoint stands, and where the training goes on; what does not fit is refused before it does."""
    known = standing = checkpoints.restore(parts.stateful(), device)
    for tried in (False, True):
        if not _goes_on(known, plan):
            break
        with checkpoints.answering():
            standing = at_new_length(known, plan, parts.network, parts.optimiser, parts.schedule, each)
            if tried or not known.epoch:
                break
            try_step(parts.optimiser, parts.schedule)
        checkpoints.restore(parts.stateful(), device)
    return known, standing


def resolve_precision(expected: Precision, device: torch.device) -> Precision:
    """What `auto` means on a device.

    Raises:
        DefinitionError: Reduced precision was asked for without a CUDA device.
    """
    if expected not in ("auto", "float32") and device.type != "cuda":
        raise DefinitionError(f"precision {expected} needs a CUDA device, got {device}. Use auto or float32.")
    if expected != "auto":
        return expected
    if device.type != "cuda":
        return "float32"
    return "bfloat16" if torch.cuda.is_bf16_supported() else "float16"


def _goes_on(standing: Standing, plan: Plan) -> bool:
    gave_up = plan.patience is not None and standing.stale >= plan.patience
    return standing.epoch < plan.epochs and not gave_up


def _seed_of(seed: int, epoch: int) -> int:
    return (seed * 1_000_003 + epoch) % 2**63


class _Epochs:
    """Runs one epoch at a time on MONAI's trainer, then its validation on MONAI's evaluator."""

    def __init__(
        self,
        parts: Parts,
        task: Task,
        loss: Loss,
        train: Batches,
        val: Batches,
        plan: Plan,
        device: torch.device,
        precision: Precision,
        need: MemoryNeed,
        watch: Watch,
        objective: Objective,
    ) -> None:
        self.parts, self.task, self.loss, self.train, self.val = parts, task, loss, train, val
        self.plan, self.device, self.need, self.watch = plan, device, need, watch
        self.objective = objective
        self.amp: dict[str, Any] = {"amp": precision != "float32"}
        if precision != "float32":
            self.amp["amp_kwargs"] = {"dtype": getattr(torch, precision)}

    def run(self, standing: Standing) -> Standing:
        """Train one epoch, validate where it is due, and say where the training stands now."""
        epoch = standing.epoch + 1
        label = f"epoch {epoch}/{self.plan.epochs}"
        rate = float(self.parts.optimiser.param_groups[0]["lr"])
        begun = time.perf_counter()
        best = standing.score_text if standing.best_epoch else ""
        with self.watch.progress.bar(label, len(self.train.order), "slices") as bar:
            losses = self._train(epoch, bar, best)
        seconds = time.perf_counter() - begun
        row = {
            "epoch": float(epoch),
            "train/loss": losses,
            "learning_rate": rate,
            "slices_per_second": len(self.train.order) / seconds,
            "seconds": seconds,
        }
        if self.parts.schedule is not None and self.plan.schedule_each == "epoch":
            self.parts.schedule.step()
        if epoch % self.plan.validate_every and epoch != self.plan.epochs:
            return replace(standing, epoch=epoch, history=(*standing.history, row))
        scores, cases, score_name = self._validate(epoch)
        row |= scores
        self._name_score(standing.score_name, score_name)
        self.watch.validated(self.parts.network, epoch, cases)
        row["seconds"] = time.perf_counter() - begun
        history = (*standing.history, row)
        worth = self.plan.worth(row, standing.history)
        if worth > standing.best_worth:
            return replace(
                standing,
                epoch=epoch,
                best_epoch=epoch,
                best_worth=worth,
                stale=0,
                history=history,
                score_name=score_name,
            )
        # Of equal scores, as of 0 in the first epochs of a rare foreground, the weights with the lesser loss are
        # kept; patience counts on, for the score is no better.
        level = worth == standing.best_worth and row["val/loss"] < standing.best_loss
        kept = epoch if level else standing.best_epoch
        stale = standing.stale + 1
        return replace(
            standing, epoch=epoch, best_epoch=kept, stale=stale, history=history, score_name=score_name
        )

    def _name_score(self, before: str, now: str) -> None:
        """Refuse to choose among epochs by scores of two kinds.

        Raises:
            TrainingError: The score is no longer that of earlier epochs, and the best epoch is chosen by it.
        """
        if before not in ("", now) and self.plan.chosen_by == "score":
            raise TrainingError(
                f"the validation score is now {now}, and was {before} in earlier epochs, among which the best one is "
                "chosen. Set task.select to a score that every epoch defines, or best_by: loss of the step."
            )

    def _train(self, epoch: int, bar: Bar, best: str) -> float:
        total, seen = 0.0, 0

        def loss_of(logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
            return self.objective.loss(self.loss, weighted(logits, trainer.state.batch["weight"]), label)

        self.objective.begin(epoch)
        trainer = SupervisedTrainer(
            device=self.device,
            max_epochs=1,
            train_data_loader=self.train.at(epoch),
            network=self.parts.network,
            optimizer=self.parts.optimiser,
            loss_function=loss_of,
            inferer=self.objective,
            prepare_batch=_image_and_label,
            decollate=False,
            optim_set_to_none=True,
            **self.amp,
        )
        if self.amp["amp"]:  # a scaler that is switched off, for bfloat16, still opens MONAI's autocast
            trainer.scaler = self.parts.scaler

        def check_loss(engine: Engine) -> None:
            loss = engine.state.output["loss"].detach()
            if not torch.isfinite(loss):
                raise TrainingError(
                    f"the loss became {loss.item()} in epoch {epoch}, batch "
                    f"{engine.state.iteration} ({self.train.described(engine.state.batch)}). Lower "
                    "optimiser.lr of the step, set its clip, or look at these slices."
                )

        def clip(_: Engine) -> None:
            if self.plan.clip is not None:
                self.parts.scaler.unscale_(self.parts.optimiser)
                torch.nn.utils.clip_grad_norm_(self.parts.network.parameters(), self.plan.clip)

        def count(engine: Engine) -> None:
            nonlocal total, seen
            size, value = len(engine.state.batch["index"]), float(engine.state.output["loss"].detach())
            total, seen = total + value * size, seen + size
            shown = {"loss": f"{total / seen:.4f}", **({"best": best} if best else {})}
            bar.advance(size, **shown)
            if self.parts.schedule is not None and self.plan.schedule_each == "iteration":
                self.parts.schedule.step()

        trainer.add_event_handler(IterationEvents.LOSS_COMPLETED, check_loss)
        trainer.add_event_handler(IterationEvents.BACKWARD_COMPLETED, clip)
        trainer.add_event_handler(Events.ITERATION_COMPLETED, count)
        self._run(trainer)
        return total / seen

    def _validate(self, epoch: int) -> tuple[dict[str, float], Mapping[str, float], str]:
        scorer: Scorer = self.task.scorer(self.plan.added) if self.plan.added else self.task.scorer()
        total, seen = 0.0, 0
        evaluator = SupervisedEvaluator(
            device=self.device,
            val_data_loader=self.val.at(0),
            network=self.parts.network,
            prepare_batch=_image_and_label,
            decollate=False,
            **self.amp,
        )
        with self.watch.progress.bar(f"validation {epoch}", len(self.val.order), "slices") as bar:

            def count(engine: Engine) -> None:
                nonlocal total, seen
                logits, label = engine.state.output["pred"], engine.state.output["label"]
                size = len(label)
                with torch.no_grad():
                    total += float(self.loss(logits, label)) * size
                scorer.update(self.val.cases(engine.state.batch), logits, label)
                seen += size
                bar.advance(size)

            evaluator.add_event_handler(Events.ITERATION_COMPLETED, count)
            self._run(evaluator)
        found = {"val/loss": total / seen, **{f"val/{name}": v for name, v in scorer.compute().items()}}
        return found, scorer.by_case(), scorer.score_name

    def _run(self, engine: Any) -> None:
        try:
            engine.run()
        except (MemoryError, RuntimeError) as error:
            if not lacks_memory(error):
                raise
            batch = len(engine.state.batch["index"])
            raise out_of_memory(self.need, batch * self.objective.times, free_memory(self.device)) from error


def _image_and_label(
    batch: dict[str, Any],
    device: torch.device,
    non_blocking: bool,
    **_: Any,
) -> tuple[torch.Tensor, torch.Tensor]:
    return (
        batch["image"].to(device, non_blocking=non_blocking),
        batch["label"].to(device, non_blocking=non_blocking),
    )
