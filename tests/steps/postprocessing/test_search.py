"""What raises the mean and lowers no class is kept, nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from medseg.learning.inference.cleaning import Cleaning
from medseg.steps.postprocessing.search import search
from medseg.steps.postprocessing.seen import SeenCase, SeenCases

CLASSES = ("background", "left", "right")


def case(truth, predicted, group="a", scored=None):
    slices = truth.shape[2]
    return SeenCase.of(group, truth, predicted, 1.0, 2, np.ones(slices, bool) if scored is None else scored)


def cases(*given, select=CLASSES[1:], regions=None):
    return SeenCases(given, CLASSES, regions or {}, select)


@pytest.fixture
def truth():
    labels = np.zeros((16, 16, 4), np.uint8)
    labels[2:7, 2:7, 1:3] = 1
    labels[9:14, 9:14, 1:3] = 2
    return labels


def found(seen):
    tried = []
    result = search(seen, lambda: tried.append(1))
    assert len(tried) <= 5 * (len(CLASSES) - 1)
    return result


def test_a_component_where_none_is_goes(truth) -> None:
    predicted = truth.copy()
    predicted[14:16, 0:2, 3] = 1

    result = found(cases(case(truth, predicted)))

    assert result.cleaning == (Cleaning(1, largest=True),)
    assert result.after.means == dict.fromkeys(CLASSES, 1.0)
    assert result.before.means["left"] == pytest.approx(2 * 50 / (50 + 54))


def test_where_a_class_has_two_true_components_small_ones_go_alone(truth) -> None:
    truth[2:6, 12:16, 0] = 1
    predicted = truth.copy()
    predicted[15, 0, 3] = predicted[12:14, 0, 3] = 1

    result = found(cases(case(truth, predicted)))

    ((cleaning,),) = (result.cleaning,)
    assert not cleaning.largest
    assert 2 < cleaning.least < 2.001
    assert result.after.means["left"] == 1.0


def test_holes_are_filled_where_the_truth_has_none(truth) -> None:
    predicted = truth.copy()
    predicted[4, 4, 1] = 0

    assert found(cases(case(truth, predicted))).cleaning == (Cleaning(1, fill=True),)


def test_a_hole_that_is_there_stays(truth) -> None:
    truth[4, 4, 1] = 0

    assert found(cases(case(truth, truth))).cleaning == ()


def test_what_helps_one_class_and_harms_another_is_not_kept(truth) -> None:
    predicted = truth.copy()
    predicted[9:14, 9:14, 0] = 1  # without it, background would be predicted where none is
    truth[9:14, 9:14, 0] = 2

    seen = cases(case(truth, predicted), select=["left"], regions={"any": [1, 2]})

    assert found(seen).cleaning == ()
    cleaned = seen.scored([Cleaning(1, largest=True)]).means
    assert cleaned["left"] > seen.scored(()).means["left"]
    assert cleaned["any"] < seen.scored(()).means["any"]


def test_what_raises_the_mean_by_one_patient_and_lowers_others_is_not_kept(truth) -> None:
    two = truth.copy()
    two[2:4, 12:14, 0] = 1  # lost with the smaller components
    wrong = truth.copy()
    wrong[12:16, 0:6, 3] = 1
    alone = cases(case(two, two, "a"), case(truth, wrong, "b"), case(truth, wrong, "c"))
    more = cases(case(two, two, "a"), case(two, two, "b"), case(truth, wrong, "c"))

    assert found(alone).cleaning == (Cleaning(1, largest=True),)
    largest = more.scored([Cleaning(1, largest=True)])
    assert largest.score > more.scored(()).score
    assert Cleaning(1, largest=True) not in found(more).cleaning


def test_the_mean_is_that_over_patients_not_over_cases(truth) -> None:
    """Two cases of one patient lose what the only one of another gains more of."""
    two = truth.copy()
    two[2:6, 12:16, 0] = 1
    wrong = truth.copy()
    wrong[14:16, 0:2, 3] = 1
    seen = cases(case(two, two, "a"), case(two, two, "a"), case(truth, wrong, "b"))

    dice = seen.scored([Cleaning(1, largest=True)]).means

    assert dice["left"] == pytest.approx(np.mean([2 * 50 / (50 + 66), 1.0]))


def test_slices_of_other_roles_do_not_count(truth) -> None:
    predicted = truth.copy()
    predicted[14:16, 0:2, 3] = 1
    scored = np.array([True, True, True, False])

    assert found(cases(case(truth, predicted, scored=scored))).cleaning == ()


def test_of_a_class_that_nobody_has_nothing_is_chosen(truth) -> None:
    """All that is predicted of it is wrong there, and says nothing of a patient who has it."""
    predicted = truth.copy()
    predicted[truth == 2] = 0
    predicted[14:16, 0:2, 3] = 2
    truth[truth == 2] = 0

    seen = cases(case(truth, predicted))

    assert not seen.has(2)
    assert found(seen).cleaning == ()


def test_one_healthy_patient_does_not_outweigh_ill_ones_who_lose(truth) -> None:
    two = truth.copy()
    two[2:4, 12:14, 0] = 1
    healthy, wrong = np.zeros_like(truth), np.zeros_like(truth)
    wrong[0:2, 0:2, 0] = 1

    result = found(
        cases(case(two, two, "a"), case(two, two, "b"), case(healthy, wrong, "c"), select=["left"])
    )

    assert result.cleaning == ()


def test_patients_who_rightly_have_nothing_of_a_class_count_as_1(truth) -> None:
    healthy, wrong = np.zeros_like(truth), np.zeros_like(truth)
    wrong[0, 0, 0] = 1

    seen = cases(case(truth, truth, "a"), case(healthy, healthy, "b"), case(healthy, wrong, "c"))

    assert seen.scored(()).patients["left"] == {"a": 1.0, "b": 1.0, "c": 0.0}
    assert seen.scored([Cleaning(1, least=2.0)]).patients["left"] == {"a": 1.0, "b": 1.0, "c": 1.0}
