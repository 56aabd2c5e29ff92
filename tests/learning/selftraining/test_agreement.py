from __future__ import annotations

import numpy as np
import pytest

from medseg.learning.selftraining.agreement import Agreement, deviation_of
from medseg.learning.selftraining.rules import ByRank, ThresholdSchedule

AUGMENT = [lambda data: data]
RULE = ThresholdSchedule(0.6, 0.6, 1)


def two_class(*first):
    """(V, N, 2) of the probabilities of the first class."""
    chances = np.array(first)
    return np.stack([chances, 1 - chances], axis=-1)


def test_views_must_agree_and_their_mean_be_accepted():
    views = two_class([0.9, 0.99, 0.55, 0.1], [0.9, 0.5, 0.55, 0.2])
    found = Agreement(RULE, AUGMENT, views=2, deviation=0.1).accept_views(1, views)
    assert found.tolist() == [True, False, False, True]  # sure; views differ; not sure; sure of the other


def test_the_deviation_is_that_of_the_class_with_the_highest_mean():
    rng = np.random.default_rng(3)
    views = rng.dirichlet(np.ones(3), (5, 20))
    expected = [
        np.std([view[place, views[:, place].mean(axis=0).argmax()] for view in views]) for place in range(20)
    ]
    assert deviation_of(views) == pytest.approx(np.array(expected))


def test_a_share_is_one_of_those_that_agree():
    views = two_class([0.9, 0.8, 0.95, 0.7], [0.9, 0.8, 0.55, 0.7])
    found = Agreement(ByRank(0.5, 0.5, 1), AUGMENT, views=2, deviation=0.1).accept_views(1, views)
    assert found.tolist() == [True, True, False, False]


def test_where_no_views_agree_nothing_is_accepted():
    found = Agreement(ByRank(1.0, 1.0, 1), AUGMENT, views=2, deviation=0.0).accept_views(
        1, two_class([0.9], [0.8])
    )
    assert not found.any()


def test_all_else_is_as_the_rule_says():
    rule = Agreement(RULE, AUGMENT)
    assert (rule.rounds, rule.name, rule.value(1), rule.mark(1, 0.9)) == (1, "threshold", 0.6, 0.6)


@pytest.mark.parametrize(
    "wrong",
    [
        {"rule": 3},
        {"rule": Agreement(RULE, AUGMENT)},
        {"augment": []},
        {"augment": "flip"},
        {"views": 1},
        {"views": True},
        {"deviation": 0.6},
    ],
)
def test_settings_that_are_none_are_refused(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} is .*expected"):
        Agreement(**{"rule": RULE, "augment": AUGMENT, **wrong})
