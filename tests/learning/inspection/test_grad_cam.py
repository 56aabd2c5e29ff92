from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from monai.data.meta_tensor import MetaTensor
from monai.networks.nets import DenseNet121, EfficientNetBN, ResNet
from torch import nn
from torch.nn import functional

from medseg.errors import ModelError
from medseg.learning.inspection.grad_cam import grad_cam, map_layer
from medseg.learning.networks.efficientnet_lite import EfficientNetLite0
from medseg.learning.networks.ensemble import Ensemble
from medseg.learning.networks.timm_network import TimmNetwork
from medseg.learning.networks.tutorial_cnn import build_cnn

IMAGE = torch.rand(2, 1, 32, 32, generator=torch.Generator().manual_seed(1))
CLASSES = torch.tensor([2, 0])


class Small(nn.Module):
    """Its dense layer sees places, so that gradients differ from pixel to pixel."""

    def __init__(self, last: nn.Module | None = None) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.first = nn.Conv2d(1, 4, 3, padding=1)
        self.second = nn.Conv2d(4, 6, 3, stride=4, padding=1)
        self.last = nn.Identity() if last is None else last
        self.dense = nn.Linear(6 * 8 * 8, 3)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        maps = self.last(self.second(functional.relu(self.first(image))))
        return self.dense(maps.flatten(1))


def by_hand(network: Small, image: torch.Tensor, class_index: int) -> np.ndarray:
    """Selvaraju et al. 2017, equations 1 and 2, in float64 and by finite differences of the logit."""
    network = copy.deepcopy(network).double()
    with torch.no_grad():
        maps = network.second(functional.relu(network.first(image[None].double())))[0]

        def logit(changed: torch.Tensor) -> float:
            return float(network.dense(network.last(changed[None].clone()).flatten(1))[0, class_index])

        step, gradient = 1e-4, torch.zeros_like(maps)
        for place in np.ndindex(*maps.shape):
            up, down = maps.clone(), maps.clone()
            up[place] += step
            down[place] -= step
            gradient[place] = (logit(up) - logit(down)) / (2 * step)
    weights = gradient.numpy().mean(axis=(1, 2))
    heat = np.maximum((weights[:, None, None] * maps.numpy()).sum(axis=0), 0)
    # bilinear by hand: each pixel's middle on the grid of the map, its edges held
    side = image.shape[-1]
    place = np.clip((np.arange(side) + 0.5) * len(heat) / side - 0.5, 0, len(heat) - 1)
    heat = np.stack([np.interp(place, np.arange(len(heat)), row) for row in heat])
    heat = np.stack([np.interp(place, np.arange(len(heat)), column) for column in heat.T], axis=1)
    return (heat - heat.min()) / (heat.max() - heat.min())


def test_heat_is_that_of_a_calculation_by_hand_for_the_class_of_each_image():
    network = Small()
    heat = grad_cam(network, IMAGE, CLASSES)
    assert heat.shape == (2, 32, 32)
    assert heat.dtype == np.float32
    for one, image, index in zip(heat, IMAGE, CLASSES, strict=True):
        assert one == pytest.approx(by_hand(network, image, int(index)), abs=1e-5)
    assert np.abs(heat[0] - grad_cam(network, IMAGE[:1], CLASSES[1:])[0]).max() > 0.1


