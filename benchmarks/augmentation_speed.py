"""Slices a second of augmentation, slice by slice and by batch, in turn, in one process.

    python benchmarks/augmentation_speed.py [--rounds 5] [--device cpu] [--threads 1] [--quick]

Slices are kept as float16, as in training, and become batches in float32. Prints medians: machines are noisy. "draws"
is what drawing alone would allow.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from monai.data import set_track_meta
from monai.transforms import Compose, Transform
from torch.utils.data import default_collate

from medseg.allowed import SHIPPED
from medseg.component import build
from medseg.learning.augmentation.by_place import AugmentByPlace
from medseg.learning.augmentation.reseeding import Reseeding
from medseg.yaml import read_yaml

PIPELINES = Path(__file__).resolve().parents[1] / "pipelines"
BOTH = ("image", "label")

#: (C, H, W), and how many slices make a batch.
SHAPES = {
    "hippocampus": ((1, 64, 48), 64),
    "acdc": ((1, 192, 192), 32),
    "brats": ((4, 192, 160), 16),
}

#: As `medseg pipeline new` drafts it for label maps.
DRAFTED: list[dict[str, Any]] = [
    {"_target_": "RandFlipd", "keys": BOTH, "spatial_axis": 0, "prob": 0.5},
    {"_target_": "RandFlipd", "keys": BOTH, "spatial_axis": 1, "prob": 0.5},
    {
        "_target_": "RandAffined",
        "keys": BOTH,
        "prob": 0.5,
        "rotate_range": 0.5,
        "scale_range": [0.2, 0.2],
        "mode": ["bilinear", "nearest"],
        "padding_mode": "border",
    },
    {"_target_": "RandAdjustContrastd", "keys": ["image"], "gamma": [0.7, 1.5], "prob": 0.3},
    {"_target_": "RandScaleIntensityd", "keys": ["image"], "factors": 0.25, "prob": 0.15},
    {
        "_target_": "RandGaussianSmoothd",
        "keys": ["image"],
        "sigma_x": [0.5, 1.0],
        "sigma_y": [0.5, 1.0],
        "prob": 0.2,
    },
    {"_target_": "RandGaussianNoised", "keys": ["image"], "std": 0.1, "prob": 0.1},
]


def composed(specs: list[dict[str, Any]]) -> Compose:
    return Compose([build(spec, at="augment", kind=Transform, allowed=SHIPPED) for spec in specs])


class Slices:
    """Made-up slices, kept as those of a training are."""

    def __init__(self, shape: tuple[int, int, int], batch: int, device: torch.device) -> None:
        count = 4 * batch
        self.shape, self.batch, self.device = shape, batch, device
        self.images = torch.randn(count, *shape).half().to(device)
        self.labels = torch.randint(0, 4, (count, 1, *shape[1:]), dtype=torch.uint8).to(device)

    def batches(self) -> list[list[int]]:
        order = torch.randperm(len(self.images)).tolist()
        return [order[start : start + self.batch] for start in range(0, len(order), self.batch)]


def slice_by_slice(slices: Slices, augment: Compose) -> Callable[[], None]:
    reseed = Reseeding(augment)

    def run() -> None:
        for rows in slices.batches():
            items = []
            for row in rows:
                reseed(row)
                item = {"image": slices.images[row].float(), "label": slices.labels[row].clone()}
                items.append(augment(item))
            default_collate(items)

    return run


def by_batch(slices: Slices, augment: Compose) -> Callable[[], None]:
    random = AugmentByPlace(augment, 0, BOTH)

    def run() -> None:
        for rows in slices.batches():
            which = torch.tensor(rows).to(slices.device)
            batch = {
                "image": slices.images.index_select(0, which).float(),
                "label": slices.labels.index_select(0, which),
            }
            random(batch, random.draw([(1, row) for row in rows], slices.shape))

    return run


def draws(slices: Slices, augment: Compose) -> Callable[[], None]:
    random = AugmentByPlace(augment, 0, BOTH)

    def run() -> None:
        for rows in slices.batches():
            random.draw([(1, row) for row in rows], slices.shape)

    return run


def rate(run: Callable[[], None], slices: Slices) -> float:
    started = time.perf_counter()
    run()
    if slices.device.type == "cuda":
        torch.cuda.synchronize()
    return len(slices.images) / (time.perf_counter() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1, help="Of torch on a CPU.")
    parser.add_argument("--quick", action="store_true", help="One round of small slices: whether it runs.")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    set_track_meta(False)
    shapes = {"small": ((2, 16, 16), 4)} if given.quick else SHAPES
    declared = {
        "brats2d": read_yaml(PIPELINES / "brats2d.yaml")["loading"]["augment"],
        "drafted": [{**spec, "_target_": f"monai.transforms.{spec['_target_']}"} for spec in DRAFTED],
    }
    for name, specs in declared.items():
        for kind, (shape, batch) in shapes.items():
            slices = Slices(shape, batch, torch.device(given.device))
            ways = {way.__name__: way(slices, composed(specs)) for way in (slice_by_slice, by_batch, draws)}
            found: dict[str, list[float]] = {way: [] for way in ways}
            for run in ways.values():
                run()
            for _ in range(1 if given.quick else given.rounds):
                for way, run in ways.items():
                    found[way].append(rate(run, slices))
            rates = {way: statistics.median(values) for way, values in found.items()}
            print(
                f"{name} on {kind} {'x'.join(map(str, shape))}: {rates['slice_by_slice']:,.0f} slices/s one by one, "
                f"{rates['by_batch']:,.0f} by batch ({rates['by_batch'] / rates['slice_by_slice']:.1f} times), "
                f"{rates['draws']:,.0f} draws"
            )


if __name__ == "__main__":
    main()
