from __future__ import annotations

import inspect

import pytest
import torch
from monai.networks import nets

from medseg.component import build, check
from medseg.errors import DefinitionError
from medseg.learning.networks import ResNet
from medseg.learning.networks.timm_names import import_timm


@pytest.mark.parametrize(("depth", "published"), [(18, 11_689_512), (34, 21_797_672), (50, 25_557_032)])
def test_it_has_the_parameters_of_the_published_network(depth, published):
    network = ResNet(depth, in_channels=3, out_channels=1000)
    assert sum(p.numel() for p in network.parameters()) == published
    assert network.head().out_features == 1000


@pytest.mark.slow
@pytest.mark.parametrize("depth", [18, 50])
def test_weights_of_timm_fit_and_give_the_same_logits(depth):
    torch.manual_seed(0)
    other = import_timm().create_model(f"resnet{depth}", num_classes=3, in_chans=1).eval()
    network = ResNet(depth, in_channels=1, out_channels=3).eval()
    network.load_state_dict(other.state_dict())
    image = torch.rand(2, 1, 64, 48)
    with torch.no_grad():
        assert torch.allclose(network(image), other(image), atol=1e-5)


def test_its_encoder_is_known_as_monais_is():
    from medseg.learning.transfer.parts import encoder_names

    network = ResNet(18)
    assert set(network.state_dict()) - encoder_names(network) == {"fc.weight", "fc.bias"}


@pytest.mark.parametrize("depth", [20, "18", None, [18]])
def test_an_unknown_depth_is_refused_with_the_known_ones(depth):
    with pytest.raises(ValueError, match="expected one of 18, 34, 50, 101, 152"):
        ResNet(depth)


@pytest.mark.parametrize(
    ("spec", "classes"),
    [
        ({"_target_": "medseg.learning.networks.ResNet", "depth": 18}, 2),
        (
            {
                "_target_": "monai.networks.nets.DenseNet121",
                "spatial_dims": 2,
                "in_channels": 1,
                "out_channels": 2,
            },
            2,
        ),
        (
            {
                "_target_": "monai.networks.nets.SEResNet50",
                "spatial_dims": 2,
                "in_channels": 1,
                "num_classes": 2,
            },
            2,
        ),
        (
            {
                "_target_": "monai.networks.nets.ResNet",
                "block": "basic",
                "layers": [1, 1, 1, 1],
                "block_inplanes": [8, 16, 32, 64],
                "spatial_dims": 2,
                "n_input_channels": 1,
                "conv1_t_stride": 2,
                "num_classes": 2,
            },
            2,
        ),
        (
            {
                "_target_": "monai.networks.nets.EfficientNetBN",
                "model_name": "efficientnet-b0",
                "pretrained": False,
                "spatial_dims": 2,
                "in_channels": 1,
                "num_classes": 2,
            },
            2,
        ),
    ],
    ids=lambda value: value["_target_"] if isinstance(value, dict) else "",
)
def test_classifiers_can_be_named_in_a_definition(spec, classes):
    network = build(spec, at="network", kind=torch.nn.Module).eval()
    with torch.no_grad():
        assert network(torch.rand(2, 1, 64, 64)).shape == (2, classes)


def with_web_weights():
    """Networks of MONAI that would download weights when an argument is left out."""
    kinds = {value for value in vars(nets).values() if inspect.isclass(value)}
    fetching = {
        kind.__name__
        for kind in kinds
        for name, each in inspect.signature(kind).parameters.items()
        if name == "pretrained" and each.default is True
    }
    return sorted(fetching - {"MILModel"})  # refused altogether


@pytest.mark.parametrize("name", with_web_weights())
def test_weights_that_monai_fetches_by_default_are_refused_with_what_to_write(name):
    needed = {"model_name": "resnet18" if name.startswith("Res") else "efficientnet-b0"}
    with pytest.raises(DefinitionError, match=r"network\.pretrained: refused .*write `pretrained: false`"):
        check({"_target_": f"monai.networks.nets.{name}", **needed}, at="network", kind=torch.nn.Module)


def test_networks_that_fetch_by_default_are_among_those_looked_at():
    assert "EfficientNetBN" in with_web_weights()
