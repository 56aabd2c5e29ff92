"""Trial passes that leave a network as it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch

Before = Callable[[torch.nn.Module, tuple[Any, ...], dict[str, Any]], Any]
"""What is called before a module computes: it, and what it is given."""

After = Callable[[torch.nn.Module, tuple[Any, ...], dict[str, Any], Any], Any]
"""What is called after it; what it returns, if anything, takes the place of the output."""


@contextmanager
def untouched(network: torch.nn.Module) -> Iterator[None]:
    """Put buffers (running statistics) and random generators back after a trial pass."""
    buffers = {name: buffer.detach().clone() for name, buffer in network.named_buffers()}
    random = torch.get_rng_state()
    try:
        yield
    finally:
        for name, buffer in network.named_buffers():
            buffer.data.copy_(buffers[name])
        torch.set_rng_state(random)


@contextmanager
def watched(
    network: torch.nn.Module, watchers: Callable[[str, torch.nn.Module], tuple[Before | None, After | None]]
) -> Iterator[None]:
    """Watch each module of a network while it computes.

    Args:
        network: Its modules are watched.
        watchers: Gives what is called before and after a module, by its dotted name.
    """
    with ExitStack() as hooks:
        for name, module in network.named_modules():
            before, after = watchers(name, module)
            if before is not None:
                hooks.enter_context(module.register_forward_pre_hook(before, with_kwargs=True))
            if after is not None:
                hooks.enter_context(module.register_forward_hook(after, with_kwargs=True))
        yield


@contextmanager
def evaluating(network: torch.nn.Module) -> Iterator[None]:
    """Every module in evaluation mode; afterwards each in its own again, and the network untouched."""
    modes = [(module, module.training) for module in network.modules()]
    try:
        with untouched(network):
            network.eval()
            yield
    finally:
        for module, training in modes:
            module.training = training


def blank_image(network: torch.nn.Module, shape: tuple[int, ...]) -> torch.Tensor:
    """One blank image (1, C, H, W) of the device and the type that the network computes in."""
    first = next((p for p in network.parameters() if p.is_floating_point()), torch.zeros(0))
    return torch.zeros((1, *shape), device=first.device, dtype=first.dtype)
