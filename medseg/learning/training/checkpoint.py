"""Where a training stands: written whole at the end of each epoch, loaded without unpickling code."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import ConfigDict, Field, TypeAdapter
from safetensors.torch import load_file

from medseg.errors import RunError
from medseg.files.regular import refuse_irregular
from medseg.learning.transfer.reading import UNREADABLE, load_state, refuse_spread
from medseg.learning.transfer.saving import save_state, save_weights
from medseg.learning.transfer.weights import plain_weights
from medseg.places import written_whole

_Count = Annotated[int, Field(ge=0, le=10**9)]
_COURSE = {"epoch", "planned", "now", "from", "to"}


@dataclass(frozen=True)
class Standing:
    """How far a training has come.

    Attributes:
        epoch: Epochs done.
        best_epoch: The best epoch; 0 before the first validation.
        best_worth: What made it the best, more is better: its validation score, or its loss below zero.
        stale: Validations since then.
        history: One row of numbers an epoch: `epoch`, losses, scores, learning rate, speed.
        score_name: What the validation score is, in words; empty before the first validation.
        planned: Epochs for which the schedule of the learning rate was made; 0 where nobody noted it.
        courses: One row for each time that the schedule was made anew, for another number of epochs: after which
            `epoch`, `planned` before and `now`, and the learning rate `from` which `to` which it went.
        ranks: Processes that have trained the last epoch together.
    """

    __pydantic_config__ = ConfigDict(strict=True, revalidate_instances="always")  # what a file says

    epoch: _Count = 0
    best_epoch: _Count = 0
    best_worth: float = float("-inf")
    stale: _Count = 0
    history: tuple[dict[str, float], ...] = ()
    score_name: str = ""
    planned: _Count = 0
    courses: tuple[dict[str, float], ...] = ()
    ranks: Annotated[int, Field(ge=1, le=10**6)] = 1

    @property
    def best_row(self) -> Mapping[str, float]:
        """The row of the best epoch; empty before the first validation."""
        return next((row for row in self.history if row["epoch"] == self.best_epoch), {})

    @property
    def best_score(self) -> float:
        """Validation score of the best epoch; minus infinity before the first validation, or if none is defined."""
        return self.best_row.get("val/score", float("-inf"))

    @property
    def score_text(self) -> str:
        """The same as it is written."""
        return f"{self.best_score:.3f}" if "val/score" in self.best_row else "not defined"

    @property
    def best_loss(self) -> float:
        """Validation loss of the best epoch; infinite before the first validation."""
        return self.best_row.get("val/loss", float("inf"))


class Checkpoints:
    """The last state and the best weights of one training, in a folder.

    Random generators need no place here: each epoch seeds them anew from (seed, epoch), so that a training
    that goes on after an epoch draws what an uninterrupted one would have drawn.

    Args:
        folder: Where.
        every: Whether the weights of every epoch are kept beside, as `epochs/epoch-0001.safetensors` and so on.
    """

    def __init__(self, folder: Path, *, every: bool = False) -> None:
        self.folder, self.every = folder, every
        self.last = folder / "last.pt"

    def save(self, standing: Standing, parts: dict[str, Any]) -> None:
        """Write the state after an epoch; `parts` are the objects with a `state_dict`.

        The best weights are written first, under the name of their epoch, and those of earlier epochs
        removed last: a process that is killed in between leaves a checkpoint whose best weights exist.

        Raises:
            NotWrittenError: It cannot be written, as where no space is left; the state before is as it was.
        """
        kept = [self._best(standing.epoch)] if standing.best_epoch == standing.epoch else []
        kept += [self.folder / "epochs" / f"epoch-{standing.epoch:04d}.safetensors"] if self.every else []
        weights = plain_weights(parts["network"]) if kept else {}
        for path in kept:
            with written_whole(path) as target:
                save_weights(weights, target)
        state = {name: part.state_dict() for name, part in parts.items()}
        with written_whole(self.last) as target:
            save_state({"standing": asdict(standing), **state}, target)
        for old in self.folder.glob("best-*.safetensors"):
            if old != self._best(standing.best_epoch):
                old.unlink()

    def drop_damaged(self) -> str:
        """Remove a checkpoint with a damaged file, as a disk leaves it that failed: nothing can go on from it.

        Returns:
            Name of the damaged file; empty if there is none.
        """
        if not self.last.exists():
            return ""
        damaged = self._damaged()
        if damaged is None:
            return ""
        self.last.unlink()
        return damaged.name

    def _damaged(self) -> Path | None:
        try:
            state = self._state(torch.device("cpu"))
        except UNREADABLE:
            return self.last
        try:
            epoch = _standing(state).best_epoch
        except UNREADABLE:  # another form: `restore` says what is wrong with it
            return None
        if not epoch:
            return None
        try:
            refuse_irregular(self._best(epoch))
            load_file(self._best(epoch))
        except UNREADABLE:
            return self._best(epoch)
        return None

    def restore(self, parts: dict[str, Any], device: torch.device) -> Standing:
        """Put the last state back into `parts`; an empty standing where nothing was saved.

        Raises:
            RunError: The checkpoint is damaged, or belongs to another network or optimiser.
        """
        if not self.last.exists():
            return Standing()
        with self.answering():
            state = self._state(device)
            for name, part in parts.items():
                part.load_state_dict(state[name])
            return _standing(state)

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Blame the last state for what fails in the block, which does nothing but use it.

        Raises:
            RunError: Something failed.
        """
        try:
            yield
        except UNREADABLE as error:
            raise _unusable(self.last, error) from error

    def standing(self) -> Standing:
        """How far the training has come; an empty standing where nothing was saved, or nothing that can be read.

        Raises:
            RunError: The checkpoint is of another version.
        """
        if not self.last.exists() or self._damaged() is not None:
            return Standing()
        with self.answering():
            return _standing(self._state(torch.device("cpu")))

    def load_best(self, network: torch.nn.Module, standing: Standing) -> None:
        """Give the network the weights of the best epoch.

        Raises:
            RunError: Their file is gone or damaged.
        """
        try:
            refuse_irregular(self._best(standing.best_epoch))
            network.load_state_dict(load_file(self._best(standing.best_epoch)))
        except UNREADABLE as error:
            raise _unusable(self._best(standing.best_epoch), error) from error

    def _state(self, device: torch.device) -> dict[str, Any]:
        state: dict[str, Any] = load_state(self.last, device)
        refuse_spread(state)
        return state

    def _best(self, epoch: int) -> Path:
        return self.folder / f"best-{epoch:04d}.safetensors"


