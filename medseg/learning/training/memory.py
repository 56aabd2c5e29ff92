"""How much memory there is, and how much a batch will take."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from medseg.errors import ShortOfMemoryError
from medseg.learning.inspection.trial_pass import untouched
from medseg.learning.training.objective import OutputsLoss
from medseg.machine.memory import Limits, available_memory, own_limits
from medseg.text import many

__all__ = [
    "Limits",
    "MemoryNeed",
    "available_memory",
    "free_memory",
    "lacks_memory",
    "measure_need",
    "out_of_memory",
    "own_limits",
    "refuse_too_large",
]

#: Work buffers of convolutions and the allocator's slack, over what autograd keeps (measured on the CPU
#: against the process's peak: benchmarks/memory.py).
_SLACK = 1.75


def free_memory(device: torch.device) -> int:
    """Bytes that are free on a device."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return available_memory()


@dataclass(frozen=True)
class MemoryNeed:
    """What training takes.

    Attributes:
        fixed: Bytes of weights, gradients and two moments of the optimiser.
        each: Bytes that each slice of a batch adds.
    """

    fixed: int
    each: int

    def of(self, batch: int) -> int:
        """Bytes with this batch size."""
        return self.fixed + batch * self.each

    def fits(self, memory: int) -> int:
        """Largest batch size for so much memory; 0 if not even one slice fits."""
        return max((memory - self.fixed) // self.each, 0)


def measure_need(
    network: torch.nn.Module,
    loss: OutputsLoss,
    shape: tuple[int, int, int],
    *,
    label: torch.Tensor | None = None,
) -> MemoryNeed:
    """Send a blank batch of two forward and add up what autograd keeps for the way back.

    Args:
        network: On any device; its mode, weights and statistics are left as they are.
        loss: Of what the network gives, and labels.
        shape: (C, H, W) of a slice.
        label: Of one slice, such as a target's `blank`; by default a label map (1, H, W) of zeros.
    """
    parameters = list(network.parameters())
    weights = sum(p.numel() * p.element_size() for p in parameters)
    trained = sum(p.numel() * p.element_size() for p in parameters if p.requires_grad)
    own = {p.data_ptr() for p in parameters}
    kept: dict[int, int] = {}

    def count(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if tensor.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    device = parameters[0].device if parameters else torch.device("cpu")
    with untouched(network), torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        image = torch.zeros((2, *shape), device=device)
        each = torch.zeros((1, *shape[1:]), dtype=torch.uint8) if label is None else label
        loss(network(image), torch.stack([each, each]).to(device))
    return MemoryNeed(weights + 3 * trained, max(int(sum(kept.values()) / 2 * _SLACK), 1))


def refuse_too_large(need: MemoryNeed, batch: int, device: torch.device, free: int) -> None:
    """Compare the predicted need with what is free.

    Raises:
        ShortOfMemoryError: It will not fit; names a batch size that would.
    """
    if need.of(batch) > free:
        raise _short(
            need.fits(free),
            f"a batch of {many(batch, 'slice')} needs about {_gib(need.of(batch))} on {device}, where {_gib(free)} "
            "are free.",
        )


def out_of_memory(need: MemoryNeed, batch: int, free: int) -> ShortOfMemoryError:
    """The error for a batch that did not fit on the device after all."""
    fits = min(need.fits(free), max(batch // 2, 1)) if batch > 1 else 0
    return _short(fits, f"the device ran out of memory with a batch of {many(batch, 'slice')}.")


def lacks_memory(error: Exception) -> bool:
    """Whether a batch did not fit: torch has an error of its own for devices, and but words for the main memory."""
    if str(error).startswith("Caught "):  # by a process that loads slices: see `workers_watched`
        return False
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def _short(fits: int, found: str) -> ShortOfMemoryError:
    if fits < 1:
        return ShortOfMemoryError(f"{found} Not even one slice fits: take a smaller network or slices.size.")
    setting = f"loading.batch_size={fits}"
    return ShortOfMemoryError(
        f"{found} Set {setting} or less, or take a smaller network or slices.size.", setting=setting
    )


def _gib(count: int) -> str:
    return f"{count / 2**30:.2f} GiB"