def test_the_map_of_an_ensemble_is_the_mean_of_those_of_its_networks():
    one, other = Small(), Small()
    torch.nn.init.normal_(other.dense.weight)

    heat = grad_cam(Ensemble([one, other]), IMAGE, CLASSES)

    mean = (grad_cam(one, IMAGE, CLASSES) + grad_cam(other, IMAGE, CLASSES)) / 2
    low, high = mean.min(axis=(1, 2), keepdims=True), mean.max(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(heat, (mean - low) / (high - low), atol=1e-6)


def test_the_least_is_0_and_the_most_is_1():
    heat = grad_cam(Small(), IMAGE, CLASSES)
    assert heat.min(axis=(1, 2)).tolist() == [0, 0]
    assert heat.max(axis=(1, 2)).tolist() == [1, 1]


def test_arrays_and_tensors_with_metadata_give_the_same():
    network = Small()
    heat = grad_cam(network, IMAGE, CLASSES)
    assert np.array_equal(grad_cam(network, IMAGE.numpy(), CLASSES.numpy(), device="cpu"), heat)
    assert np.array_equal(grad_cam(network, MetaTensor(IMAGE), CLASSES), heat)


class Overwriting(nn.Module):
    """All the traps at once: layers that work in place, as modules and as functions, one of them used thrice."""

    def __init__(self, *, in_place: bool) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.in_place = in_place
        self.convolutions = nn.ModuleList([nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 3, stride=2)])
        self.relu = nn.ReLU(inplace=in_place)
        self.dense = nn.ModuleList([nn.Linear(4, 5), nn.Linear(5, 3)])

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        for convolution in self.convolutions:
            image = self.relu(convolution(image))
        image = image.sub_(0.2) if self.in_place else image - 0.2
        pooled = functional.relu(image, inplace=self.in_place).mean(dim=(2, 3), keepdim=True)
        hidden = self.relu(self.dense[0](self.relu(pooled).flatten(1)))
        return self.dense[1](hidden)


def test_layers_that_work_in_place_and_stand_in_several_places_change_nothing():
    plain, overwriting = (Overwriting(in_place=told) for told in (False, True))
    for network in (plain, overwriting):
        found = map_layer(network, IMAGE)
        assert (found.name, found.use, found.size) == ("relu", 1, (14, 14))
    heat = grad_cam(overwriting, IMAGE, CLASSES)
    assert np.array_equal(heat, grad_cam(plain, IMAGE, CLASSES))
    assert heat.max() == 1
    assert overwriting.relu.inplace


def state(network: nn.Module) -> list[object]:
    seen: list[object] = [dict(module._forward_hooks) for module in network.modules()]
    seen += [dict(module._backward_hooks) for module in network.modules()]
    seen += [module.training for module in network.modules()]
    seen += [(one.requires_grad, one.data_ptr()) for one in network.parameters()]
    return seen


@pytest.mark.parametrize("training", [True, False])
def test_the_network_is_left_as_it_was(training):
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.Flatten())
    network.append(nn.Linear(4 * 30 * 30, 3)).train(training)
    network[1].train(not training)
    network[0].weight.requires_grad_(False)
    network(IMAGE).sum().backward()
    gradients = [None if one.grad is None else one.grad.clone() for one in network.parameters()]
    numbers = copy.deepcopy(network.state_dict())
    before = state(network)
    heat = grad_cam(network, IMAGE, CLASSES)
    assert state(network) == before
    for one, gradient in zip(network.parameters(), gradients, strict=True):
        assert (one.grad is None) == (gradient is None)
        assert gradient is None or torch.equal(one.grad, gradient)
    assert all(torch.equal(now, numbers[name]) for name, now in network.state_dict().items())
    # dropout is off and batch normalisation frozen, whatever the mode
    assert np.array_equal(heat, grad_cam(network.eval(), IMAGE, CLASSES))


def test_a_frozen_network_and_one_made_in_inference_mode_are_explained_too():
    heat = grad_cam(Small(), IMAGE, CLASSES)
    assert np.array_equal(grad_cam(Small().requires_grad_(False), IMAGE, CLASSES), heat)
    with torch.inference_mode():
        made_there = Small()
        assert np.array_equal(grad_cam(made_there, IMAGE.clone(), CLASSES.clone()), heat)
        assert torch.is_inference_mode_enabled()
    assert np.array_equal(grad_cam(made_there, IMAGE, CLASSES), heat)
    with torch.no_grad(), torch.autocast("cpu"):
        assert np.array_equal(grad_cam(Small(), IMAGE, CLASSES), heat)


