"""Predicted memory of a training batch against the process's measured peak, on the CPU.

    python benchmarks/memory.py [--quick]

For two networks and three batch sizes, each in a process of its own, prints the bytes that `measure_need` predicts,
how far the process's peak in three steps of training lies above what it took before, and their ratio. It should lie
between 1.0 and 1.6: less, and a batch that is let through does not fit; more, and one that fits is refused.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
from typing import Any

SMALL = {"channels": [16, 32, 64, 128, 256], "num_res_units": 2, "norm": "instance"}
LARGE = {"channels": [32, 64, 128, 256, 512], "num_res_units": 2, "norm": "instance"}
CASES: dict[str, tuple[dict[str, Any], tuple[int, int]]] = {
    "unet_16_192x160": (SMALL, (192, 160)),
    "unet_32_240x240": (LARGE, (240, 240)),
}
BATCHES = (4, 8, 16)


def _peak() -> int:
    """Largest resident memory of this process so far, bytes."""
    found = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return found if sys.platform == "darwin" else found * 1024


def measure(name: str, batch: int) -> None:
    """Train three steps in this process and print what was predicted and measured."""
    import psutil
    import torch
    from monai.networks.nets import UNet

    from medseg.learning.tasks.class_masks import ClassMasks
    from medseg.learning.training.memory import measure_need

    declared, size = CASES[name]
    network = UNet(spatial_dims=2, in_channels=4, out_channels=5, strides=[2, 2, 2, 2], **declared)
    loss = ClassMasks(["a", "b", "c", "d", "e"]).loss()
    optimiser = torch.optim.AdamW(network.parameters())
    # what the first pass loads (libraries, thread pools) belongs to no batch
    loss(network(torch.zeros(1, 4, 32, 32)), torch.zeros(1, 1, 32, 32)).backward()
    need = measure_need(network, loss, (4, *size))
    optimiser.zero_grad()
    before = psutil.Process().memory_info().rss
    image, label = torch.randn(batch, 4, *size), torch.randint(0, 5, (batch, 1, *size), dtype=torch.uint8)
    for _ in range(3):
        optimiser.zero_grad()
        loss(network(image), label).backward()
        optimiser.step()
    measured = _peak() - before
    print(
        f"{name:18} batch {batch:3}: predicted {need.of(batch) / 2**20:8.0f} MiB, "
        f"measured {measured / 2**20:8.0f} MiB, ratio {need.of(batch) / measured:.2f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="One small batch: whether it runs.")
    parser.add_argument("--one", nargs=2, metavar=("NETWORK", "BATCH"), help="Measure one, in this process.")
    given = parser.parse_args()
    if given.one:
        measure(given.one[0], int(given.one[1]))
        return
    pairs = [(name, batch) for name in CASES for batch in BATCHES]
    if given.quick:  # in this process, whose peak may have been before
        measure(pairs[0][0], 1)
        return
    for name, batch in pairs:
        subprocess.run([sys.executable, __file__, "--one", name, str(batch)], check=True)


if __name__ == "__main__":
    main()
