from __future__ import annotations

import numpy as np
import pytest

from medseg.errors import DefinitionError
from medseg.learning.scores.added.case_score import OfCounts
from medseg.learning.scores.added.cases import MaskCase
from medseg.learning.scores.added.choice import chosen_scores, made_up, made_up_labels, rehearse

USUAL, KNOWN = ("dice", "iou"), ("dice", "iou", "hd95")


def own(name):
    score = OfCounts("recall")
    score.name = name
    return score


def test_nothing_said_is_what_is_usual():
    assert chosen_scores(None, USUAL, KNOWN) == (USUAL, ())


def test_names_choose_and_objects_add():
    added = own("mine")
    assert chosen_scores(["hd95"], USUAL, KNOWN) == (("hd95",), ())
    assert chosen_scores(["default", "hd95", "dice", added], USUAL, KNOWN) == (
        ("dice", "iou", "hd95"),
        (added,),
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["dise"], "unknown here. Did you mean 'dice'"),
        ([], "expected a list"),
        ("dice", "expected a list"),
        ([own("x"), own("x")], "two that are called 'x'"),
        ([own("iou")], "two that are called 'iou'"),
        ([3], "int is no score"),
    ],
)
def test_what_cannot_be_computed_is_refused(given, said):
    with pytest.raises(DefinitionError, match=said):
        chosen_scores(given, USUAL, KNOWN)


def test_made_up_cases_have_a_class_in_both_in_one_and_in_none():
    cases = made_up({"one": (1,), "union": (1, 2)}, 3, (8, 8, 4))
    assert [tuple(bool(mask.any()) for mask in case.masks("one")) for case in cases] == [
        (True, True),
        (True, False),
        (False, True),
        (False, False),
    ]


def test_a_score_that_fails_on_one_of_them_is_refused():
    class Divides:
        name = "ratio"

        def __call__(self, case: MaskCase):
            truth, predicted = (int(np.count_nonzero(mask)) for mask in case.masks("one"))
            return {"one": truth / predicted}

    with pytest.raises(DefinitionError, match=r"ratio .*made up \(missed\): division by zero"):
        rehearse([Divides()], made_up({"one": (1,)}, 2, (8, 8)))


def test_made_up_images_have_each_class_once():
    cases = made_up_labels(("a", "b", "c"))
    assert np.stack([case.truth for case in cases]).tolist() == np.eye(3, dtype=bool).tolist()
    assert all(case.probabilities.sum() == pytest.approx(1) for case in cases)
