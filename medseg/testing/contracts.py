"""What every object of a kind must do, as test classes to subclass."""

# ruff: noqa: D102 - the name of a test is its sentence

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import numpy as np
import torch

from medseg.component import build
from medseg.learning.task import Task


class TaskContract(ABC):
    """What `fit`, `Predictor` and the steps rely on in a task.

    Subclass it in a test file under a name that starts with `Test`, and give the task:

        class TestMyTask(TaskContract):
            def make(self) -> Task:
                return MyTask(...)

    A task whose labels are no class index of each pixel gives labels and logits of its own.
    """

    batch = 3
    size = (8, 6)

    @abstractmethod
    def make(self) -> Task:
        """A new task, ready for `loss` (call `weighted` first if the task needs that)."""

    def labels(self) -> torch.Tensor:
        """(B, 1, H, W) uint8 labels in which every class occurs."""
        classes = len(self.make().classes)
        height, width = self.size
        flat = torch.arange(self.batch * height * width) % classes
        return flat.view(self.batch, 1, height, width).to(torch.uint8)

    def perfect(self, labels: torch.Tensor) -> torch.Tensor:
        """(B, K, H, W) logits of a network that knows the labels."""
        classes = torch.arange(self.make().out_channels).view(1, -1, 1, 1)
        return 20.0 * (labels == classes).float() - 10.0

    def anything(self) -> torch.Tensor:
        """(B, K, H, W) logits of a network that knows nothing."""
        shape = (self.batch, self.make().out_channels, *self.size)
        return torch.from_numpy(np.random.default_rng(0).normal(size=shape)).float()

    def cases(self) -> list[str]:
        """The case of each slice: two cases."""
        return ["a", *["b"] * (self.batch - 1)]

    def test_a_perfect_prediction_scores_one(self) -> None:
        scorer = self.make().scorer()
        labels = self.labels()
        scorer.update(self.cases(), self.perfect(labels), labels)
        assert scorer.compute()["score"] == 1.0
        assert scorer.by_case() == {"a": 1.0, "b": 1.0}

    def test_another_prediction_scores_less(self) -> None:
        scorer = self.make().scorer()
        scorer.update(self.cases(), self.anything(), self.labels())
        assert 0.0 <= scorer.compute()["score"] < 1.0

    def test_scores_are_numbers_even_where_a_class_is_missing(self) -> None:
        labels = self.labels()
        for truth, predicted in ((labels, labels * 0), (labels * 0, labels), (labels * 0, labels * 0)):
            scorer = self.make().scorer()
            scorer.update(self.cases(), self.perfect(predicted), truth)
            values = [*scorer.compute().values(), *scorer.by_case().values()]
            assert all(math.isfinite(value) for value in values)

    def test_scores_do_not_depend_on_how_slices_come_in_batches(self) -> None:
        labels, logits = self.labels(), self.anything()
        whole, parts = self.make().scorer(), self.make().scorer()
        whole.update(self.cases(), logits, labels)
        for i, case in enumerate(self.cases()):
            parts.update([case], logits[i : i + 1], labels[i : i + 1])
        assert whole.compute() == parts.compute()
        assert whole.by_case() == parts.by_case()

    def test_the_loss_is_one_finite_number_with_gradients(self) -> None:
        logits = self.anything().requires_grad_()
        loss = self.make().loss()(logits, self.labels())
        assert loss.numel() == 1
        assert torch.isfinite(loss)
        (gradient,) = torch.autograd.grad(loss, logits)
        assert torch.isfinite(gradient).all()
        assert gradient.abs().sum() > 0

    def test_the_loss_of_a_perfect_prediction_is_less(self) -> None:
        labels, loss = self.labels(), self.make().loss()
        assert loss(self.perfect(labels), labels) < loss(self.anything(), labels)

    def test_probabilities_have_the_shape_of_the_logits_and_lie_in_zero_to_one(self) -> None:
        logits = self.anything()
        found = self.make().probabilities(logits)
        assert found.shape == logits.shape
        assert found.min() >= 0
        assert found.max() <= 1

    def test_decoding_gives_class_indices_of_each_pixel(self) -> None:
        task, labels = self.make(), self.labels()
        found = task.decode(self.anything())
        assert found.shape == (self.batch, *self.size)
        assert not found.is_floating_point()
        assert found.min() >= 0
        assert found.max() < len(task.classes)
        assert torch.equal(task.decode(self.perfect(labels)).long(), labels[:, 0].long())

    def test_every_channel_has_a_name_and_a_probability_outside(self) -> None:
        task = self.make()
        assert len(task.maps) == len(set(task.maps)) == len(task.outside) == task.out_channels
        assert all(isinstance(name, str) and name for name in task.maps)
        assert all(0 <= chance <= 1 for chance in task.outside)

    def test_outside_is_the_first_class(self) -> None:
        task = self.make()
        outside = np.array(task.outside, dtype=np.float32)
        found = task.decide(np.broadcast_to(outside[:, None, None], (len(outside), *self.size)))
        assert found.shape == self.size
        assert not found.any()

    def test_deciding_of_probabilities_is_decoding_of_logits(self) -> None:
        """Whatever the number of axes behind the maps, and also where classes are equally probable."""
        task = self.make()
        for logits in (self.anything(), self.perfect(self.labels()), torch.zeros_like(self.anything())):
            wanted = task.decode(logits).numpy()
            chances = task.probabilities(logits).numpy()
            whole = task.decide(chances.swapaxes(0, 1))
            assert whole.dtype == np.uint8
            np.testing.assert_array_equal(whole, wanted)
            for each, label in zip(chances, wanted, strict=True):
                np.testing.assert_array_equal(task.decide(each), label)

    def test_its_declaration_builds_it_again(self) -> None:
        task = self.make()
        again = build(task.spec(), at="task", kind=None)
        for name in ("classes", "regions", "select", "out_channels", "maps", "outside"):
            assert getattr(again, name) == getattr(task, name), name
        logits = self.anything()
        chances = task.probabilities(logits)
        assert torch.equal(again.decode(logits), task.decode(logits))
        assert torch.equal(again.probabilities(logits), chances)
        maps = chances.numpy().swapaxes(0, 1)
        np.testing.assert_array_equal(again.decide(maps), task.decide(maps))
        assert again.spec() == task.spec()
