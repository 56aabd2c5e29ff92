from __future__ import annotations

import json
import random
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from medseg.datasets.case import Case
from medseg.datasets.pseudonym import pseudonym, secret_key
from medseg.errors import DataError
from medseg.splits.rule import SplitRule
from medseg.splits.split import ROLES, Split, make_split


def cohort(patients: int, each: int = 1, **columns: Any) -> list[Case]:
    """Cases `p0_0`, ...; a column is a function of the patient's number."""
    return [
        Case(f"p{p}_{n}", f"p{p}", {}, extra={name: value(p) for name, value in columns.items()})
        for p in range(patients)
        for n in range(each)
    ]


def rule(**given: Any) -> SplitRule:
    return SplitRule.model_validate(given)


RATIOS = st.sampled_from([0.0, 0.1, 0.15, 0.2, 0.33, 0.45])


@given(
    patients=st.integers(3, 60), each=st.integers(1, 3), val=RATIOS, test=RATIOS, seed=st.integers(0, 2**32)
)
def test_no_patient_is_in_two_roles_and_every_case_in_one(
    patients: int, each: int, val: float, test: float, seed: int
) -> None:
    cases = cohort(patients, each)
    split = make_split(rule(val=val, test=test), cases, seed)
    roles = [split.cases(role) for role in ROLES]
    assert sorted(case for role in roles for case in role) == sorted(case.id for case in cases)
    groups = [set(split.groups(role)) for role in ROLES]
    assert sum(len(group) for group in groups) == len(set.union(*groups)) == patients
    assert all(split.role(case, 5) == role for role in ROLES for case in split.cases(role))
    assert not split.leaking


@given(patients=st.integers(3, 200), val=RATIOS, test=RATIOS, seed=st.integers(0, 99))
def test_shares_are_met_to_within_one_patient_and_nobody_with_a_share_is_empty(
    patients: int, val: float, test: float, seed: int
) -> None:
    split = make_split(rule(val=val, test=test), cohort(patients), seed)
    for role, ratio in (("val", val), ("test", test), ("train", 1 - val - test)):
        count = len(split.groups(role))
        exact = float(Fraction(str(round(ratio, 6))) * patients)
        assert (count == 0) == (ratio == 0)
        assert abs(count - exact) < 1 or count == 1 or role == "train"


@pytest.mark.slow
@given(seed=st.integers(0, 10_000), shuffle=st.randoms(use_true_random=False))
def test_the_order_of_the_cases_does_not_matter(seed: int, shuffle: random.Random) -> None:
    cases = cohort(17, 2, grade=lambda p: "HGG" if p % 3 else "LGG")
    other = shuffle.sample(cases, len(cases))
    expected = make_split(rule(stratify="grade"), cases, seed)
    assert make_split(rule(stratify="grade"), other, seed).roles == expected.roles
    assert make_split(rule(stratify="grade"), other, seed).digest() == expected.digest()


def test_another_seed_is_another_split_and_the_rule_s_own_seed_wins() -> None:
    cases = cohort(40)
    assert make_split(rule(), cases, 1).digest() != make_split(rule(), cases, 2).digest()
    assert make_split(rule(seed=5), cases, 1).digest() == make_split(rule(seed=5), cases, 2).digest()


def test_every_patient_is_tested_by_some_seed() -> None:
    cases = cohort(10)
    met = Counter(
        g for seed in range(300) for g in make_split(rule(val=0.2, test=0.2), cases, seed).groups("test")
    )
    assert len(met) == 10
    assert max(met.values()) < 100 > min(met.values()) > 30


