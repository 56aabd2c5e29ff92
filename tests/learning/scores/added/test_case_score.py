from __future__ import annotations

import numpy as np
import pytest

from medseg.errors import DefinitionError
from medseg.learning.scores.added.case_score import OfCounts, as_score, computed
from medseg.learning.scores.added.cases import MaskCase
from medseg.learning.scores.counts import confusion, counts_of

MEMBERS = {"a": (0,), "b": (1,), "both": (1, 2)}


def case():
    truth, predicted = np.random.default_rng(0).integers(3, size=(2, 4, 5, 6))
    return MaskCase("P1", MEMBERS, truth, predicted)


def answering(answer):
    class Odd:
        name = "odd"

        def __call__(self, _):
            return answer() if callable(answer) else answer

    return Odd()


def test_counts_are_those_of_the_confusion_matrix():
    one = case()
    matrix = confusion(one.truth, one.predicted, 3)
    for name, members in MEMBERS.items():
        assert one.counts(name) == counts_of(matrix, members)


def test_a_score_of_counts_says_nothing_where_it_is_undefined():
    empty = MaskCase("P1", MEMBERS, np.zeros((2, 2), int), np.zeros((2, 2), int))
    assert computed(OfCounts("dice"), empty) == {"a": 1.0}


def test_numbers_of_any_kind_are_taken():
    given = {"a": np.float32(0.5), "b": 1, "both": np.int64(2)}
    assert computed(answering(given), case()) == {"a": 0.5, "b": 1.0, "both": 2.0}
    assert computed(answering({}), case()) == {}


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"a": float("nan")}, "gave nan as 'a'.*finite number"),
        ({"b": np.inf}, "gave inf as 'b'"),
        ({"a": "0.5"}, "gave '0.5' as 'a'"),
        ({"a": True}, "gave True as 'a'"),
        ({"c": 0.5}, r"gave 0.5 as 'c'.*\['a', 'b', 'both'\]"),
        ({3: 0.5}, "gave 0.5 as 3"),
        (0.5, "gave float for the case P1; expected numbers by name"),
        (None, "gave NoneType"),
        (lambda: 1 / 0, "failed at the case P1: division by zero"),
    ],
)
def test_what_is_no_score_is_refused_with_its_name_and_the_case(answer, said):
    with pytest.raises(DefinitionError, match=rf"the score odd \(Odd\) .*{said}") as refused:
        computed(answering(answer), case())
    assert "P1" in str(refused.value)


@pytest.mark.parametrize("given", [0.5, {"name": "x"}, object(), type("NoName", (), {"__call__": print})()])
def test_what_cannot_be_a_score_is_refused(given):
    with pytest.raises(DefinitionError, match="is no score; expected a class with a `name`"):
        as_score(given)


def test_a_name_that_no_key_holds_is_refused():
    score = answering({})
    score.name = "test/dice"
    with pytest.raises(DefinitionError, match="letters, digits and _"):
        as_score(score)
