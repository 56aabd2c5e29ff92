"""Filters of colour images in a network for grey ones, and the other way round.

A grey image is a colour image with three equal channels. A filter gives the sum of what it finds in each
channel, so that the sum of its three parts gives the same of the grey image alone; and a filter for grey images
in three equal parts, each a third of it, gives the same of three equal channels.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

from medseg.learning.inspection.trace import calls

_GREY, _COLOUR = 1, 3


def fitted_stem(
    network: torch.nn.Module, shape: tuple[int, int, int], weights: Mapping[str, torch.Tensor]
) -> tuple[dict[str, torch.Tensor], str]:
    """Make the filters that see the image fit its channels, where the one are grey and the other colour.

    Any other difference is left as it is, to be refused. Those filters are the ones of the first convolution
    that computes, and of others beside it.

    Args:
        network: That the weights are for; left as it was.
        shape: (C, H, W) of an image.
        weights: By the names of the network.

    Returns:
        The weights, and what was done to them: empty where nothing was.

    Raises:
        DefinitionError: The network does not take such an image.
    """
    own, found, done = network.state_dict(), dict(weights), []
    for name in (f"{layer}.weight" for layer in calls(network, shape).stem):
        given, expected = weights.get(name), own.get(name)
        if given is None or expected is None or given.ndim != expected.ndim or given.ndim <= 2:
            continue
        if given.shape[0] != expected.shape[0] or given.shape[2:] != expected.shape[2:]:
            continue
        channels = (given.shape[1], expected.shape[1])
        if channels == (_COLOUR, _GREY):
            found[name] = given.to(expected.dtype).to(given.device).sum(dim=1, keepdim=True)
            done.append(f"the filters of {name} summed over the 3 channels of the file")
        elif channels == (_GREY, _COLOUR):
            thirds = given.to(expected.dtype) / _COLOUR
            found[name] = thirds.expand(-1, _COLOUR, *[-1] * (given.ndim - 2)).contiguous()
            done.append(f"the filters of {name} shared out in thirds over 3 channels")
    return found, ", ".join(done)
