"""One epoch at a time: training on MONAI's trainer, then validation on MONAI's evaluator."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.engines import SupervisedEvaluator, SupervisedTrainer
from monai.engines.utils import IterationEvents

from medseg.errors import OtherSettingsError
from medseg.learning.outputs.main_output import Outputs
from medseg.learning.tasks.task import Scorer, Task
from medseg.learning.training.batches import Batches
from medseg.learning.training.checkpoint import Standing
from medseg.learning.training.engine.on_cuda import device_lost, is_lost
from medseg.learning.training.engine.parts import Parts, Watch
from medseg.learning.training.engine.running_loss import RunningLoss
from medseg.learning.training.memory import MemoryNeed, free_memory, lacks_memory, out_of_memory
from medseg.learning.training.objective import Objective, OutputsLoss
from medseg.learning.training.plan import Plan, Precision
from medseg.learning.training.ranks.joint import Joint
from medseg.learning.training.weighting import weighted
from medseg.machine.ranks.ranks import Ranks
from medseg.progress import Bar


class Epochs:
    """Runs one epoch at a time on MONAI's trainer, then its validation on MONAI's evaluator."""

    def __init__(
        self,
        parts: Parts,
        task: Task,
        loss: OutputsLoss,
        train: Batches,
        val: Batches,
        plan: Plan,
        device: torch.device,
        precision: Precision,
        need: MemoryNeed,
        watch: Watch,
        objective: Objective,
        joint: Joint,
        ranks: Ranks,
    ) -> None:
        self.parts, self.task, self.loss, self.train, self.val = parts, task, loss, train, val
        self.joint, self.ranks = joint, ranks
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
        # what one process makes of them counts for all: how a mean is rounded may differ from machine to machine
        scores, cases, score_name = self.ranks.agreed(self._validate(epoch))
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
            OtherSettingsError: The score is no longer that of earlier epochs, and the best epoch is chosen by it.
        """
        if before not in ("", now) and self.plan.chosen_by == "score":
            raise OtherSettingsError(
                f"the validation score is now {now}, and was {before} in earlier epochs, among which the best one is "
                "chosen. Set task.select to a score that every epoch defines, or best_by: loss of the step.",
                setting="best_by=loss",
            )

    def _train(self, epoch: int, bar: Bar, best: str) -> float:
        losses = RunningLoss(self.device, partial(self._not_finite, epoch))
        network = self.parts.network
        whole = self.train.whole(epoch)
        index = torch.empty(0)

        def begin(engine: Engine) -> None:
            nonlocal index
            index = self.joint.begin(engine.state.batch, whole)

        def loss_of(logits: Outputs, label: torch.Tensor) -> torch.Tensor:
            counted = weighted(logits, trainer.state.batch["weight"])
            return self.objective.loss(self.loss, *self.joint.whole(counted, label))

        self.objective.begin(epoch)
        trainer = SupervisedTrainer(
            device=self.device,
            max_epochs=1,
            train_data_loader=self.train.at(epoch),
            network=self.joint.network,
            optimizer=self.parts.optimiser,
            loss_function=loss_of,
            inferer=self.objective,
            prepare_batch=_image_and_label,
            non_blocking=True,
            decollate=False,
            optim_set_to_none=True,
            **self.amp,
        )
        if self.amp["amp"]:  # a scaler that is switched off, for bfloat16, still opens MONAI's autocast
            trainer.scaler = self.parts.scaler

        def add_loss(engine: Engine) -> None:
            losses.add(engine.state.output["loss"], {"index": index})

        def clip(_: Engine) -> None:
            if self.plan.clip is not None:
                self.parts.scaler.unscale_(self.parts.optimiser)
                torch.nn.utils.clip_grad_norm_(network.parameters(), self.plan.clip)

        def count(_: Engine) -> None:
            shown = {"loss": f"{losses.mean:.4f}"} if losses.slices else {}
            shown |= {"best": best} if best else {}
            bar.advance(len(index), **shown)
            if self.parts.schedule is not None and self.plan.schedule_each == "iteration":
                self.parts.schedule.step()

        trainer.add_event_handler(Events.ITERATION_STARTED, begin)
        trainer.add_event_handler(IterationEvents.LOSS_COMPLETED, add_loss)
        trainer.add_event_handler(IterationEvents.BACKWARD_COMPLETED, clip)
        trainer.add_event_handler(Events.ITERATION_COMPLETED, count)
        with self._answering(trainer):
            trainer.run()
            losses.read()
        return losses.mean

    def _not_finite(
        self, epoch: int, loss: float, place: int, batch: Mapping[str, Any]
    ) -> OtherSettingsError:
        return OtherSettingsError(
            f"the loss became {loss} in epoch {epoch}, batch {place} ({self.train.described(dict(batch))}). Lower "
            "optimiser.lr of the step, set its clip, or look at these slices."
        )

    def _diverged(self, epoch: int, batch: Mapping[str, Any]) -> OtherSettingsError:
        return OtherSettingsError(
            f"the network returned NaN or infinity in the validation of epoch {epoch}, for the batch of "
            f"{self.val.described(dict(batch))}. Training diverged, or these slices are far outside the training "
            "data: lower optimiser.lr of the step, set its clip, or look at them."
        )

    def _validate(self, epoch: int) -> tuple[dict[str, float], Mapping[str, float], str]:
        scorer: Scorer = self.task.scorer(self.plan.added) if self.plan.added else self.task.scorer()
        losses: list[torch.Tensor] = []
        finite: list[torch.Tensor] = []
        places: list[Any] = []
        evaluator = SupervisedEvaluator(
            device=self.device,
            val_data_loader=self.val.at(0),
            network=self.parts.network,
            prepare_batch=_image_and_label,
            non_blocking=True,
            decollate=False,
            **self.amp,
        )
        with self.watch.progress.bar(f"validation {epoch}", len(self.val.order), "slices") as bar:

            def count(engine: Engine) -> None:
                logits, label = engine.state.output["pred"], engine.state.output["label"]
                with torch.no_grad():
                    losses.append(self.loss(logits, label))
                finite.append(torch.isfinite(logits).all())
                places.append(engine.state.batch["index"])
                scorer.update(self.val.cases(engine.state.batch), logits, label)
                bar.advance(len(label))

            evaluator.add_event_handler(Events.ITERATION_COMPLETED, count)
            with self._answering(evaluator):
                if len(self.val.loader):  # of more processes than batches some have none
                    evaluator.run()
                # at the end: to read each would wait for the device
                values, sound = (torch.stack(each).tolist() if each else [] for each in (losses, finite))
            rows = self.joint.validated(list(zip(values, sound, places, strict=True)), scorer)
            if diverged := [index for _, fine, index in rows if not fine]:
                raise self._diverged(epoch, {"index": diverged[0]})
            total = sum(value * len(index) for value, _, index in rows)
            found = {
                "val/loss": total / sum(len(index) for *_, index in rows),
                **{f"val/{name}": value for name, value in scorer.compute().items()},
            }
            if "val/score" in found:
                bar.advance(0, score=f"{found['val/score']:.3f}")
        return found, scorer.by_case(), scorer.score_name

    @contextmanager
    def _answering(self, engine: Any) -> Iterator[None]:
        """Say what to do about a device that fails.

        Raises:
            ShortOfMemoryError: A batch did not fit.
            TrainingError: The device is lost.
        """
        try:
            yield
        except (MemoryError, RuntimeError) as error:
            if lacks_memory(error):
                batch = len(engine.state.batch["index"])
                free = free_memory(self.device)
                raise out_of_memory(self.need, batch * self.objective.times, free) from error
            if is_lost(error):
                raise device_lost(self.device, error) from error
            raise


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
