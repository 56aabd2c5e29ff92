from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score

from medseg.learning.features.source import Share, Told, classes_by_source, source_verdict, told


def test_balanced_accuracy_is_that_of_scikit_learn_with_an_interval_over_patients():
    rng = np.random.default_rng(0)
    truth = rng.integers(3, size=60)
    chances = rng.dirichlet(np.ones(3), 60)
    chances[:40] = 0.1 + 0.7 * np.eye(3)[truth[:40]]
    cases = [f"c{number}" for number in range(60)]
    found = told(["a", "b", "c"], truth, chances, cases, [f"g{number // 2}" for number in range(60)], 1)
    assert found.value == pytest.approx(balanced_accuracy_score(truth, chances.argmax(axis=1)))
    assert found.low < found.value < found.high
    assert (found.chance, found.cases) == (pytest.approx(1 / 3), 60)
    assert found.above_chance


def test_the_class_of_a_source_is_counted_in_training_images():
    found = classes_by_source(np.array([0, 0, 0, 1]), np.array([1, 1, 0, 0]), (2, 2))
    assert found == pytest.approx(np.array([[2 / 5, 3 / 5], [2 / 3, 1 / 3]]))


NONE = float("nan")


def told_perfectly(patients_each):
    """Told of images whose source is always right, four of each patient of two sources."""
    patients = np.repeat(np.arange(2 * patients_each), 4)
    truth = patients % 2
    cases = [f"c{number}" for number in range(len(truth))]
    return told(["a", "b"], truth, np.eye(2)[truth], cases, [f"g{each}" for each in patients], 1)


@pytest.mark.parametrize(("patients", "above"), [(1, None), (2, False), (5, False), (6, True), (20, True)])
def test_a_source_that_is_always_told_is_above_chance_where_there_are_patients_enough(patients, above):
    found = told_perfectly(patients)
    assert found.above_chance is above
    if above is not None:  # Clopper and Pearson, of as many patients in each source
        assert (found.low, found.high) == (pytest.approx(0.025 ** (1 / patients)), 1)


def test_one_patient_of_each_source_gives_no_verdict():
    one = told_perfectly(1)
    found = source_verdict(one, one, Share(5, 5), Share(0, 5))
    assert found.kind == "not known"
    assert "too few patients for an interval" in found.text
    assert "open whether the features tell the source of an image (balanced accuracy 1.00 in 8" in found.text


def at(low):
    return Told(low + 0.1, low, low + 0.2, 0.5, 40)


@pytest.mark.parametrize(
    ("source", "follows", "agreeing", "against", "kind"),
    [
        (0.8, 0.6, Share(19, 20), Share(3, 10), "likely"),
        (0.8, 0.6, Share(18, 20), Share(8, 10), "possible"),
        (0.8, 0.6, Share(19, 20), Share(0, 4), "possible"),  # four are too few to read
        (0.8, 0.4, Share(19, 20), Share(3, 10), "no sign"),  # the source tells nothing of the class
        (0.4, 0.8, Share(19, 20), Share(3, 10), "no sign"),  # the features tell nothing of the source
        (NONE, 0.8, Share(19, 20), Share(3, 10), "not known"),  # too few patients for an interval
        (0.8, NONE, Share(19, 20), Share(3, 10), "not known"),
        (NONE, NONE, Share(5, 5), Share(0, 5), "not known"),
        (NONE, 0.4, Share(19, 20), Share(3, 10), "no sign"),
    ],
)
def test_the_verdict_rests_on_what_is_told_and_on_images_that_contradict_their_source(
    source, follows, agreeing, against, kind
):
    assert source_verdict(at(source), at(follows), agreeing, against).kind == kind


def test_the_verdict_says_its_numbers():
    text = source_verdict(at(0.8), at(0.6), Share(19, 20), Share(3, 10)).text
    assert "right of 3 of 10 images that have another class than is usual" in text
    assert "and of 19 of the 20 others" in text
    assert "balanced accuracy 0.90 [0.80, 1.00] in 40 images, 0.50 by chance" in text
