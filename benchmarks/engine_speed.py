"""Training slices a second of the engine against the bare network step, in turn, in one process.

Usage: python benchmarks/engine_speed.py [ROUNDS]

Prints the engine's rate as a share of the bare step's: machines are noisy, ratios taken in turn are not.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from monai.networks.nets import UNet
from monai.transforms import Compose, RandAffined, RandFlipd, RandScaleIntensityd

from medseg.learning.tasks.class_masks import ClassMasks
from medseg.learning.training.batches import Batches, SliceDataset
from medseg.learning.training.fit import Plan, fit
from medseg.learning.training.memory import MemoryNeed
from medseg.slices.store.store import Sample

SLICES, SIZE, BATCH = 96, (192, 160), 16


class Store:
    """Random slices in memory, in place of a store on disk."""

    def __init__(self) -> None:
        random = np.random.default_rng(0)
        self.images = random.normal(size=(SLICES, 4, *SIZE)).astype(np.float16)
        self.labels = random.integers(0, 5, size=(SLICES, *SIZE)).astype(np.uint8)

    def image(self, sample: Sample) -> np.ndarray:
        return self.images[sample.row]

    def mask(self, sample: Sample) -> np.ndarray:
        return self.labels[sample.row]


def network() -> UNet:
    torch.manual_seed(0)
    return UNet(2, 4, 5, (16, 32, 64, 128, 256), (2, 2, 2, 2), num_res_units=2)


def bare(task: ClassMasks) -> float:
    net, loss = network(), task.loss()
    optimiser = torch.optim.AdamW(net.parameters())
    image, label = torch.randn(BATCH, 4, *SIZE), torch.randint(0, 5, (BATCH, 1, *SIZE)).to(torch.uint8)
    started = time.perf_counter()
    for _ in range(SLICES // BATCH):
        optimiser.zero_grad()
        loss(net(image), label).backward()
        optimiser.step()
    return SLICES / (time.perf_counter() - started)


def engine(task: ClassMasks, augment: Compose | None) -> float:
    samples = tuple(Sample(f"case {i // 8}", f"case {i // 8}", i, "train", "", i) for i in range(SLICES))
    store, cpu = Store(), torch.device("cpu")

    def batches(some: tuple[Sample, ...], transforms: Compose | None) -> Batches:
        dataset = SliceDataset(store, some, augment=transforms, seed=0, keep_on=cpu)
        return Batches(dataset, batch_size=BATCH, seed=0, shuffle=True)

    with tempfile.TemporaryDirectory() as folder:
        standing = fit(
            network(),
            task,
            batches(samples, augment),
            batches(samples[:2], None),
            plan=Plan(1, torch.optim.AdamW),
            device=cpu,
            seed=0,
            folder=Path(folder),
            need=MemoryNeed(1, 1),
        )
    return standing.history[0]["slices_per_second"]


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    task = ClassMasks([f"class_{i}" for i in range(5)])
    both = ["image", "label"]
    augment = Compose(
        [
            RandFlipd(both, spatial_axis=1, prob=0.5),
            RandAffined(
                both, prob=0.5, rotate_range=0.26, mode=["bilinear", "nearest"], padding_mode="zeros"
            ),
            RandScaleIntensityd(["image"], factors=0.1, prob=0.5),
        ]
    )
    ways = {"engine": None, "engine with augmentation": augment}
    shares: dict[str, list[float]] = {name: [] for name in ways}
    bare(task)
    for _ in range(rounds):
        for name, transforms in ways.items():
            shares[name].append(engine(task, transforms) / bare(task))
    for name, values in shares.items():
        print(
            f"{name}: {statistics.median(values):.2f} of the bare step ({min(values):.2f} to {max(values):.2f})"
        )


if __name__ == "__main__":
    main()
