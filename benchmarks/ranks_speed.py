"""Training slices a second of two ranks against one process, in turn: how much of the second core is used.

    python benchmarks/ranks_speed.py [--ranks 2] [--batch N] [--slices N] [--rounds 5] [--quick]

Each rank computes on one thread, and one process does so too: an efficiency of 1 is as many times its rate as there
are ranks. All of the engine is measured but its first epoch: reading, augmentation, network, loss, sums of gradients.
Other programs on the machine count against the ranks more than against one process: look at the spread. They count
less in the seconds of the processor, of which all ranks together take some more than one process for the same slices:
that is what training in ranks costs, but for waiting.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from monai.networks.nets import UNet
from monai.transforms import Compose, RandFlipd

from medseg.learning.tasks.class_masks import ClassMasks
from medseg.learning.training.batches import Batches, SliceDataset
from medseg.learning.training.engine.parts import Watch
from medseg.learning.training.fit import fit
from medseg.learning.training.memory import MemoryNeed
from medseg.learning.training.plan import Plan
from medseg.learning.training.ranks.deal import deal_of
from medseg.machine.ranks.across import across
from medseg.machine.ranks.ranks import Ranks, led
from medseg.pipeline.signature import user_key
from medseg.testing.cases import slice_store
from medseg.testing.ranks import ended, ranks

CPU = torch.device("cpu")
CHANNELS = ("t1", "t1gd", "t2", "flair")
CLASSES = ("background", "edge", "core")
EPOCHS = 3


@dataclass(frozen=True)
class Trial:
    """One training, in one process or in several."""

    store: Any
    batch: int
    folder: Path

    def __call__(self, ranks: Ranks) -> list[float]:
        """Slices a second of each epoch but the first; the seconds of the processor for these are kept in a file."""
        torch.manual_seed(0)
        stamps: list[float] = []
        network = UNet(2, 4, 3, channels=(16, 32, 64, 128), strides=(2, 2, 2), num_res_units=2)
        standing = fit(
            network,
            ClassMasks(CLASSES),
            self.batches("train", ranks),
            self.batches("val", ranks),
            plan=Plan(EPOCHS, torch.optim.AdamW, validate_every=EPOCHS),
            device=CPU,
            seed=0,
            folder=self.folder,
            need=MemoryNeed(1, 1),
            watch=Watch(epoch_done=lambda _: stamps.append(time.process_time())),
            ranks=ranks,
        )
        kept = self.folder / f"seconds-{ranks.place.rank}.json"
        kept.write_text(json.dumps(stamps[-1] - stamps[0]), encoding="utf-8")
        return [row["slices_per_second"] for row in standing.history[1:]]

    def batches(self, role: str, ranks: Ranks) -> Batches:
        training = role == "train"
        augment = Compose([RandFlipd(["image", "label"], prob=0.5)]) if training else None
        dataset = SliceDataset(self.store, self.store.role(role), augment=augment, seed=0, keep_on=CPU)
        deal = deal_of(ranks.place, training=training)
        return Batches(dataset, batch_size=self.batch, seed=0, shuffle=training, deal=deal)


def tried(store: Any, batch: int, folder: Path) -> None:
    """Train, and keep the rates; the processes of `medseg.testing.ranks` call it."""
    across(partial(_tried, Trial(store, batch, folder)), user_key)


def _tried(trial: Trial) -> None:
    rates = led().together(partial(trial, led()), trial, CPU)
    (trial.folder / "rates.json").write_text(json.dumps(rates), encoding="utf-8")


def rate(world: int, store: Any, batch: int) -> tuple[float, float]:
    """Slices a second of so many ranks, and seconds of the processor of all of them."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with ranks(world, Path(__file__).resolve(), "tried", store, batch, folder) as started:
            if any(ended(started, 3600.0)):
                raise SystemExit("a rank failed")
        taken = [json.loads(each.read_text(encoding="utf-8")) for each in folder.glob("seconds-*.json")]
        return statistics.median(json.loads((folder / "rates.json").read_text(encoding="utf-8"))), sum(taken)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--slices", type=int, default=96, help="Of an epoch.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="One round of small slices: whether it runs.")
    given = parser.parse_args()
    size = (160, 160)
    if given.quick:
        given.rounds, given.slices, given.batch, size = 1, 8, 4, (32, 32)
    ones, shares, costs = [], [], []
    with tempfile.TemporaryDirectory() as name:
        roles = {"train": "train", "val": "val"}
        store = slice_store(
            Path(name), roles, classes=CLASSES, channels=CHANNELS, slices=given.slices, size=size
        )
        for _ in range(given.rounds):
            one, several = rate(1, store, given.batch), rate(given.ranks, store, given.batch)
            ones.append(one[0])
            shares.append(several[0] / one[0] / given.ranks)
            costs.append(several[1] / one[1])
    print(f"one process: {statistics.median(ones):,.1f} slices/s ({min(ones):,.1f} to {max(ones):,.1f})")
    print(
        f"{given.ranks} ranks: an efficiency of {statistics.median(shares):.2f} "
        f"({min(shares):.2f} to {max(shares):.2f}), {statistics.median(costs):.2f} times the seconds of the "
        f"processor ({min(costs):.2f} to {max(costs):.2f})"
    )


if __name__ == "__main__":
    main()