@given(
    sizes=st.lists(st.integers(1, 30), min_size=1, max_size=6),
    val=st.sampled_from([0.1, 0.15, 0.2]),
    test=st.sampled_from([0.1, 0.15, 0.2]),
    seed=st.integers(0, 99),
)
def test_strata_get_their_share_rounded_down_or_up(
    sizes: list[int], val: float, test: float, seed: int
) -> None:
    total = sum(sizes)
    if total < 20:
        return  # so few that the rule "nobody empty" may move one
    stratum = [str(i) for i, size in enumerate(sizes) for _ in range(size)]
    cases = cohort(total, 1, grade=lambda p: stratum[p])
    split = make_split(rule(val=val, test=test, stratify="grade"), cases, seed)
    counts = Counter((stratum[int(g[1:])], role) for role in ROLES for g in split.groups(role))
    for i, size in enumerate(sizes):
        for role, ratio in (("val", val), ("test", test), ("train", 1 - val - test)):
            assert abs(counts[str(i), role] - size * ratio) < 1 + 1e-9
    for role, ratio in (("val", val), ("test", test)):
        assert abs(len(split.groups(role)) - total * ratio) < 2


def test_many_strata_of_one_patient_do_not_all_fall_into_training() -> None:
    split = make_split(rule(val=0.2, test=0.2, stratify="site"), cohort(50, 1, site=lambda p: f"s{p}"), 3)
    assert [len(split.groups(role)) for role in ROLES] == [30, 10, 10]


def test_too_few_patients_are_refused_with_numbers() -> None:
    with pytest.raises(DataError, match=r"2 for \['test', 'train', 'val'\], expected at least 3"):
        make_split(rule(), cohort(2, 5), 1)
    assert make_split(rule(val=0.5, test=0.0), cohort(2), 1).groups("test") == ()
    with pytest.raises(DataError, match="no cases"):
        make_split(rule(), [], 1)


def test_an_unknown_column_is_refused_with_the_columns_there_are() -> None:
    cases = cohort(9, 1, grade=lambda _: "HGG")
    for wrong in (rule(stratify="sex"), rule(test={"sex": "f"})):
        with pytest.raises(DataError, match=r"no column 'sex'.*\['grade'\]"):
            make_split(wrong, cases, 1)


def test_a_published_part_is_taken_whole_and_the_rest_is_drawn() -> None:
    cases = cohort(50, 2, published_split=lambda p: "val" if p < 10 else "train")
    split = make_split(rule(test={"published_split": "val"}, val=0.15), cases, 4)
    assert set(split.groups("test")) == {f"p{p}" for p in range(10)}
    assert len(split.groups("val")) == 6
    assert len(split.groups("train")) == 34


def test_values_may_be_a_list_and_columns_must_all_match() -> None:
    cases = cohort(12, 1, site=lambda p: "abc"[p % 3], scanner=lambda p: str(p % 2))
    split = make_split(rule(test={"site": ["a", "b"], "scanner": "1"}, val=0.0), cases, 4)
    assert set(split.groups("test")) == {f"p{p}" for p in range(12) if p % 3 < 2 and p % 2}


def test_a_column_that_chooses_nobody_or_one_patient_twice_is_refused() -> None:
    cases = cohort(9, 1, site=lambda p: "ab"[p % 2])
    with pytest.raises(DataError, match=r"no case has \['z'\].*has 2 other values.*--set split.test=0.15"):
        make_split(rule(test={"site": "z"}), cases, 1)
    with pytest.raises(DataError, match="for val and for test"):
        make_split(rule(test={"site": "a"}, val={"site": "a"}), cases, 1)


def test_cases_of_one_patient_that_disagree_are_refused_without_their_names() -> None:
    cases = [
        Case(f"x{i}", "anna" if i < 2 else f"g{i}", {}, extra={"part": "val" if i == 0 else "train"})
        for i in range(9)
    ]
    for wrong in (rule(test={"part": "val"}), rule(stratify="part")):
        with pytest.raises(DataError, match=r"disagree.*of 1 patient") as refused:
            make_split(wrong, cases, 1)
        assert "anna" not in str(refused.value)
        assert [fault.case for fault in refused.value.faults] == ["x0", "x1"]


ROLE_WORDS = {
    "train": ("train", "Training"),
    "val": ("VAL", "validation", "Valid"),
    "test": ("Test", " testing"),
    "": ("", " "),
}


