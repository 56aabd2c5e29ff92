"""What every object of a kind must do, as test classes to subclass."""

# ruff: noqa: D102 - the name of a test is its sentence

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import numpy as np
import torch

from medseg.component import build
from medseg.learning.tasks.task import LabelTask, MaskTask, Task


class TaskContract(ABC):
    """What `fit`, `Predictor` and the steps rely on in every task.

    Subclass `MaskTaskContract` or `LabelTaskContract` in a test file under a name that starts with `Test`, and
    give the task:

        class TestMyTask(MaskTaskContract):
            def make(self) -> MaskTask:
                return MyTask(...)
    """

    batch = 3

    @abstractmethod
    def make(self) -> Task:
        """A new task, ready for `loss` (call `weighted` first if the task needs that)."""

    @abstractmethod
    def labels(self) -> torch.Tensor:
        """uint8 labels of a batch in which every class occurs."""

    @abstractmethod
    def perfect(self, labels: torch.Tensor) -> torch.Tensor:
        """Logits of a network that knows the labels."""

    @abstractmethod
    def anything(self) -> torch.Tensor:
        """Logits of a network that knows nothing."""

    @abstractmethod
    def none(self) -> torch.Tensor:
        """Labels in which no more than one class occurs."""

    def cases(self) -> list[str]:
        """The case of each slice: two cases."""
        return ["a", *["b"] * (self.batch - 1)]

    def test_a_perfect_prediction_scores_one(self) -> None:
        scorer = self.make().scorer()
        labels = self.labels()
        scorer.update(self.cases(), self.perfect(labels), labels)
        assert scorer.compute()["score"] == 1.0
        assert scorer.by_case() == dict.fromkeys(self.cases(), 1.0)

    def test_another_prediction_scores_less(self) -> None:
        scorer = self.make().scorer()
        scorer.update(self.cases(), self.anything(), self.labels())
        assert 0.0 <= scorer.compute()["score"] < 1.0

    def test_scores_are_numbers_even_where_a_class_is_missing(self) -> None:
        labels = self.labels()
        for truth, predicted in ((labels, self.none()), (self.none(), labels), (self.none(), self.none())):
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
        for once, again in ((whole.compute(), parts.compute()), (whole.by_case(), parts.by_case())):
            assert once.keys() == again.keys()
            # a batch of another size may round in the last bit
            assert all(math.isclose(once[name], again[name], abs_tol=1e-6) for name in once)

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

    def test_its_declaration_builds_it_again(self) -> None:
        task = self.make()
        again = build(task.spec(), at="task", kind=None)
        for name in ("classes", "regions", "out_channels", "maps", "target"):
            assert getattr(again, name) == getattr(task, name), name
        assert torch.equal(again.probabilities(self.anything()), task.probabilities(self.anything()))
        assert again.spec() == task.spec()

    def test_labels_and_outputs_have_the_shape_of_the_target(self) -> None:
        task, size = self.make(), (8, 6)
        blank = task.target.blank(len(task.classes), size)
        assert blank.dtype == np.uint8
        logits = torch.zeros(2, *task.target.output(task.out_channels, size))
        given = task.weighted(np.ones(len(task.classes), dtype=np.int64)).loss()
        assert torch.isfinite(given(logits, torch.from_numpy(np.stack([blank, blank]))))


class MaskTaskContract(TaskContract):
    """What is relied on in a task that learns from label maps."""

    size = (8, 6)

    @abstractmethod
    def make(self) -> MaskTask:
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

    def none(self) -> torch.Tensor:
        """The first class alone."""
        return self.labels() * 0

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
            expected = task.decode(logits).numpy()
            chances = task.probabilities(logits).numpy()
            whole = task.decide(chances.swapaxes(0, 1))
            assert whole.dtype == np.uint8
            np.testing.assert_array_equal(whole, expected)
            for each, label in zip(chances, expected, strict=True):
                np.testing.assert_array_equal(task.decide(each), label)

    def test_its_declaration_decides_as_it_does(self) -> None:
        task = self.make()
        again = build(task.spec(), at="task", kind=None)
        for name in ("select", "outside"):
            assert getattr(again, name) == getattr(task, name), name
        logits = self.anything()
        chances = task.probabilities(logits)
        assert torch.equal(again.decode(logits), task.decode(logits))
        maps = chances.numpy().swapaxes(0, 1)
        np.testing.assert_array_equal(again.decide(maps), task.decide(maps))


class LabelTaskContract(TaskContract):
    """What is relied on in a task that learns from the classes of whole images."""

    @abstractmethod
    def make(self) -> LabelTask:
        """A new task, ready for `loss` (call `weighted` first if the task needs that)."""

    def cases(self) -> list[str]:
        """A case for each image."""
        return [f"case {number}" for number in range(self.batch * len(self.make().classes))]

    def labels(self) -> torch.Tensor:
        """(B, K) uint8, each class alone in turn."""
        return torch.eye(len(self.make().classes), dtype=torch.uint8).repeat(self.batch, 1)

    def perfect(self, labels: torch.Tensor) -> torch.Tensor:
        """(B, K) logits of a network that knows the labels: for certain, in float32."""
        return 400.0 * labels.float() - 200.0

    def anything(self) -> torch.Tensor:
        """(B, K) logits of a network that knows nothing."""
        shape = (self.batch * len(self.make().classes), self.make().out_channels)
        return torch.from_numpy(np.random.default_rng(0).normal(size=shape)).float()

    def none(self) -> torch.Tensor:
        """The first class alone."""
        first = torch.zeros_like(self.labels())
        first[:, 0] = 1
        return first

    def test_what_is_chosen_is_among_the_classes(self) -> None:
        task = self.make()
        for chances in task.probabilities(self.anything()).numpy():
            assert set(task.chosen(chances)) <= set(task.classes)

    def test_a_certain_class_is_chosen_alone(self) -> None:
        task, labels = self.make(), self.labels()
        for label, chances in zip(labels, task.probabilities(self.perfect(labels)).numpy(), strict=True):
            assert task.chosen(chances) == (task.classes[int(label.argmax())],)
