"""What a task is: the meaning of labels and of a network's output."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray

from medseg.errors import DefinitionError
from medseg.images.formats import FileKind
from medseg.learning.scores.added.case_score import CaseScore
from medseg.learning.tasks.decision import Decision
from medseg.learning.tasks.target import Target

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


class Scorer(Protocol):
    """Gathers predictions of one pass over a role and scores them per case."""

    def update(self, cases: Sequence[str], logits: torch.Tensor, label: torch.Tensor) -> None:
        """Take one batch: the case of each slice, logits and labels."""

    def compute(self) -> dict[str, float]:
        """Scores by name, never NaN; `score` is the one by which weights are chosen (larger is better).

        What the cases do not define is not there, as the overlap of masks that are rightly empty.
        """

    @property
    def score_name(self) -> str:
        """What `score` was in the last `compute`, in words, such as `accuracy`."""

    def by_case(self) -> dict[str, float]:
        """The score of each case, for choosing the best, the median and the worst one; never NaN."""


@runtime_checkable
class MergingScorer(Scorer, Protocol):
    """A scorer whose batches may be seen by several processes; those of the tasks of medseg are."""

    def parts(self) -> list[Any]:
        """What it has kept of each batch, in order; each is pickled."""

    def take(self, parts: Sequence[Any]) -> None:
        """Have seen the batches of which these were kept, in this order, and no others."""


class Task(Protocol):
    """What labels and outputs mean. `fit` never asks which task it has.

    A perfect prediction has a `score` of 1, where the cases define one. Shapes of labels and logits are those of the
    target: of label maps (B, 1, H, W) and (B, K, H, W), of classes of images (B, K) and (B, K).
    """

    @property
    def target(self) -> Target:
        """What is learned from."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of their indices."""

    @property
    def regions(self) -> Mapping[str, tuple[int, ...]]:
        """Unions of classes that are scored as one, by name."""

    @property
    def out_channels(self) -> int:
        """Channels that the network must give."""

    @property
    def maps(self) -> tuple[str, ...]:
        """What the probability in each of these channels is of."""

    def weighted(self, counts: NDArray[np.int64]) -> Task:
        """The same task, with what it wants to know of the training part: how often each class occurs, (K,)."""

    def loss(self) -> Loss:
        """Loss of logits and labels."""

    def probabilities(self, logits: torch.Tensor) -> torch.Tensor:
        """Logits to probabilities of the same shape, in [0, 1]."""

    def scorer(self, added: Sequence[str | CaseScore] = ()) -> Scorer:
        """A new scorer for one pass.

        Args:
            added: Scores that it gives beside: names of ours, or objects.

        Raises:
            DefinitionError: One of them is none.
        """

    def spec(self) -> dict[str, Any]:
        """The declaration that builds this task again for inference."""

    def evaluation(self, files: FileKind) -> str:
        """Dotted name of the `medseg.steps.evaluation` class that scores and reports predictions on such files."""

    def output(self, files: FileKind) -> str:
        """Who writes what is predicted of such files: dotted name of a class as those in `medseg.api.outputs`."""


