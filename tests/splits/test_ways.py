"""A remedy is offered only where it works: each rule that a refusal offers shares out the very cases."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pytest

from medseg.datasets.case import Case
from medseg.errors import DataError
from medseg.splits.by_slice import Place
from medseg.splits.rule import SplitRule
from medseg.splits.split import Split, make_split
from medseg.splits.ways import changed
from medseg.yaml import parse_yaml


def cases(patients: int, each: int = 1, **extra: str) -> list[Case]:
    return [Case(f"p{p} {n}", f"p{p}", {}, extra=extra) for p in range(patients) for n in range(each)]


def slices(found: Sequence[Case], depth: int) -> list[Place]:
    return [(case.id, position) for case in found for position in range(depth)]


def refused(rule: SplitRule, found: Sequence[Case], places: list[Place], **how: bool) -> str:
    with pytest.raises(DataError) as error:
        make_split(rule, found, 1, places=places, **how)
    return str(error.value)


def offers(text: str) -> list[dict[str, Any]]:
    """The changes of each clause of a message that offers some."""
    changes = (re.findall(r"--set split\.(\w+)=(\S+)", clause) for clause in text.split("; "))
    return [{key: parse_yaml(value, "here") for key, value in each} for each in changes if each]


def shared_by(text: str, rule: SplitRule, found: Sequence[Case], places: list[Place]) -> list[Split]:
    return [make_split(changed(rule, each), found, 1, places=places) for each in offers(text)]


@pytest.mark.parametrize(
    "values", [{}, {"test": 0.3}, {"train": 20, "val": 5, "test": 5}, {"stratify": "site"}]
)
@pytest.mark.parametrize("depth", [1, 3, 60])
@pytest.mark.parametrize("each", [1, 2, 3, 9, 40])
def test_what_is_offered_for_too_few_patients_gives_every_role_a_slice(
    values: dict[str, Any], depth: int, each: int
) -> None:
    rule, found = SplitRule.model_validate(values), cases(1, each, site="here")
    places = slices(found, depth)
    text = refused(rule, found, places)
    assert text.startswith("there are too few patients to share out: 1 for")
    assert bool(offers(text)) == (len(places) >= 3)
    for split in shared_by(text, rule, found, places):
        assert {split.role(*place) for place in places} >= {"train", "val", "test"}


def test_slices_are_not_offered_where_they_may_not_be_shared_out() -> None:
    found = cases(1)
    places = slices(found, 60)
    assert offers(refused(SplitRule(), found, places))
    assert refused(SplitRule(), found, places, slices=False).endswith("Add data of others")


@pytest.mark.parametrize("patients", [1, 2, 3, 7])
@pytest.mark.parametrize(
    ("values", "extra"),
    [
        ({"column": "role"}, {"role": "nonsense"}),
        ({"column": "role"}, {"role": "test"}),
        ({"column": "role"}, {}),
        ({"val": {"role": "val"}}, {"role": "x"}),
        ({"val": {"role": "val"}}, {}),
        ({"test": {"role": "test", "site": "a"}}, {"role": "test", "site": "b"}),
        ({"stratify": "role"}, {}),
    ],
)
def test_to_go_on_without_a_column_is_offered_where_that_works(
    values: dict[str, Any], extra: dict[str, str], patients: int
) -> None:
    rule, found = SplitRule.model_validate(values), cases(patients, **extra)
    text = refused(rule, found, slices(found, 1))
    assert bool(offers(text)) == (patients >= 3)
    for split in shared_by(text, rule, found, slices(found, 1)):
        assert {split.role(case.id) for case in found} == {"train", "val", "test"}


@pytest.mark.parametrize("patients", [1, 2, 3, 4])
@pytest.mark.parametrize(("folds", "val"), [(2, 0.0), (2, 0.15), (5, 0.0), (5, 0.15), (5, 0.7)])
def test_fewer_folds_are_advised_where_they_can_be_made(patients: int, folds: int, val: float) -> None:
    found, texts = cases(patients), []
    for fold in range(1, folds + 1):
        try:
            make_split(SplitRule(folds=folds, fold=fold, val=val), found, 1)
        except DataError as error:
            texts.append(str(error))
    for text in texts:
        if advised := re.search(r"Take (\d+) folds", text):
            count = int(advised[1])
            for fold in range(1, count + 1):
                split = make_split(SplitRule(folds=count, fold=fold, val=val), found, 1)
                assert split.cases("train")
                assert split.cases("test")
                assert bool(split.cases("val")) == bool(val)
        else:
            assert patients < 3 or val > 0.5
            assert "Add data of others" in text


def test_a_run_by_folds_is_never_told_to_share_out_slices() -> None:
    found = cases(2, 9)
    text = refused(SplitRule(folds=2, fold=1, val=0.15), found, slices(found, 60))
    assert text.startswith("there are too few patients")
    assert not offers(text)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("depth", [2, 3, 4, 6, 12])
def test_a_split_by_slice_gives_every_role_a_slice_or_is_refused_with_one_that_does(
    depth: int, seed: int
) -> None:
    rule, found = SplitRule.model_validate({"by": "slice"}), cases(1)
    places, text = slices(found, depth), ""
    try:
        splits = [make_split(rule, found, seed, places=places)]
    except DataError as error:
        text = str(error)
        splits = [make_split(changed(rule, each), found, seed, places=places) for each in offers(text)]
    assert re.match(r"of \d+ slices, split gives .* none\. Add data|$", text)
    assert splits or depth < 3
    for split in splits:
        assert {split.role(*place) for place in places} >= {"train", "val", "test"}
