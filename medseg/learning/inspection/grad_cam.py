"""Where a classifying network looked: Grad-CAM."""

from __future__ import annotations

import copy
from collections import Counter
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from medseg.errors import ModelError
from medseg.learning.inspection.trial_pass import After, watched
from medseg.learning.networks.ensemble import Ensemble

# Small images leave two by two numbers at the end of a network, which show nothing: a map should have as many as
# this on each side, as those of 224x224 have in the usual networks (7), or else as many as there are.
_LEAST_SIDE = 6

# Feature maps keep about the shape of the image. (H, W, C), as some transformers hold them, does not.
_MOST_STRETCHED = 4
# Less than this share of a map's height is rounding, not a place that stands out.
_ROUNDING = 1e-5


@dataclass(frozen=True)
class MapLayer:
    """The layer whose output still knows places enough, as deep as possible.

    Attributes:
        name: Dotted name in the network; empty if it is the network itself.
        use: Which of its uses, from 0: a layer may stand in several places.
        size: Height and width of its output.
    """

    name: str
    use: int
    size: tuple[int, int]


def grad_cam(
    network: nn.Module,
    image: NDArray[Any] | Tensor,
    classes: NDArray[Any] | Tensor,
    *,
    device: torch.device | str | None = None,
) -> NDArray[np.float32]:
    """Tell which parts of each image spoke for a class.

    After Selvaraju et al., "Grad-CAM: visual explanations from deep networks via gradient-based
    localization" (ICCV 2017): the feature maps of the deepest layer that still knows places enough, each weighted
    by the spatial mean of the gradient of the class's logit, are added up; what is negative speaks against
    the class and is cut off; the rest is drawn out to the image. It shows where the evidence was, not why it
    was evidence, and no finer than the layer's maps are.

    Of an `Ensemble`, it is the mean of the maps of its networks. The network itself is not touched: a copy of its
    layers works on the same numbers, as it would for prediction (dropout off, batch normalisation frozen), whatever
    mode it is in.

    Args:
        network: Convolutional, giving logits (B, K).
        image: (B, C, H, W) as the network takes them. The caller may be in inference mode.
        classes: (B,) class indices: what is explained, of each image.
        device: Where the network is; by default where its first parameter is.

    Returns:
        (B, H, W) in [0, 1]: in each image 0 where the least and 1 where the
        most spoke for the class, so that two images cannot be compared by it. All 0 where no place stands out.

    Raises:
        ModelError: The network has no feature maps, or its output is not (B, K), or not finite.
        ValueError: Image or classes have other shapes, or a class is none of the network's.
    """
    if image.ndim != 4 or not image.shape[0] or tuple(classes.shape) != tuple(image.shape[:1]):
        raise ValueError(
            f"image is {tuple(image.shape)}, classes are {tuple(classes.shape)}; expected (B, C, H, W) and (B,)"
        )
    where = torch.device(device) if device is not None else _device(network)
    if isinstance(network, Ensemble):
        maps = [grad_cam(each, image, classes, device=where) for each in network.networks]
        return _normalised(torch.from_numpy(np.mean(maps, axis=0, dtype=np.float32))[:, None])[:, 0].numpy()
    with (
        torch.inference_mode(mode=False),
        torch.enable_grad(),
        torch.autocast(where.type, enabled=False),
    ):
        working = _working_copy(network)
        shown = _plain(image, where, torch.float32)
        expected = _plain(classes, where, torch.int64)
        layer = map_layer(working, shown)
        maps, gradient = _maps_with_gradient(working, layer, shown, expected)
        spoke = (gradient.mean(dim=(2, 3), keepdim=True) * maps).sum(dim=1, keepdim=True).relu()
        drawn = functional.interpolate(spoke, size=shown.shape[-2:], mode="bilinear")
        heat: NDArray[np.float32] = _normalised(drawn)[:, 0].detach().float().cpu().numpy()
    return heat


