"""Images without a label beside those that have one: checked, shared out, and kept apart from what is scored."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from medseg.datasets.case import labelled
from medseg.datasets.checks.check import Report, check
from medseg.datasets.checks.duplicates import Duplicates, Pair, twins
from medseg.datasets.finding.scan import scan
from medseg.datasets.manifest.manifest import Manifest
from medseg.errors import DataError, Fault
from medseg.pipeline.gather import gather
from medseg.pipeline.sharing import KeptSplit, refusals, share_out, share_out_again
from medseg.progress import Silent
from medseg.recorder import NoRecord
from medseg.splits.rule import SplitRule
from medseg.testing.pictures import write_picture

PARTLY = Manifest.model_validate(
    {
        **dict.fromkeys(["name", "about", "source", "licence", "citation", "obtain"], "x"),
        "channels": ["grey"],
        "image_labels": "one",
        "pictures": {"channels": "grey"},
        "ids": "pseudonyms",
        "layout": {"class_folders": True, "labelled": ["labelled"], "unlabelled": ["unlabelled"]},
        "group": {"pattern": r"_of_(\w+)$"},
        "classes": ["cat", "dog"],
    }
)


class Kept(NoRecord):
    def __init__(self) -> None:
        self.named: dict[str, str] = {}

    def tags(self, values: Mapping[str, str]) -> None:
        self.named |= values


class Heard(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str, *, loud: bool = False) -> None:
        assert loud
        self.lines.append(text)


def picture(seed: int) -> NDArray[np.uint8]:
    random = np.random.default_rng(seed)
    return random.integers(0, 250, (12, 14)).astype(np.uint8).repeat(4, axis=0).repeat(4, axis=1)


def brighter(seed: int) -> NDArray[np.uint8]:
    made: NDArray[np.uint8] = np.rint(picture(seed) * 0.9 + 5).astype(np.uint8)
    return made


#: Ten pictures of each class; picture 0 to 9 of cats, 10 to 19 of dogs.
LABELLED = {
    f"labelled/{kind}/{n + 1}": picture(10 * k + n)
    for k, kind in enumerate(("cat", "dog"))
    for n in range(10)
}


def report_of(root: Path, **pool: NDArray[np.uint8]) -> Report:
    for name, pixels in {**LABELLED, **{f"unlabelled/{name}": each for name, each in pool.items()}}.items():
        write_picture(root / f"{name}.png", pixels)
    return check(scan(PARTLY, root), PARTLY, ("grey",))


def definition(**split: Any) -> Any:
    return SimpleNamespace(
        split=SplitRule.model_validate(split), seed=1, slices=SimpleNamespace(fit="pad", axis="axial")
    )


def pool() -> dict[str, NDArray[np.uint8]]:
    """A copy of each picture of a cat, a brighter one of each of a dog, and five pictures of their own."""
    copies = {f"copy{n}": picture(n) for n in range(10)} | {f"near{n}": brighter(10 + n) for n in range(10)}
    return copies | {f"own{n}": picture(100 + n) for n in range(5)}


def test_a_picture_that_cannot_be_read_is_skipped_only_where_it_has_no_label(tmp_path: Path) -> None:
    write_picture(tmp_path / "unlabelled" / "dark.png", np.zeros((20, 20), np.uint8))
    (tmp_path / "unlabelled" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    report = report_of(tmp_path, own=picture(100))
    assert report.faults == ()
    assert {fault.case for fault in report.skipped} == {"unlabelled_broken", "unlabelled_dark"}
    assert report.skipped_note() == "SKIPPED: 2 of 3 images without a label have faults and are left out"
    found = gather(report, skip_bad=False)
    assert found.left_out == ("unlabelled_broken", "unlabelled_dark")
    assert len(found.cases) == 21

    (tmp_path / "labelled" / "cat" / "1.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    report = check(scan(PARTLY, tmp_path), PARTLY, ("grey",))
    with pytest.raises(DataError, match="1 fault in the data, 20 cases without") as caught:
        gather(report, skip_bad=False)
    assert [fault.case for fault in caught.value.faults] == ["labelled_cat_1"]
    assert len(gather(report, skip_bad=True).left_out) == 3


def test_faults_that_preparing_finds_are_told_apart_likewise(tmp_path: Path) -> None:
    found = gather(report_of(tmp_path, a=picture(100), b=picture(101)), skip_bad=False)
    without, with_one = (
        Fault(name, 1, "", "too large", "x", None) for name in ("unlabelled_a", "labelled_cat_1")
    )
    assert found.report.skips([without])
    assert not found.report.skips([without, with_one])
    left = found.without([without, with_one])
    assert (left.report.faults, left.report.skipped) == ((with_one,), (without,))
    assert left.left_out == ("labelled_cat_1", "unlabelled_a")


def test_what_was_found_is_remembered_with_the_hash_of_the_picture(tmp_path: Path) -> None:
    report_of(tmp_path / "d", near=brighter(3))
    listing = scan(PARTLY, tmp_path / "d")
    first, again = (check(listing, PARTLY, ("grey",), remember=tmp_path / "m") for _ in range(2))
    assert (first.read, again.read) == (21, 0)
    assert again.facts == first.facts
    assert {(pair.first, pair.second) for pair in again.duplicates.pairs} == {
        ("labelled_cat_4", "unlabelled_near")
    }


def test_only_pictures_with_different_labels_contradict_each_other(tmp_path: Path) -> None:
    report = report_of(tmp_path, copy=picture(0), again=picture(0))
    assert report.faults == report.skipped == ()
    assert twins(report.duplicates, report.listing.cases) == 2
    write_picture(tmp_path / "labelled" / "dog" / "11.png", picture(0))
    report = check(scan(PARTLY, tmp_path), PARTLY, ("grey",))
    assert [fault.case for fault in report.faults] == ["labelled_cat_1", "labelled_dog_11"]


def test_the_pool_changes_neither_the_roles_of_the_others_nor_what_is_refused(tmp_path: Path) -> None:
    alone = report_of(tmp_path / "a")
    report = report_of(tmp_path / "b", **pool())
    rule = definition(stratify="class")

    shared = share_out(rule, report.good, report)

    known = share_out(rule, alone.good, alone).split
    assert {case.id: shared.split.role(case.id) for case in labelled(shared.cases)} == dict(known.roles)
    assert shared.across == ()
    assert list(shared.refusals()) == []
    scored = {*known.cases("val"), *known.cases("test")}
    held = {f"unlabelled_copy{n}" for n in range(10) if f"labelled_cat_{n + 1}" in scored}
    held |= {f"unlabelled_near{n}" for n in range(10) if f"labelled_dog_{n + 1}" in scored}
    assert len(held) == len(scored) == 6
    assert dict(shared.split.held_back) == dict.fromkeys(held, "copy")
    assert {case.id for case in shared.used} == {case.id for case in shared.cases} - held


def test_two_with_a_label_are_not_joined_by_a_copy_of_both_that_has_none(tmp_path: Path) -> None:
    report = report_of(tmp_path, x=picture(100))
    pairs = tuple(Pair(f"labelled_{kind}_1", "unlabelled_x", "near", 3) for kind in ("cat", "dog"))
    report = replace(report, duplicates=Duplicates(pairs))
    roles = {
        tuple(share_out(definition(seed=seed), report.good, report).split.role(pair.first) for pair in pairs)
        for seed in range(20)
    }
    assert ("train", "test") in roles
    assert ("train", "train") in roles


def test_all_is_said_and_written_down(tmp_path: Path) -> None:
    report = report_of(tmp_path / "d", **pool())
    rule = definition(stratify="class")
    shared, recorder, heard = share_out(rule, report.good, report), Kept(), Heard()

    shared.record(rule.split, tmp_path, recorder, heard)

    assert "10 images without a label are, pixel by pixel, among those with a label." in heard.lines
    assert recorder.named["unlabelled.cases"] == "19"
    assert recorder.named["unlabelled.held_back"] == "6"
    assert recorder.named["unlabelled.copies_of_labelled"] == "10"
    assert recorder.named["duplicates.across_roles"] == "0"
    with (tmp_path / "duplicates.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["second"]: row for row in csv.DictReader(file)}
    assert {name for name, row in rows.items() if row["second_role"] == "left out"} == set(
        shared.split.held_back
    )
    assert {row["second_role"] for row in rows.values()} == {"left out", "unlabelled"}


def test_a_run_that_goes_on_leaves_out_the_same_for_the_same_reasons(tmp_path: Path) -> None:
    report = report_of(tmp_path / "d", **pool())
    rule = definition(stratify="class")
    first = share_out(rule, report.good, report)
    first.split.to_json(tmp_path / "split.json")
    kept = KeptSplit(tmp_path / "split.json", first.split.digest())

    again = share_out_again(rule, report.good, report, kept, Heard().say)

    assert again.split.held_back == first.split.held_back
    assert again.split.note() == first.split.note()
    assert again.split.digest() == first.split.digest()


def resolved(*roles: str, **split: Any) -> Any:
    return SimpleNamespace(
        definition=definition(**split), manifest=PARTLY, steps={"embed": SimpleNamespace(roles=roles)}
    )


def test_a_step_that_needs_them_is_refused_where_there_are_none(tmp_path: Path) -> None:
    report = report_of(tmp_path)
    shared = share_out(definition(), report.good, report)
    (refused,) = refusals(resolved("unlabelled"), shared, allow_duplicates=False, say=Heard().say)
    assert str(refused).startswith(
        "steps.embed needs images without a label, and the data have none. Add some"
    )
    with_some = report_of(tmp_path, own=picture(100))
    shared = share_out(definition(), with_some.good, with_some)
    assert list(refusals(resolved("unlabelled"), shared, allow_duplicates=False, say=Heard().say)) == []


def test_a_step_is_told_why_all_of_them_are_left_out(tmp_path: Path) -> None:
    report = report_of(tmp_path)
    test = share_out(definition(), report.good, report).split.cases("test")[0]
    report = report_of(tmp_path, copy=LABELLED[test.replace("_", "/")])
    shared = share_out(definition(), report.good, report)
    (refused,) = refusals(resolved("unlabelled"), shared, allow_duplicates=False, say=Heard().say)
    assert "those of the data are all left out: 1 (nearly) the same as pictures in validation or test" in str(
        refused
    )


def test_of_a_class_that_a_role_lacks_it_is_told_how_many_patients_it_takes(tmp_path: Path) -> None:
    report = report_of(tmp_path)
    few = [case for case in report.good if case.labels == ("cat",) or case.id == "labelled_dog_1"]
    said: list[str] = []
    for seed in range(20):  # until the one dog is for training
        rule = SimpleNamespace(
            split=SplitRule.model_validate({"val": 0.2, "test": 0.2}),
            seed=seed,
            slices=SimpleNamespace(fit="pad", axis="axial"),
        )
        shared = share_out(rule, few, report)  # type: ignore[arg-type]
        if shared.split.role("labelled_dog_1") == "train":
            break
    asked = resolved("train", "val", val=0.2, test=0.2)
    assert list(refusals(asked, shared, allow_duplicates=False, say=said.append)) == []
    assert len(said) == 2
    assert said[0].endswith("With split.val=0.2 it takes about 5 patients of a class for one; 'dog' has 1.")


def test_of_a_role_that_the_data_give_it_is_not_told_what_a_share_of_it_takes(tmp_path: Path) -> None:
    report = report_of(tmp_path)
    few = [case for case in report.good if case.labels == ("cat",) or case.id == "labelled_dog_1"]
    for number, case in enumerate(few):
        case.extra["role"] = "train" if case.labels == ("dog",) or number > 2 else "val"
    rule = {"column": "role", "val": 0.2, "test": 0.2}
    said: list[str] = []

    shared = share_out(definition(**rule), few, report)
    assert (
        list(refusals(resolved("train", "val", **rule), shared, allow_duplicates=False, say=said.append))
        == []
    )

    assert said[0].startswith("The role val has no picture of the class 'dog'")
    assert "it takes about" not in said[0]


def test_that_a_role_lacks_a_class_of_enough_patients_is_no_matter_of_their_number(tmp_path: Path) -> None:
    report = report_of(tmp_path)
    said: list[str] = []
    shared = share_out(definition(), report.good, report)
    roles = {case.id: "train" if case.labels == ("dog",) else "val" for case in report.good}
    moved = replace(shared, split=replace(shared.split, roles=roles))

    list(refusals(resolved("train", "val", val=0.2), moved, allow_duplicates=False, say=said.append))

    assert "it takes about" not in " ".join(said)
