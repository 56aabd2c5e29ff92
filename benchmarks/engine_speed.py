"""Training slices a second of the engine against the bare network step, in turn, in one process.

    python benchmarks/engine_speed.py [--network small|brats2d|densenet121] [--device cpu|cuda] [--batch N]
        [--rounds 5] [--slices N] [--compile] [--quick]

The bare step is the network, its loss and its optimiser on one batch that lies on the device: nothing is loaded,
augmented, validated or written. On a CUDA device both compute in bfloat16, with the same layout and optimiser.
Prints the engine's rate as a share of the bare step's: machines are noisy, ratios taken in turn are not.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from monai.losses import DiceCELoss
from monai.networks.nets import DenseNet121, UNet
from monai.transforms import (
    Compose,
    RandAdjustContrastd,
    RandAffined,
    RandFlipd,
    RandScaleIntensityd,
    RandShiftIntensityd,
)

from medseg.learning.tasks.class_masks import ClassMasks
from medseg.learning.tasks.image_classes import ImageClasses
from medseg.learning.tasks.task import Task, on_device
from medseg.learning.training.batches import Batches, SliceDataset
from medseg.learning.training.engine.compiling import compiled
from medseg.learning.training.engine.on_cuda import fused, layout
from medseg.learning.training.fit import fit
from medseg.learning.training.memory import MemoryNeed
from medseg.learning.training.plan import Plan
from medseg.slices.store.store import Sample, SliceStore

CLASSES = tuple(f"class_{i}" for i in range(5))


def of_masks(flips: int = 1) -> Compose:
    """The augmentation of pipelines/brats2d.yaml."""
    both = ["image", "label"]
    affine = {"rotate_range": 0.26, "scale_range": [0.1, 0.1], "padding_mode": "zeros"}
    return Compose(
        [
            RandFlipd(both, spatial_axis=flips, prob=0.5),
            RandAffined(both, prob=0.5, mode=["bilinear", "nearest"], **affine),
            RandScaleIntensityd(["image"], factors=0.1, prob=0.5, channel_wise=True),
            RandShiftIntensityd(["image"], offsets=0.1, prob=0.5, channel_wise=True),
        ]
    )


def of_pictures() -> Compose:
    affine = {"rotate_range": 0.15, "translate_range": [12, 12], "scale_range": [0.1, 0.1]}
    return Compose(
        [
            RandAffined(["image"], prob=0.7, padding_mode="border", **affine),
            RandAdjustContrastd(["image"], gamma=[0.8, 1.25], prob=0.3),
        ]
    )


@dataclass(frozen=True)
class Work:
    """A network, what it is trained for, and by which slices."""

    network: Callable[[], torch.nn.Module]
    task: Task
    shape: tuple[int, int, int]
    augment: Callable[[], Compose]
    label: tuple[int, ...]


def unet(*channels: int, **kind: object) -> torch.nn.Module:
    return UNet(2, 4, 5, channels, (2, 2, 2, 2), num_res_units=2, **kind)


def works(size: tuple[int, int] | None) -> dict[str, Work]:
    loss = partial(DiceCELoss, to_onehot_y=True, softmax=True, include_background=False)
    small, large, picture = size or (192, 160), size or (240, 240), size or (224, 224)
    wide = partial(unet, 32, 64, 128, 256, 512, norm="instance")
    masks = ClassMasks(CLASSES)
    return {
        "small": Work(partial(unet, 16, 32, 64, 128, 256), masks, (4, *small), of_masks, (1, *small)),
        "brats2d": Work(wide, ClassMasks(CLASSES, loss=loss), (4, *large), of_masks, (1, *large)),
        "densenet121": Work(
            partial(DenseNet121, 2, 3, 5), ImageClasses(CLASSES), (3, *picture), of_pictures, (5,)
        ),
    }


class Store:
    """Random slices in memory, in place of a store on disk."""

    classes = CLASSES

    def __init__(self, slices: int, shape: tuple[int, int, int]) -> None:
        random = np.random.default_rng(0)
        self.images = random.normal(size=(slices, *shape)).astype(np.float16)
        self.labels = random.integers(0, 5, size=(slices, *shape[1:])).astype(np.uint8)

    def image(self, sample: Sample) -> np.ndarray:
        return self.images[sample.row]

    def mask(self, sample: Sample) -> np.ndarray:
        return self.labels[sample.row]


def built(work: Work, device: torch.device) -> torch.nn.Module:
    torch.manual_seed(0)
    network = work.network().to(device)
    return network.to(memory_format=layout(network, device))


def bare(work: Work, given: argparse.Namespace) -> float:
    """Slices a second of the network's steps alone."""
    device = torch.device(given.device)
    network, loss = built(work, device), on_device(work.task.loss(), device)
    optimiser = fused(torch.optim.AdamW, device)(network.parameters())
    image = torch.randn(given.batch, *work.shape, device=device)
    label = torch.randint(0, 5, (given.batch, *work.label)).to(torch.uint8)
    if len(work.label) == 1:
        label = torch.nn.functional.one_hot(label[:, 0].long(), 5).to(torch.uint8)
    label = label.to(device)

    def step() -> None:
        optimiser.zero_grad()
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            found = loss(network(image), label)
        found.backward()
        optimiser.step()

    with compiled(network, wanted=given.compile):
        for _ in range(3 if device.type == "cuda" else 0):
            step()
        wait(device)
        started = time.perf_counter()
        for _ in range(given.slices // given.batch):
            step()
        wait(device)
    return given.slices / (time.perf_counter() - started)


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def engine(work: Work, store: Store, augment: Compose | None, given: argparse.Namespace) -> float:
    """Slices a second of the engine, in its last epoch: of two on a CUDA device, which is slow at first."""
    samples = tuple(
        Sample(f"case {i // 8}", f"case {i // 8}", i, "train", "", i, (CLASSES[i // 8 % 5],))
        for i in range(given.slices)
    )
    device = torch.device(given.device)
    kept = device if given.cache == "device" else torch.device("cpu")
    away = kept != device

    def batches(some: tuple[Sample, ...], transforms: Compose | None, workers: int = 0) -> Batches:
        target = work.task.target
        dataset = SliceDataset(
            cast("SliceStore", store),
            some,
            augment=transforms,
            seed=0,
            keep_on=kept,
            target=target,
            device=device,
        )
        more: dict[str, Any] = {"workers": workers, "pin": True} if away else {}
        return Batches(dataset, batch_size=given.batch, seed=0, shuffle=True, **more)

    with tempfile.TemporaryDirectory() as folder:
        standing = fit(
            built(work, device),
            work.task,
            batches(samples, augment, given.workers),
            batches(samples[: min(given.batch, len(samples))], None),
            plan=Plan(2 if device.type == "cuda" else 1, torch.optim.AdamW, compile=given.compile),
            device=device,
            seed=0,
            folder=Path(folder),
            need=MemoryNeed(1, 1),
        )
    return standing.history[-1]["slices_per_second"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--network", choices=tuple(works(None)), default="small")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--slices", type=int, default=96, help="Of an epoch.")
    parser.add_argument(
        "--cache", choices=("device", "memory"), default="device", help="Where slices are kept."
    )
    parser.add_argument("--workers", type=int, default=0, help="Processes that read, with --cache memory.")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="One round of small slices: whether it runs.")
    given = parser.parse_args()
    if given.quick:
        given.rounds, given.slices = 1, 32
    work = works((32, 32) if given.quick else None)[given.network]
    store = Store(given.slices, work.shape)
    ways = {"engine": None, "engine with augmentation": work.augment()}
    shares: dict[str, list[float]] = {name: [] for name in ways}
    rates = [bare(work, given)]
    for _ in range(given.rounds):
        for name, transforms in ways.items():
            reached, rate = engine(work, store, transforms, given), bare(work, given)
            shares[name].append(reached / rate)
            rates.append(rate)
    print(f"bare step: {statistics.median(rates):,.0f} slices/s ({min(rates):,.0f} to {max(rates):,.0f})")
    for name, values in shares.items():
        print(
            f"{name}: {statistics.median(values):.2f} of the bare step ({min(values):.2f} to {max(values):.2f})"
        )


if __name__ == "__main__":
    main()
