from __future__ import annotations

import pytest

from medseg.learning.selftraining.rounds import Quality, Round, best_round, ending, outcome
from medseg.learning.selftraining.verdict import bias_verdict


def quality(score=0.8, loss=0.5, error=0.1):
    return Quality(score, loss, error, error, 1.0)


def course(*outcomes, error=0.1):
    first = Round(0, "start", quality())
    rest = [
        Round(
            number,
            each,
            None if each in ("one class", "nothing") else quality(error=error),
            0.7,
            10,
            {"a": 5, "b": 5},
            2,
        )
        for number, each in enumerate(outcomes, 1)
    ]
    return (first, *rest)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (quality(0.9, 9.0), "better"),
        (quality(0.7, 0.1), "worse"),
        (quality(0.8, 0.4), "level"),
        (quality(0.8, 0.5), "worse"),
        (quality(1.0, 0.1, 0.61), "uncalibrated"),
    ],
)
def test_score_decides_then_the_loss_and_calibration_before_both(found, expected):
    assert outcome(found, quality(), 0.6) == expected


def test_the_best_round_is_the_last_that_was_kept():
    assert best_round(course("better", "worse", "level", "one class")).number == 3
    assert best_round(course("worse", "worse")).number == 0


def why(*outcomes, most=11, patience=3, error=0.1):
    return ending(course(*outcomes, error=error), most=most, patience=patience, stop_calibration=0.6)


def test_it_goes_on_until_three_rounds_brought_no_better_score():
    assert why("worse", "worse") == ""
    assert "3 rounds brought no better score" in why("worse", "one class", "level")
    assert why("worse", "worse", "better", "worse", "worse") == ""


def test_it_ends_with_nothing_accepted_with_a_bad_calibration_and_with_the_last_round():
    assert why("better", "nothing") == "round 2 accepted nothing"
    assert "calibration error is 0.70" in why("uncalibrated", error=0.7)
    assert why("better", "better", most=2) == "all 2 rounds are done"
    assert why("better", most=2) == ""


def judged(error, taken, score):
    first = Round(0, "start", quality(0.8, error=0.08))
    kept = "better" if score > 0.8 else "worse"
    return bias_verdict(
        [first, Round(1, kept, quality(score, error=error), 0.7, 100, {"a": taken, "b": 0}, 10)]
    )


def test_confirmation_bias_is_named_by_calibration_counts_and_score_together():
    found = judged(0.31, 96, 0.8)
    assert found.kind == "likely"
    assert found.text == (
        "Confirmation bias is likely: calibration error rose from 0.08 to 0.31 while 96 % of the unlabelled were "
        "accepted and the score did not rise."
    )
    assert judged(0.31, 96, 0.9).kind == "possible"
    assert judged(0.31, 20, 0.8).kind == "possible"
    assert judged(0.31, 20, 0.9).kind == "no sign"
    assert judged(0.07, 96, 0.8).kind == "no sign"


def test_rounds_that_learned_nothing_are_not_judged():
    assert bias_verdict(course("one class", "nothing")).kind == "not known"
