"""MixMatch: learn from slices without a label beside those that have one.

Berthelot et al., "MixMatch: a holistic approach to semi-supervised learning" (NeurIPS 2019).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

from medseg.errors import DefinitionError
from medseg.learning.outputs.main_output import Outputs, main_of
from medseg.learning.settings import is_number
from medseg.learning.tasks.image_classes import ImageClasses
from medseg.learning.training.objective import OutputsLoss

Stream = Callable[[int], Iterator[tuple[torch.Tensor, torch.Tensor]]]
"""Two augmentations (B, C, H, W) of the same slices without a label, batch by batch, of an epoch."""

_VIEWS = 2


@dataclass(frozen=True)
class MixMatch:
    """Settings of MixMatch, for `unlabelled` of `medseg.steps.Fit`.

    Of each slice without a label the network predicts two augmentations; their mean, sharpened, is its label. All
    slices, labelled or not, are mixed with others of both kinds (MixUp). The loss is the cross-entropy of the
    labelled, and `weight` times the squared error of the others.

    Args:
        weight: Of the squared error, 0 or more, once it has risen to it.
        ramp: Epochs over which it rises evenly, 1 or more.
        sharpen: Exponent 1 / sharpen of the mean prediction, above 0 and at most 1, at which it stays.
        alpha: Of the beta distribution that says how much of each of two is in a mixture, above 0.

    Raises:
        ValueError: A setting is out of its range.
    """

    weight: float = 10.0
    ramp: int = 10
    sharpen: float = 0.5
    alpha: float = 0.75

    def __post_init__(self) -> None:
        if not isinstance(self.ramp, int) or isinstance(self.ramp, bool) or self.ramp < 1:
            raise ValueError(f"ramp is {self.ramp!r}, expected a whole number of epochs, 1 or more")
        for name, value, fine, expected in (
            ("weight", self.weight, lambda each: each >= 0, "0 or more"),
            ("sharpen", self.sharpen, lambda each: 0 < each <= 1, "above 0, 1 at most"),
            ("alpha", self.alpha, lambda each: each > 0, "above 0"),
        ):
            if not is_number(value) or not fine(value):
                raise ValueError(f"{name} is {value!r}, expected a number, {expected}")

    def check(self, task: object) -> None:
        """Refuse a task whose labels cannot be mixed.

        Raises:
            DefinitionError: It is not `ImageClasses`, or has a loss of its own, or smooths labels.
        """
        if not isinstance(task, ImageClasses):
            raise DefinitionError(
                f"unlabelled: MixMatch is for the task medseg.learning.ImageClasses, and the task is "
                f"{type(task).__name__}. Leave unlabelled out."
            )
        if task.loss_of is not None or task.label_smoothing:
            raise DefinitionError(
                "unlabelled: MixMatch learns by the cross-entropy of mixed labels. Leave task.loss and "
                "task.label_smoothing out; task.class_weights count."
            )

    def objective(self, task: ImageClasses, stream: Stream) -> MixMatchObjective:
        """What a training computes by these settings."""
        weights = (
            None if task.class_weights is None else torch.tensor(task.class_weights, dtype=torch.float32)
        )
        return MixMatchObjective(self, weights, stream)


class MixMatchObjective:
    """What MixMatch computes of a batch.

    Args:
        settings: The settings.
        class_weights: (K,) of the cross-entropy, or None.
        stream: The slices without a label.
    """

    times = 1 + _VIEWS

    def __init__(self, settings: MixMatch, class_weights: torch.Tensor | None, stream: Stream) -> None:
        self._settings, self._weights, self._stream = settings, class_weights, stream
        self._batches: Iterator[tuple[torch.Tensor, torch.Tensor]] = iter(())
        self._factor = 0.0
        self._mixed: tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor] | None = None

    def begin(self, epoch: int) -> None:
        """Take the slices of an epoch, and the weight that the squared error has in it."""
        self._batches = self._stream(epoch)
        self._factor = self._settings.weight * min(1.0, epoch / self._settings.ramp)

    def __call__(self, images: torch.Tensor, network: torch.nn.Module, *_: Any, **__: Any) -> torch.Tensor:
        """Logits (B, K) of the mixed slices in the places of those that have a label."""
        views = [each.to(images) for each in next(self._batches)]
        with torch.no_grad():
            guessed = torch.stack([network(each).float().softmax(dim=1) for each in views]).mean(dim=0)
        guessed = sharpened(guessed, self._settings.sharpen)
        every = torch.cat([images, *views])
        share = torch.distributions.Beta(self._settings.alpha, self._settings.alpha).sample((len(every),))
        share = torch.maximum(share, 1 - share).to(images.device)
        order = torch.randperm(len(every)).to(images.device)
        logits: torch.Tensor = network(mixed(every, share, order))
        self._mixed = guessed, share, order, logits[len(images) :]
        return logits[: len(images)]

    def loss(self, loss: OutputsLoss, logits: Outputs, label: torch.Tensor) -> torch.Tensor:
        """Cross-entropy of mixed labels, and the squared error of mixed guesses times its weight."""
        del loss  # that of the task takes no mixed labels
        if self._mixed is None:
            raise RuntimeError("the loss was asked for before logits")
        guessed, share, order, others = self._mixed
        logits = main_of(logits)
        targets = mixed(torch.cat([label.float(), *[guessed] * _VIEWS]), share, order)
        each = functional.cross_entropy(logits.float(), targets[: len(logits)], reduction="none")
        known = each.mean() if self._weights is None else _weighed(each, label, self._weights)
        error = functional.mse_loss(others.float().softmax(dim=1), targets[len(logits) :])
        return known + self._factor * error


def _weighed(losses: torch.Tensor, label: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """The mean of losses (B,), each as much as the class of its own label (B, K).

    Weights of all classes of a mixed label would let a heavy class count with every image that is mixed with a guess.
    """
    own = (label.float() * weights.to(losses)).sum(dim=1)
    return (losses * own).sum() / own.sum()


def sharpened(chances: torch.Tensor, temperature: float) -> torch.Tensor:
    """Probabilities (B, K) raised to 1 / temperature, and made to sum to 1 again."""
    raised = chances ** (1 / temperature)
    return raised / raised.sum(dim=1, keepdim=True)


def mixed(values: torch.Tensor, share: torch.Tensor, order: torch.Tensor) -> torch.Tensor:
    """Of values (N, ...) each with another: `share` (N,) of itself, the rest of that which `order` (N,) names."""
    own = share.reshape(-1, *[1] * (values.ndim - 1)).to(values.dtype)
    return own * values + (1 - own) * values[order]
