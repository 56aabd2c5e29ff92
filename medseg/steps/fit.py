"""The step that trains."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch

from medseg.component import Slot
from medseg.datasets.roles import UNLABELLED
from medseg.errors import DefinitionError
from medseg.learning.inference.predictor import Predictor
from medseg.learning.outputs.deep_supervision import DeepSupervision
from medseg.learning.selftraining.mixmatch import MixMatch
from medseg.learning.settings import is_number, is_whole, refuse_unless
from medseg.learning.tasks.class_weights import are_counted
from medseg.learning.tasks.image_classes import ImageClasses
from medseg.learning.tasks.partial_loss import loss_of
from medseg.learning.tasks.task import Task, on_device
from medseg.learning.training.checkpoint import Checkpoints, Standing, room_of_epochs
from medseg.learning.training.curve_names import curve_names
from medseg.learning.training.engine.parts import Watch
from medseg.learning.training.fit import fit
from medseg.learning.training.longer import refuse_other_course
from medseg.learning.training.memory import free_memory, measure_need, refuse_too_large
from medseg.learning.training.objective import SUPERVISED, Objective
from medseg.learning.training.optimiser import make_optimiser, rehearse
from medseg.learning.training.plan import EpochRule, Plan, Precision
from medseg.learning.training.sampling.foreground import checked_share, refuse_share
from medseg.learning.transfer.freeze import (
    Freeze,
    counted,
    frozen,
    frozen_part,
    still_statistics,
    trained_blocks,
)
from medseg.machine.peak import PeakMemory
from medseg.machine.ranks.ranks import led
from medseg.places import read_kept
from medseg.splits.split import Role
from medseg.steps.expected import Expected, account
from medseg.steps.feeding import are_transforms, placed, role_batches, try_augmentation, unlabelled_stream
from medseg.steps.step import Fits, Run, Stage, Work
from medseg.steps.training.concluding import conclude, picture_validation
from medseg.steps.training.sharing import Helping, one_process_alone, tell_ranks

_LONGEST_TAG = 500  # characters, of MLflow's 5000: a tag is read in a list


class Fit:
    """Train the network of the work, and leave it with its best weights.

    Args:
        optimiser: Makes the optimiser from `params`.
        epochs: At most so many.
        patience: Stop after so many validations without a better score; left out, never early.
        schedule: Makes the learning-rate schedule from `optimizer`; its length (`T_max`, `total_iters`,
            `total_steps`, `t_total`), when left out, is that of the training.
        schedule_each: Whether the schedule goes on each `epoch` or each `iteration`.
        clip: Largest norm of all gradients together.
        precision: auto, float32, float16 or bfloat16; see `medseg.learning.training.plan.Plan`.
        validate_every: Epochs from one validation to the next.
        best_by: Whether the best weights are those of the highest validation `score` (see `task.select`), of the
            least `loss`, or of another score: one of ours of masks, such as `iou`, or an object, as in `scores` of
            `Evaluate`; or by a rule of several, such as `medseg.learning.AveragePrecisionOrF2`.
        keep: Whether the weights of the `best` epoch alone are kept, or beside them those of `every` epoch, as
            `epochs/epoch-0001.safetensors` and so on in the folder of the step; `StartFrom` takes such a file.
        pictures_every: Validations from one picture of patients (best, median, worst) to the next; 0 for none.
        freeze: What stands still, running statistics and all: `features` is all but the head,
            `{all_but_last_blocks: N}` all but the head and the N blocks before it; left out, nothing.
        statistics: Whether batch normalisation learns the statistics of these images (`moving`), or keeps those that
            it has (`still`), as fine-tuning in small batches needs it.
        pseudo_augment: Random transforms for images whose class was predicted, as `SelfTrain` has them, in place of
            `loading.augment`; when left out, they are augmented as the others.
        unlabelled: How it learns from images without a label too, `medseg.learning.MixMatch`; left out, not at all.
        foreground_share: Of each batch, from 0 to 1 and rounded up to whole slices: at least so many slices show
            foreground, drawn evenly of its classes, as nnU-Net does with a third. An epoch is as long as without,
            and no longer holds every slice once (see `medseg.learning.training.batches.EpochOrder`). 0, where it is
            left out, draws none. Only for label maps.
        expected: What the training should take on the machine that the definition was drafted on, `minutes` and
            `gib` of memory; the run says how far that was off. It changes nothing.
        compile: Whether torch compiles the network first: that takes a compiler, and time before the first epoch.
    """

    stage: ClassVar[Stage] = Stage.WEIGHTS
    changeable: ClassVar[tuple[str, ...]] = ("epochs", "patience", "pictures_every")
    """Settings that may change when a training goes on; see `changed_from`."""

    declared: ClassVar[Mapping[str, Slot]] = {
        "optimiser": Slot("torch.optim.Optimizer", ("params",)),
        "schedule": Slot(
            "torch.optim.lr_scheduler.LRScheduler",
            ("optimizer", "T_max", "total_iters", "total_steps", "t_total"),
        ),
    }

    def __init__(
        self,
        optimiser: Callable[..., torch.optim.Optimizer],
        epochs: int = 50,
        patience: int | None = None,
        schedule: Callable[..., Any] | None = None,
        schedule_each: Literal["epoch", "iteration"] = "epoch",
        clip: float | None = None,
        precision: Precision = "auto",
        validate_every: int = 1,
        pictures_every: int = 5,
        best_by: Any = "score",
        keep: Literal["best", "every"] = "best",
        freeze: Freeze = None,
        statistics: Literal["moving", "still"] = "moving",
        pseudo_augment: Sequence[Callable[[Any], Any]] | None = None,
        unlabelled: MixMatch | None = None,
        foreground_share: float = 0.0,
        expected: Mapping[str, float] | None = None,
        compile: bool = False,  # noqa: A002 - torch's word
    ) -> None:
        refuse_unless(is_whole(epochs, 1), "epochs", epochs, "a whole number, 1 or more")
        patient = patience is None or is_whole(patience, 1)
        refuse_unless(patient, "patience", patience, "a whole number, 1 or more, or nothing")
        clipped = clip is None or (is_number(clip) and clip > 0)
        refuse_unless(clipped, "clip", clip, "a finite number more than 0, or nothing")
        refuse_unless(
            is_whole(validate_every, 1), "validate_every", validate_every, "a whole number, 1 or more"
        )
        refuse_unless(
            is_whole(pictures_every, 0), "pictures_every", pictures_every, "a whole number, 0 or more"
        )
        refuse_unless(
            schedule_each in ("epoch", "iteration"), "schedule_each", schedule_each, "epoch or iteration"
        )
        known = ("auto", "float32", "float16", "bfloat16")
        refuse_unless(precision in known, "precision", precision, " or ".join(known))
        scores = isinstance(best_by, str | EpochRule) or callable(best_by)
        refuse_unless(scores, "best_by", best_by, "score, loss, another score, or a rule")
        refuse_unless(keep in ("best", "every"), "keep", keep, "best or every")
        refuse_unless(isinstance(compile, bool), "compile", compile, "true or false")
        refuse_unless(statistics in ("moving", "still"), "statistics", statistics, "moving or still")
        length = (epochs, optimiser, patience, schedule, schedule_each)
        self.plan = Plan(*length, clip, precision, validate_every, best_by, keep, compile)
        self.pictures_every = pictures_every
        self.freeze, self.blocks = freeze, trained_blocks(freeze)
        self.statistics = statistics
        transforms = pseudo_augment is None or are_transforms(pseudo_augment)
        refuse_unless(transforms, "pseudo_augment", pseudo_augment, "a list of transforms, or nothing")
        self.pseudo_augment = pseudo_augment
        beside = unlabelled is None or isinstance(unlabelled, MixMatch)
        refuse_unless(beside, "unlabelled", unlabelled, "{_target_: medseg.learning.MixMatch}, or nothing")
        self.unlabelled = unlabelled
        self.foreground_share = checked_share(foreground_share)
        self.expected = Expected.of(expected)

    @property
    def fits(self) -> Fits:
        """Weights and the best epoch."""
        learned = self.roles[::2]  # all but validation
        return {"weights": learned, "best epoch": ("val",)}

    def fits_of(self, task: Task) -> Fits:
        """Class weights too, where the task counts classes."""
        return {**self.fits, **({"class weights": ("train",)} if are_counted(task) else {})}

    @property
    def roles(self) -> tuple[Role, ...]:
        """To learn from, and to choose the best epoch by."""
        return ("train", "val") if self.unlabelled is None else ("train", "val", UNLABELLED)

    def __call__(self, work: Work, run: Run) -> Work:
        """Train, in all processes that torchrun has started; what was frozen meanwhile is not so afterwards."""
        own, others = partial(self.learn, work, run), Helping(self.learn, work, run)
        standing, peak = run.ranks.together(own, others, run.device)
        conclude(run, standing, work, self.plan)
        account(run, standing, peak, self.expected)
        trained = replace(work.predictor, device=run.device)
        trained.network.eval()  # the frozen part, too, which is now in the mode that it had before
        trained.save(run.place / "predictor")
        return replace(work, predictor=trained, epochs=work.epochs + standing.epoch)

    def learn(self, work: Work, run: Run) -> tuple[Standing, int | None]:
        """Train the network of the work, and say how that went and how much memory it took, in bytes."""
        network = work.predictor.network
        part = frozen_part(network, work.predictor.input_shape, self.blocks, at=f"steps.{run.step}.freeze")
        with frozen(network, part), still_statistics(network, still=self.statistics == "still"):
            if part:
                trained, all_of_it = counted(network)
                run.progress.say(
                    f"Training {trained:,} of {all_of_it:,} parameters; frozen: {len(part)} blocks, "
                    f"{part[0].name} to {part[-1].name}."
                )
                run.recorder.params({f"{run.step}.trained_parameters": trained})
            return self._train(work, run)

    def _train(self, work: Work, run: Run) -> tuple[Standing, int | None]:
        task = work.predictor.task
        task = task.weighted(task.target.counts(work.store, "train"))
        network = work.predictor.network.to(run.device)
        tell_ranks(work, run)
        placement = placed(work, run)
        train = role_batches(work, run, "train", placement, self.pseudo_augment, self.foreground_share)
        val = role_batches(work, run, "val", placement)
        first = train.dataset[(0, 0)]
        partly = bool(work.predictor.manifest.ignore)
        loss = DeepSupervision(on_device(loss_of(task, partly=partly), run.device))
        channels, height, width = first["image"].shape
        need = measure_need(network, loss, (channels, height, width), label=first["label"].cpu())
        objective = self._objective(task, work, run, len(train.order))
        share = -(-min(run.loading.batch_size, len(train.order)) // run.ranks.place.world)
        batch = share * objective.times
        free = free_memory(run.device)
        refuse_too_large(need, batch, run.device, free)
        run.progress.say(
            f"Training on {run.device}: {len(train.order)} slices, {len(val.order)} to validate; a batch of "
            f"{batch} will take about {need.of(batch) / 2**30:.1f} of {free / 2**30:.1f} GiB."
        )
        sizes = {"batch_bytes": need.of(batch), "free_bytes": free}
        run.recorder.tags({f"{run.step}.memory.{name}": str(size) for name, size in sizes.items()})
        if self.plan.keep == "every":
            run.progress.say(room_of_epochs(network, self.plan.epochs, run.place))
        with run.progress.bar("training", self.plan.epochs, "epochs") as bar:

            def epoch_done(row: Mapping[str, float]) -> None:
                run.recorder.metrics(curve_names(row), work.epochs + int(row["epoch"]))
                bar.advance(1, **({"score": f"{row['val/score']:.3f}"} if "val/score" in row else {}))

            def validated(network: torch.nn.Module, epoch: int, scores: Mapping[str, float]) -> None:
                turn = epoch // self.plan.validate_every
                if self.pictures_every and (turn % self.pictures_every == 0 or turn == 1):
                    picture_validation(replace(work.predictor, network=network), val, scores, epoch, run)

            with PeakMemory(run.device) as peak:
                standing = fit(
                    network,
                    task,
                    train,
                    val,
                    plan=self.plan,
                    device=run.device,
                    seed=run.seed,
                    folder=run.place,
                    need=need,
                    watch=Watch(epoch_done, validated, run.progress),
                    objective=objective,
                    loss=loss,
                    ranks=run.ranks,
                )
        return standing, peak.taken

    def _objective(self, task: Task, work: Work, run: Run, labelled: int) -> Objective:
        if self.unlabelled is None or not isinstance(task, ImageClasses):  # the latter is refused before
            return SUPERVISED
        return self.unlabelled.objective(task, unlabelled_stream(work, run, labelled))

    def check(self, predictor: Predictor) -> None:
        """Build optimiser and schedule once, so that a rate below zero costs a second and not a night.

        Raises:
            DefinitionError: One of them refuses its arguments, the schedule waits for a score, or `freeze` does
                not fit the network.
        """
        if isinstance(self.plan.best_by, EpochRule):
            self.plan.best_by.check(predictor.task)
        if self.plan.added:
            try:
                predictor.task.scorer(self.plan.added)
            except DefinitionError as error:
                raise DefinitionError(f"best_by: {error}") from error
        if self.unlabelled is not None:
            self.unlabelled.check(predictor.task)
        refuse_share(self.foreground_share, predictor.task)
        try_augmentation(self.pseudo_augment or (), predictor.input_shape)
        if led().place.world > 1 and (reason := self.one_process(predictor)):
            raise DefinitionError(f"{reason} Start it without torchrun.")
        part = frozen_part(predictor.network, predictor.input_shape, self.blocks, at="freeze")
        with frozen(predictor.network, part):
            _, schedule = make_optimiser(predictor.network, self.plan, steps=self.plan.epochs)
        rehearse(self.plan)
        if isinstance(schedule, torch.optim.lr_scheduler.ReduceLROnPlateau):
            raise DefinitionError(
                "schedule: ReduceLROnPlateau waits for a score, which schedules are not given. Use "
                "another, such as torch.optim.lr_scheduler.CosineAnnealingLR, with `patience` to stop early."
            )

    def one_process(self, predictor: Predictor) -> str:
        """Why torchrun cannot spread it over several processes, as a sentence; empty where it can."""
        return one_process_alone(predictor, mixes=self.unlabelled is not None)

    def changed_from(self, before: Fit, network: torch.nn.Module, place: Path) -> str:
        """Refuse to go on with other settings where the training cannot honour them any more.

        Args:
            before: The step as it began.
            network: As the step takes it.
            place: Its folder.

        Returns:
            In what it differs from a training with them from the start, but for its schedule, of which the training
            itself tells; empty where it does not.

        Raises:
            RunError: It cannot; the text begins with the setting.
        """
        return refuse_other_course(before.plan, self.plan, network, Checkpoints(place).standing())

    def recall(self, work: Work, run: Run) -> Work:
        """Load the trained weights."""
        saved = Predictor.load(run.place / "predictor", device=run.device, allowed=run.allowed)
        history = read_kept(run.place / "history.json", list)
        trained = replace(work.predictor, network=saved.network, device=run.device)
        return replace(work, predictor=trained, epochs=work.epochs + len(history))