def room_of_epochs(network: torch.nn.Module, epochs: int, folder: Path) -> str:
    """How much room the weights of every epoch will take in a folder, as a sentence."""
    each = sum(tensor.numel() * tensor.element_size() for tensor in network.state_dict().values())
    free = shutil.disk_usage(folder).free
    return (
        f"The weights of every epoch are kept: {epochs} files of {each / 1e6:.3g} MB, {epochs * each / 1e9:.3g} GB "
        f"in all; {free / 1e9:.3g} GB are free."
    )


def _standing(state: Mapping[str, Any]) -> Standing:
    known = state["standing"]
    rows = {name: tuple(known[name]) for name in ("history", "courses") if name in known}
    standing = Standing(**{**known, **rows})
    TypeAdapter(Standing).validate_python(standing)
    if [row["epoch"] for row in standing.history] != list(range(1, standing.epoch + 1)):
        raise ValueError("its history has not one row for each epoch")
    if standing.best_epoch > standing.epoch or any(row.keys() != _COURSE for row in standing.courses):
        raise ValueError("its best epoch, or a change of the schedule, is none of this training")
    return standing


def _unusable(file: Path, error: Exception) -> RunError:
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    if isinstance(error, OSError):
        reason = error.strerror or "it cannot be read"  # the whole text holds the path
    return RunError(
        f"the checkpoint {file.name} of this run cannot be used: {reason}. Start the pipeline again."
    )
