"""Features of images: what a layer of a network gives, or what its head gets."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from medseg.errors import DefinitionError
from medseg.learning.inspection.stages import stages
from medseg.learning.inspection.trace import calls
from medseg.learning.inspection.trial_pass import evaluating

# Feature maps keep about the shape of the image. (H, W, C), as some transformers hold them, does not.
_MOST_STRETCHED = 4

_TRIED = 2  # images of a trial: with one, an axis of images looks like any axis of length one


@dataclass(frozen=True)
class FeaturePlace:
    """Where features are taken from a network.

    Attributes:
        layer: Dotted name of the module.
        given: Whether they are what the module is given, and not what it gives.
    """

    layer: str
    given: bool

    def text(self) -> str:
        """In words."""
        return f"what {self.layer} {'gets' if self.given else 'gives'}"


def head_layer(network: nn.Module, shape: tuple[int, int, int]) -> str:
    """Name of the first layer with weights in the head of a network.

    Args:
        network: On any device; left as it was.
        shape: (C, H, W) of an image.

    Raises:
        DefinitionError: It is not known which part is the head.
    """
    head, first = stages(network, shape)[-1], calls(network, shape).first
    layers = {path.rpartition(".")[0] for path in head.parameters} & first.keys()
    return min(layers, key=lambda name: first[name], default=head.name)


def feature_place(
    network: nn.Module, shape: tuple[int, int, int], layer: str | None = None
) -> tuple[FeaturePlace, int]:
    """Find where features are taken, and how many there are.

    Args:
        network: On any device; left as it was.
        shape: (C, H, W) of an image.
        layer: Dotted name of a module, whose output they are; None for what the head gets.

    Raises:
        DefinitionError: There is no such layer, it gives no features of each image, or it is not known which part
            is the head.
    """
    if layer is None:
        place = FeaturePlace(head_layer(network, shape), given=True)
    else:
        _refuse_unknown(network, shape, layer)
        place = FeaturePlace(layer, given=False)
    first = next((p for p in network.parameters() if p.is_floating_point()), torch.zeros(0))
    images = torch.zeros((_TRIED, *shape), device=first.device, dtype=first.dtype)
    with evaluating(network), torch.no_grad(), _caught(network, place) as found:
        network(images)
    values = _first_tensor(found)
    if values is None or len(values) != _TRIED or values.ndim not in {2, 3, 4} or not values[0].numel():
        got = "no tensor" if values is None else f"a tensor {tuple(values.shape)} for {_TRIED} images"
        raise DefinitionError(
            f"the layer {place.layer} {'gets' if place.given else 'gives'} {got}; expected (B, F), tokens (B, N, F), "
            "or maps (B, F, H, W). Name another layer."
        )
    if values.ndim == 4 and not _is_map(values.shape, shape):
        raise DefinitionError(
            f"the layer {place.layer} {'gets' if place.given else 'gives'} {tuple(values.shape)}, which do not look "
            "like maps (B, F, H, W) of an image: perhaps the features are its last axis. Name a later layer."
        )
    return place, _averaged(values).shape[1]


def read_features(
    network: nn.Module, place: FeaturePlace, images: NDArray[Any], device: torch.device
) -> NDArray[np.float32]:
    """Send images through a network in evaluation mode, and give their features.

    Maps are averaged over height and width, tokens over their number. The same images in the same batches give the
    same features.

    Args:
        network: On `device`.
        place: As `feature_place` found it.
        images: (B, C, H, W), prepared as in training.
        device: Where the network computes.

    Returns:
        (B, F) float32; not finite where the network is not.
    """
    batch = torch.from_numpy(np.ascontiguousarray(images)).float().to(device)
    network.eval()
    with torch.inference_mode(), _caught(network, place) as found:
        network(batch)
    values = _first_tensor(found)
    if values is None:
        raise ValueError(f"the layer {place.layer} gave a tensor before, and now none")
    result: NDArray[np.float32] = _averaged(values).cpu().numpy()
    return result


@contextmanager
def _caught(network: nn.Module, place: FeaturePlace) -> Iterator[list[Any]]:
    """What a module gets or gives when the network computes; of several calls, the last."""
    found: list[Any] = []

    def entered(_: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        found[:] = [*given, *named.values()]

    def left(_: nn.Module, __: Any, output: Any) -> None:
        found[:] = [output]

    module = network.get_submodule(place.layer)
    hook = (
        module.register_forward_pre_hook(entered, with_kwargs=True)
        if place.given
        else module.register_forward_hook(left)
    )
    with hook:
        yield found


def _first_tensor(values: Any) -> Tensor | None:
    while isinstance(values, list | tuple) and values:
        values = values[0]
    return values if isinstance(values, Tensor) else None


def _averaged(values: Tensor) -> Tensor:
    """(B, F) float32 of (B, F), tokens (B, N, F) or maps (B, F, H, W)."""
    between = {2: (), 3: (1,), 4: (2, 3)}[values.ndim]
    return values.float().mean(dim=between) if between else values.float()


def _is_map(values: tuple[int, ...], image: tuple[int, int, int]) -> bool:
    height, width = values[-2:]
    stretch = (height * image[2]) / (width * image[1])
    return height == width == 1 or 1 / _MOST_STRETCHED <= stretch <= _MOST_STRETCHED


def _refuse_unknown(network: nn.Module, shape: tuple[int, int, int], layer: str) -> None:
    known = [name for name, _ in network.named_modules() if name]
    computing = calls(network, shape).first
    if layer in computing and layer in known:
        return
    name = type(network).__name__
    if layer in known:
        raise DefinitionError(
            f"the layer {layer} of {name} is a container that does not compute by itself. Name a part of it: "
            f"{_listed([each for each in known if each.startswith(f'{layer}.') and each in computing])}."
        )
    near = difflib.get_close_matches(layer, known, n=3, cutoff=0.4)
    raise DefinitionError(
        f"{name} has no layer {layer!r}. "
        + (f"Nearest are: {', '.join(near)}." if near else f"It has: {_listed(known)}.")
    )


def _listed(names: list[str], most: int = 8) -> str:
    shown = ", ".join(names[:most]) or "none"
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
