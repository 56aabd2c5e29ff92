from __future__ import annotations

import pytest
import torch

from medseg.component import Allowed, build
from medseg.errors import ModelError
from medseg.learning.networks import EncoderDecoder


def numbers(module):
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def test_one_channel_has_the_parameters_of_the_original():
    network = EncoderDecoder()
    assert numbers(network) == 664_961
    assert [numbers(network.encoder), numbers(network.decoder), numbers(network.head)] == [
        259_008,
        405_888,
        65,
    ]


@pytest.mark.parametrize(("channels", "classes"), [(3, 1), (1, 4), (2, 3)])
def test_channels_and_classes_change_only_the_first_and_the_last_layer(channels, classes):
    network = EncoderDecoder(channels, classes)
    assert numbers(network) == 664_961 + 9 * 64 * (channels - 1) + 65 * (classes - 1)
    assert network(torch.zeros(2, channels, 8, 12)).shape == (2, classes, 8, 12)


@pytest.mark.parametrize("size", [(128, 128), (4, 4), (12, 40)])
def test_output_is_as_large_as_the_input(size):
    with torch.no_grad():
        assert EncoderDecoder()(torch.zeros(1, 1, *size)).shape == (1, 1, *size)


def test_strides_and_filters_are_those_of_the_original():
    network = EncoderDecoder()
    down = [(m.out_channels, m.stride[0]) for m in network.encoder if isinstance(m, torch.nn.Conv2d)]
    up = [(m.out_channels, m.stride[0]) for m in network.decoder if isinstance(m, torch.nn.ConvTranspose2d)]
    assert down == [(64, 2), (64, 1), (128, 2), (128, 1)]
    assert up == [(128, 1), (128, 2), (64, 1), (64, 2)]


@pytest.mark.parametrize("size", [(30, 32), (32, 33)])
def test_a_size_that_strides_do_not_divide_is_refused_with_both(size):
    with pytest.raises(ModelError, match=rf"multiples of 4, got {size[0]} x {size[1]}"):
        EncoderDecoder()(torch.zeros(1, 1, *size))


def test_logits_are_not_squashed():
    torch.manual_seed(0)
    with torch.no_grad():
        logits = EncoderDecoder()(100 * torch.randn(1, 1, 16, 16))
    assert float(logits.min()) < 0 or float(logits.max()) > 1


def test_a_definition_can_name_it_where_its_module_is_allowed():
    allowed = Allowed().also("medseg.learning.networks")
    spec = {"_target_": "medseg.learning.networks.EncoderDecoder", "in_channels": 2}
    network = build(spec, at="network", kind=torch.nn.Module, allowed=allowed)
    assert network.encoder[0].in_channels == 2
