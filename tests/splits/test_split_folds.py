"""Folds for cross-validation."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from medseg.datasets.case import Case
from medseg.errors import DataError
from medseg.splits.rule import SplitRule
from medseg.splits.split import make_split


def cases(patients, *, images=1, label=lambda _: "a"):
    return [
        Case(f"{patient:03d}-{image}", f"{patient:03d}", {"picture": Path("p")}, labels=(label(patient),))
        for patient in range(patients)
        for image in range(images)
    ]


def rule(fold, folds=5, **more):
    return SplitRule.model_validate({"folds": folds, "fold": fold, **more})


@pytest.mark.slow
@given(st.integers(10, 40), st.integers(2, 6), st.integers(0, 5))
def test_every_patient_is_tested_once(patients, folds, seed):
    found = [make_split(rule(fold, folds), cases(patients, images=2), seed) for fold in range(1, folds + 1)]
    tested = Counter(group for split in found for group in split.groups("test"))

    assert set(tested) == {f"{patient:03d}" for patient in range(patients)}
    assert set(tested.values()) == {1}
    sizes = [len(split.groups("test")) for split in found]
    assert max(sizes) - min(sizes) <= 1


@given(st.integers(10, 40), st.integers(0, 5))
def test_no_patient_is_in_two_roles(patients, seed):
    split = make_split(rule(2), cases(patients, images=3), seed)
    groups = [set(split.groups(role)) for role in ("train", "val", "test")]

    assert sum(map(len, groups)) == len(set.union(*groups)) == patients


def test_classes_are_in_every_fold_in_like_shares():
    half = cases(100, label=lambda patient: "yes" if patient < 50 else "no")
    for fold in range(1, 6):
        split = make_split(rule(fold, stratify="class", val=0.2), half, 3)
        for role, each in (("test", 10), ("val", 10), ("train", 30)):
            yes = sum(case < "050" for case in split.cases(role))
            assert yes == each, role
            assert len(split.cases(role)) == 2 * each, role


def test_validation_is_a_ratio_of_all_patients():
    split = make_split(rule(1, val=0.2), cases(100), 0)

    assert [len(split.cases(role)) for role in ("train", "val", "test")] == [60, 20, 20]


def test_what_belongs_together_is_in_one_fold():
    together = [[f"{n:03d}-0", f"{n + 1:03d}-0"] for n in range(0, 20, 2)]
    for fold in range(1, 6):
        split = make_split(rule(fold), cases(20), 1, together)
        for first, second in together:
            assert split.role(first) == split.role(second)


def test_more_folds_than_patients_are_refused():
    with pytest.raises(DataError, match="too few patients for 5 folds: 3"):
        make_split(rule(1), cases(3), 0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"folds": 5},
        {"fold": 2},
        {"folds": 5, "fold": 6},
        {"folds": 5, "fold": 0},
        {"folds": 1, "fold": 1},
        {"folds": 5, "fold": 1, "test": 0.2},
        {"folds": 5, "fold": 1, "by": "slice"},
        {"folds": 5, "fold": 1, "column": "role"},
        {"folds": 2, "fold": 1, "val": 0.5},
    ],
)
def test_contradictions_are_refused(wrong):
    with pytest.raises(ValidationError):
        SplitRule.model_validate(wrong)
