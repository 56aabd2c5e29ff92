from __future__ import annotations

import itertools

import pytest
import torch
from monai.networks import nets
from torch import nn

from medseg.errors import DefinitionError
from medseg.learning.inspection.stages import head_names, stages
from medseg.learning.networks import ClassicUNet, EncoderDecoder, TutorialCNN
from medseg.learning.transfer.parts import encoder_names

SHAPE = (1, 32, 32)


def dense():
    return nets.DenseNet(2, 1, 3, init_features=4, growth_rate=2, block_config=(1, 2))


def resnet():
    return nets.ResNet("basic", (1, 2, 1, 1), (4, 8, 8, 8), spatial_dims=2, n_input_channels=1, num_classes=3)


def efficient():
    return nets.EfficientNetBN(
        "efficientnet-b0", spatial_dims=2, in_channels=1, num_classes=3, pretrained=False
    )


def plain():
    return nn.Sequential(
        nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.ReLU()),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Dropout(),
        nn.Linear(16, 8),
        nn.ReLU(),
        nn.Linear(8, 3),
    )


NETWORKS = {
    "dense": (
        dense,
        [
            "features.conv0",
            "features.denseblock1",
            "features.transition1",
            "features.denseblock2",
            "class_layers.out",
        ],
    ),
    "resnet": (resnet, ["conv1", "layer1.0", "layer2.0", "layer2.1", "layer3.0", "layer4.0", "fc"]),
    "plain": (plain, ["0.0", "0.3", "4"]),
    "tutorial": (
        lambda: TutorialCNN((32, 32), 1, 3, feature_maps=4, dense=5),
        ["features.0.0", "features.1.0", "dense.1", "classifier"],
    ),
    "flat": (
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(1024, 4), nn.ReLU(), nn.Linear(4, 3)),
        ["1", "3"],
    ),
    "segmenting": (
        lambda: nets.BasicUNet(2, 1, 3, (4, 4, 4, 4, 4, 4)),
        [
            "conv_0",
            *(f"down_{i}" for i in range(1, 5)),
            *(f"upcat_{i}" for i in range(4, 0, -1)),
            "final_conv",
        ],
    ),
    "unet": (
        lambda: nets.UNet(2, 1, 3, (4, 8, 8), (2, 2)),
        ["model.0", "model.1.submodule.0", "model.1.submodule.1.submodule", "model.1.submodule.2", "model.2"],
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_blocks_stand_in_the_order_in_which_they_compute_and_the_head_is_last(name):
    make, expected = NETWORKS[name]
    assert [stage.name for stage in stages(make(), SHAPE)] == expected


def test_the_blocks_of_an_efficientnet_are_its_stem_each_mobile_block_and_the_last_convolution():
    found = [stage.name for stage in stages(efficient(), SHAPE)]
    assert found[0] == "_conv_stem"
    assert all(name.startswith("_blocks.") for name in found[1:-2])
    assert len(found[1:-2]) == 16  # Tan and Le 2019, table 1: 1 + 2 + 2 + 3 + 3 + 4 + 1
    assert found[-2:] == ["_conv_head", "_fc"]


@pytest.mark.parametrize("make", [dense, resnet, efficient, plain, EncoderDecoder, lambda: ClassicUNet(1)])
def test_each_parameter_is_in_one_block(make):
    network = make()
    found = [path for stage in stages(network, SHAPE) for path in stage.parameters]
    assert sorted(found) == sorted(path for path, _ in network.named_parameters())


def test_normalisation_activation_and_pooling_go_with_what_they_follow():
    first, *_, last = stages(resnet(), SHAPE)
    assert first.modules == ("conv1", "bn1", "act", "maxpool")
    assert first.parameters == ("conv1.weight", "bn1.weight", "bn1.bias")
    assert last.modules == ("fc",)


def test_dropout_before_the_classifier_is_of_the_head():
    assert stages(efficient(), SHAPE)[-1].modules == ("_dropout", "_fc")
    assert stages(plain(), SHAPE)[-1].modules == ("2", "3", "4", "5", "6")


def test_an_activation_that_serves_several_blocks_goes_with_the_last():
    holders = [stage.name for stage in stages(efficient(), SHAPE) if "_swish" in stage.modules]
    assert holders == ["_conv_head"]


class Wrapped(nn.Module):
    """A network around a network, as around a model of timm."""

    def __init__(self, model):
        super().__init__()
        self.model, self.prepare = model, nn.Identity()
        self.register_buffer("mean", torch.zeros(1, 1, 1, 1))

    def forward(self, image):
        return self.model(self.prepare(image - self.mean))


def test_a_network_around_a_network_is_opened():
    inner = [stage.name for stage in stages(resnet(), SHAPE)]
    assert [stage.name for stage in stages(Wrapped(resnet()), SHAPE)] == [f"model.{name}" for name in inner]


class Scrambled(nn.Module):
    """Defined in another order than it computes, calls no whole container, and keeps a spare part."""

    def __init__(self):
        super().__init__()
        self.last = nn.Linear(4, 3)
        self.parts = nn.ModuleList([nn.Conv2d(4, 4, 3), nn.Conv2d(1, 4, 3)])
        self.spare = nn.Linear(2, 2)
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, image):
        return self.last(self.parts[0](self.parts[1](image * self.scale)).mean((2, 3)))


