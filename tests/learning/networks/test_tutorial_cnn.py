from __future__ import annotations

import math
import warnings

import pytest
import torch
from torch import nn

from medseg.component import build
from medseg.errors import DefinitionError, ModelError
from medseg.learning import networks
from medseg.learning.networks import TutorialCNN


def numbers(module):
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def expected(size, c=1, k=2, b=2, f=32, side=3, norm=False, d=64):
    total, given = 0, c
    for block in range(b):
        width = f * 2**block
        total += side * side * given * width + width + (2 * width if norm else 0)
        given = width
    return total + given * (size[0] // 2**b) * (size[1] // 2**b) * d + d + d * k + k


def test_defaults_are_those_of_the_tutorial():
    network = TutorialCNN((64, 64))
    kinds = [type(layer).__name__ for layer in network.modules() if not any(layer.children())]
    block = ["Conv2d", "ReLU", "MaxPool2d"]
    assert kinds == [*block, *block, "Flatten", "Linear", "ReLU", "Dropout", "Linear"]
    assert [m.out_channels for m in network.modules() if isinstance(m, nn.Conv2d)] == [32, 64]
    assert {m.kernel_size for m in network.modules() if isinstance(m, nn.Conv2d)} == {(3, 3)}
    assert network.dense[1].out_features == 64
    assert network.dense[3].p == 0.5
    # 9 * 32 + 32, 9 * 32 * 64 + 64, 64 * 16 * 16 * 64 + 64, 64 * 2 + 2
    assert numbers(network) == 320 + 18_496 + 1_048_640 + 130


@pytest.mark.parametrize(
    ("size", "settings", "terms"),
    [
        ((28, 20), {"in_channels": 3, "out_channels": 6}, {"c": 3, "k": 6}),
        ((31, 17), {"conv_blocks": 4, "feature_maps": 4}, {"b": 4, "f": 4}),
        ((16, 16), {"conv_blocks": 1, "batch_norm": True, "dense": 5}, {"b": 1, "norm": True, "d": 5}),
        ((9, 12), {"kernel_size": 5, "activation": "selu", "dropout": 0.0}, {"side": 5}),
        ((9, 12), {"kernel_size": 4, "activation": "leaky_relu"}, {"side": 4}),
        (
            (4, 4),
            {"kernel_size": 1, "feature_maps": 3, "batch_norm": True},
            {"side": 1, "f": 3, "norm": True},
        ),
    ],
)
def test_every_setting_counts_as_the_formula_says_and_gives_logits(size, settings, terms):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        network = TutorialCNN(size, **settings)
        logits = network(torch.randn(2, settings.get("in_channels", 1), *size))
    assert numbers(network) == expected(size, **terms)
    assert logits.shape == (2, settings.get("out_channels", 2))
    assert network.head() is network.classifier


@pytest.mark.parametrize(("side", "rows"), [(3, (1, 1)), (2, (0, 1)), (4, (1, 2)), (5, (2, 2))])
def test_convolutions_pad_as_keras_does(side, rows):
    """With stride 1 it adds k - 1 rows of zeros, the smaller half before: the oracle is a padded image."""
    torch.manual_seed(0)
    block = TutorialCNN((8, 6), kernel_size=side, conv_blocks=1, feature_maps=2).features[0]
    convolution = next(layer for layer in block if isinstance(layer, nn.Conv2d))
    image = torch.randn(1, 1, 8, 6)
    padded = nn.functional.pad(image, (*rows, *rows))
    found = nn.functional.conv2d(padded, convolution.weight, convolution.bias)
    assert torch.allclose(block(image), nn.functional.max_pool2d(found.relu(), 2), atol=1e-6)


def test_relu_starts_with_glorot_and_selu_with_lecun_and_alpha_dropout():
    torch.manual_seed(0)
    relu, selu = (TutorialCNN((32, 32), activation=name) for name in ("relu", "selu"))
    fan_in, fan_out = 64 * 8 * 8, 64
    limit = math.sqrt(6 / (fan_in + fan_out))
    assert float(relu.dense[1].weight.detach().abs().max()) == pytest.approx(limit, rel=0.01)
    assert float(selu.dense[1].weight.detach().std()) == pytest.approx(math.sqrt(1 / fan_in), rel=0.02)
    assert isinstance(selu.dense[3], nn.AlphaDropout)
    assert not isinstance(relu.dense[3], nn.AlphaDropout)
    assert not any(layer.bias.detach().any() for layer in relu.modules() if hasattr(layer, "bias"))


def test_selu_keeps_means_and_variances_through_a_deep_stack_of_convolutions():
    torch.manual_seed(0)
    blocks = TutorialCNN((64, 64), in_channels=8, conv_blocks=4, feature_maps=8, activation="selu").features
    value = torch.randn(8, 8, 64, 64)
    for block in blocks:
        value = block[1](block[0](value))  # without the pooling, which takes the greatest
    assert abs(float(value.detach().mean())) < 0.2
    assert float(value.detach().std()) == pytest.approx(1, abs=0.25)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"image_size": (3, 64)}, "nothing is left of images of 3 x 64 after 2 poolings.*4 x 4 or more"),
        ({"conv_blocks": 6}, "conv_blocks 6, image_size must be 64 x 64 or more"),
        ({"conv_blocks": 0}, "conv_blocks is 0, expected a whole number, 1 or more"),
        ({"conv_blocks": True}, "conv_blocks is True"),
        ({"feature_maps": 1.5}, "feature_maps is 1.5"),
        ({"kernel_size": "3"}, "kernel_size is '3'"),
        ({"dense": 0}, "dense is 0"),
        ({"out_channels": 0}, "out_channels is 0"),
        ({"in_channels": None}, "in_channels is None"),
        ({"dropout": 1}, "dropout is 1, expected a number from 0 to below 1"),
        ({"dropout": 10**400}, "expected a number from 0 to below 1"),
        ({"dropout": -0.1}, "dropout is -0.1"),
        ({"dropout": float("nan")}, "dropout is nan"),
        ({"activation": "gelu"}, "activation is 'gelu', expected one of relu, selu, leaky_relu"),
        ({"batch_norm": "no"}, "batch_norm is 'no', expected true or false"),
        ({"image_size": 64}, r"image_size is 64, expected height and width: \[H, W\]"),
        ({"image_size": (64, 64, 3)}, "expected height and width"),
        ({"image_size": (64, -1)}, "the width of image_size is -1"),
    ],
)
def test_a_wrong_argument_is_named_with_what_was_wanted(settings, message):
    with pytest.raises(ValueError, match=message):
        TutorialCNN(**{"image_size": (32, 32), **settings})


