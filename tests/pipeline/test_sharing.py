"""What a run says of a class that a role lacks, and what it advises."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import pytest

from medseg.datasets.case import Case
from medseg.datasets.checks.duplicates import Duplicates
from medseg.errors import DataError
from medseg.pipeline.duplicates import SharedCopies
from medseg.pipeline.sharing import refusals, refuse, share_out
from medseg.splits.rule import SplitRule
from medseg.splits.split import Split, make_split
from medseg.splits.ways import changed
from medseg.yaml import parse_yaml

HINT = "--set split.stratify=class"
MANY = "abc" * 12


def resolved_by(rule: SplitRule, *, flat: bool = True) -> Any:
    return SimpleNamespace(
        definition=SimpleNamespace(split=rule, seed=1, slices=SimpleNamespace(fit="pad", axis="axial")),
        manifest=SimpleNamespace(classes=("a", "b", "c"), files=lambda: SimpleNamespace(flat=flat)),
        steps={"fit": SimpleNamespace(roles=("train", "val"))},
        predictor=SimpleNamespace(task=SimpleNamespace(target=SimpleNamespace(truth="classes"))),
    )


def run(stratify: str | None, **classes: str) -> list[str]:
    """What is said of a run in which each role has a picture of each of these classes, a letter each."""
    cases = [
        Case(f"{role} {number}", f"{role} {number}", {}, labels=(name,))
        for role, names in classes.items()
        for number, name in enumerate(names)
    ]
    role_of: Any = {case.id: case.id.split()[0] for case in cases}
    split = Split("group", 1, {}, {case.id: case.group for case in cases}, role_of)
    said: list[str] = []
    refuse(
        resolved_by(SplitRule.model_validate({"stratify": stratify})),
        SharedCopies(Duplicates(), split, cases),
        allow_duplicates=True,
        say=said.append,
    )
    return said


@pytest.mark.parametrize("stratify", [None, "scanner", "class"])
def test_a_role_that_lacks_a_class_is_told_with_what_can_still_be_done(stratify: str | None) -> None:
    (said,) = run(stratify, train=MANY, val="ab", test="abc")
    assert said.startswith("The role val has no picture of the class 'c': its scores leave it out.")
    assert "pictures of more patients" in said
    assert (HINT in said) == (stratify != "class")
    assert ("give the role val a larger part" in said) == (stratify == "class")


@pytest.mark.parametrize("stratify", [None, "class"])
def test_a_class_that_training_lacks_is_refused_with_what_can_still_be_done(stratify: str | None) -> None:
    with pytest.raises(DataError, match="no picture of the class 'c'") as refused:
        run(stratify, train="ab", val=MANY)
    assert (HINT in str(refused.value)) == (stratify != "class")
    assert ("--set split.stratify=null" in str(refused.value)) == (stratify == "class")
    assert "or or" not in str(refused.value)


def test_like_parts_of_each_class_are_advised_only_where_there_are_enough_patients_of_it() -> None:
    (said,) = run(None, train="abc", val="ab", test="abc")
    assert HINT not in said
    assert "add pictures of more patients" in said


def emptied(rule: SplitRule, count: int) -> str:
    """What is refused of so many pictures, none of which the rule lets validate."""
    cases = [Case(f"p{n}", f"p{n}", {}) for n in range(count)]
    resolved = resolved_by(rule)
    shared = SharedCopies(Duplicates(), make_split(rule, cases, 1), cases)
    with pytest.raises(
        DataError, match="needs patients in the role val, and the split gives it none"
    ) as refused:
        refuse(resolved, shared, allow_duplicates=True, say=lambda _: None)
    if offers := re.findall(r"--set split\.(\w+)=(\S+)", str(refused.value)):
        values = {key: parse_yaml(value, "here") for key, value in offers}
        again = SharedCopies(Duplicates(), make_split(changed(rule, values), cases, 1), cases)
        refuse(resolved, again, allow_duplicates=True, say=lambda _: None)
    return str(refused.value)


@pytest.mark.parametrize(
    "values", [{"val": 0.0}, {"train": 8, "val": 0.0, "test": 2}, {"by": "slice", "val": 0.0}]
)
def test_a_role_of_nobody_is_given_somebody_by_what_is_offered(values: dict[str, Any]) -> None:
    rule = SplitRule.model_validate(values)
    assert "--set split.val=" in emptied(rule, 20)
    two = emptied(SplitRule(val=0.0), 2)
    assert two.endswith("Add cases")


def test_what_would_take_the_last_picture_from_training_is_not_offered() -> None:
    assert emptied(SplitRule(by="slice"), 1).endswith("Add cases")


STEPS = {
    "fit": SimpleNamespace(roles=("train", "val")),
    "evaluate": SimpleNamespace(roles=("test",), role="test"),
}


def reported(cases: list[Case], depth: int) -> Any:
    """A report on images of so many slices, none of which is a copy of another."""
    identity = (1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1)
    facts = [SimpleNamespace(case=case.id, shape=(8, 8, depth), affine=identity) for case in cases]
    listing = SimpleNamespace(cases=cases, incomplete=[])
    return SimpleNamespace(facts=facts, listing=listing, duplicates=Duplicates())


def told(rule: SplitRule, cases: list[Case], depth: int = 1) -> tuple[list[str], list[str]]:
    """What is refused of these images, and what is only said, for a pipeline that validates and tests."""
    resolved, said = resolved_by(rule, flat=depth == 1), []
    resolved.steps = STEPS
    try:
        shared = share_out(resolved.definition, cases, reported(cases, depth), resolved)
        found = refusals(resolved, shared, allow_duplicates=True, say=said.append)
        return [str(each) for each in found], said
    except DataError as error:
        return [str(error)], said


@pytest.mark.parametrize("count", [1, 2, 3, 4, 6, 9])
@pytest.mark.parametrize("classes", ["a", "ab"])
@pytest.mark.parametrize(
    "values",
    [
        {},
        {"test": 0.0},
        {"val": 0.0, "test": 0.0},
        {"stratify": "class"},
        {"by": "slice"},
        {"by": "slice", "test": 0.0},
        {"train": 2, "val": 1, "test": 1},
        {"folds": 3, "fold": 1},
        {"test": 2},
        {"val": 3, "test": 1},
        {"by": "slice", "test": 40},
    ],
    ids=str,
)
def test_no_rule_that_is_offered_makes_a_new_refusal(
    values: dict[str, Any], classes: str, count: int
) -> None:
    rule = SplitRule.model_validate(values)
    cases = [Case(f"p{n}{c}", f"p{n}{c}", {}, labels=(c,)) for n in range(count) for c in classes]
    refused, said = told(rule, cases)
    for text in [*refused, *said]:
        for clause in re.split(r"; |, ", text):
            offers = re.findall(r"--set split\.(\w+)=([^\s)]+)", clause)
            if offers:
                changes = {key: parse_yaml(value, "here") for key, value in offers}
                again, _ = told(changed(rule, changes), cases)
                assert text not in again
                roles = [re.match(r"steps\.\w+ needs|the split gives training no", each) for each in again]
                assert all(roles), again
                assert len(again) < max(1, len(refused)) or (text in said and len(again) == len(refused))


def test_roles_that_are_empty_together_are_filled_together() -> None:
    rule = SplitRule(val=0.0, test=0.0)
    cases = [Case(f"p{n}", f"p{n}", {}, labels=("a",)) for n in range(9)]
    refused, _ = told(rule, cases)
    assert all(
        "--set split.val=0.15 --set split.test=0.15" in each or "split.test=0.15 --set split.val=0.15" in each
        for each in refused
    )
    two, _ = told(rule, cases[:2])
    assert [each.rpartition(". ")[2] for each in two] == ["Add cases", "Add cases"]


def test_slices_are_offered_with_shares_for_all_roles_that_steps_need() -> None:
    (refused,), _ = told(SplitRule(test=0.0), [Case("p", "p", {})], depth=40)
    assert refused.endswith("--set split.by=slice --set split.val=0.15 --set split.test=0.15")


def test_nothing_is_said_where_all_roles_have_all_classes() -> None:
    assert run(None, train="abc", val="abc", test="cba") == []
