"""What nobody annotated counts in no score: as if these voxels had been cut away."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch

from medseg.datasets.unannotated import UNANNOTATED
from medseg.learning.scores.added.case_score import OfCounts
from medseg.learning.scores.added.cases import MaskCase
from medseg.learning.scores.counts import confusion
from medseg.learning.scores.epoch.masks import DiceByCase
from medseg.learning.scores.pictures import ForegroundScorer
from medseg.learning.scores.surface_distance import hausdorff95
from medseg.learning.scores.volumes import VolumeScorer
from medseg.learning.tasks.class_masks import ClassMasks
from medseg.steps.pictures import fullest

CLASSES, REGIONS = ("background", "core", "rim"), {"whole": (1, 2)}


@pytest.fixture
def maps():
    """Truth and prediction (I, J, K); the right half of the truth is not annotated."""
    random = np.random.default_rng(4)
    truth, predicted = random.integers(0, 3, (2, 6, 8, 5), dtype=np.uint8)
    truth[:, 4:] = UNANNOTATED
    return truth, predicted


def test_a_confusion_matrix_counts_annotated_voxels(maps) -> None:
    truth, predicted = maps

    assert (confusion(truth, predicted, 3) == confusion(truth[:, :4], predicted[:, :4], 3)).all()


def test_scores_of_a_volume_are_those_of_its_annotated_part(maps) -> None:
    frames = []
    for truth, predicted in (maps, (maps[0][:, :4], maps[1][:, :4])):
        scorer = VolumeScorer(CLASSES, REGIONS)
        scorer.add("a", "a", truth, predicted, (1, 2, 3), distances=False)
        frames.append(scorer.frame())

    assert frames[0].equals(frames[1])


def test_what_is_predicted_there_changes_no_score_and_no_distance(maps) -> None:
    truth, predicted = maps
    frames = []
    for change in (0, 1):
        other = predicted.copy()
        other[:, 4:] = (other[:, 4:] + change) % 3
        scorer = VolumeScorer(CLASSES, REGIONS, added=[OfCounts("mcc")])
        scorer.add("a", "a", truth, other, (1, 2, 3))
        frames.append(scorer.frame())
    blank = np.where(truth == UNANNOTATED, 0, predicted)

    assert frames[0].equals(frames[1])
    assert frames[0].set_index("name")["hd95"]["core"] == hausdorff95(truth == 1, blank == 1, (1, 2, 3))


def test_scores_after_an_epoch_leave_it_out(maps) -> None:
    truth, predicted = (np.moveaxis(each, 2, 0) for each in maps)
    logits = torch.nn.functional.one_hot(torch.from_numpy(predicted).long(), 3).movedim(-1, 1).float()
    scorer = DiceByCase(ClassMasks(CLASSES, REGIONS), ["specificity"])
    scorer.update(["a"] * 5, logits, torch.from_numpy(truth[:, None].copy()))
    expected = VolumeScorer(CLASSES, REGIONS, ["dice", "specificity"])
    expected.add("a", "a", *maps, (1, 1, 1))

    found = scorer.compute()
    for row in expected.frame().to_dict("records"):
        assert found[f"dice/{row['name']}"] == pytest.approx(row["dice"])
        assert found[f"specificity/{row['name']}"] == pytest.approx(row["specificity"])


def test_a_case_that_is_scored_has_no_class_there(maps) -> None:
    case = MaskCase("a", {"core": (1,), "background": (0,)}, *maps)

    assert all(not mask[:, 4:].any() for name in case.names for mask in case.masks(name))
    assert sum(case.counts("core")) == 6 * 4 * 5


def test_a_picture_is_scored_by_its_annotated_pixels() -> None:
    random = np.random.default_rng(5)
    truth, chance = random.random((12, 16)) < 0.4, random.random((12, 16), dtype=np.float32)
    known = np.zeros((12, 16), dtype=bool)
    known[:, :9] = True
    whole, cut = (ForegroundScorer(("background", "cell"), added=[OfCounts("mcc")]) for _ in range(2))
    add = partial(whole.add, "a", "a", truth, chance, chance > 0.5)
    add(known=known)
    cut.add("a", "a", truth[:, :9], chance[:, :9], chance[:, :9] > 0.5)

    assert whole.frame().equals(cut.frame())
    assert whole.group_frame().equals(cut.group_frame())
    assert (whole.matrix == cut.matrix).all()
    assert whole.counts.brier() == cut.counts.brier()


def test_numbered_objects_outside_are_none() -> None:
    truth = np.zeros((6, 12), dtype=bool)
    truth[1:4, 1:4] = truth[1:4, 8:11] = True
    objects = np.where(truth, np.where(np.arange(12) < 6, 7, 9), 0)
    known = np.broadcast_to(np.arange(12) < 6, truth.shape)
    scorer = ForegroundScorer(("background", "cell"))
    scorer.add("a", "a", truth, truth.astype(np.float32), truth, objects, known)

    row = scorer.frame().iloc[0]
    assert (row["truth_objects"], row["predicted_objects"], row["object_f1"]) == (1, 1, 1)


def test_a_slice_is_not_the_fullest_by_what_nobody_annotated() -> None:
    labels = np.zeros((3, 4, 4), dtype=np.uint8)
    labels[0], labels[2, 1, 1] = UNANNOTATED, 1

    assert fullest(labels) == 2