def map_layer(network: nn.Module, image: Tensor) -> MapLayer:
    """Find the layer for Grad-CAM: the last one to compute whose output has six places or more on each side.

    Where none has, the one with most places is taken.

    A blank image of the same shape is sent through.

    Args:
        network: Convolutional; it is called as it is, in the mode it is in.
        image: (B, C, H, W) as the network takes them.

    Raises:
        ModelError: There is no such layer, or what follows it is not made for such maps: a transformer
            mixes all places past its only one.
    """
    size = (int(image.shape[-2]), int(image.shape[-1]))
    uses: Counter[str] = Counter()
    found: list[MapLayer] = []
    mixed = False

    def watchers(name: str, _: nn.Module) -> tuple[None, After]:
        def left(_module: nn.Module, _given: Any, _named: Any, output: Any) -> None:
            nonlocal mixed
            use = uses[name]
            uses[name] += 1
            if not isinstance(output, Tensor):
                return
            if _is_map(output, size):
                found.append(MapLayer(name, use, (int(output.shape[-2]), int(output.shape[-1]))))
                mixed = False
            elif output.ndim >= 3 and min(output.shape[1:]) > 1:
                mixed = True

        return None, left

    with watched(network, watchers), torch.no_grad():
        network(torch.zeros_like(image[:1]))
    if not found:
        raise ModelError(
            f"{type(network).__name__} has no feature map of more than one pixel for an image of "
            f"{size[0]}x{size[1]}, so that it cannot be shown where it looked (Grad-CAM). Take larger images, "
            "or a convolutional network"
        )
    if mixed:
        raise ModelError(
            f"{type(network).__name__} draws its answer from tokens, as transformers do, and not from feature maps "
            "(B, C, H, W), so that it cannot be shown where it looked (Grad-CAM). Take a convolutional network"
        )
    return max(reversed(found), key=lambda layer: min(*layer.size, _LEAST_SIDE))


def _device(network: nn.Module) -> torch.device:
    return next((tensor.device for tensor in network.parameters()), torch.device("cpu"))


def _plain(values: NDArray[Any] | Tensor, device: torch.device, dtype: torch.dtype) -> Tensor:
    """A copy that is nothing but a tensor: no MONAI metadata, and not made in inference mode."""
    tensor = values.detach().as_subclass(Tensor) if isinstance(values, Tensor) else torch.from_numpy(values)
    copied: Tensor = tensor.to(device, dtype, copy=True)
    return copied


def _is_map(output: Tensor, size: tuple[int, int]) -> bool:
    if output.ndim != 4 or min(output.shape[-2:]) < 2:
        return False
    stretch = (output.shape[-2] * size[1]) / (output.shape[-1] * size[0])
    return 1 / _MOST_STRETCHED <= stretch <= _MOST_STRETCHED


def _maps_with_gradient(
    network: nn.Module, layer: MapLayer, image: Tensor, classes: Tensor
) -> tuple[Tensor, Tensor]:
    """The maps of a layer, and the gradient by them of each image's logit of its own class: (B, C, h, w) both."""
    use, maps = 0, image

    def cut(_module: nn.Module, _given: Any, output: Tensor) -> Tensor | None:
        """Let the gradient begin here, on numbers that no later layer overwrites."""
        nonlocal use, maps
        use += 1
        if use != layer.use + 1:
            return None
        maps = output.detach().requires_grad_()
        return maps.clone()

    with network.get_submodule(layer.name).register_forward_hook(cut):
        logits = network(image)
    if not isinstance(logits, Tensor) or logits.ndim != 2 or len(logits) != len(image):
        got = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise ModelError(f"{type(network).__name__} gives {got}; expected logits (B, K)")
    if not torch.isfinite(logits).all():
        raise ModelError(f"{type(network).__name__} gives logits that are not finite")
    if not 0 <= int(classes.min()) <= int(classes.max()) < logits.shape[1]:
        raise ValueError(f"classes are {classes.tolist()}; expected 0..{logits.shape[1] - 1}")
    score = logits.gather(1, classes[:, None]).sum()
    if not score.requires_grad:
        return maps, torch.zeros_like(maps)
    (gradient,) = torch.autograd.grad(score, maps, allow_unused=True)
    # a logit that does not depend on the maps has no gradient by them: no place speaks for the class
    return maps, torch.zeros_like(maps) if gradient is None else gradient


def _working_copy(network: nn.Module) -> nn.Module:
    """The same layers around the same numbers, for prediction, and with nothing to train.

    Parameters are shared, and no gradient is kept of them; what layers keep beside them is copied.
    """
    shared: dict[int, Any] = {}
    for tensor in network.parameters():
        numbers = tensor.detach()
        # what was made in inference mode may not take part in a backward pass
        shared[id(tensor)] = nn.Parameter(
            numbers.clone() if numbers.is_inference() else numbers, requires_grad=False
        )
    held = (value for module in network.modules() for value in vars(module).values())
    for tensor in chain(network.buffers(), (value for value in held if isinstance(value, Tensor))):
        shared.setdefault(id(tensor), tensor.detach().clone())
    return copy.deepcopy(network, shared).eval()


def _normalised(maps: Tensor) -> Tensor:
    """Scale each map (B, 1, H, W) to [0, 1], 1 for the most."""
    low, high = (edge(maps, dim=(1, 2, 3), keepdim=True) for edge in (torch.amin, torch.amax))
    varies = high - low > _ROUNDING * high
    return torch.where(varies, (maps - low) / torch.where(varies, high - low, 1.0), 0.0).clamp(0, 1)