def test_images_of_another_size_are_refused_with_both_sizes():
    with pytest.raises(ModelError, match="images of 32 x 24, got 24 x 32"):
        TutorialCNN((32, 24))(torch.zeros(1, 1, 24, 32))


def test_build_cnn_is_the_class_and_builds_what_the_tutorial_does_by_default():
    assert networks.build_cnn is TutorialCNN
    network = networks.build_cnn((64, 64))
    layers = [layer for layer in network.modules() if not any(layer.children())]
    kinds = {kind: [layer for layer in layers if isinstance(layer, kind)] for kind in map(type, layers)}
    convolutions, dense = kinds[nn.Conv2d], kinds[nn.Linear]
    assert [(each.in_channels, each.out_channels) for each in convolutions] == [(1, 32), (32, 64)]
    assert {each.kernel_size for each in convolutions} == {(3, 3)}
    assert len(kinds[nn.MaxPool2d]) == 2
    assert len(kinds[nn.ReLU]) == 3  # of both blocks, and of the dense layer
    assert [each.p for each in kinds[nn.Dropout]] == [0.5]
    assert [each.out_features for each in dense] == [64, 2]
    assert set(kinds) == {
        nn.Conv2d,
        nn.ReLU,
        nn.MaxPool2d,
        nn.Flatten,
        nn.Linear,
        nn.Dropout,
    }  # no normalisation


@pytest.mark.parametrize("activation", ["relu", "selu", "leaky_relu"])
def test_it_learns_which_half_is_bright(activation):
    torch.manual_seed(0)
    network = TutorialCNN((16, 16), activation=activation, feature_maps=4, dense=8, batch_norm=True)
    image = torch.rand(16, 1, 16, 16)
    label = torch.arange(16) % 2
    image[label == 0, :, :8] += 1
    image[label == 1, :, 8:] += 1
    optimiser = torch.optim.SGD(network.parameters(), 0.1)
    losses = []
    for _ in range(25):
        optimiser.zero_grad()
        loss = nn.functional.cross_entropy(network(image), label)
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert sum(losses[-5:]) < 0.5 * sum(losses[:5])
    network.eval()
    assert (network(image).argmax(1) == label).all()


def test_a_definition_can_name_it_and_is_told_what_is_wrong():
    spec = {"_target_": "medseg.learning.networks.TutorialCNN", "image_size": [16, 16]}
    assert build(spec, at="network", kind=nn.Module, in_channels=2, out_channels=5).head().out_features == 5
    with pytest.raises(DefinitionError, match=r"at network: .*nothing is left of images of 16 x 16"):
        build({**spec, "conv_blocks": 5}, at="network", kind=nn.Module)