@given(
    roles=st.lists(st.sampled_from(sorted(ROLE_WORDS)), min_size=4, max_size=40),
    seed=st.integers(0, 99),
    word=st.randoms(use_true_random=False),
)
def test_a_column_tells_all_roles_or_none_and_a_role_that_it_leaves_open_is_drawn(
    roles: list[str], seed: int, word: random.Random
) -> None:
    words = [word.choice(ROLE_WORDS[role]) for role in roles]
    cases = cohort(len(roles), 2, role=lambda p: words[p])
    open_ones = [p for p, role in enumerate(roles) if role in {"train", ""}]
    missing = [role for role in ("val", "test") if role not in roles]
    if "" in roles and set(roles) != {""}:
        with pytest.raises(DataError, match=rf"none of {2 * roles.count('')} cases: p\d") as refused:
            make_split(rule(column="role"), cases, seed)
        assert len(refused.value.faults) == 2 * roles.count("")
        return
    if len(open_ones) < len(missing) + 1:
        with pytest.raises(DataError, match=r"nobody is left|too few"):
            make_split(rule(column="role"), cases, seed)
        return
    split = make_split(rule(column="role"), cases, seed)
    for role in ("val", "test"):
        groups = set(split.groups(role))
        if role in missing:
            assert groups
            assert groups <= {f"p{p}" for p in open_ones}
        else:
            assert groups == {f"p{p}" for p, each in enumerate(roles) if each == role}
    assert sorted(g for role in ROLES for g in split.groups(role)) == sorted(
        f"p{p}" for p in range(len(roles))
    )


def test_a_column_without_any_value_is_the_draw_by_ratio() -> None:
    cases = cohort(30, 2, role=lambda _: "")
    assert make_split(rule(column="role"), cases, 5).roles == make_split(rule(), cases, 5).roles
    assert make_split(rule(column="role", test=0.0), cases, 5).groups("test") == ()


def test_a_patient_in_two_roles_of_a_column_leaks_and_is_named_by_its_public_name() -> None:
    cases = [
        Case(f"x{i}", "anna" if i in {0, 5} else f"g{i}", {}, extra={"role": "test" if i == 5 else "train"})
        for i in range(9)
    ]
    with pytest.raises(DataError, match=r"1 patient into more than one role.*leaks.*: anna$") as refused:
        make_split(rule(column="role"), cases, 1)
    assert [fault.case for fault in refused.value.faults] == ["x0", "x5"]
    half = [Case(c.id, c.group, {}, extra={"role": "" if c.id == "x0" else c.extra["role"]}) for c in cases]
    assert make_split(rule(column="role"), half, 1).role("x0") == "test"


def test_values_that_mean_no_role_are_listed_unless_names_are_hidden() -> None:
    cases = cohort(9, 1, role=lambda p: ["train", "Anna", "holdout"][p % 3])
    with pytest.raises(
        DataError,
        match=r"holds \['Anna', 'holdout'\] that mean no role; expected train.*--set split.column=null",
    ):
        make_split(rule(column="role"), cases, 1)
    hidden = [Case(f"case-{c.id}", c.group, {}, extra=c.extra) for c in cases]
    with pytest.raises(DataError, match="holds 2 values") as refused:
        make_split(rule(column="role"), hidden, 1)
    assert "Anna" not in str(refused.value)
    with pytest.raises(
        DataError, match=r"no column 'part', which split.column names.*--set split.column=null"
    ):
        make_split(rule(column="part"), cases, 1)


@pytest.mark.parametrize(
    "more", [{"file": "a.json"}, {"by": "slice"}, {"val": {"a": "b"}}, {"test": {"a": "b"}}]
)
def test_a_column_beside_another_way_is_refused(more: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="`column`"):
        rule(column="role", **more)


