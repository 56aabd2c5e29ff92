"""Of several outputs one counts, wherever a network is asked."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from monai.networks.nets import BasicUNetPlusPlus, DynUNet, SegResNetDS, UNet

from medseg.learning.networks.ensemble import Ensemble
from medseg.learning.outputs.main_output import main_of, of_each, with_main_output

IMAGES = torch.rand((2, 1, 32, 32), generator=torch.Generator().manual_seed(0))
LEVELS = {
    "kernel_size": [3, 3, 3],
    "strides": [1, 2, 2],
    "upsample_kernel_size": [2, 2],
    "filters": [2, 2, 4],
}
OURS = {"spatial_dims": 2, "in_channels": 1, "out_channels": 3}


def dynamic(**settings):
    return DynUNet(**OURS, **LEVELS, **settings)


def residual(**settings):
    return SegResNetDS(**OURS, init_filters=4, blocks_down=[1, 1, 1], **settings)


def nested(**settings):
    return BasicUNetPlusPlus(**OURS, features=[2] * 6, **settings)


SEVERAL = {
    "stacked": (lambda: dynamic(deep_supervision=True), [(32, 32)] * 2),
    "by size": (lambda: residual(dsdepth=2), [(32, 32), (16, 16)]),
    "nested": (lambda: nested(deep_supervision=True), [(32, 32)] * 4),
}
ONE = {
    "plain": lambda: UNet(**OURS, channels=[2, 4], strides=[2]),
    "stacked": lambda: dynamic(deep_supervision=False),
    "by size": lambda: residual(dsdepth=1),
    "nested": lambda: nested(deep_supervision=False),
}


@pytest.mark.parametrize("kind", SEVERAL)
def test_as_it_trains_a_network_gives_all_its_outputs_and_in_evaluation_one(kind):
    make, sizes = SEVERAL[kind]
    network = with_main_output(make())

    given = network.train()(IMAGES)
    alone = network.eval()(IMAGES)

    assert [tuple(each.shape) for each in given] == [(2, 3, *size) for size in sizes]
    assert tuple(alone.shape) == (2, 3, 32, 32)


@pytest.mark.parametrize("kind", SEVERAL)
def test_the_same_output_counts_in_both_modes(kind):
    network = with_main_output(SEVERAL[kind][0]()).eval()
    alone = network(IMAGES)
    network.training = True  # the network alone, not its dropout and normalisation

    assert torch.equal(main_of(network(IMAGES)), alone)


def test_of_nested_decoders_that_of_all_levels_counts():
    deep = nested(deep_supervision=True).eval()
    plain = nested(deep_supervision=False).eval()
    plain.load_state_dict(deep.state_dict())

    assert torch.equal(with_main_output(deep)(IMAGES), plain(IMAGES)[0])


@pytest.mark.parametrize("kind", ONE)
def test_one_output_is_one_tensor_in_both_modes(kind):
    network = with_main_output(ONE[kind]())

    for mode in (True, False):
        assert tuple(network.train(mode)(IMAGES).shape) == (2, 3, 32, 32)


def test_what_holds_no_tensors_alone_is_left():
    class Odd(torch.nn.Module):
        def forward(self, images):
            return images, [images]

    assert isinstance(with_main_output(Odd())(IMAGES)[1], list)


def test_a_second_call_changes_nothing_and_copies_do_the_same():
    network = with_main_output(with_main_output(nested(deep_supervision=True))).eval()
    copies = (copy.deepcopy(network), pickle.loads(pickle.dumps(network)))  # noqa: S301 - our own

    assert all(torch.equal(each(IMAGES), network(IMAGES)) for each in copies)
    assert all(torch.equal(with_main_output(each)(IMAGES), network(IMAGES)) for each in copies)


@pytest.mark.parametrize("kind", SEVERAL)
def test_an_ensemble_averages_the_outputs_that_count(kind):
    networks = [SEVERAL[kind][0]() for _ in range(2)]
    together = Ensemble(networks).eval()

    expected = torch.stack([each(IMAGES) for each in networks]).mean(dim=0)

    assert torch.allclose(together(IMAGES), expected, atol=1e-6)
    assert tuple(together.train()(IMAGES).shape) == tuple(expected.shape)


def test_each_output_is_changed_alike():
    assert torch.equal(of_each(torch.neg, IMAGES), -IMAGES)
    assert all(torch.equal(each, -IMAGES) for each in of_each(torch.neg, [IMAGES, IMAGES]))
