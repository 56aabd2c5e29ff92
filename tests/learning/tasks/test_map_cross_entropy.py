from __future__ import annotations

import pytest
import torch

from medseg.component import build
from medseg.errors import DefinitionError
from medseg.learning.tasks.class_masks import ClassMasks
from medseg.learning.tasks.map_cross_entropy import MapCrossEntropy

CLASSES = ("a", "b", "c", "d", "e")
SPEC = {"_target_": "medseg.learning.MapCrossEntropy", "factor": 0.5}


def drawn():
    torch.manual_seed(0)
    logits, label = 3 * torch.randn(2, 5, 6, 7), torch.randint(5, (2, 1, 6, 7))
    return logits, label, torch.nn.functional.one_hot(label[:, 0], 5).movedim(-1, 1).float()


def task(**given):
    whole = {"_target_": "medseg.learning.ClassMasks", "classes": CLASSES, "loss": SPEC} | given
    return build(whole, at="task", kind=ClassMasks)


def test_it_is_torchs_binary_cross_entropy_of_softmax_outputs():
    logits, _, maps = drawn()
    expected = torch.nn.functional.binary_cross_entropy(logits.softmax(dim=1), maps)
    torch.testing.assert_close(MapCrossEntropy(0.5)(logits, maps), 0.5 * expected)


def test_a_definition_may_name_it_and_labels_become_maps():
    logits, label, maps = drawn()
    torch.testing.assert_close(task().loss()(logits, label), MapCrossEntropy(0.5)(logits, maps))


def test_logits_that_are_sure_of_the_wrong_class_have_a_finite_loss_with_a_way_back():
    _, _, maps = drawn()
    logits = (100 * (1 - maps)).requires_grad_()
    loss = MapCrossEntropy()(logits, maps)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()
    assert (logits.grad[maps == 1] < 0).all()


def test_weights_of_classes_are_those_of_their_maps():
    logits, label, maps = drawn()
    weights = torch.tensor([0.0, 1.0, 2.0, 0.0, 0.5])
    each = torch.nn.functional.binary_cross_entropy(logits.softmax(dim=1), maps, reduction="none")
    found = task(class_weights=weights.tolist()).loss()(logits, label)
    torch.testing.assert_close(found, 0.5 * (each.mean(dim=(0, 2, 3)) * weights).mean())


@pytest.mark.parametrize("factor", [0, -1, "half", True, float("nan")])
def test_a_factor_that_is_no_number_above_zero_is_refused(factor):
    with pytest.raises(ValueError, match="factor is"):
        MapCrossEntropy(factor)


def test_a_definition_with_such_a_factor_is_refused():
    with pytest.raises(DefinitionError, match="factor is -1"):
        task(loss=SPEC | {"factor": -1}).loss()
