from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.networks import nets
from torch import nn

from medseg.errors import DefinitionError
from medseg.learning.inference.features import FeaturePlace, feature_place, head_layer, read_features
from medseg.learning.networks import EfficientNetLite0, TutorialCNN

SHAPE = (1, 32, 32)


def plain():
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)
    )


def two_layers():
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 8), nn.Linear(8, 3)
    )


class Tokens(nn.Module):
    """Tokens (B, N, F), maps with features last, and a pair of which the first is meant."""

    def __init__(self):
        super().__init__()
        self.cut, self.last, self.pair, self.head = nn.Conv2d(1, 6, 8, 8), Turned(), Pair(), nn.Linear(6, 2)

    def forward(self, image):
        tokens = self.pair(self.last(self.cut(image)))[0]
        return self.head(tokens.mean(dim=1))


class Turned(nn.Module):
    def forward(self, maps):
        return maps.repeat(1, 20, 1, 1).permute(0, 2, 3, 1)


class Pair(nn.Module):
    def forward(self, maps):
        return maps[..., :6].flatten(1, 2), "and more"


@pytest.mark.parametrize(
    ("make", "layer", "count"),
    [
        (plain, "4", 4),
        (two_layers, "3", 16),
        (lambda: TutorialCNN((32, 32), 1, 3, feature_maps=4, dense=5), "classifier", 5),
        (
            lambda: nets.DenseNet(2, 1, 3, init_features=4, growth_rate=2, block_config=(1, 2)),
            "class_layers.out",
            7,
        ),
        (lambda: nets.UNet(2, 1, 3, (4, 8, 8), (2, 2)), "model.2", 8),
    ],
)
def test_by_default_they_are_what_the_first_layer_of_the_head_gets(make, layer, count):
    network = make()
    assert head_layer(network, SHAPE).startswith(layer)
    place, found = feature_place(network, SHAPE)
    assert place == FeaturePlace(head_layer(network, SHAPE), given=True)
    images = np.random.default_rng(0).normal(size=(3, *SHAPE)).astype(np.float32)
    assert read_features(network, place, images, torch.device("cpu")).shape == (3, found)
    assert found == count


def test_of_the_shipped_network_they_are_its_pooled_maps():
    place, count = feature_place(EfficientNetLite0(1, 2, size=(32, 32)), SHAPE)
    assert (place.layer, count) == ("_fc", 1280)


def test_tokens_are_averaged_over_their_number_and_the_first_of_a_pair_is_taken():
    network, images = Tokens(), np.random.default_rng(0).normal(size=(3, *SHAPE)).astype(np.float32)
    place, count = feature_place(network, SHAPE, "pair")
    found = read_features(network, place, images, torch.device("cpu"))
    with torch.no_grad():
        expected = network.cut(torch.from_numpy(images)).mean(dim=(2, 3)).numpy()
    assert count == 6
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_maps_whose_features_are_the_last_axis_are_refused():
    with pytest.raises(
        DefinitionError, match=r"last gives \(2, 4, 4, 120\), .*perhaps the features are its last"
    ):
        feature_place(Tokens(), SHAPE, "last")


def test_a_container_that_does_not_compute_is_refused_with_its_parts():
    network = nn.Sequential(nn.ModuleDict({"inner": nn.Conv2d(1, 2, 3)}))
    network.forward = network[0]["inner"].__call__
    with pytest.raises(
        DefinitionError, match=r"the layer 0 of Sequential is a container .* a part of it: 0\.inner"
    ):
        feature_place(network, SHAPE, "0")


def test_what_gives_no_row_for_each_image_is_refused():
    network = nn.Sequential(nn.Flatten(0), nn.Unflatten(0, (2, -1)), nn.Linear(1024, 2))
    with pytest.raises(DefinitionError, match=r"0 gives a tensor \(2048,\) for 2 images; expected \(B, F\)"):
        feature_place(Flat(network), SHAPE, "network.0")


class Flat(nn.Module):
    """Of any number of images one vector."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, image):
        both = torch.cat([image, image])[:2]
        return self.network(both)[: len(image)]


def test_looking_leaves_modes_statistics_and_random_numbers_alone():
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)
    )
    before, state = {n: t.clone() for n, t in network.state_dict().items()}, torch.get_rng_state()
    feature_place(network, SHAPE)
    assert network.training
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(t, before[n]) for n, t in network.state_dict().items())
    assert not network[-1]._forward_pre_hooks
