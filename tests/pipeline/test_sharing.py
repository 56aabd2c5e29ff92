"""What a run says of a class that a role lacks, and what it advises."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from medseg.datasets.case import Case
from medseg.errors import DataError
from medseg.pipeline.sharing import refuse
from medseg.splits.rule import SplitRule
from medseg.splits.split import Split

HINT = "split.stratify=class"


def run(stratify: str | None, **classes: str) -> list[str]:
    """What is said of a run in which each role has a picture of each of these classes, a letter each."""
    cases = [
        Case(f"{role}{name}", f"{role}{name}", {}, labels=(name,))
        for role, names in classes.items()
        for name in names
    ]
    role_of: Any = {case.id: case.id[:-1] for case in cases}
    split = Split("group", 1, {}, {case.id: case.group for case in cases}, role_of)
    resolved = SimpleNamespace(
        definition=SimpleNamespace(split=SplitRule.model_validate({"stratify": stratify})),
        manifest=SimpleNamespace(classes=("a", "b", "c")),
        steps={"fit": SimpleNamespace(roles=("train", "val"))},
        predictor=SimpleNamespace(task=SimpleNamespace(target=SimpleNamespace(truth="classes"))),
    )
    said: list[str] = []
    refuse(
        resolved,  # type: ignore[arg-type]
        SimpleNamespace(cases=cases, split=split),  # type: ignore[arg-type]
        allow_duplicates=True,
        say=said.append,
    )
    return said


@pytest.mark.parametrize("stratify", [None, "scanner", "class"])
def test_a_role_that_lacks_a_class_is_told_with_what_can_still_be_done(stratify: str | None) -> None:
    (said,) = run(stratify, train="abc", val="ab", test="abc")
    assert said.startswith("The role val has no picture of the class 'c': its scores leave it out.")
    assert "pictures of more patients" in said
    assert (HINT in said) == (stratify != "class")
    assert ("give the role val a larger part" in said) == (stratify == "class")


@pytest.mark.parametrize("stratify", [None, "class"])
def test_a_class_that_training_lacks_is_refused_with_what_can_still_be_done(stratify: str | None) -> None:
    with pytest.raises(DataError, match="no picture of the class 'c'") as refused:
        run(stratify, train="ab", val="abc")
    assert (HINT in str(refused.value)) == (stratify != "class")
    assert ("give the role train a larger part" in str(refused.value)) == (stratify == "class")


def test_nothing_is_said_where_all_roles_have_all_classes() -> None:
    assert run(None, train="abc", val="abc", test="cba") == []
