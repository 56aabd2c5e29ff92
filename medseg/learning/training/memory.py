"""How much memory there is, and how much a batch will take."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import psutil
import torch

from medseg.errors import TrainingError
from medseg.learning.inspection.trial_pass import untouched
from medseg.learning.tasks.task import Loss

#: Work buffers of convolutions and the allocator's slack, over what autograd keeps (measured on the CPU
#: against the process's peak: benchmarks/memory.py).
_SLACK = 1.75

_GROUPS, _OWN = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")

Limits = tuple[tuple[Path, Path], ...]
"""Files of the limit and of the use of memory, one pair a control group."""


def own_limits(own: Path = _OWN, groups: Path = _GROUPS) -> Limits:
    """Limits of this process's control groups and of all above them: any may be the tightest.

    Args:
        own: Which groups the process is in, as Linux tells.
        groups: Where the kernel shows them: version 2 there, version 1 below `memory`.
    """
    try:
        lines = [line.split(":", 2) for line in own.read_text(encoding="utf-8").splitlines()]
    except OSError:  # no Linux
        lines = []
    found: dict[tuple[Path, Path], None] = {}
    for root, kinds, limit, usage in (
        (groups, "", "memory.max", "memory.current"),
        (groups / "memory", "memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
    ):
        mine = [line[2].strip("/") for line in lines if len(line) == 3 and kinds in line[1].split(",")]
        for path in [root, *(root / each for each in mine)]:
            within = [path, *(above for above in path.parents if above.is_relative_to(root))]
            found |= {(folder / limit, folder / usage): None for folder in within}
    return tuple(found)


def available_memory(limits: Limits | None = None) -> int:
    """Bytes of main memory that this process may still take: the machine's, or its control group's if less.

    Files that the kernel keeps in memory while nobody else wants it count as used in a control group; those
    that were not read lately (`inactive_file`) are given up first, so they are free here.

    Args:
        limits: By default `own_limits`.
    """
    free = int(psutil.virtual_memory().available)
    for limit, usage in own_limits() if limits is None else limits:
        try:
            allowed, used = limit.read_text().strip(), usage.read_text().strip()
        except OSError:
            continue
        if allowed.isdigit() and used.isdigit():
            held = max(int(used) - _given_up_first(usage.with_name("memory.stat")), 0)
            free = min(free, max(int(allowed) - held, 0))
    return free


def _given_up_first(statistics: Path) -> int:
    try:
        rows = dict(line.split() for line in statistics.read_text().splitlines() if line.count(" ") == 1)
    except OSError:
        return 0
    found = rows.get("total_inactive_file", rows.get("inactive_file", "0"))  # version 1, with its children; 2
    return int(found) if found.isdigit() else 0


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
    network: torch.nn.Module, loss: Loss, shape: tuple[int, int, int], *, label: torch.Tensor | None = None
) -> MemoryNeed:
    """Send a blank batch of two forward and add up what autograd keeps for the way back.

    Args:
        network: On any device; its mode, weights and statistics are left as they are.
        loss: Of logits and labels.
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
        TrainingError: It will not fit; says which batch size would.
    """
    if need.of(batch) > free:
        raise TrainingError(
            f"a batch of {batch} slices needs about {_gib(need.of(batch))} on {device}, where {_gib(free)} are "
            f"free. {_advice(need.fits(free))}"
        )


def out_of_memory(need: MemoryNeed, batch: int, free: int) -> TrainingError:
    """The error for a batch that did not fit on the device after all."""
    fits = min(need.fits(free), max(batch // 2, 1)) if batch > 1 else 0
    return TrainingError(f"the device ran out of memory with a batch of {batch} slices. {_advice(fits)}")


def _advice(fits: int) -> str:
    if fits < 1:
        return "Not even one slice fits: take a smaller network (network.channels) or slices.size."
    return f"Set loading.batch_size={fits} or less, or take a smaller network or slices.size."


def _gib(count: int) -> str:
    return f"{count / 2**30:.2f} GiB"
