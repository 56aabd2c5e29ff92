"""Options of tasks in pairs: whatever is set together, what can be told apart is still told apart."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch

from medseg.component import build
from medseg.errors import DefinitionError
from medseg.learning import BinaryMask, ImageClasses, ImageTags
from medseg.learning.tasks.task import TASK

COUNTS = (240, 8)


def _both(*options: tuple) -> list[tuple]:
    return list(product(*options))


WEIGHTS = (None, "frequency", (1.0, 20.0), (20.0, 1.0))


def learned(task, label: torch.Tensor, group: torch.Tensor, counts) -> np.ndarray:
    """The probabilities at the optimum of a model that knows for each sample which of two groups it is of."""
    loss = task.weighted(np.array(counts)).loss()
    free = torch.zeros(2, task.out_channels, requires_grad=True)
    search = torch.optim.LBFGS([free], max_iter=60, line_search_fn="strong_wolfe")

    def step() -> torch.Tensor:
        search.zero_grad()
        logits = free[group]
        value = loss(logits if label.ndim == 2 else logits.movedim(-1, 0)[None], label)
        value.backward()
        return value

    search.step(step)
    return task.probabilities(free.detach() if label.ndim == 2 else free.detach().T[None, :, None, :])


@pytest.mark.parametrize(("weights", "smoothing"), _both(WEIGHTS, (0.0, 0.1, 0.3)))
def test_classes_of_images(weights, smoothing):
    group = torch.tensor([0] * COUNTS[0] + [1] * COUNTS[1])
    label = torch.nn.functional.one_hot(group, 2).to(torch.uint8)
    task = ImageClasses(("common", "rare"), class_weights=weights, label_smoothing=smoothing)
    found = learned(task, label, group, COUNTS)
    assert found.argmax(1).tolist() == [0, 1]
    if smoothing:  # the best probabilities are the smoothed target, whatever the weights
        assert found.diagonal().tolist() == pytest.approx([1 - smoothing / 2] * 2, abs=0.01)


@pytest.mark.parametrize("weights", WEIGHTS)
def test_tags_of_images(weights):
    group = torch.tensor([0] * COUNTS[0] + [1] * COUNTS[1])
    label = torch.nn.functional.one_hot(group, 2).to(torch.uint8)
    found = learned(ImageTags(("common", "rare"), class_weights=weights), label, group, COUNTS)
    assert (found >= 0.5).tolist() == [[True, False], [False, True]]


@pytest.mark.parametrize(("weights", "terms"), _both(WEIGHTS, ((1.0, 0.0), (1.0, 1.0), (0.2, 1.0))))
def test_foregrounds(weights, terms):
    group = torch.tensor([0] * COUNTS[0] + [1] * COUNTS[1]).reshape(1, -1)
    task = BinaryMask(("rest", "rare"), class_weights=weights, cross_entropy=terms[0], dice=terms[1])
    found = learned(task, group[None, None].to(torch.uint8), group, COUNTS)
    assert (found.flatten()[-2:] >= 0.5).tolist() == [False, True]


@pytest.mark.parametrize(
    ("weights", "loss"),
    _both(
        WEIGHTS,
        (
            None,
            {"_target_": "torch.nn.CrossEntropyLoss"},
            {"_target_": "monai.losses.DiceCELoss", "to_onehot_y": True, "softmax": True},
        ),
    ),
)
def test_classes_of_voxels(weights, loss):
    spec = {"_target_": "medseg.learning.ClassMasks", "classes": ["common", "rare"], "class_weights": weights}
    spec |= {} if loss is None else {"loss": loss}
    group = torch.tensor([0] * COUNTS[0] + [1] * COUNTS[1]).reshape(1, -1)
    task = build(spec, at="task", kind=TASK)
    found = learned(task, group[None, None].to(torch.uint8), group, COUNTS)
    assert found[0, :, 0].argmax(0).tolist() == [0, 1]


@pytest.mark.parametrize("task", ["ImageClasses", "ClassMasks"])
def test_a_declared_loss_that_weighs_what_it_smooths_is_refused_and_the_remedy_works(task):
    loss = {"_target_": "torch.nn.CrossEntropyLoss", "label_smoothing": 0.1}
    spec = {"_target_": f"medseg.learning.{task}", "classes": ["common", "rare"]}
    build({**spec, "loss": loss}, at="task", kind=TASK).loss()
    with pytest.raises(DefinitionError, match="a rare class would be predicted everywhere"):
        build({**spec, "loss": loss, "class_weights": [1.0, 20.0]}, at="task", kind=TASK).loss()
    remedy = {"label_smoothing": 0.1} if task == "ImageClasses" else {}
    build({**spec, **remedy, "class_weights": [1.0, 20.0]}, at="task", kind=TASK).loss()
