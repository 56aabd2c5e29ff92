"""Networks that torch compiles before they are trained."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from medseg.errors import TrainingError


@contextmanager
def compiled(network: torch.nn.Module, *, wanted: bool) -> Iterator[None]:
    """Let torch compile a network at its first batches in the block; weights and their names stay what they are.

    Args:
        network: On its device.
        wanted: Whether at all.

    Raises:
        TrainingError: It cannot be compiled, as where there is no compiler.
    """
    if not wanted:
        yield
        return
    if type(network).forward.__module__.startswith("torch.nn."):  # would be run as it is, without a word
        raise _refused(f"torch leaves its own {type(network).__name__} as it is")
    from torch._dynamo.exc import TorchDynamoException  # noqa: PLC0415 - it takes a second

    network.compile()
    try:
        yield
    except TorchDynamoException as error:
        raise _refused((str(error).splitlines() or [type(error).__name__])[0]) from error
    finally:
        network._compiled_call_impl = None  # noqa: SLF001 - torch has no way back


def _refused(reason: str) -> TrainingError:
    return TrainingError(
        f"torch cannot compile this network here: {reason.rstrip('.')}. Leave `compile` out of the step."
    )
