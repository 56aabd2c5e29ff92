from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.signal import correlate2d

from medseg.learning.networks.keras_layers import (
    SameConv2d,
    SameConvTranspose2d,
    glorot_uniform,
    he_normal,
)

SIZES = [(8, 12), (2, 6), (16, 4)]


def padded_as_keras(image, stride):
    """Zeros as its documentation says: (ceil(n / s) - 1) * s + 3 - n in all, the smaller half first."""
    pads = [max((math.ceil(n / stride) - 1) * stride + 3 - n, 0) for n in image.shape]
    return np.pad(image, [(pad // 2, pad - pad // 2) for pad in pads])


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", SIZES)
def test_convolution_sees_the_pixels_that_keras_sees(stride, size):
    torch.manual_seed(0)
    layer = SameConv2d(1, 1, stride)
    image = torch.randn(1, 1, *size)
    found = layer(image)[0, 0].detach().numpy()
    kernel, bias = layer.weight[0, 0].detach().numpy(), float(layer.bias.detach())
    expected = correlate2d(padded_as_keras(image[0, 0].numpy(), stride), kernel, "valid")[::stride, ::stride]
    np.testing.assert_allclose(found, expected + bias, atol=1e-5)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", SIZES)
def test_transposed_convolution_is_the_transpose_of_the_convolution(stride, size):
    """<conv(x), y> = <x, transposed(y)>: how Keras defines it."""
    torch.manual_seed(0)
    down, up = SameConv2d(3, 5, stride), SameConvTranspose2d(5, 3, stride)
    with torch.no_grad():
        up.weight.copy_(down.weight)
        down.bias.zero_()
        up.bias.zero_()
        x, y = torch.randn(1, 3, *size), torch.randn(1, 5, size[0] // stride, size[1] // stride)
        assert up(y).shape == x.shape
        assert float((down(x) * y).sum()) == pytest.approx(float((x * up(y)).sum()), abs=1e-3)


def test_glorot_weights_fill_their_interval_evenly():
    torch.manual_seed(0)
    for layer in (SameConv2d(32, 64), SameConvTranspose2d(64, 32, 2)):
        glorot_uniform(layer)
        limit = math.sqrt(6 / (9 * 32 + 9 * 64))
        weights = layer.weight.detach()
        assert float(weights.abs().max()) == pytest.approx(limit, rel=0.01)
        assert float(weights.std()) == pytest.approx(limit / math.sqrt(3), rel=0.03)
        assert not layer.bias.detach().any()


def test_he_weights_have_their_variance_and_no_tails():
    torch.manual_seed(0)
    layer = SameConv2d(64, 64)
    he_normal(layer)
    weights, deviation = layer.weight.detach(), math.sqrt(2 / (9 * 64))
    assert float(weights.std()) == pytest.approx(deviation, rel=0.02)
    assert float(weights.abs().max()) <= 2 * deviation / 0.8796 + 1e-6
    assert not layer.bias.detach().any()
