"""What the other processes of a training get, where torchrun has started several."""

from __future__ import annotations

import copy
import hashlib
import platform
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from medseg.errors import DefinitionError, StoreError, TrainingError
from medseg.learning.inference.predictor import Predictor
from medseg.learning.tasks.task import merging
from medseg.learning.training.ranks.joint import not_over_ranks
from medseg.machine.ranks.ranks import ALONE, Ranks
from medseg.progress import Silent
from medseg.recorder import NoRecord
from medseg.steps.step import Run, Work
from medseg.text import many


@dataclass(frozen=True)
class Helping:
    """What another process does in a training: the same, but it shows and records nothing.

    Attributes:
        learn: Trains the network of a work.
        work: What it learns from.
        run: Where, as the first process has it.
    """

    learn: Callable[[Work, Run], object]
    work: Work
    run: Run

    def __getstate__(self) -> dict[str, Any]:
        """What travels: no image, no case, and the network in main memory."""
        network = copy.deepcopy(self.work.predictor.network).cpu()
        predictor = replace(self.work.predictor, network=network)
        return {
            "learn": self.learn,
            "work": replace(self.work, predictor=predictor, cases={}, tables={}, artifacts={}),
            "run": replace(self.run, recorder=NoRecord(), progress=Silent(), ranks=ALONE),
        }

    def __call__(self, ranks: Ranks) -> None:
        """Take part.

        Raises:
            StoreError: The prepared slices cannot be seen from here.
        """
        run = replace(self.run, ranks=ranks, device=ranks.device(self.run.device))
        if not self.work.store.root.is_dir():
            raise StoreError(
                f"the prepared slices are not on {platform.node()}. All machines must see one cache: set "
                "MEDSEG_CACHE to a folder that they share."
            )
        predictor = self.work.predictor
        predictor = replace(predictor, network=predictor.network.to(run.device), device=run.device)
        self.learn(replace(self.work, predictor=predictor), run)


def tell_ranks(work: Work, run: Run) -> None:
    """Say in how many processes a training goes on, and refuse that they read different slices.

    Raises:
        TrainingError: They do; names the first that differs.
    """
    world = run.ranks.place.world
    if world == 1:
        return
    seen = run.ranks.gathered((platform.node(), _digest(work)))
    for rank, (host, digest) in enumerate(seen):
        if digest != seen[0][1]:
            raise TrainingError(
                f"rank {rank} on {host} reads other slices than rank 0 on {seen[0][0]}: the stores of prepared "
                "slices differ. Let all machines see one cache (MEDSEG_CACHE on a folder that they share)."
            )
    run.progress.say(f"{many(world, 'rank')} train together, each with one of {world} slices of a batch.")
    run.recorder.params({f"{run.step}.ranks": world})


def _digest(work: Work) -> str:
    """Of the first and the last slice of training."""
    samples = work.store.role("train")
    found = hashlib.sha256()
    for sample in (samples[0], samples[-1]) if samples else ():
        found.update(np.ascontiguousarray(work.store.image(sample)).tobytes())
    return found.hexdigest()


def one_process_alone(predictor: Predictor, *, mixes: bool) -> str:
    """Why a training cannot be spread over several processes, as a sentence; empty where it can.

    Args:
        predictor: Of the network and the task.
        mixes: Whether it mixes the slices of a batch with one another.
    """
    if mixes:
        return "unlabelled: MixMatch mixes the slices of a batch with one another, and each process has but a share."
    try:
        merging(predictor.task.scorer())
    except DefinitionError as error:
        return str(error)
    return not_over_ranks(predictor.network)