@runtime_checkable
class MaskTask(Task, Protocol):
    """A task that learns from label maps."""

    @property
    def select(self) -> tuple[str, ...]:
        """Names whose mean score chooses the best weights and ranks the cases."""

    @property
    def outside(self) -> tuple[float, ...]:
        """The probabilities of a place that no network has seen, such as one outside the body."""

    def decode(self, logits: torch.Tensor) -> torch.Tensor:
        """Logits (B, K, H, W) to class indices (B, H, W)."""

    def decide(self, probabilities: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Probabilities (N, ...), one a map, to class indices (...): what `decode` does of logits."""


@runtime_checkable
class LabelTask(Task, Protocol):
    """A task that learns from the classes of whole images."""

    @property
    def decision(self) -> Decision:
        """What probabilities (N, K) lead to: the one that predictions and all scores ask."""

    def chosen(self, probabilities: NDArray[np.float32]) -> tuple[str, ...]:
        """The predicted classes of an image, from its probabilities (K,)."""


@runtime_checkable
class TemperatureTask(LabelTask, Protocol):
    """A task of the classes of whole images whose logits are divided by a temperature."""

    @property
    def temperature(self) -> float:
        """Above 0; 1 changes nothing."""

    def at_temperature(self, temperature: float) -> TemperatureTask:
        """The same task with another temperature."""


def on_device(loss: Loss, device: torch.device) -> Loss:
    """A loss where the network computes: a module may hold weights of classes, a plain function holds nothing."""
    return loss.to(device) if isinstance(loss, torch.nn.Module) else loss


@runtime_checkable
class ThresholdTask(MaskTask, Protocol):
    """A task of one foreground, which is where the probability reaches a threshold."""

    @property
    def threshold(self) -> float:
        """In [0, 1]."""

    def at(self, threshold: float) -> ThresholdTask:
        """The same task with another threshold."""


@runtime_checkable
class CutTask(MaskTask, Protocol):
    """A task each of whose maps has a threshold of its own."""

    @property
    def cuts(self) -> Mapping[str, float]:
        """The threshold of each map, by its name, in the order of the maps."""

    def inside(self, label: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """(N, ...) what of a label map (...) of class indices is in each map."""

    def with_cuts(self, cuts: Mapping[str, float]) -> CutTask:
        """The same task with other thresholds, one for each map."""


def merging(scorer: Scorer) -> MergingScorer:
    """The scorer, if batches that several processes have seen can be put together in it.

    Raises:
        DefinitionError: They cannot.
    """
    if not isinstance(scorer, MergingScorer):
        raise DefinitionError(
            f"the scorer of the task, {type(scorer).__name__}, has no `parts` and `take`, by which validation "
            "batches that several processes have seen are put together. Add them "
            "(medseg.learning.tasks.task.MergingScorer)."
        )
    return scorer


def mask_task(task: Task) -> MaskTask:
    """The task, if it learns from label maps.

    Raises:
        DefinitionError: It does not.
    """
    if not isinstance(task, MaskTask):
        raise DefinitionError(f"expected a task of label maps, got {type(task).__name__}")
    return task


def label_task(task: Task) -> LabelTask:
    """The task, if it learns from the classes of whole images.

    Raises:
        DefinitionError: It does not.
    """
    if not isinstance(task, LabelTask):
        raise DefinitionError(f"expected a task of classes of whole images, got {type(task).__name__}")
    return task


def threshold_task(task: Task) -> ThresholdTask:
    """The task, if it has a threshold.

    Raises:
        DefinitionError: It has none.
    """
    if not isinstance(task, ThresholdTask):
        raise DefinitionError(
            f"expected a task with a threshold, such as medseg.learning.BinaryMask, got {type(task).__name__}. "
            "Take the step out, or change the task."
        )
    return task


def cut_task(task: Task) -> CutTask:
    """The task, if its maps have thresholds.

    Raises:
        DefinitionError: They have none.
    """
    if not isinstance(task, CutTask):
        raise DefinitionError(
            "expected a task with a threshold, medseg.learning.BinaryMask or RegionMasks, got "
            f"{type(task).__name__}. Take the step out, or change the task."
        )
    return task


def temperature_task(task: Task) -> TemperatureTask:
    """The task, if it has a temperature.

    Raises:
        DefinitionError: It has none.
    """
    if not isinstance(task, TemperatureTask):
        raise DefinitionError(
            "expected a task of the classes of whole images, medseg.learning.ImageClasses or ImageTags, got "
            f"{type(task).__name__}. Take the step out, or change the task."
        )
    return task


def _task(found: type) -> bool:
    """Whether a class is a task, as far as its names tell."""
    names = ("loss", "target", "probabilities", "scorer", "weighted", "evaluation", "output")
    return all(hasattr(found, name) for name in names)


TASK = _task
"""What the slot `task` of a definition or of a saved model takes."""
