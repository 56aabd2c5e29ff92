"""What belongs together is drawn into one role, and nothing else changes."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medseg.datasets.case import Case
from medseg.errors import DataError
from medseg.splits.rule import SplitRule
from medseg.splits.split import make_split


def cohort(patients: int, each: int = 1) -> list[Case]:
    return [
        Case(f"p{p:03d}_{n}", f"p{p:03d}", {}, extra={"site": f"s{p % 3}", "role": "test" if p < 5 else ""})
        for p in range(patients)
        for n in range(each)
    ]


def rule(**given: object) -> SplitRule:
    return SplitRule.model_validate(given)


SETS = st.lists(st.sets(st.integers(0, 29), min_size=2, max_size=5), max_size=8)


@pytest.mark.slow
@given(
    sets=SETS, each=st.integers(1, 2), seed=st.integers(0, 2**32), stratify=st.sampled_from([None, "site"])
)
def test_a_draw_never_separates_what_belongs_together(
    sets: list[set[int]], each: int, seed: int, stratify: str | None
) -> None:
    cases = cohort(30, each)
    together = [{f"p{p:03d}_0" for p in members} for members in sets]
    try:
        split = make_split(rule(stratify=stratify), cases, seed, together)
    except DataError as error:
        assert "sets of duplicates" in str(error)  # noqa: PT017  # so many belong together that too few are left
        return
    for members in together:
        assert len({split.role(case) for case in members}) == 1
    for group in {case.group for case in cases}:
        assert len({split.role(case.id) for case in cases if case.group == group}) == 1
    assert {split.role(case.id) for case in cases} == {"train", "val", "test"}
    again = make_split(rule(stratify=stratify), cases[::-1], seed, together[::-1])
    assert again.digest() == split.digest()


@given(seed=st.integers(0, 2**32), pairs=st.integers(0, 20))
def test_pairs_do_not_change_the_sizes_of_parts_by_more_than_one(seed: int, pairs: int) -> None:
    together = [{f"p{2 * p:03d}_0", f"p{2 * p + 1:03d}_0"} for p in range(pairs)]
    split = make_split(rule(val=0.2, test=0.2), cohort(50), seed, together)
    counts = Counter(split.roles.values())
    assert abs(counts["val"] - 10) <= 1
    assert abs(counts["test"] - 10) <= 1


@pytest.mark.slow
@given(seed=st.integers(0, 2**32))
def test_nothing_that_belongs_together_draws_as_before(seed: int) -> None:
    cases = cohort(40, 2)
    expected = make_split(rule(stratify="site"), cases, seed)
    alone = [{"p001_0", "p001_1"}, {"of another data set", "p003_0"}]
    assert make_split(rule(stratify="site"), cases, seed, alone).digest() == expected.digest()


def test_sets_that_share_a_patient_are_one() -> None:
    cases = cohort(12, 2)
    together = [{"p000_0", "p001_0"}, {"p001_1", "p002_0"}, {"p002_1", "p003_1"}]
    for seed in range(20):
        split = make_split(rule(), cases, seed, together)
        assert len({split.role(f"p{p:03d}_{n}") for p in range(4) for n in range(2)}) == 1


def test_a_set_of_most_patients_is_for_training() -> None:
    cases = cohort(20)
    split = make_split(rule(val=0.2, test=0.2), cases, 1, [{case.id for case in cases[:15]}])
    assert {split.role(case.id) for case in cases[:15]} == {"train"}
    counts = Counter(split.roles.values())  # of 5 that are left, for 4 and 4
    assert sorted((counts["val"], counts["test"])) == [2, 3]


def test_given_roles_stay_as_they_are() -> None:
    cases = cohort(30)
    together = [{"p000_0", "p010_0"}, {"p010_0", "p011_0"}]
    for seed in range(10):
        split = make_split(rule(test={"role": "test"}), cases, seed, together)
        assert split.role("p000_0") == "test"
        assert split.role("p010_0") == split.role("p011_0") != "test"


def test_too_few_sets_are_told() -> None:
    cases = cohort(10)
    with pytest.raises(DataError, match="2 sets of duplicates, of 10 patients"):
        make_split(rule(), cases, 1, [{case.id for case in cases[:9]}])
