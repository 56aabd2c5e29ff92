"""Splits by counts of patients, pictures or slices."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from medseg.datasets.case import Case
from medseg.errors import DataError
from medseg.splits.rule import SplitRule
from medseg.splits.split import Split, make_split

COUNTS = {"train": 6, "val": 2, "test": 3}


def cohort(patients: int, each: int = 1) -> list[Case]:
    return [Case(f"p{p}_{n}", f"p{p}", {}) for p in range(patients) for n in range(each)]


def rule(**given: Any) -> SplitRule:
    return SplitRule.model_validate(given)


def sizes(split: Split) -> dict[str, int]:
    return {role: len(split.groups(role)) for role in ("train", "val", "test", "unused")}


def of_slices(split: Split, places: list[tuple[str, int]]) -> Counter[str]:
    return Counter(split.role(*place) for place in places)


def places(cases: int, slices: int) -> list[tuple[str, int]]:
    return [(f"p{p}_0", position) for p in range(cases) for position in range(10, 10 + slices)]


def test_each_role_gets_its_count_of_patients_and_the_rest_is_not_used() -> None:
    split = make_split(rule(**COUNTS), cohort(20, each=2), 1)
    assert sizes(split) == {**COUNTS, "unused": 9}
    assert all(split.role(case) == "unused" for case in split.cases("unused"))
    assert "9 with 18 cases not used" in split.note()
    assert split.shrunk == ""


def test_what_training_has_no_count_of_is_all_for_it() -> None:
    assert sizes(make_split(rule(val=4, test=0.25), cohort(20), 1)) == {
        "train": 11,
        "val": 4,
        "test": 5,
        "unused": 0,
    }


@pytest.mark.parametrize(("there", "expected"), [(22, (12, 4, 6)), (44, (24, 8, 12)), (11, (6, 2, 3))])
def test_counts_shrink_in_proportion_where_there_are_fewer(
    there: int, expected: tuple[int, int, int]
) -> None:
    split = make_split(rule(train=24, val=8, test=12), cohort(there), 1)
    assert sizes(split) == dict(zip(("train", "val", "test", "unused"), (*expected, 0), strict=True))
    said = f"24 (train) + 8 (val) + 12 (test) = 44 patients, and there are {there}: all are shrunk in proportion."
    assert (said in split.note()) is (there < 44)


def test_the_same_seed_gives_the_same_patients() -> None:
    first, again, other = (make_split(rule(**COUNTS), cohort(20), seed) for seed in (1, 1, 2))
    assert first.digest() == again.digest() != other.digest()


def test_counts_that_leave_nobody_to_train_on_are_refused_with_what_helps() -> None:
    with pytest.raises(
        DataError, match=r"of 5 patients, split gives val 3 and test 2: nobody is left"
    ) as found:
        make_split(rule(val=3, test=2), cohort(5), 1)
    assert "split.train" in str(found.value)
    assert sum(sizes(make_split(rule(val=3, test=2, train=10), cohort(5), 1)).values()) == 5


def test_a_split_with_unused_patients_is_read_back(tmp_path: Path) -> None:
    split, cases = make_split(rule(**COUNTS), cohort(20), 1), cohort(20)
    split.to_json(tmp_path / "split.json")
    again = Split.from_file(tmp_path / "split.json", cases)
    assert again.roles == split.roles
    assert again.digest() == split.digest()


def test_exactly_as_many_slices_as_counts_ask_for_get_each_role() -> None:
    drawn = make_split(rule(by="slice", train=600, val=120, test=30), cohort(20), 1)
    split = drawn.settled(places(20, 50))
    assert of_slices(split, places(20, 50)) == {"train": 600, "val": 120, "test": 30, "unused": 250}
    assert split.settled(places(20, 50)).digest() == split.digest()
    assert split.leaking


def test_counts_of_slices_shrink_in_proportion() -> None:
    split = make_split(rule(by="slice", train=1000, val=200, test=50), cohort(20), 1).settled(places(20, 5))
    assert of_slices(split, places(20, 5)) == {"train": 80, "val": 16, "test": 4}
    assert "= 1,250 slices, and there are 100" in split.note()


def test_what_slices_have_no_count_of_is_for_training() -> None:
    split = make_split(rule(by="slice", val=7, test=0.0), cohort(20), 1).settled(places(20, 5))
    assert of_slices(split, places(20, 5)) == {"train": 93, "val": 7}


def test_pictures_are_counted_before_their_slices_are_known() -> None:
    split = make_split(rule(by="slice", **COUNTS), cohort(20), 1)
    assert of_slices(split, [(f"p{p}_0", 0) for p in range(20)]) == {**COUNTS, "unused": 9}


def test_slices_that_are_known_are_counted_and_not_cases() -> None:
    known = {"cases": cohort(6), "seed": 1, "places": places(6, 10)}
    split = make_split(rule(by="slice", val=8, test=0.0), **known)
    assert of_slices(split, places(6, 10)) == {"train": 52, "val": 8}
    assert make_split(rule(by="slice", train=40, val=8, test=0.0), **known).shrunk == ""
    with pytest.raises(DataError, match="of 60 slices, split gives val 60: nobody is left to train on"):
        make_split(rule(by="slice", val=60, test=0.0), **known)


def test_a_split_by_slice_that_was_settled_is_read_back(tmp_path: Path) -> None:
    every = places(20, 50)
    split = make_split(rule(by="slice", train=600, val=120, test=30), cohort(20), 1).settled(every)
    split.to_json(tmp_path / "split.json")
    again = Split.from_file(tmp_path / "split.json", cohort(20))
    assert [again.role(*place) for place in every] == [split.role(*place) for place in every]
    assert again.settled(every) == again


@pytest.mark.parametrize("ratios", [{"val": "much"}, {"val": 2}, {"other": 0.1}, {"test": None}, [0.1]])
def test_a_file_by_slice_with_other_ratios_is_refused(tmp_path: Path, ratios: object) -> None:
    given = {"by": "slice", "seed": 1, "ratios": ratios, "cases": ["p0_0"]}
    (tmp_path / "split.json").write_text(json.dumps(given))
    with pytest.raises(DataError, match="lacks one of seed, ratios and cases"):
        Split.from_file(tmp_path / "split.json", cohort(1))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"train": 200, "val": 0.2, "test": 40}, "such as val: 40 for 0.2 of 200"),
        ({"train": 200, "val": 40}, "such as test: 30 for 0.15 of 200"),
        ({"train": 0, "val": 1, "test": 1}, "greater than or equal to 1"),
        ({"val": 1.5}, "a count: a whole number, 1 or more"),
        ({"val": True}, "expected a ratio"),
        ({"folds": 5, "fold": 1, "val": 3}, "`val` expected a ratio"),
        ({"column": "role", "val": 3}, "expected ratios"),
        ({"file": "a.csv", "train": 3}, "remove `train`"),
        ({"everybody": "test", "train": 3}, "remove train"),
    ],
)
def test_counts_beside_what_they_contradict_are_refused(given: dict[str, Any], expected: str) -> None:
    with pytest.raises(ValidationError, match=expected):
        rule(**given)
