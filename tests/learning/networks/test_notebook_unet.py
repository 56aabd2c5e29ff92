from __future__ import annotations

import pytest
import torch

from medseg.component import Allowed, build
from medseg.errors import ModelError
from medseg.learning.networks import NotebookUNet
from medseg.learning.networks.as_in_training import BatchStatistics2d, SeededDropout

#: Kernel, channels in, channels out and whether batch normalisation follows, block by block, as the text has them.
ENCODING = [(4, 4, 64, 0), (4, 64, 128, 1), (4, 128, 256, 1), (4, 256, 512, 1), (5, 512, 512, 1)]
BOTTLENECK = [(3, 512, 512, 0)] * 3
DECODING = [(3, 512, 512, 1), (5, 1024, 512, 1), (4, 1024, 512, 1), (4, 768, 256, 1), (4, 384, 128, 1)]
HEAD = [(4, 192, 5, 0)]


def reckoned(blocks):
    return sum(k * k * i * o + o + 2 * o * normalised for k, i, o, normalised in blocks)


def numbers(module):
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def small(**changes):
    torch.manual_seed(0)
    return NotebookUNet(filters=2, **changes)


@pytest.fixture(scope="module")
def whole():
    with torch.device("meta"):
        return NotebookUNet()


def test_four_channels_and_five_classes_have_the_parameters_of_the_original(whole):
    parts = {
        whole.encoder: ENCODING,
        whole.bottleneck: BOTTLENECK,
        whole.decoder: DECODING,
        whole.head: HEAD,
    }
    assert numbers(whole) == 44_202_309
    assert {part: numbers(part) for part in parts} == {part: reckoned(rows) for part, rows in parts.items()}


@pytest.mark.parametrize("size", [(240, 240), (240, 144)])
def test_each_block_gives_the_shape_that_its_stride_leaves(whole, size):
    found = {}
    for name, blocks in {"e": whole.encoder, "d": whole.decoder}.items():
        for place, block in enumerate(blocks, start=1):
            block.register_forward_hook(
                lambda _, __, out, key=f"{name}{place}": found.update({key: tuple(out.shape[1:])})
            )
    given = whole(torch.zeros(2, 4, *size, device="meta"))
    assert given.shape == (2, 5, *size)
    height, width = size
    strides = {"e1": 2, "e2": 4, "e3": 8, "e4": 16, "e5": 48, "d1": 48, "d2": 16, "d3": 8, "d4": 4, "d5": 2}
    filters = dict(zip(strides, [64, 128, 256, 512, 512, 512, 512, 512, 256, 128], strict=True))
    assert found == {
        block: (filters[block], height // stride, width // stride) for block, stride in strides.items()
    }


def test_real_values_pass_through_the_whole_network():
    with torch.no_grad():
        assert small()(torch.randn(2, 4, 240, 144)).shape == (2, 5, 240, 144)


def test_weights_start_with_a_deviation_of_two_hundredths():
    torch.manual_seed(5)
    network = NotebookUNet(filters=16)
    kernels = torch.cat([p.detach().flatten() for p in network.parameters() if p.ndim == 4])
    biases = [m.bias for m in network.modules() if isinstance(m, torch.nn.Conv2d | torch.nn.ConvTranspose2d)]
    assert abs(float(kernels.mean())) < 1e-4
    assert abs(float(kernels.std()) - 0.02) < 1e-4
    assert len(biases) == 14
    assert not any(bias.any() for bias in biases)


def test_weights_are_those_of_the_seed():
    assert torch.equal(small().head.conv.weight, small().head.conv.weight)


def test_the_first_block_is_not_normalised_and_two_blocks_drop_values():
    network = small()
    normalised = [any(isinstance(m, BatchStatistics2d) for m in block) for block in network.encoder]
    dropping = [any(isinstance(m, SeededDropout) for m in block) for block in network.decoder]
    assert normalised == [False, True, True, True, True]
    assert dropping == [True, True, False, False, False]


def test_what_is_predicted_of_a_slice_depends_on_the_slices_beside_it():
    network, slices = small().eval(), torch.randn(3, 4, 48, 96)
    with torch.no_grad():
        together, alone = network(slices), network(slices[:1])
    assert not torch.allclose(together[:1], alone, atol=1e-4)


def test_the_same_batch_gives_the_same_prediction():
    network, slices = small().eval(), torch.randn(3, 4, 48, 96)
    with torch.no_grad():
        assert torch.equal(network(slices), network(slices))


def test_it_may_predict_as_other_networks_do():
    network, slices = small(as_in_training=False).eval(), torch.randn(3, 4, 48, 96)
    with torch.no_grad():
        torch.testing.assert_close(network(slices)[:1], network(slices[:1]))
    with torch.device("meta"):
        assert numbers(NotebookUNet(as_in_training=False)) == 44_202_309


@pytest.mark.parametrize("size", [(240, 155), (100, 96)])
def test_a_size_that_strides_do_not_divide_is_refused(size):
    with pytest.raises(ModelError, match=rf"multiples of 48, got {size[0]} x {size[1]}"):
        small()(torch.zeros(1, 4, *size))


def test_an_image_of_which_one_pixel_is_left_is_refused():
    with pytest.raises(ModelError, match="larger than 48 x 48"):
        small()(torch.zeros(2, 4, 48, 48))


@pytest.mark.parametrize("wrong", [{"filters": 0}, {"as_in_training": 1}, {"seed": -1}, {"in_channels": 0.5}])
def test_arguments_that_make_no_network_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        NotebookUNet(**wrong)


def test_a_definition_can_name_it():
    spec = {"_target_": "medseg.learning.networks.NotebookUNet", "filters": 2}
    network = build(spec, at="network", kind=torch.nn.Module, allowed=Allowed())
    assert numbers(network.head) == 16 * 6 * 5 + 5