def test_a_split_by_slice_says_that_it_leaks_and_meets_its_shares() -> None:
    cases = cohort(20)
    split = make_split(rule(by="slice", val=0.2, test=0.1), cases, 7)
    assert split.leaking
    drawn = {(case.id, z): split.role(case.id, z) for case in cases for z in range(200)}
    counts = Counter(drawn.values())
    assert counts["val"] / 4000 == pytest.approx(0.2, abs=0.03)
    assert counts["test"] / 4000 == pytest.approx(0.1, abs=0.03)
    again = make_split(rule(by="slice", val=0.2, test=0.1), cases[::-1], 7)
    assert {key: again.role(*key) for key in drawn} == drawn
    other = make_split(rule(by="slice", val=0.2, test=0.1), cases, 8)
    assert {key: other.role(*key) for key in drawn} != drawn
    assert split.groups("val") == tuple(sorted({case.group for case in cases}))
    with pytest.raises(KeyError):
        split.role("nobody", 3)
    with pytest.raises(DataError, match="takes ratios"):
        make_split(rule(by="slice", val={"a": "b"}), cases, 7)


def test_the_draw_by_slice_is_the_same_on_every_machine() -> None:
    # BLAKE2b of "1\0p0_0\0<position>", first 53 bits, against 0.3 and 0.6: worked out by hand once.
    split = make_split(rule(by="slice", val=0.3, test=0.3), cohort(3), 1)
    import hashlib

    for position in range(20):
        digest = hashlib.blake2b(f"1\0p0_0\0{position}".encode(), digest_size=8).hexdigest()
        drawn = int(digest, 16) / 2**64
        expected = "test" if drawn < 0.3 else "val" if drawn < 0.6 else "train"
        assert split.role("p0_0", position) == expected


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
@given(by=st.sampled_from(["group", "slice"]), seed=st.integers(0, 99))
def test_a_written_split_is_read_back_the_same(tmp_path: Path, by: str, seed: int) -> None:
    cases = cohort(12, 2)
    split = make_split(rule(by=by), cases, seed)
    split.to_json(tmp_path / "split.json")
    again = make_split(rule(file=str(tmp_path / "split.json")), cases, 999)
    assert again.digest() == split.digest()
    assert again.leaking == split.leaking
    assert all(again.role(c.id, z) == split.role(c.id, z) for c in cases for z in range(5))


def test_a_file_may_name_patients_or_cases_as_json_or_csv(tmp_path: Path) -> None:
    cases = cohort(3, 2)
    by_patient, by_case, table = (tmp_path / name for name in ("a.json", "b.json", "c.csv"))
    by_patient.write_text(json.dumps({"train": ["p0"], "val": ["p1"], "test": ["p2"]}))
    by_case.write_text(json.dumps({"train": ["p0_0", "p0_1"], "val": ["p1_0", "p1_1"], "test": ["p2"]}))
    table.write_text("group,role\np0,train\np1,val\np2,test\n")
    assert len({Split.from_file(path, cases).digest() for path in (by_patient, by_case, table)}) == 1


def test_a_file_with_the_data_set_s_own_ids_is_understood_where_ids_are_hidden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDSEG_CONFIG", str(tmp_path / "config"))
    key = secret_key()
    cases = [Case(pseudonym("case", name, key), pseudonym("patient", name, key), {}) for name in "abc"]
    path = tmp_path / "s.json"
    path.write_text(json.dumps({"train": ["a"], "val": [cases[1].id], "test": ["c"]}))
    assert [Split.from_file(path, cases).role(case.id) for case in cases] == list(ROLES)


def test_a_file_may_name_cases_by_their_path_and_in_either_form_of_accents(tmp_path: Path) -> None:
    cases = [Case(name, name, {}) for name in ("Train_1", "\u00e9", "c")]
    path = tmp_path / "s.json"
    path.write_text(json.dumps({"train": ["Train/1"], "val": ["e\u0301"], "test": ["c"]}))
    assert [Split.from_file(path, cases).role(case.id) for case in cases] == list(ROLES)