@pytest.mark.parametrize("bias", [0.0, 5.0])
def test_a_constant_map_gives_zeros(bias):
    network = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with torch.no_grad():
        network[0].weight.zero_()
        network[0].bias.fill_(bias)
    assert not grad_cam(network, IMAGE, torch.tensor([0, 1])).any()


def test_what_only_speaks_against_the_class_gives_zeros():
    network = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 2)
    )
    with torch.no_grad():
        network[4].weight.fill_(-1.0)
    assert not grad_cam(network, IMAGE, torch.tensor([0, 1])).any()


def test_a_logit_that_does_not_see_the_image_gives_zeros():
    class Deaf(Small):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return super().forward(image).detach()

    assert not grad_cam(Deaf(), IMAGE, CLASSES).any()


@pytest.mark.parametrize(
    ("network", "shape"),
    [
        (lambda: DenseNet121(spatial_dims=2, in_channels=1, out_channels=3), (64, 96)),
        (
            lambda: ResNet(
                "basic", [1, 1, 1, 1], [8, 8, 16, 16], spatial_dims=2, n_input_channels=1, num_classes=3
            ),
            (48, 48),
        ),
        (
            lambda: EfficientNetBN(
                "efficientnet-b0", spatial_dims=2, in_channels=1, num_classes=3, pretrained=False
            ),
            (64, 64),
        ),
        (lambda: EfficientNetLite0(1, 3, size=(64, 64)), (50, 70)),
        (lambda: build_cnn((32, 40), out_channels=3, feature_maps=4), (32, 40)),
    ],
    ids=["densenet", "resnet", "efficientnet", "lite", "tutorial"],
)
def test_shipped_networks_are_explained(network, shape):
    torch.manual_seed(0)
    made = network()
    image = torch.rand(2, 1, *shape)
    assert min(map_layer(made.eval(), image).size) >= 6
    heat = grad_cam(made, image, CLASSES)
    assert heat.shape == (2, *shape)
    assert np.isfinite(heat).all()
    assert ((heat >= 0) & (heat <= 1)).all()


@pytest.mark.parametrize(("name", "size"), [("MobileNetV2", (8, 8)), ("convnext_atto", (8, 8))])
def test_models_of_timm_are_explained(name, size):
    torch.manual_seed(0)
    network = TimmNetwork(name, 1, 3, size=(64, 64))
    assert map_layer(network.eval(), IMAGE).size == size
    heat = grad_cam(network, IMAGE, CLASSES)
    assert heat.shape == (2, 32, 32)
    assert np.isfinite(heat).all()


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "swin_tiny_patch4_window7_224"])
def test_transformers_of_timm_are_refused(name):
    with pytest.raises(ModelError, match="from tokens"):
        grad_cam(TimmNetwork(name, 1, 3), IMAGE, CLASSES)


@pytest.mark.parametrize(
    ("side", "name", "size"), [(224, "4", 7), (32, "1", 8), (64, "2", 8), (8, "0", 4), (4, "0", 2)]
)
def test_the_deepest_map_with_places_enough_is_taken_else_the_largest(side, name, size):
    network = nn.Sequential(*(nn.Conv2d(1, 1, 3, stride=2, padding=1) for _ in range(5)), nn.Flatten())
    found = map_layer(network, torch.zeros(1, 1, side, side))
    assert (found.name, found.size) == (name, (size, size))


def test_a_network_without_feature_maps_is_refused():
    dense = nn.Sequential(nn.Flatten(), nn.Linear(32 * 32, 3))
    single = nn.Sequential(nn.Conv2d(1, 3, 32), nn.Flatten())
    for network in (dense, single):
        with pytest.raises(ModelError, match="no feature map of more than one pixel for an image of 32x32"):
            grad_cam(network, IMAGE, CLASSES)


