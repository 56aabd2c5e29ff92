from __future__ import annotations

import numpy as np
import pytest

from medseg.learning.selftraining.rules import ByRank, ThresholdSchedule


def drawn(seed, cases=60, classes=3):
    return np.random.default_rng(seed).dirichlet(np.full(classes, 0.7), cases)


def counts(flags, probabilities):
    return np.bincount(probabilities.argmax(axis=1)[flags], minlength=probabilities.shape[1])


def test_thresholds_of_the_original_schedule_go_evenly():
    rule = ThresholdSchedule()
    assert [round(rule.value(number), 3) for number in range(1, 12)] == [
        *(0.7, 0.725, 0.75, 0.775, 0.8, 0.825, 0.85, 0.875, 0.9, 0.925, 0.95)
    ]


@pytest.mark.parametrize("seed", range(3))
def test_a_threshold_accepts_what_reaches_it_and_nothing_else(seed):
    probabilities, rule = drawn(seed), ThresholdSchedule(0.5, 0.9, 5)
    sure = probabilities.max(axis=1)
    before = np.ones(len(sure), dtype=bool)
    for number in range(1, 6):
        accepted = rule.accept(number, probabilities)
        assert sure[accepted].min() >= rule.value(number) > sure[~accepted].max()
        assert not (accepted & ~before).any()  # higher thresholds accept no other
        before = accepted


@pytest.mark.parametrize("seed", range(3))
def test_a_rank_accepts_the_share_of_each_predicted_class_and_its_surest(seed):
    probabilities, rule = drawn(seed), ByRank(0.2, 1.0, 5)
    predicted, sure = probabilities.argmax(axis=1), probabilities.max(axis=1)
    for number in range(1, 6):
        accepted = rule.accept(number, probabilities)
        for index in range(3):
            mine = predicted == index
            assert accepted[mine].sum() == int(np.ceil(rule.value(number) * mine.sum() - 1e-9))
            if (mine & ~accepted).any():
                assert sure[mine & accepted].min() >= sure[mine & ~accepted].max()
    assert rule.accept(5, probabilities).all()


@pytest.mark.parametrize("rule", [ThresholdSchedule(0.5, 0.5, 1), ByRank(0.7, 0.7, 1)])
@pytest.mark.parametrize("seed", range(3))
def test_balanced_takes_as_many_of_each_as_there_are_of_the_rarest(rule, seed):
    probabilities = drawn(seed)
    plain = rule.accept(1, probabilities)
    even = type(rule)(rule.first, rule.last, 1, balanced=True).accept(1, probabilities)

    assert set(counts(even, probabilities)) == {counts(plain, probabilities).min()}
    assert not (even & ~plain).any()
    predicted, sure = probabilities.argmax(axis=1), probabilities.max(axis=1)
    for index in range(3):
        left = plain & ~even & (predicted == index)
        if left.any():
            assert sure[even & (predicted == index)].min() >= sure[left].max()


def test_balanced_takes_none_where_a_class_has_none():
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2]])
    assert not ThresholdSchedule(0.5, 0.5, 1, balanced=True).accept(1, probabilities).any()


def test_a_share_is_not_rounded_up_for_a_rounding_error():
    probabilities = np.tile([0.9, 0.1], (100, 1))
    assert ByRank(0.29, 0.29, 1).accept(1, probabilities).sum() == 29  # 0.29 * 100 is above 29


def test_of_equals_the_first_are_accepted():
    probabilities = np.tile([0.9, 0.1], (10, 1))
    assert ByRank(0.3, 0.3, 1).accept(1, probabilities).tolist() == [True] * 3 + [False] * 7


@pytest.mark.parametrize("kind", [ThresholdSchedule, ByRank])
@pytest.mark.parametrize(
    "wrong", [{"first": 0}, {"last": 1.1}, {"rounds": 0}, {"rounds": True}, {"first": "x"}, {"balanced": 1}]
)
def test_settings_out_of_range_are_refused_by_name(kind, wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        kind(**wrong)


def test_where_a_rule_accepts_from_is_its_threshold_or_the_least_it_accepted():
    assert ThresholdSchedule(0.6, 0.6, 1).mark(1, 0.8) == 0.6
    assert ByRank().mark(1, 0.8) == 0.8
