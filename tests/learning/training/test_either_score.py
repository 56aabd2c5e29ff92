from __future__ import annotations

import numpy as np
import pytest

from medseg.component import build
from medseg.errors import DefinitionError, TrainingError
from medseg.learning.tasks.binary_mask import BinaryMask
from medseg.learning.tasks.image_classes import ImageClasses
from medseg.learning.training.either_score import AveragePrecisionOrF2
from medseg.learning.training.plan import Plan

TASK = ImageClasses(("cancer", "normal"))


def rows(pairs, of="/cancer"):
    return [
        {"epoch": float(epoch), f"val/average_precision{of}": precision, f"val/f2{of}": f2}
        for epoch, (precision, f2) in enumerate(pairs, 1)
    ]


def kept(pairs, **given):
    """The epochs that a training keeps, one after the other."""
    rule, history = AveragePrecisionOrF2("cancer", **given), rows(pairs)
    plan, best, found = Plan(9, None, best_by=rule), -np.inf, []
    for place, row in enumerate(history):
        worth = plan.worth(row, history[:place])
        if worth > best:
            best = worth
            found.append(place + 1)
    return found


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ([(0.5, 0.8), (0.6, 0.7), (0.6, 0.8)], [1]),  # 0.7 is below 90 % of 0.8, and 0.6 was reached before
        ([(0.5, 1.0), (0.6, 0.9)], [1, 2]),  # 90 % of 1.0 is not below
        ([(0.5, 0.8), (0.4, 0.9), (0.45, 0.85)], [1, 2]),
        ([(0.5, 0.8), (0.4, 0.9), (0.55, 0.85)], [1, 2, 3]),
        ([(0.5, 0.0), (0.6, 0.0), (0.5, 0.1)], [1, 2, 3]),
    ],
)
def test_either_score_keeps_an_epoch_unless_its_f2_is_far_below_the_best(pairs, expected):
    assert kept(pairs) == expected


def test_the_share_of_the_best_f2_is_a_setting():
    assert kept([(0.5, 0.8), (0.6, 0.7)], least=0.8) == [1, 2]


def test_epochs_that_were_not_validated_do_not_count():
    rule, (first, second) = AveragePrecisionOrF2(), rows([(0.5, 0.8), (0.6, 0.8)], of="")
    assert rule.better(second, [first, {"epoch": 2.0}])
    assert not rule.better(first, [second, {"epoch": 2.0}])


def test_a_definition_names_it_for_a_task_of_classes_of_images_alone():
    spec = {"_target_": "medseg.learning.AveragePrecisionOrF2", "positive": "cancer"}
    rule = build(spec, at="best_by", kind=None)
    assert rule.name == "average_precision or f2 of cancer"
    assert Plan(9, None, best_by=rule).chosen_by == rule.name
    rule.check(TASK)
    with pytest.raises(DefinitionError, match=r"expected one of the classes \['a', 'b'\]"):
        rule.check(ImageClasses(("a", "b")))
    with pytest.raises(DefinitionError, match="the task is BinaryMask"):
        rule.check(BinaryMask(("ground", "cell")))


def test_scores_that_validation_does_not_define_are_refused():
    with pytest.raises(TrainingError, match="some must have the class, and others not"):
        AveragePrecisionOrF2("cancer").better({"epoch": 1.0, "val/f2/cancer": 0.5}, [])


@pytest.mark.parametrize("wrong", [{"positive": 3}, {"least": 1.1}, {"least": True}, {"least": "most"}])
def test_settings_that_are_none_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        AveragePrecisionOrF2(**wrong)
