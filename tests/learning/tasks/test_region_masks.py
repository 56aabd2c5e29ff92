"""Regions that overlap: how they become label maps and back, by brute force and by MONAI."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from monai.losses import DiceLoss, FocalLoss
from monai.metrics import DiceMetric
from torch.nn import functional

from medseg.errors import DefinitionError
from medseg.learning.tasks.partial_loss import PartialLoss
from medseg.learning.tasks.region_masks import RegionMasks
from medseg.pipeline.checks.loss_check import check_loss
from medseg.testing.contracts import MaskTaskContract

CLASSES = ("background", "necrosis", "oedema", "enhancing")
REGIONS = {"whole": (1, 2, 3), "core": (1, 3), "active": (3,)}


class RegionContract(MaskTaskContract):
    def perfect(self, labels):
        members = self.make().regions.values()
        inside = [sum((labels == index).float() for index in each) for each in members]
        return 20.0 * torch.cat(inside, dim=1) - 10.0


class TestRegionMasks(RegionContract):
    def make(self):
        return RegionMasks(CLASSES, REGIONS)


class TestRegionMasksWithThresholdsAndAnotherLoss(RegionContract):
    def make(self):
        thresholds = {"core": 0.3, "active": 0.8}
        return RegionMasks(CLASSES, REGIONS, thresholds=thresholds, loss=FocalLoss)


class TestRegionsBesideEachOther(RegionContract):
    def make(self):
        return RegionMasks(("none", "left", "right"), {"l": [1], "r": [2]}, select=["left", "r"])


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(2, 3, 6, 5, generator=generator)
    return logits, torch.randint(4, (2, 1, 6, 5), generator=generator).to(torch.uint8)


def regions(labels):
    return torch.cat([sum((labels == i) for i in each) for each in REGIONS.values()], dim=1).float()


def test_the_loss_is_cross_entropy_and_dice_of_each_region(batch) -> None:
    logits, labels = batch
    target, chance = regions(labels), torch.sigmoid(logits)
    entropy = -(target * chance.log() + (1 - target) * (1 - chance).log()).mean()
    overlap, sums = (chance * target).sum((0, 2, 3)), (chance + target).sum((0, 2, 3))
    dice = (1 - (2 * overlap + 1e-5) / (sums + 1e-5)).mean()

    assert torch.allclose(RegionMasks(CLASSES, REGIONS).loss()(logits, labels), entropy + dice)


def test_a_declared_loss_gets_a_map_of_each_region(batch) -> None:
    logits, labels = batch
    task = RegionMasks(CLASSES, REGIONS, loss=torch.nn.BCEWithLogitsLoss)

    expected = functional.binary_cross_entropy_with_logits(logits, regions(labels))
    assert torch.equal(task.loss()(logits, labels), expected)


@pytest.mark.parametrize("loss", [None, torch.nn.BCEWithLogitsLoss, lambda: DiceLoss(sigmoid=True)])
def test_what_nobody_annotated_counts_in_no_region(batch, loss) -> None:
    logits, labels = batch
    task = RegionMasks(CLASSES, REGIONS, loss=loss)
    partly = labels.clone()
    partly[..., 3:] = 255
    found = PartialLoss(task)(logits, partly)

    assert torch.allclose(found, task.loss()(logits[..., :3], labels[..., :3]), atol=1e-6)


@pytest.mark.parametrize("inside", list(itertools.product([0, 1], repeat=3)))
def test_the_innermost_region_that_is_predicted_decides(inside) -> None:
    """Also where it is predicted outside of those that hold it: then the voxel is in these as well."""
    task = RegionMasks(CLASSES, REGIONS)
    painted = {"whole": 2, "core": 1, "active": 3}
    expected = 0
    for name, there in zip(REGIONS, inside, strict=True):
        expected = painted[name] if there else expected
    chances = np.array(inside, dtype=np.float32)[:, None]

    assert task.decide(chances).tolist() == [expected]
    assert task.decode(20 * torch.tensor(inside).float().view(1, 3, 1, 1) - 10).item() == expected


def test_every_label_map_follows_from_its_regions() -> None:
    labels = torch.arange(4, dtype=torch.uint8).view(1, 1, 2, 2)

    assert torch.equal(RegionMasks(CLASSES, REGIONS).decode(20 * regions(labels) - 10), labels[:, 0].long())


def test_each_region_has_its_threshold() -> None:
    task = RegionMasks(CLASSES, REGIONS, thresholds={"active": 0.9})
    chances = np.array([[0.5, 0.5, 0.5], [0.4, 0.6, 0.6], [0.0, 0.8, 0.9]], dtype=np.float32)

    assert task.thresholds == (0.5, 0.5, 0.9)
    assert task.decide(chances).tolist() == [2, 1, 3]
    assert RegionMasks(CLASSES, REGIONS, thresholds=0.7).thresholds == (0.7,) * 3


def test_scores_after_an_epoch_are_those_of_monai(batch) -> None:
    logits, labels = batch
    task = RegionMasks(CLASSES, REGIONS)
    scorer = task.scorer()
    scorer.update(["a", "b"], logits, labels)
    predicted = regions(task.decode(logits)[:, None])
    expected = DiceMetric(reduction="mean_batch")(predicted, regions(labels)).mean(dim=0)

    found = scorer.compute()
    for name, value in zip(REGIONS, expected.tolist(), strict=True):
        assert found[f"dice/{name}"] == pytest.approx(value)
    assert found["score"] == pytest.approx(expected.mean().item())


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"regions": {}}, "task.regions is {}"),
        ({"regions": {"whole": 1}}, r"task.regions is \{'whole': 1\}, expected the class indices"),
        ({"regions": {"whole": "123"}}, "expected the class indices"),
        ({"regions": [[1, 2]]}, "expected the class indices"),
        ({"regions": {"whole": [1, 9]}}, r"indices in 0..3, got \[1, 9\]"),
        ({"regions": {"oedema": [1, 2, 3]}}, "a name of its own"),
        (
            {"regions": {"core": [1], "active": [3]}},
            r"\['background', 'oedema'\] are in no region.*Add a region",
        ),
        ({"regions": {**REGIONS, "all": [0, 1, 2, 3]}}, "are in no region"),
        ({"regions": {"core": [1, 3], "whole": [1, 2, 3]}}, "'core'.* holds no class that no later"),
        ({"regions": {"whole": [1, 2, 3], "core": [3]}}, r"'whole'.*\['necrosis', 'oedema'\].*expected one"),
        ({"regions": {"a": [1, 2], "b": [2, 3]}}, r"'b'.*\['oedema', 'enhancing'\]"),
        ({"select": ["bone"]}, "task.select names"),
        ({"thresholds": 0}, "expected a probability above 0"),
        ({"thresholds": {"core": 1.5}}, "expected a probability above 0"),
        ({"thresholds": {"bone": 0.5}}, r"task.thresholds names \['bone'\]"),
        ({"thresholds": "half"}, "expected a probability above 0"),
        ({"classes": ["a", "a", "b", "c"]}, "distinct classes"),
    ],
)
def test_what_cannot_be_is_refused(changes, complaint) -> None:
    with pytest.raises(DefinitionError, match=complaint):
        RegionMasks(**{"classes": CLASSES, "regions": REGIONS, **changes})


def test_the_check_knows_losses_that_do_not_suit() -> None:
    check_loss(RegionMasks(CLASSES, REGIONS), (16, 16))
    check_loss(RegionMasks(CLASSES, REGIONS, loss=lambda: DiceLoss(sigmoid=True)), (16, 16))
    for wrong in (torch.nn.BCELoss, lambda: DiceLoss(softmax=True, to_onehot_y=True), torch.nn.MSELoss):
        with pytest.raises(DefinitionError, match=r"task\.loss"):
            check_loss(RegionMasks(CLASSES, REGIONS, loss=wrong), (16, 16))
