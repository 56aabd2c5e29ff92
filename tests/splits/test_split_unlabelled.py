"""Images without a label beside a split: all are for learning, but for those that would leak into the scores."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medseg.datasets.case import Case
from medseg.errors import DataError
from medseg.splits.rule import SplitRule
from medseg.splits.split import ROLES, Split, make_split


def rule(**changes: Any) -> SplitRule:
    return SplitRule.model_validate(changes)


def labelled(count: int, *, images: int = 1) -> list[Case]:
    return [
        Case(f"l{p}_{n}", f"p{p}", {}, labels=("yes" if p % 2 else "no",), extra={"role": "", "site": "x"})
        for p in range(count)
        for n in range(images)
    ]


def without(name: str, patient: str | None = None, **extra: str) -> Case:
    return Case(name, patient or name, {}, unlabelled=True, extra={"role": "", "site": "", **extra})


RULES: Mapping[str, dict[str, Any]] = {
    "ratios": {"val": 0.2, "test": 0.2},
    "classes": {"stratify": "class"},
    "column": {"column": "role", "stratify": "site"},
    "fold": {"folds": 4, "fold": 2, "val": 0.2},
    "slice": {"by": "slice", "val": 0.3, "test": 0.3},
}


@given(kind=st.sampled_from(sorted(RULES)), seed=st.integers(0, 99), pool=st.integers(1, 30))
def test_a_pool_changes_nothing_for_those_with_a_label(kind: str, seed: int, pool: int) -> None:
    cases, others = labelled(20), [without(f"u{n}") for n in range(pool)]
    alone = make_split(rule(**RULES[kind]), cases, seed)
    # each image of the pool is a copy of two with a label, which it must not join
    together = [{f"u{n}", f"l{(n * 7 + k) % 20}_0"} for n in range(pool) for k in range(2)]

    split = make_split(rule(**RULES[kind]), [*others, *cases], seed, together)

    assert {case.id: split.role(case.id) for case in cases} == {
        case.id: alone.role(case.id) for case in cases
    }
    assert all(split.cases(role) == alone.cases(role) for role in ROLES)
    assert set(split.cases("unlabelled")) | set(split.held_back) == {case.id for case in others}


@pytest.mark.parametrize("kind", sorted(RULES))
def test_whatever_the_rule_only_what_cannot_leak_is_learned_from(kind: str) -> None:
    cases = labelled(30)
    twins = [without(f"t{p}", f"p{p}") for p in range(30)]  # another image of each patient
    copies, free = [without(f"c{p}") for p in range(30)], [without("free")]
    together = [{f"c{p}", f"l{p}_0"} for p in range(30)]

    split = make_split(rule(**RULES[kind]), [*cases, *twins, *copies, *free], 3, together)

    learnt = {p for p in range(30) if split.role(f"l{p}_0") == "train"}
    assert 0 < len(learnt) < 30
    assert set(split.cases("unlabelled")) == {"free", *(f"{letter}{p}" for p in learnt for letter in "tc")}
    assert {name for name, reason in split.held_back.items() if reason == "patient"} == {
        f"t{p}" for p in range(30) if p not in learnt
    }
    assert all(split.held_back[f"c{p}"] == "copy" for p in range(30) if p not in learnt)
    with pytest.raises(KeyError):
        split.role(next(iter(split.held_back)))


def test_a_copy_of_a_copy_and_other_images_of_its_patient_are_held_back_too() -> None:
    cases = labelled(12)
    test = make_split(rule(), cases, 1).cases("test")[0]
    pool = [without("a"), without("b", "pb"), without("c", "pb"), without("d")]
    split = make_split(rule(), [*cases, *pool], 1, [{test, "a"}, {"a", "b"}])
    assert dict(split.held_back) == {"a": "copy", "b": "copy", "c": "copy"}
    assert split.cases("unlabelled") == ("d",)


def test_what_columns_keep_for_scores_is_not_learned_from() -> None:
    cases = [replace(case, extra={"role": "train", "site": "x"}) for case in labelled(8)]
    pool = [
        without("a", role="Test"),
        without("b", role="train"),
        without("c", site="z"),
        without("d", role="Unlabelled"),
    ]
    by_column = make_split(rule(column="role", val=0.2, test=0.2), [*cases, *pool], 1)
    assert dict(by_column.held_back) == {"a": "patient"}
    cases[0] = replace(cases[0], extra={"role": "", "site": "z"})
    chosen = make_split(rule(test={"site": ["z", "y"]}, val=0.2), [*cases, *pool], 1)
    assert dict(chosen.held_back) == {"c": "patient"}


@pytest.mark.parametrize("role", ["tset", "holdout", "pool"])
def test_a_role_that_is_none_is_refused_of_them_as_of_others(role: str) -> None:
    cases = [replace(case, extra={"role": "train"}) for case in labelled(8)]
    by_column = rule(column="role", val=0.2, test=0.2)
    with pytest.raises(DataError, match=rf"holds \['{role}'\] that mean no role; expected train"):
        make_split(by_column, [*cases, without("a", role=role)], 1)
    cases[0] = replace(cases[0], extra={"role": "unlabelled"})
    with pytest.raises(DataError, match=r"holds \['unlabelled'\] that mean no role"):
        make_split(by_column, cases, 1)


def test_a_split_without_such_images_is_written_as_before(tmp_path: Path) -> None:
    split = make_split(rule(), labelled(10), 1)
    split.to_json(tmp_path / "s.json")
    content = {"by": "group", **{str(role): list(split.cases(role)) for role in ROLES}}
    assert (tmp_path / "s.json").read_text() == json.dumps(content, indent=1) + "\n"
    written = json.dumps(content, sort_keys=True).encode()
    assert split.digest() == hashlib.blake2b(written, digest_size=16).hexdigest()


@pytest.mark.parametrize("by", ["group", "slice"])
def test_a_written_split_is_read_back_with_them(tmp_path: Path, by: str) -> None:
    cases, pool = labelled(12), [without("a"), without("b"), without("c", "p1"), without("d", "p1")]
    together = [{"a", f"l{p}_0"} for p in range(12)]
    split = make_split(rule(by=by), [*cases, *pool], 4, together)
    split.to_json(tmp_path / "s.json")

    again = make_split(rule(file=str(tmp_path / "s.json")), [*cases, *pool], 9, together)

    assert (again.digest(), again.note(), again.held_back) == (split.digest(), split.note(), split.held_back)
    assert split.digest() != make_split(rule(by=by), cases, 4).digest()
    assert "a" in split.held_back


def test_a_file_may_leave_them_out_or_name_those_to_learn_from(tmp_path: Path) -> None:
    every = [*labelled(3), without("a"), without("b"), without("c", "p0"), without("d", "p2")]
    roles = {"train": ["p0"], "val": ["p1"], "test": ["l2_0"]}
    silent, named, none, table = (tmp_path / name for name in ("a.json", "b.json", "c.json", "d.csv"))
    silent.write_text(json.dumps(roles))
    named.write_text(json.dumps({**roles, "unlabelled": ["a", "p2", "p0"]}))
    none.write_text(json.dumps({**roles, "unlabelled": []}))
    table.write_text("case,role\nl0_0,train\nl1_0,val\nl2_0,test\na,unlabelled\nc,unlabelled\n")

    split = Split.from_file(silent, every)
    assert split.cases("unlabelled") == ("a", "b", "c")
    assert dict(split.held_back) == {"d": "patient"}
    chosen = Split.from_file(named, every)
    assert chosen.cases("unlabelled") == ("a", "c")
    assert dict(chosen.held_back) == {"b": "unnamed", "d": "patient"}
    assert Split.from_file(table, every).roles == chosen.roles
    assert Split.from_file(none, every).cases("unlabelled") == ()
    Split.from_file(none, every).to_json(tmp_path / "again.json")
    assert Split.from_file(tmp_path / "again.json", every).cases("unlabelled") == ()


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        (
            {"test": ["l2_0", "a"]},
            "names 1 images without a label, .* Name them in 'unlabelled', or not at all",
        ),
        (
            {"unlabelled": ["l0_0"]},
            "names 1 cases or patients in 'unlabelled' that have no image without a label",
        ),
        ({"unlabelled": ["Anna"]}, "names 1 cases or patients that are not in the data set"),
        ({"unlabelled": "a"}, "something else"),
    ],
)
def test_a_file_that_mistakes_them_is_refused_without_names(
    tmp_path: Path, changes: dict[str, Any], complaint: str
) -> None:
    roles = {"train": ["p0"], "val": ["p1"], "test": ["p2"], **changes}
    (tmp_path / "s.json").write_text(json.dumps(roles))
    with pytest.raises(DataError, match=complaint) as refused:
        Split.from_file(tmp_path / "s.json", [*labelled(3), without("a")])
    assert "Anna" not in str(refused.value)


def test_the_note_counts_them_and_says_why_some_are_left_out() -> None:
    cases = [*labelled(10), without("a"), without("b"), *(without(f"t{p}", f"p{p}") for p in range(10))]
    split = make_split(rule(val=0.2, test=0.2), cases, 1)
    assert split.note() == (
        "Split by patient (or group): 6 with 6 cases for training, 2 with 2 cases to validate, 2 with 2 cases to "
        "test. Without a label: 8 images that steps may learn from; 4 are left out: 4 of patients in "
        "validation or test."
    )
    by_slice = make_split(rule(by="slice"), [*labelled(4), without("a")], 1)
    assert by_slice.note().startswith(
        "Split by slice: slices of each of 4 cases may be in any role. Without a label: 1 "
    )
    assert by_slice.role("a", 7) == "unlabelled"


def test_they_alone_are_nothing_to_share_out() -> None:
    with pytest.raises(DataError, match="no cases to share out"):
        make_split(rule(), [without("a"), without("b"), without("c")], 1)
