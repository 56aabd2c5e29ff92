from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.networks import nets
from torch import nn

from medseg.errors import DefinitionError
from medseg.learning.networks import EfficientNetLite0, ResNet, TutorialCNN
from medseg.learning.transfer.linear_head import fold, linear_head

SHAPE = (1, 32, 32)


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: TutorialCNN((32, 32), 1, 3, feature_maps=4, dense=5), "classifier"),
        (lambda: ResNet(18, 1, 3), "fc"),
        (lambda: EfficientNetLite0(1, 3, size=(32, 32)), "_fc"),
        (
            lambda: nets.DenseNet(2, 1, 3, init_features=4, growth_rate=2, block_config=(1, 2)),
            "class_layers.out",
        ),
        (
            lambda: nets.EfficientNetBN(
                "efficientnet-b0", False, spatial_dims=2, in_channels=1, num_classes=3
            ),
            "_fc",
        ),
        (
            lambda: nets.SEResNet50(spatial_dims=2, in_channels=1, num_classes=3, layers=(1, 1, 1, 1)),
            "last_linear",
        ),
    ],
    ids=["TutorialCNN", "ResNet", "EfficientNetLite0", "DenseNet", "EfficientNetBN", "SEResNet50"],
)
def test_networks_that_the_message_names_end_with_one_linear_layer(make, name):
    assert linear_head(make(), SHAPE) == name


def ending(*layers):
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), *layers)


@pytest.mark.parametrize(
    ("network", "said"),
    [
        (ending(nn.Conv2d(4, 3, 1), nn.Flatten()), "begins with .*, which is a Conv2d"),
        (ending(nn.Flatten(), nn.Linear(4, 3, bias=False)), "its last layer 4 has no bias"),
        (ending(nn.Flatten(), nn.Linear(4, 3), nn.Sigmoid()), "its logits are not what 4 gives"),
        (
            ending(nn.Flatten(), nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3)),
            "its logits are not what 4 gives",
        ),
        (nets.BasicUNet(2, 1, 3, (4, 4, 4, 4, 4, 4)), "begins with final_conv"),
    ],
)
def test_other_heads_are_refused_with_the_networks_that_work(network, said):
    with pytest.raises(
        DefinitionError, match=rf"does not end with one linear layer .*{said}.*TutorialCNN.*DenseNet121"
    ):
        linear_head(network, SHAPE)


def test_what_is_folded_gives_the_logits_of_standardised_features():
    draw = np.random.default_rng(0)
    features, mean, scale = draw.normal(3, 2, (6, 9)), draw.normal(3, 2, 9), draw.uniform(0.5, 2, 9)
    coefficients, intercepts = draw.normal(size=(4, 9)), draw.normal(size=4)
    layer = nn.Linear(9, 4)
    fold(layer, coefficients, intercepts, mean, scale)
    with torch.no_grad():
        found = layer(torch.from_numpy(features).float()).numpy()
    expected = (features - mean) / scale @ coefficients.T + intercepts
    np.testing.assert_allclose(found, expected, atol=1e-5)
