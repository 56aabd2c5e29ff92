"""Trainings that ranks do together, or a process by itself: imported by the processes of `medseg.testing.ranks`."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from monai.losses import DiceLoss
from monai.transforms import Compose, RandFlipd, RandGaussianNoised

from medseg.learning.tasks.class_masks import ClassMasks
from medseg.learning.training.batches import Batches, SliceDataset
from medseg.learning.training.engine.parts import Watch
from medseg.learning.training.fit import fit
from medseg.learning.training.memory import MemoryNeed
from medseg.learning.training.plan import Plan
from medseg.learning.training.ranks.deal import deal_of
from medseg.machine.ranks.across import across
from medseg.machine.ranks.ranks import Ranks, led
from medseg.progress import Silent

CPU = torch.device("cpu")
CLASSES = ("background", "edge", "core")


class Several(torch.nn.Module):
    """Two outputs as it trains, and a weight that nothing uses."""

    def __init__(self):
        super().__init__()
        self.first = torch.nn.Conv2d(2, 3, 3, padding=1)
        self.second = torch.nn.Conv2d(2, 3, 3, padding=1, stride=2)
        self.idle = torch.nn.Parameter(torch.zeros(3))

    def forward(self, images):
        return [self.first(images), self.second(images)] if self.training else self.first(images)


def layers(*between):
    first, last = torch.nn.Conv2d(2, 6, 3, padding=1), torch.nn.Conv2d(6, 3, 3, padding=1)
    return torch.nn.Sequential(first, *between, torch.nn.ReLU(), last)


NETWORKS = {
    "plain": lambda: layers(torch.nn.InstanceNorm2d(6, affine=True)),
    "batch norm": lambda: layers(torch.nn.BatchNorm2d(6)),
    "dropout": lambda: layers(torch.nn.BatchNorm2d(6), torch.nn.Dropout2d(0.3)),
    "several": Several,
}
LOSSES: dict[str, Any] = {
    "of the task": None,
    "dice of the batch": partial(DiceLoss, softmax=True, to_onehot_y=True, batch=True),
    "weighted": partial(torch.nn.CrossEntropyLoss, weight=torch.tensor([0.2, 1.0, 3.0])),
}
WORDS = tuple(f"{network}, {loss}" for network in NETWORKS for loss in LOSSES)


@dataclass(frozen=True)
class Train:
    """One training, of a network and a loss by their words, in a folder of its own."""

    words: str
    store: Any
    folder: Path
    epochs: int = 3
    said: Any = field(default_factory=Silent)

    def __call__(self, ranks: Ranks) -> tuple[dict[str, torch.Tensor], list[dict[str, float]]]:
        network_word, loss_word = self.words.split(", ")
        torch.manual_seed(3)
        network = NETWORKS[network_word]()
        self.folder.mkdir(parents=True, exist_ok=True)
        standing = fit(
            network,
            ClassMasks(CLASSES, loss=LOSSES[loss_word]),
            self.batches("train", ranks),
            self.batches("val", ranks),
            plan=Plan(
                epochs=self.epochs, optimiser=partial(torch.optim.SGD, lr=0.05, momentum=0.9), clip=5.0
            ),
            device=CPU,
            seed=5,
            folder=self.folder,
            need=MemoryNeed(100, 10),
            watch=Watch(progress=self.said),
            ranks=ranks,
        )
        return {name: value.clone() for name, value in network.state_dict().items()}, list(standing.history)

    def batches(self, role: str, ranks: Ranks) -> Batches:
        training = role == "train"
        noise = RandGaussianNoised(["image"], prob=1.0, std=0.1)
        augment = Compose([RandFlipd(["image", "label"], prob=0.5), noise]) if training else None
        dataset = SliceDataset(self.store, self.store.role(role), augment=augment, seed=11, keep_on=None)
        deal = deal_of(ranks.place, training=training)
        return Batches(dataset, batch_size=3, seed=11, shuffle=training, deal=deal)


def train_each(trainings: list[Train], to: Path) -> None:
    """Do trainings one after the other, and keep what came of each in one file."""
    across(partial(_train_each, trainings, to), lambda: b"key")


def _train_each(trainings: list[Train], to: Path) -> None:
    ranks = led()
    torch.save([ranks.together(partial(each, ranks), each, CPU) for each in trainings], to)
