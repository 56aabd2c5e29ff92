"""Shares of the classes of images: which of its classes a patient counts as."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medseg.datasets.case import Case
from medseg.errors import DataError
from medseg.splits.rule import SplitRule
from medseg.splits.split import ROLES, make_split

TRUTHS = st.lists(st.lists(st.sets(st.sampled_from("abc")), min_size=1, max_size=3), min_size=5, max_size=30)


def rule(**given: object) -> SplitRule:
    return SplitRule.model_validate({"stratify": "class", "val": 0.2, "test": 0.2, **given})


def cohort(truths: Sequence[Sequence[set[str]]], **extra: Sequence[str]) -> list[Case]:
    """Cases `p0_0`, ... of patients whose images have these classes; further columns by patient."""
    return [
        Case(
            f"p{p}_{n}",
            f"p{p}",
            {},
            labels=tuple(sorted(labels)),
            extra={name: each[p] for name, each in extra.items()},
        )
        for p, images in enumerate(truths)
        for n, labels in enumerate(images)
    ]


def rarest(truths: Sequence[Sequence[set[str]]]) -> list[str]:
    """By definition: the class of a patient that fewest patients have, the first of several; `` without any."""
    have = [set().union(*images) for images in truths]
    count = {name: sum(name in each for each in have) for name in "abc"}
    return [
        next((name for name in sorted("abc", key=lambda name: count[name]) if name in each), "")
        for each in have
    ]


@pytest.mark.slow
@given(truths=TRUTHS, seed=st.integers(0, 2**32), shuffle=st.randoms(use_true_random=False))
def test_a_patient_counts_as_the_rarest_of_its_classes(
    truths: list[list[set[str]]], seed: int, shuffle: random.Random
) -> None:
    cases = cohort(truths, rarest=rarest(truths))
    found = make_split(rule(), cases, seed)
    assert found.roles == make_split(rule(stratify="rarest"), cases, seed).roles
    assert make_split(rule(), shuffle.sample(cases, len(cases)), seed).roles == found.roles


@given(
    classes=st.lists(st.sampled_from("abc"), min_size=5, max_size=40),
    each=st.integers(1, 3),
    seed=st.integers(0, 2**32),
    more=st.sampled_from([{}, {"folds": 4, "fold": 2, "test": None}]),
)
def test_of_patients_of_one_class_each_it_is_the_draw_by_a_column_of_it(
    classes: list[str], each: int, seed: int, more: dict[str, object]
) -> None:
    cases = cohort([[{name}] * each for name in classes], grade=classes)
    assert (
        make_split(rule(**more), cases, seed).roles
        == make_split(rule(stratify="grade", **more), cases, seed).roles
    )


def test_each_role_gets_its_share_of_a_rare_class_that_never_comes_alone() -> None:
    truths = [[{"a"}, {"rare"}] if p < 10 else [{"a"}] for p in range(100)]
    for seed in range(5):
        split = make_split(rule(), cohort(truths), seed)
        counts = Counter(role for role in ROLES for group in split.groups(role) if int(group[1:]) < 10)
        assert counts == {"train": 6, "val": 2, "test": 2}


def test_patients_without_any_class_are_shared_out_alike() -> None:
    truths = [[set(), set()] if p < 20 else [{"a", "b"}, set()] for p in range(60)]
    split = make_split(rule(), cohort(truths), 1)
    counts = Counter(role for role in ROLES for group in split.groups(role) if int(group[1:]) < 20)
    assert counts == {"train": 12, "val": 4, "test": 4}


def test_a_column_called_class_is_a_column_and_images_without_truth_have_no_class() -> None:
    truths: list[list[set[str]]] = [[{"a"}, {"b"}]] * 9
    cases = cohort(truths, **{"class": list("xyz" * 3)})
    assert make_split(rule(), cases, 1).roles
    torn = [Case(c.id, c.group, {}, labels=c.labels, extra={"class": c.id[-1]}) for c in cases]
    with pytest.raises(DataError, match="disagree about being of one 'class': those of 9 patients"):
        make_split(rule(), torn, 1)
    unknown = [Case(c.id, c.group, {}) for c in cases]
    for wrong in (rule(), rule(stratify=None, test={"class": "a"})):
        with pytest.raises(DataError, match="no column 'class'"):
            make_split(wrong, unknown, 1)