@pytest.mark.parametrize("by", ["group", "slice"])
@pytest.mark.parametrize("listed", [True, False])
def test_a_file_may_name_cases_that_are_left_out_and_need_not(tmp_path: Path, by: str, listed: bool) -> None:
    every = cohort(8, 2)
    cases = every[:-3]  # the last patient is left out, and one case of the one before
    whole = make_split(rule(by=by), every, 5)
    (whole if listed else make_split(rule(by=by), cases, 5)).to_json(tmp_path / "split.json")

    split = make_split(rule(file=str(tmp_path / "split.json")), cases, 1, (), every[-3:])

    assert set(split.group_of) == {case.id for case in cases}
    if listed:
        assert all(split.role(case.id, z) == whole.role(case.id, z) for case in cases for z in range(5))
    with pytest.raises(DataError, match=r"leaves out 3 of its 16|names 3 cases"):
        make_split(rule(file=str(tmp_path / "split.json")), cases if listed else every, 1)


def test_a_file_of_patients_may_name_one_of_whom_no_case_is_left(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("group,role\np0,train\np1,val\np2,test\n")
    *cases, gone = cohort(3)

    split = Split.from_file(tmp_path / "s.csv", cases, [gone, Case("x", "", {})])

    assert dict(split.roles) == {"p0_0": "train", "p1_0": "val"}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('{"train": ["p0"], "val": ["p1"]}', "names 0 cases.* leaves out 2 of its 6"),
        ('{"train": ["p0", "p1", "p2", "Anna"]}', "names 1 cases.* leaves out 0"),
        ('{"train": ["p0_0", "p1", "p2"], "val": ["p0_1"]}', "puts 1 patient into more than one role"),
        ('{"train": ["p0", "p1", "p2"], "valid": []}', "something else"),
        ('{"train": "p0"}', "something else"),
        ("[]", "something else"),
        ("{", "no JSON"),
        ('{"by": "slice", "seed": 1, "ratios": {}, "cases": ["p0_0"]}', "leaves out 5"),
        ('{"by": "slice"}', "lacks one of"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_without_names(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "split.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=complaint) as refused:
        Split.from_file(path, cohort(3, 2))
    assert "Anna" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("patient,role\np0,train\n", "columns"),
        ("case,role\np0,training\n", "Did you mean 'train'"),
        ("", "columns"),
        ('case,role\np0_0,train\n"p1_0,val\np2_0,test\n', "no CSV .* in the row that begins in line 3"),
        ('case,role\n"p0_0,train\np1_0,val\np2_0",test\n', "line 2 goes on in line 3"),
        ("case,role\np0_0,train\np1, 0,val\np2_0,test\n", "row in line 3 has 3 values"),
        (
            "case,role\np0_0,train\np1_0\np2_0,test\n",
            "row in line 3 has 1 value, and the table has 2 columns",
        ),
    ],
)
def test_a_table_that_does_not_fit_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "split.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=complaint):
        Split.from_file(path, cohort(3))


def test_an_absent_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot be read: .*\. Put it where split\.file says"):
        make_split(rule(file=str(tmp_path / "none.json")), cohort(3), 1)


def test_cases_without_a_role_are_named_a_few_and_never_trained_on_silently() -> None:
    told = {0: "train", 1: "val", 2: "test"}
    cases = cohort(9, 1, role=lambda p: told.get(p, ""))
    with pytest.raises(
        DataError, match=r"none of 6 cases: p3_0, .*, p7_0 and 1 more\. Name the role"
    ) as refused:
        make_split(rule(column="role"), cases, 1)
    assert "--set split.column=null" in str(refused.value)
    assert [fault.case for fault in refused.value.faults] == [f"p{p}_0" for p in range(3, 9)]
    one = cohort(3, 1, role=lambda p: "" if p == 2 else "train")
    with pytest.raises(DataError, match=r"none of 1 case: p2_0\."):
        make_split(rule(column="role"), one, 1)


def test_a_note_counts_patients_and_cases_of_each_role() -> None:
    split = make_split(rule(val=0.2, test=0.0), cohort(10, each=3), 1)

    assert (
        split.note()
        == "Split by patient (or group): 8 with 24 cases for training, 2 with 6 cases to validate."
    )
    by_slice = make_split(rule(by="slice"), cohort(4), 1)
    assert by_slice.note() == "Split by slice: slices of each of 4 cases may be in any role."