def test_the_order_of_computing_counts_and_what_did_not_compute_is_of_the_first_block():
    found = stages(Scrambled(), SHAPE)
    assert [stage.name for stage in found] == ["parts.1", "parts.0", "last"]
    assert {"scale", "spare.weight", "spare.bias"} < set(found[0].parameters)


class Telling(nn.Sequential):
    """Says itself what its head is."""

    def head(self):
        return self[-1][-1]


def test_what_a_network_says_of_its_head_wins():
    body = nn.Sequential(nn.Linear(16, 8), nn.ReLU(), nn.Dropout(), nn.Linear(8, 3))
    network = Telling(nn.Conv2d(1, 4, 3), nn.AdaptiveAvgPool2d(2), nn.Flatten(), body)
    assert [stage.name for stage in stages(network, SHAPE)] == ["0", "3.0", "3.3"]
    assert stages(network, SHAPE)[-1].modules == ("3.1", "3.2", "3.3")
    assert head_names(network, SHAPE) == {"3.3.weight", "3.3.bias"}


@pytest.mark.parametrize("make", [dense, resnet, efficient])
def test_all_but_the_head_of_a_classifier_is_what_is_called_its_encoder(make):
    network = make()
    assert encoder_names(network) == network.state_dict().keys() - head_names(network, SHAPE)


def test_a_layer_called_head_is_no_method():
    assert stages(EncoderDecoder(), SHAPE)[-1].name == "head"


@pytest.mark.parametrize(
    ("network", "said"),
    [
        (nn.Conv2d(1, 3, 1), "no layer with weights computes before"),
        (nn.Sequential(nn.Flatten(), nn.ReLU()), "no layer with parameters"),
        (
            nn.Sequential(nn.Conv2d(1, 4, 1), nets.DenseNet(2, 4, 3, 4, 2, (1,)).features),
            "more than one layer",
        ),
        (type("Odd", (nn.Sequential,), {"head": lambda _: nn.ReLU()})(nn.Conv2d(1, 1, 1)), "gives no part"),
    ],
)
def test_a_network_without_a_known_head_is_refused_with_advice(network, said):
    network = nn.Sequential(*network[:1], network[1].denseblock1) if said.startswith("more") else network
    with pytest.raises(DefinitionError, match=rf"{said}.*A network can declare it by a method `head\(\)`"):
        stages(network, SHAPE)


def test_a_shape_that_the_network_does_not_take_is_refused():
    with pytest.raises(DefinitionError, match=r"does not take an image \(2, 32, 32\)"):
        stages(resnet(), (2, 32, 32))


@pytest.mark.parametrize("shape", [SHAPE, (5, 32, 32)])
def test_the_network_is_left_as_it_was(shape):
    network = nn.Sequential(plain(), nn.Dropout())
    network[0][0].eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    modes, random = [module.training for module in network.modules()], torch.get_rng_state()
    try:
        stages(network, shape)
    except DefinitionError:
        assert shape != SHAPE
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert [module.training for module in network.modules()] == modes
    assert torch.equal(torch.get_rng_state(), random)
    hooks = ((module._forward_hooks, module._forward_pre_hooks) for module in network.modules())
    assert not any(itertools.chain.from_iterable(hooks))


@pytest.mark.parametrize("make", [dense, resnet, plain])
def test_a_change_of_the_last_blocks_changes_no_features(make):
    """What computes before the first of N blocks gives the same, whatever the weights of these and the head."""
    network = make().eval()
    found = stages(network, SHAPE)
    seen = []
    block = network.get_submodule(found[-2].modules[0])
    block.register_forward_pre_hook(lambda _, given: seen.append(given[0].clone()))
    image = torch.rand(2, *SHAPE)
    with torch.no_grad():
        one = network(image)
        for path, parameter in network.named_parameters():
            if path in (*found[-1].parameters, *found[-2].parameters):
                parameter.add_(0.5)
        other = network(image)
    torch.testing.assert_close(seen[0], seen[1], rtol=0, atol=0)
    assert not torch.equal(one, other)