class Tokens(nn.Module):
    def __init__(self, *, channels_last: bool) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, 64, 8, stride=8)
        self.mixing = nn.Linear(64, 64)
        self.dense = nn.Linear(64, 3)
        self.channels_last = channels_last

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        mixed = self.patches(image).permute(0, 2, 3, 1)
        mixed = self.mixing(mixed if self.channels_last else mixed.flatten(1, 2))
        return self.dense(mixed.flatten(1, -2).mean(dim=1))


@pytest.mark.parametrize("channels_last", [True, False])
def test_a_transformer_is_refused(channels_last):
    with pytest.raises(ModelError, match=r"from tokens.*Take a convolutional network"):
        grad_cam(Tokens(channels_last=channels_last), IMAGE, CLASSES)


def test_other_outputs_are_refused():
    with pytest.raises(ModelError, match=r"gives \(2, 3, 32, 32\); expected logits"):
        grad_cam(nn.Conv2d(1, 3, 3, padding=1), IMAGE, CLASSES)
    with pytest.raises(ModelError, match="not finite"):
        grad_cam(Small(), IMAGE * torch.nan, CLASSES)
    with pytest.raises(ValueError, match=r"classes are \[3, 0\]; expected 0..2"):
        grad_cam(Small(), IMAGE, torch.tensor([3, 0]))
    for image, classes in ((IMAGE[0], CLASSES), (IMAGE, CLASSES[:1]), (IMAGE[:0], CLASSES[:0])):
        with pytest.raises(ValueError, match=r"expected \(B, C, H, W\) and \(B,\)"):
            grad_cam(Small(), image, classes)


def discs(number: int, seed: int) -> tuple[torch.Tensor, torch.Tensor, np.ndarray]:
    """Noise with a bright disc in the left half (0) or in the right (1), or with none (2).

    Gives pictures, classes and distances from the disc. Where there may be none, a disc must speak for its
    side, and cannot merely speak against the other.

    The second channel tells the column. Grad-CAM weighs a feature map as a whole, so that it is blind for
    what only the dense layer knows, as which half a feature lies in.
    """
    random = np.random.default_rng(seed)
    sides = random.integers(0, 3, number)
    up, across = random.integers(7, 25, number), random.integers(7, 11, number) + 14 * (sides == 1)
    rows, columns = np.mgrid[:32, :32]
    distance = np.hypot(rows - up[:, None, None], columns - across[:, None, None])
    noise = random.normal(scale=0.3, size=(number, 32, 32))
    pictures = noise + (distance <= 4) * (sides < 2)[:, None, None]
    both = np.stack([pictures, np.broadcast_to(columns / 16 - 1, pictures.shape)], axis=1)
    return torch.tensor(both, dtype=torch.float32), torch.tensor(sides), distance


@pytest.mark.slow
def test_a_network_that_learned_to_find_a_disc_looks_at_the_disc():
    torch.manual_seed(5)
    network = nn.Sequential(
        nn.Conv2d(2, 8, 5, stride=2, padding=2),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 8, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 3),
    )
    optimiser = torch.optim.Adam(network.parameters(), lr=2e-2)
    for step in range(80):
        pictures, sides, _ = discs(64, seed=100 + step)
        optimiser.zero_grad()
        functional.cross_entropy(network(pictures), sides).backward()
        optimiser.step()
    pictures, sides, distance = discs(100, seed=7)
    with torch.no_grad():
        right = network(pictures).argmax(1) == sides
    assert right.float().mean() > 0.95
    right &= sides < 2
    near = distance[right.numpy()] <= 8  # the disc and one cell of the map around it
    heat = grad_cam(network, pictures[right], sides[right])
    shares = (heat * near).sum(axis=(1, 2)) / heat.sum(axis=(1, 2))
    assert near.mean() < 0.2
    assert np.median(shares) > 2.5 * near.mean()
    assert (shares > near.mean(axis=(1, 2))).mean() > 0.9
