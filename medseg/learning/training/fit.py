"""Training: one engine for every task, on MONAI's trainer and evaluator."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from medseg.errors import DefinitionError
from medseg.learning.outputs.deep_supervision import DeepSupervision
from medseg.learning.outputs.main_output import with_main_output
from medseg.learning.tasks.task import Loss, Task, on_device
from medseg.learning.training.batches import Batches
from medseg.learning.training.checkpoint import Checkpoints, Standing
from medseg.learning.training.engine.compiling import compiled
from medseg.learning.training.engine.epochs import Epochs
from medseg.learning.training.engine.on_cuda import as_it_computes, layout
from medseg.learning.training.engine.parts import UNWATCHED, Parts, Watch
from medseg.learning.training.longer import at_new_length, course_note
from medseg.learning.training.memory import MemoryNeed
from medseg.learning.training.objective import SUPERVISED, Objective
from medseg.learning.training.optimiser import make_optimiser, try_step
from medseg.learning.training.plan import Plan, Precision
from medseg.learning.training.ranks.joint import joined
from medseg.learning.training.ranks.said import ranks_note
from medseg.learning.training.ranks.states import on_cpu
from medseg.machine.loaders import workers_watched
from medseg.machine.ranks.ranks import ALONE, Ranks


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
    watch: Watch = UNWATCHED,
    objective: Objective = SUPERVISED,
    loss: Loss | None = None,
    ranks: Ranks = ALONE,
) -> Standing:
    """Train `network` and leave it with the weights that scored best on `val`.

    Goes on from the checkpoint in `folder`, if there is one; then the result is that of a training that was
    never interrupted (bit for bit on a CPU). Where the plan has another number of epochs now, a schedule that is as
    long as the training is made anew, and stands where the training stopped: see `Standing.courses`.

    Args:
        network: On `device`; of several outputs each is learned from (see `DeepSupervision`), and one counts.
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
        loss: In place of that of the task, on `device`.
        ranks: The processes that train together; each calls this, with its deal of the batches. The first alone reads
            and writes checkpoints.

    Raises:
        TrainingError: The loss is not finite (that of validation where the best epoch is chosen by it), or the
            device, or a process that loads slices, ran out of memory, or another process failed.
    """
    precision = resolve_precision(plan.precision, device)
    with_main_output(network).to(memory_format=layout(network, device))
    each = 1 if plan.schedule_each == "epoch" else len(train.loader)
    optimiser, schedule = make_optimiser(network, plan, steps=plan.epochs * each)
    scaler = torch.amp.GradScaler(device.type, enabled=precision == "float16")
    parts = Parts(network, optimiser, schedule, scaler)
    checkpoints = Checkpoints(folder, every=plan.keep == "every")
    if damaged := ranks.first_does(checkpoints.drop_damaged):
        watch.progress.say(
            f"The checkpoint of this training is damaged ({damaged}): the training begins anew.", loud=True
        )
    known, standing = ranks.first_does(partial(_restored, parts, checkpoints, plan, each, device))
    _as_the_first(parts, ranks)
    if note := ranks_note(standing, ranks.place.world):
        watch.progress.say(note, loud=True)
    for course in standing.courses[len(known.courses) :]:
        watch.progress.say(course_note(course), loud=True)
    for row in standing.history:
        watch.epoch_done(row)
    if plan.compile:
        watch.progress.say(
            "torch compiles the network: the first epoch and the first validation take longer by that."
        )
    loss = DeepSupervision(on_device(task.loss(), device)) if loss is None else loss
    with (
        workers_watched(train.loader),
        compiled(network, wanted=plan.compile),
        joined(network, ranks, train) as joint,
    ):
        engine = Epochs(
            parts, task, loss, train, val, plan, device, precision, need, watch, objective, joint, ranks
        )
        while _goes_on(standing, plan):
            torch.manual_seed(_seed_of(seed, standing.epoch + 1, ranks.place.rank))
            standing = replace(engine.run(standing), ranks=ranks.place.world)
            ranks.first_does(partial(checkpoints.save, standing, parts.stateful()))
            watch.epoch_done(standing.history[-1])
    ranks.first_does(partial(checkpoints.load_best, network, standing))
    network.to(memory_format=torch.contiguous_format).eval()
    return standing


def _restored(
    parts: Parts, checkpoints: Checkpoints, plan: Plan, each: int, device: torch.device
) -> tuple[Standing, Standing]:
    """Where the checkpoint stands, and where the training goes on; what does not fit is refused before it does."""
    as_now = as_it_computes(parts.optimiser)
    known = standing = checkpoints.restore(parts.stateful(), device)
    as_now()
    for tried in (False, True):
        if not _goes_on(known, plan):
            break
        with checkpoints.answering():
            standing = at_new_length(known, plan, parts.network, parts.optimiser, parts.schedule, each)
            if tried or not known.epoch:
                break
            try_step(parts.optimiser, parts.schedule)
        checkpoints.restore(parts.stateful(), device)
        as_now()
    return known, standing


def _as_the_first(parts: Parts, ranks: Ranks) -> None:
    """Let all processes have the state of the first one, which has read the checkpoint."""
    if ranks.place.world == 1:
        return
    as_now = as_it_computes(parts.optimiser)
    states = ranks.agreed({name: on_cpu(part.state_dict()) for name, part in parts.stateful().items()})
    for name, part in parts.stateful().items():
        part.load_state_dict(states[name])
    as_now()


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


def _seed_of(seed: int, epoch: int, rank: int) -> int:
    """Of what is drawn within the network, such as dropout: other slices are dropped from in another way."""
    return (seed * 1_000_003 + epoch + rank * 2**40) % 2**63
