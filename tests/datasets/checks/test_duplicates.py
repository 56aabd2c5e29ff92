"""Copies among pictures with classes: found, told, and a fault where their classes differ."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from medseg.api.data import Checked
from medseg.cli.report import print_report
from medseg.datasets.case import Case
from medseg.datasets.checks import case_facts
from medseg.datasets.checks.case_facts import CaseFacts, ChannelFacts, examine
from medseg.datasets.checks.check import Report, check
from medseg.datasets.checks.duplicates import (
    Duplicates,
    Pair,
    contradictions,
    copies_with_masks,
    find_duplicates,
)
from medseg.datasets.checks.perceptual_hash import NEAR, near_pairs
from medseg.datasets.finding.scan import scan
from medseg.datasets.manifest.label_map import LabelRule
from medseg.datasets.manifest.manifest import Manifest
from medseg.testing.pictures import write_picture

FOLDERS = Manifest.model_validate(
    {
        **dict.fromkeys(["name", "about", "source", "licence", "citation", "obtain"], "x"),
        "channels": ["grey"],
        "image_labels": "one",
        "pictures": {"channels": "grey"},
        "layout": {"class_folders": True},
        "ids": "pseudonyms",
    }
)


def picture(seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    return np.kron(random.integers(0, 255, (12, 14)), np.ones((4, 4))).astype(np.uint8)


def brighter(seed: int) -> np.ndarray:
    return np.rint(picture(seed) * 0.9 + 5).astype(np.uint8)


def write(root: Path, **pictures: np.ndarray) -> Path:
    """`cat_1=...` becomes `cat/1.png`."""
    for name, pixels in pictures.items():
        write_picture(root / f"{name.replace('_', '/')}.png", pixels)
    return root


def checked(root: Path, remember: Path | None = None) -> Report:
    manifest = FOLDERS.with_classes(("cat", "dog"))
    return check(scan(manifest, root), manifest, ("grey",), remember=remember)


def told(report: Report) -> list[tuple[str, str, str]]:
    return [(pair.first, pair.second, pair.kind) for pair in report.duplicates.pairs]


def test_copies_are_found_and_are_no_fault(tmp_path: Path) -> None:
    root = write(
        tmp_path / "data",
        cat_1=picture(1),
        cat_2=picture(1),
        cat_3=picture(2),
        dog_4=picture(3),
        dog_5=brighter(3),
    )
    report = checked(root, tmp_path / "memory")
    assert report.faults == ()
    assert told(report) == [("cat_1", "cat_2", "exact"), ("dog_4", "dog_5", "near")]
    assert report.duplicates.groups() == ({"cat_1", "cat_2"}, {"dog_4", "dog_5"})
    assert report.class_rows() == [{"class": "cat", "cases": 3}, {"class": "dog", "cases": 2}]

    again = checked(root, tmp_path / "memory")
    assert again.read == 0
    assert again.facts == report.facts
    assert again.duplicates == report.duplicates


def test_equal_pictures_of_different_classes_are_a_fault_of_both(tmp_path: Path) -> None:
    root = write(tmp_path, cat_1=picture(1), dog_2=picture(1), dog_3=picture(1), dog_4=brighter(1))
    report = checked(root)
    assert [fault.case for fault in report.faults] == ["cat_1", "dog_2", "dog_3"]
    first, second, _ = (fault.text() for fault in report.faults)
    assert "case dog_2 (no. 2)" in first
    assert "case cat_1 (no. 1)" in second
    assert "'cat'" in first
    assert "'dog'" in first
    assert [case.id for case in report.good] == ["dog_4"]


def test_classes_are_compared_without_regard_to_their_order() -> None:
    channels = {"grey": ChannelFacts("uint8", "0", 3, {})}
    cases = [Case("a", "a", {}, labels=("x", "y")), Case("b", "b", {}, labels=("y", "x"))]
    facts = [CaseFacts(case.id, case.group, channels=channels) for case in cases]
    assert list(contradictions(cases, facts)) == []
    cases[1] = Case("b", "b", {}, labels=())
    assert [fault.case for fault in contradictions(cases, facts)] == ["a", "b"]
    assert "its class is none" in list(contradictions(cases, facts))[1].found


def test_the_fingerprint_tells_other_classes_and_no_other_place(tmp_path: Path) -> None:
    pictures = {"cat_1": picture(1), "dog_2": picture(2)}
    report = checked(write(tmp_path / "a", **pictures))
    assert checked(write(tmp_path / "b", **pictures)).fingerprint() == report.fingerprint()
    swapped = write(tmp_path / "c", dog_1=picture(1), cat_2=picture(2))
    assert checked(swapped).fingerprint() != report.fingerprint()


def test_nearly_blank_pictures_are_copies_only_if_equal(tmp_path: Path) -> None:
    noise = [np.random.default_rng(seed).integers(100, 102, (40, 40), dtype=np.uint8) for seed in range(2)]
    report = checked(write(tmp_path, cat_1=noise[0], cat_2=noise[1], cat_3=noise[1], dog_4=picture(1)))
    assert [facts.likeness is None for facts in report.facts] == [True, True, True, False]
    assert told(report) == [("cat_2", "cat_3", "exact")]


def test_of_pictures_with_masks_copies_are_found_though_a_pixel_was_changed(tmp_path: Path) -> None:
    changed = picture(1)
    changed[3, 3] ^= 1
    pixels = {"a": picture(1), "b": changed, "c": picture(1), "d": picture(2)}
    rule, files = LabelRule({0: "x"}, ("x",)), FOLDERS.files()
    cases = [
        Case(name, name, {"grey": write_picture(tmp_path / f"{name}.png", each)})
        for name, each in pixels.items()
    ]
    facts = [examine(case, ("grey",), rule, files) for case in cases]

    found = {(pair.first, pair.second): pair.kind for pair in copies_with_masks(cases, facts)}
    assert found == {("a", "c"): "exact", ("a", "b"): "near"}
    assert find_duplicates(cases, facts).pairs == ()


def test_of_a_very_large_picture_no_hash_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case("a", "a", {"grey": write_picture(tmp_path / "a.png", picture(1))}, labels=())
    rule, files = LabelRule({0: "x"}, ("x",)), FOLDERS.files()
    assert examine(case, ("grey",), rule, files).likeness
    monkeypatch.setattr(case_facts, "_MOST_HASHED", picture(1).size - 1)
    assert examine(case, ("grey",), rule, files).likeness is None


def test_what_is_remembered_without_classes_does_not_count_with_them(tmp_path: Path) -> None:
    from medseg.datasets.checks.cache import Memory

    path = write_picture(tmp_path / "a.png", picture(1))
    memory = Memory.of(tmp_path / "memory", FOLDERS, ("grey",))
    bare, labelled = Case("a", "a", {"grey": path}), Case("a", "a", {"grey": path}, labels=("cat",))
    memory.keep(bare, memory.stamp(bare), CaseFacts("a", "a"))
    assert memory.recall(bare, memory.stamp(bare)) == CaseFacts("a", "a")
    assert memory.recall(labelled, memory.stamp(labelled)) is None


def likenesses(count: int, seed: int) -> list[str]:
    """Hashes in clusters: each differs from an earlier one by a few bits."""
    random = np.random.default_rng(seed)
    found: list[np.ndarray] = []
    for _ in range(count):
        if found and random.random() < 0.6:
            flips = np.packbits(random.random((6, 256)) < random.choice([0.02, 0.06, 0.1, 0.15]), axis=1)
            found.append(found[random.integers(len(found))] ^ flips)
        else:
            found.append(random.integers(0, 256, (6, 32), dtype=np.uint8))
    return [each.tobytes().hex() for each in found]


def distance(first: str, second: str) -> int:
    return int(near_pairs([first, second], within=255)[0, 2])


@pytest.mark.slow
@given(count=st.integers(0, 25), seed=st.integers(0, 2**32), repeats=st.lists(st.integers(0, 24), max_size=6))
def test_sets_are_those_of_comparing_each_with_each(count: int, seed: int, repeats: list[int]) -> None:
    hashes = likenesses(count, seed)
    hashes += [hashes[which] for which in repeats if which < count]
    digests = {text: f"{number}" for number, text in enumerate(dict.fromkeys(hashes))}
    cases = [Case(f"c{number:02d}", "", {}, labels=("x",)) for number in range(len(hashes))]
    facts = [
        CaseFacts(
            case.id,
            "",
            channels={"g": ChannelFacts("u", digests[text], 1, {})},
            classes=("x",),
            likeness=text,
        )
        for case, text in zip(cases, hashes, strict=True)
    ]
    found = find_duplicates(cases, facts)

    near = {
        (a.id, b.id)
        for i, a in enumerate(cases)
        for j, b in enumerate(cases)
        if i < j and distance(hashes[i], hashes[j]) <= NEAR
    }
    assert set(found.groups()) == components(cases, near)
    assert {(pair.first, pair.second) for pair in found.pairs} <= near
    place = {case.id: number for number, case in enumerate(cases)}
    for pair in found.pairs:
        equal = hashes[place[pair.first]] == hashes[place[pair.second]]
        assert (pair.kind == "exact") == equal
        assert pair.distance == distance(hashes[place[pair.first]], hashes[place[pair.second]])
    if not repeats:
        assert {(pair.first, pair.second) for pair in found.pairs} == near


def components(cases: Sequence[Case], edges: set[tuple[str, str]]) -> set[frozenset[str]]:
    sets = {case.id: frozenset({case.id}) for case in cases}
    for first, second in edges:
        joined = sets[first] | sets[second]
        sets |= dict.fromkeys(joined, joined)
    return {each for each in sets.values() if len(each) > 1}


def test_numbers_are_told_in_words() -> None:
    assert Duplicates().told() == ""
    assert Duplicates().groups() == ()
    pairs = (Pair("a", "b", "exact", 0), Pair("a", "c", "exact", 0), Pair("e", "d", "near", 7))
    assert Duplicates(pairs).told() == (
        "5 pictures in 2 sets of duplicates: 2 repeat an earlier one pixel by pixel, 1 pair looks alike; "
        "the largest set has 3"
    )


@pytest.mark.parametrize(
    ("copies", "expected"),
    [
        (
            {"cat_2": picture(1)},
            "2 pictures in 1 set of duplicates: 1 repeats an earlier one pixel by pixel;",
        ),
        ({}, "No picture was found to be a copy of another."),
    ],
)
def test_data_check_tells_them(tmp_path: Path, copies: dict[str, np.ndarray], expected: str) -> None:
    root = write(tmp_path, cat_1=picture(1), dog_3=picture(2), **copies)
    console = Console(file=io.StringIO(), width=160)
    print_report(console, Checked(checked(root), FOLDERS.with_classes(("cat", "dog")), root, False))
    printed = console.file.getvalue()
    assert expected in printed
    assert "Classes" in printed
    assert "Labels" not in printed
