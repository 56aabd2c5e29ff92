from __future__ import annotations

import numpy as np
import pytest
import torch

from medseg.errors import DefinitionError
from medseg.learning.selftraining.mixmatch import MixMatch, mixed, sharpened
from medseg.learning.tasks.image_classes import ImageClasses, ImageTags

CLASSES = ("a", "b", "c")


def drawn(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def softmax(logits):
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


def by_hand(network, images, label, views, settings, factor, seed, weights=(1.0, 1.0, 1.0)):
    """The loss, slice by slice, by the formulas of the article; draws are those of torch after the same seed."""
    weight, bias = (each.detach().double().numpy() for each in (network[1].weight, network[1].bias))

    def asked(batch):
        return batch.reshape(len(batch), -1) @ weight.T + bias

    images, *views = (each.double().numpy() for each in (images, *views))
    guess = (softmax(asked(views[0])) + softmax(asked(views[1]))) / 2
    guess = guess ** (1 / settings.sharpen)
    guess /= guess.sum(axis=1, keepdims=True)
    every = np.concatenate([images, *views])
    targets = np.concatenate([label.numpy(), guess, guess])
    torch.manual_seed(seed)
    share = torch.distributions.Beta(settings.alpha, settings.alpha).sample((len(every),)).double().numpy()
    order = torch.randperm(len(every)).numpy()
    known, others = [], []
    for place in range(len(every)):
        part = max(share[place], 1 - share[place])
        image = part * every[place] + (1 - part) * every[order[place]]
        target = part * targets[place] + (1 - part) * targets[order[place]]
        chances = softmax(asked(image[None]))[0]
        if place < len(images):
            own = float(np.dot(label.numpy()[place], weights))
            known.append((own, -(target * np.log(chances)).sum()))
        else:
            others.append(((target - chances) ** 2).mean())
    heavy = sum(own * loss for own, loss in known) / sum(own for own, _ in known)
    return heavy + factor * np.mean(others)


@pytest.mark.parametrize("weights", [None, (1.0, 3.0, 0.5)])
@pytest.mark.parametrize(("epoch", "share"), [(1, 0.25), (4, 1.0), (9, 1.0)])
def test_the_loss_is_that_of_the_formulas(weights, epoch, share):
    settings = MixMatch(weight=6.0, ramp=4, sharpen=0.5, alpha=0.75)
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 3))
    images, views = drawn(1, 5, 1, 3, 4), (drawn(2, 4, 1, 3, 4), drawn(3, 4, 1, 3, 4))
    label = torch.eye(3, dtype=torch.uint8)[[0, 1, 2, 1, 0]]
    asked = []

    def stream(number):
        asked.append(number)
        return iter([views])

    objective = settings.objective(ImageClasses(CLASSES, class_weights=weights), stream)
    objective.begin(epoch)
    torch.manual_seed(11)
    logits = objective(images, network)
    found = objective.loss(None, logits, label)
    expected = by_hand(network, images, label, views, settings, 6.0 * share, 11, weights or (1.0, 1.0, 1.0))
    assert float(found.detach()) == pytest.approx(expected, rel=1e-5)
    assert asked == [epoch]
    assert logits.shape == (5, 3)


def test_a_heavy_class_does_not_count_with_images_of_other_classes_that_are_mixed_with_guesses():
    """Where the network guesses nothing, images of the light class must pull as they do without weights."""
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 3))
    torch.nn.init.zeros_(network[1].weight)
    torch.nn.init.zeros_(network[1].bias)
    images, views = drawn(1, 6, 1, 3, 4), (drawn(2, 6, 1, 3, 4),) * 2
    label = torch.eye(3, dtype=torch.uint8)[[0] * 6]
    pulls = []
    for weights in (None, (1.0, 1.0, 50.0)):
        network.zero_grad()
        objective = MixMatch(weight=0.0).objective(
            ImageClasses(CLASSES, class_weights=weights), lambda _: iter([views])
        )
        objective.begin(1)
        torch.manual_seed(3)
        objective.loss(None, objective(images, network), label).backward()
        pulls.append(network[1].bias.grad.clone())
    torch.testing.assert_close(pulls[0], pulls[1])


def test_no_gradient_flows_through_the_guess():
    """At a share of 1 slices are not mixed, and the squared error of equal views alone pulls on them."""
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 3))
    views = (drawn(2, 4, 1, 3, 4),) * 2
    objective = MixMatch(ramp=1, sharpen=1.0).objective(ImageClasses(CLASSES), lambda _: iter([views]))
    objective.begin(1)
    objective(drawn(1, 2, 1, 3, 4), network)
    guessed, *_ = objective._mixed
    assert not guessed.requires_grad


def test_sharpening_keeps_a_sum_of_one_and_the_order():
    chances = torch.tensor([[0.5, 0.3, 0.2], [0.2, 0.2, 0.6]])
    found = sharpened(chances, 0.5)
    assert found.sum(dim=1).tolist() == pytest.approx([1, 1])
    assert found[0].tolist() == pytest.approx([0.25 / 0.38, 0.09 / 0.38, 0.04 / 0.38])
    assert torch.allclose(sharpened(chances, 1.0), chances)


def test_mixtures_are_of_the_named_two():
    values, share = torch.tensor([[1.0], [10.0]]), torch.tensor([0.75, 1.0])
    assert mixed(values, share, torch.tensor([1, 0])).tolist() == [[0.75 + 2.5], [10.0]]


@pytest.mark.parametrize(
    ("task", "why"),
    [
        (ImageTags(CLASSES), "the task is ImageTags"),
        (ImageClasses(CLASSES, label_smoothing=0.1), "label_smoothing out"),
        (ImageClasses(CLASSES, loss=torch.nn.CrossEntropyLoss), r"Leave task\.loss"),
    ],
)
def test_tasks_whose_labels_cannot_be_mixed_are_refused(task, why):
    with pytest.raises(DefinitionError, match=why):
        MixMatch().check(task)
    MixMatch().check(ImageClasses(CLASSES, class_weights=[1, 2, 3]))


@pytest.mark.parametrize(
    "wrong",
    [
        {"weight": -1},
        {"weight": True},
        {"ramp": 0},
        {"ramp": 1.5},
        {"sharpen": 0},
        {"sharpen": 2},
        {"alpha": 0},
    ],
)
def test_settings_that_are_none_are_refused(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} is .*expected"):
        MixMatch(**wrong)
