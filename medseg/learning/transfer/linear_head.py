"""The last layer of a classifier, where that is all of its head: weights from elsewhere can be put into it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from medseg.errors import DefinitionError
from medseg.learning.inference.features import head_layer
from medseg.learning.inspection.trial_pass import evaluating, watched

_KNOWN = (
    "TutorialCNN, ResNet and EfficientNetLite0 of medseg.learning.networks, most of TimmNetwork, and DenseNet121, "
    "EfficientNetBN and SEResNet50 of monai.networks.nets"
)


def linear_head(network: nn.Module, shape: tuple[int, int, int]) -> str:
    """Name of the one linear layer that is the head of a classifier.

    Args:
        network: On any device; left as it was.
        shape: (C, H, W) of an image.

    Raises:
        DefinitionError: The head is anything else: several layers, a convolution, a layer without a bias, or one
            whose numbers are not the logits; or it is not known which part is the head.
    """
    name = head_layer(network, shape)
    layer = network.get_submodule(name)
    if not isinstance(layer, nn.Linear):
        raise _unfit(network, f"its head begins with {name}, which is a {type(layer).__name__}")
    if layer.bias is None:
        raise _unfit(network, f"its last layer {name} has no bias")
    images = torch.rand((2, *shape), generator=torch.Generator().manual_seed(0), dtype=torch.float32).to(
        layer.weight
    )
    seen: list[Any] = []

    def watchers(each: str, _: nn.Module) -> tuple[Any, Any]:
        def left(_module: nn.Module, given: Any, _named: Any, output: Any) -> None:
            seen.append((given[0], output))

        return None, left if each == name else None

    with evaluating(network), torch.no_grad(), watched(network, watchers):
        logits = network(images)
    if len(seen) != 1 or seen[0][0].ndim != 2 or not torch.equal(seen[0][1], logits):
        raise _unfit(network, f"its logits are not what {name} gives of one vector of features")
    return name


def fold(
    layer: nn.Linear,
    coefficients: NDArray[np.float64],
    intercepts: NDArray[np.float64],
    mean: NDArray[np.float64],
    scale: NDArray[np.float64],
) -> None:
    """Put a linear model of standardised features into a layer that gets them as they are.

    With z = (x - mean) / scale, coefficients W and intercepts b, the logits W z + b are (W / scale) x + b - W (mean /
    scale).

    Args:
        layer: K outputs of F features; its weights are replaced.
        coefficients: (K, F).
        intercepts: (K,).
        mean: (F,) of the features.
        scale: (F,) their standard deviation, above 0.
    """
    weight = coefficients / scale
    bias = intercepts - weight @ mean
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(weight))
        layer.bias.copy_(torch.from_numpy(bias))


def _unfit(network: nn.Module, reason: str) -> DefinitionError:
    return DefinitionError(
        f"{type(network).__name__} does not end with one linear layer on a vector of features: {reason}. Networks "
        f"that do are {_KNOWN}."
    )
