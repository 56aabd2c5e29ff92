"""Training a part of a network while the rest stands still."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from medseg.errors import DefinitionError
from medseg.learning.inspection.stages import Stage, stages

Freeze = Literal["features"] | Mapping[Literal["all_but_last_blocks"], int] | None
"""What stands still: everything but the head, or everything but the head and so many blocks before it."""

_BLOCKS = "all_but_last_blocks"


def trained_blocks(freeze: object) -> int | None:
    """How many blocks before the head are trained; None for all of the network.

    Raises:
        ValueError: It is no `Freeze`.
    """
    if freeze is None:
        return None
    if freeze == "features":
        return 0
    count = freeze[_BLOCKS] if isinstance(freeze, Mapping) and set(freeze) == {_BLOCKS} else None
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise ValueError(
            f"freeze is {freeze!r}, expected `features`, `{{{_BLOCKS}: N}}` with a whole N from 1 on, or nothing"
        )
    return count


def frozen_part(
    network: nn.Module, shape: tuple[int, int, int], blocks: int | None, *, at: str = "freeze"
) -> tuple[Stage, ...]:
    """The blocks that stand still while the head and `blocks` blocks before it are trained.

    Args:
        network: Left as it was.
        shape: (C, H, W) of an image.
        blocks: As `trained_blocks` gives it.
        at: Where it was asked for, for errors.

    Raises:
        DefinitionError: There are not so many blocks, or it is not known what the head is.
    """
    if blocks is None:
        return ()
    try:
        before = stages(network, shape)[:-1]
    except DefinitionError as error:
        raise DefinitionError(f"{at}: {error}") from error
    if blocks > len(before):
        raise DefinitionError(
            f"{at}.{_BLOCKS} is {blocks}; {type(network).__name__} has {len(before)} blocks before its head: "
            f"{', '.join(stage.name for stage in before)}. Give a smaller number, or leave freeze out to train all."
        )
    return before[: len(before) - blocks]


@contextmanager
def frozen(network: nn.Module, part: Sequence[Stage]) -> Iterator[None]:
    """Let a part of a network stand still: weights, running statistics and dropout.

    Its parameters need no gradients, and its modules are in evaluation mode whenever the network computes,
    whoever called `train()` before. Afterwards everything is as it was, but for gradients: those that the part
    had are gone, or they would count in the norm by which others are clipped.

    Args:
        network: Of which `part` are stages; nothing happens where there are none.
        part: As `frozen_part` gives it.
    """
    if not part:
        yield
        return
    names = frozenset(path for stage in part for path in stage.parameters)
    still = [parameter for path, parameter in network.named_parameters() if path in names]
    needed = [parameter.requires_grad for parameter in still]
    modes = [(module, module.training) for module in _modules(network, part)]
    handle = network.register_forward_pre_hook(_Stillness(part))
    try:
        for parameter in still:
            parameter.requires_grad_(False)
            parameter.grad = None
        yield
    finally:
        handle.remove()
        for parameter, before in zip(still, needed, strict=True):
            parameter.requires_grad_(before)
        for module, training in modes:
            module.training = training


@contextmanager
def still_statistics(network: nn.Module, *, still: bool) -> Iterator[None]:
    """Let batch normalisation use the statistics that it has, and leave them; its weights are trained all the same.

    Fine-tuning with small batches needs it: their statistics differ from those that the weights were learned with,
    and the features change at once.

    Args:
        network: Whose layers of batch normalisation are meant.
        still: Whether to; else nothing happens.
    """
    layers = [module for module in network.modules() if still and isinstance(module, _BatchNorm)]
    modes = [layer.training for layer in layers]
    handle = network.register_forward_pre_hook(_StillStatistics()) if layers else None
    try:
        yield
    finally:
        if handle is not None:
            handle.remove()
        for layer, training in zip(layers, modes, strict=True):
            layer.training = training


def counted(network: nn.Module) -> tuple[int, int]:
    """How many numbers of a network are trained, and how many it has."""
    parameters = list(network.parameters())
    return sum(p.numel() for p in parameters if p.requires_grad), sum(p.numel() for p in parameters)


class _Stillness:
    """A hook before each pass of the network; it knows modules by name, so that a copy of the network holds."""

    def __init__(self, part: Sequence[Stage]) -> None:
        self.part = tuple(part)

    def __call__(self, network: nn.Module, _: Any) -> None:
        for module in _modules(network, self.part):
            module.training = False


class _StillStatistics:
    """A hook before each pass of the network."""

    def __call__(self, network: nn.Module, _: Any) -> None:
        for module in network.modules():
            if isinstance(module, _BatchNorm):
                module.training = False


def _modules(network: nn.Module, part: Iterable[Stage]) -> Iterator[nn.Module]:
    for stage in part:
        for name in stage.modules:
            yield from network.get_submodule(name).modules()
