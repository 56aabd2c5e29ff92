from __future__ import annotations

import pytest
import torch

from medseg.errors import ModelError
from medseg.learning.networks import ClassicUNet


def numbers(module):
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


@pytest.mark.parametrize(("filters", "expected"), [(4, 2_158_705), (8, 8_630_497)])
def test_three_channels_have_the_parameters_of_the_original(filters, expected):
    assert numbers(ClassicUNet(filters=filters)) == expected


def test_the_parts_have_the_parameters_that_the_documentation_derives():
    network = ClassicUNet()
    assert [numbers(level) for level in network.encoder] == [2_768, 13_888, 55_424, 221_440, 885_248]
    assert [numbers(level.up) for level in network.decoder] == [295_040, 73_792, 18_464, 4_624]
    assert [numbers(level.level) for level in network.decoder] == [442_624, 110_720, 27_712, 6_944]
    assert numbers(network.head) == 17


def test_batch_normalisation_adds_two_numbers_a_filter():
    assert numbers(ClassicUNet(batch_norm=True)) == 2_158_705 + 2_944 == 2_161_649
    norms = [m for m in ClassicUNet(batch_norm=True).modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert len(norms) == 18


@pytest.mark.parametrize("size", [(16, 16), (32, 48), (128, 64)])
def test_output_is_as_large_as_the_input(size):
    with torch.no_grad():
        assert ClassicUNet(2, 3, filters=1)(torch.zeros(2, 2, *size)).shape == (2, 3, *size)


@pytest.mark.parametrize("size", [(24, 32), (32, 40)])
def test_a_size_that_pooling_does_not_divide_is_refused_with_both(size):
    with pytest.raises(ModelError, match=rf"multiples of 16, got {size[0]} x {size[1]}"):
        ClassicUNet(filters=1)(torch.zeros(1, 3, *size))


@pytest.mark.parametrize("filters", [0, -1, 1.5, True, "4"])
def test_a_number_of_filters_that_is_none_is_refused(filters):
    with pytest.raises(ValueError, match="filters"):
        ClassicUNet(filters=filters)


def test_dropout_is_random_in_training_and_silent_otherwise():
    torch.manual_seed(0)
    network, image = ClassicUNet(1, filters=1, dropout=0.5), torch.randn(1, 1, 16, 16)
    with torch.no_grad():
        assert not torch.equal(network(image), network(image))
        network.eval()
        assert torch.equal(network(image), network(image))
    assert numbers(network) == numbers(ClassicUNet(1, filters=1))


def test_each_level_up_sees_the_level_beside_it():
    """The finest level down reaches the output even where all that lies deeper is silenced."""
    torch.manual_seed(0)
    network = ClassicUNet(1, filters=1).eval()
    with torch.no_grad():
        for level in network.decoder:
            level.up.weight.zero_()
        one, other = (network(torch.full((1, 1, 16, 16), value)) for value in (0.0, 1.0))
    assert not torch.allclose(one, other)


@pytest.mark.slow
def test_it_learns_a_mask():
    torch.manual_seed(1)
    network = ClassicUNet(1, filters=2)
    image = torch.randn(4, 1, 16, 16)
    mask = (torch.nn.functional.avg_pool2d(image, 3, 1, 1) > 0).float()
    optimiser = torch.optim.Adam(network.parameters(), 5e-3)
    losses = []
    for _ in range(60):
        optimiser.zero_grad()
        loss = torch.nn.functional.binary_cross_entropy_with_logits(network(image), mask)
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.5 * losses[0]
