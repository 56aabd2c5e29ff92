"""Copies in different roles are refused, unless they are allowed; what is drawn keeps them together."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from medseg.datasets.checks.check import check
from medseg.datasets.finding.scan import scan
from medseg.datasets.manifest.manifest import Manifest
from medseg.errors import DataError, RunError
from medseg.pipeline.duplicates import SharedCopies, copies
from medseg.pipeline.folder import RunFolder, State
from medseg.pipeline.gather import Gathered, gather
from medseg.pipeline.options import RunOptions
from medseg.pipeline.sharing import KeptSplit, share_out, share_out_again
from medseg.progress import Silent
from medseg.recorder import NoRecord
from medseg.splits.rule import SplitRule
from medseg.splits.split import make_split
from medseg.testing.pictures import write_picture

FOLDERS = Manifest.model_validate(
    {
        **dict.fromkeys(["name", "about", "source", "licence", "citation", "obtain"], "x"),
        "channels": ["grey"],
        "image_labels": "one",
        "classes": ["cat", "dog"],
        "pictures": {"channels": "grey"},
        "layout": {"class_folders": True},
        "ids": "pseudonyms",
    }
)


def declared(rule: SplitRule, seed: int) -> Any:
    return SimpleNamespace(split=rule, seed=seed, slices=SimpleNamespace(fit="pad", axis="axial"))


class Heard(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str, *, loud: bool = False) -> None:
        assert loud
        self.lines.append(text)


class Kept(NoRecord):
    def __init__(self) -> None:
        self.named: dict[str, str] = {}
        self.files: list[str] = []

    def tags(self, values: Mapping[str, str]) -> None:
        self.named |= values

    def artifact(self, path: Path, folder: str = "") -> None:
        self.files.append(path.name)


def picture(seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    return np.kron(random.integers(0, 250, (12, 14)), np.ones((4, 4))).astype(np.uint8)


def brighter(seed: int) -> np.ndarray:
    return np.rint(picture(seed) * 0.9 + 5).astype(np.uint8)


def gathered(root: Path, pictures: Mapping[str, np.ndarray], *, skip_bad: bool = False) -> Gathered:
    for name, pixels in pictures.items():
        write_picture(root / f"{name}.png", pixels)
    report = check(scan(FOLDERS, root), FOLDERS, ("grey",))
    return gather(report, skip_bad=skip_bad)


def roles() -> dict[str, np.ndarray]:
    """Train and Test with two pictures of each class."""
    places = [f"{role}/{kind}/{n}" for role in ("Train", "Test") for kind in ("cat", "dog") for n in (1, 2)]
    return {place: picture(seed) for seed, place in enumerate(places)}


BY_FOLDER = SplitRule.model_validate({"column": "role", "val": 0.0})


def job(
    found: Gathered, folder: Path, *, rule: SplitRule = BY_FOLDER, allow: bool = False, seed: int = 1
) -> Any:
    """A run of the folder, new or going on."""
    definition, home, heard = declared(rule, seed), RunFolder(folder), Heard()
    known = (definition, found.cases, found.report)
    if (folder / "run.json").exists():
        kept = KeptSplit(folder / "split.json", home.read().split_digest)
        shared = share_out_again(*known, kept, partial(heard.say, loud=True))
    else:
        shared = share_out(*known)
    for refusal in () if allow else shared.refusals():
        raise refusal
    folder.mkdir(exist_ok=True)
    if not (folder / "run.json").exists():
        home.write(State("x", "x", None, RunOptions.of(device="cpu")))
    return SimpleNamespace(
        resolved=SimpleNamespace(definition=definition),
        shared=shared,
        folder=home,
        recorder=Kept(),
        progress=heard,
    )


@pytest.fixture
def split_of(monai_imported: None) -> Any:
    from medseg.pipeline.run import _split

    return _split


def test_a_near_copy_in_test_is_refused_and_named(tmp_path: Path) -> None:
    found = gathered(tmp_path / "data", {**roles(), "Test/cat/3": brighter(0)})
    with pytest.raises(DataError, match=r"1 pair of pictures is one picture.*--allow-duplicates") as refusal:
        job(found, tmp_path / "run")
    (fault,) = refusal.value.faults
    named = {case.id: case for case in found.cases}
    assert named[fault.case].position == fault.position
    assert named[fault.case].extra["role"] == "Train"  # listed after those of Test
    assert "of case Test_cat_3 (no. 3), which is in test, while this one is in train" in fault.found
    assert "--allow-duplicates" not in fault.remedy
    assert not (tmp_path / "run").exists()


def test_an_allowed_copy_is_recorded(tmp_path: Path, split_of: Any) -> None:
    found = gathered(tmp_path / "data", {**roles(), "Test/cat/3": brighter(0), "Train/dog/3": picture(2)})
    work = job(found, tmp_path / "run", allow=True)
    split = split_of(work)
    assert work.recorder.named == {
        "duplicates.exact": "1",
        "duplicates.near": "1",
        "duplicates.sets": "2",
        "duplicates.across_roles": "1",
    }
    assert work.recorder.files == ["split.json", "duplicates.csv"]
    with (tmp_path / "run" / "duplicates.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["kind"] for row in rows] == ["exact", "near"]
    assert [row["patients"] for row in rows] == ["different", "different"]
    for row in rows:
        assert row["first_role"] == split.role(row["first"])
        assert row["second_role"] == split.role(row["second"])
    assert (rows[0]["first_role"], rows[0]["second_role"]) == ("train", "train")
    assert {rows[1]["first_role"], rows[1]["second_role"]} == {"train", "test"}
    assert any(line.startswith("DUPLICATES ACROSS ROLES") and ": 1. " in line for line in work.progress.lines)

    again = job(found, tmp_path / "run", allow=True)
    assert split_of(again).digest() == split.digest()
    assert again.recorder.named == work.recorder.named


def test_without_copies_zeros_are_recorded_and_nothing_is_said(tmp_path: Path, split_of: Any) -> None:
    work = job(gathered(tmp_path / "data", roles()), tmp_path / "run")
    split_of(work)
    assert set(work.recorder.named.values()) == {"0"}
    assert work.recorder.files == ["split.json"]
    assert work.progress.lines == []


def test_a_draw_keeps_copies_together_and_resumes_with_its_own_split(tmp_path: Path, split_of: Any) -> None:
    pictures = {
        f"{kind}/{n}": picture(10 * k + n) for k, kind in enumerate(("cat", "dog")) for n in range(10)
    }
    pictures |= {"cat/20": brighter(1), "cat/21": picture(2), "dog/22": brighter(11)}
    found = gathered(tmp_path / "data", pictures)
    for seed in range(8):
        place = tmp_path / f"run{seed}"
        split = split_of(job(found, place, rule=SplitRule(), seed=seed))
        shared = SharedCopies(copies(found.cases, found.report), split, found.cases)
        assert len(shared.duplicates.pairs) == 3
        assert shared.across == ()
        assert split_of(job(found, place, rule=SplitRule(), seed=99)).digest() == split.digest()
    (place / "split.json").write_text((tmp_path / "run0" / "split.json").read_text())
    with pytest.raises(RunError, match=r"split\.json"):
        job(found, place, rule=SplitRule())


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"\0\0", b'{"train": ["nobody"]}'])
def test_a_damaged_split_is_drawn_again_as_it_was_or_refused(
    damage: bytes, tmp_path: Path, split_of: Any
) -> None:
    found, place = gathered(tmp_path / "data", roles()), tmp_path / "run"
    path = place / "split.json"
    split = split_of(job(found, place, rule=SplitRule(), seed=2))
    before = path.read_bytes()
    path.write_bytes(damage)

    with pytest.raises(RunError, match=r"split\.json of this run .* Put the file back as it was, or start"):
        job(found, place, rule=SplitRule(), seed=3)
    again = job(found, place, rule=SplitRule(), seed=2)

    assert again.progress.lines == [
        "split.json was damaged or changed. It is made again, with the roles that the run began with."
    ]
    assert split_of(again).digest() == split.digest()
    assert path.read_bytes() == before


def test_what_is_left_out_no_longer_joins_others(tmp_path: Path) -> None:
    """A picture that both a broken pair and another resemble is gone with the pair."""
    pictures = {
        **roles(),
        "Train/cat/8": picture(50),
        "Train/dog/9": picture(50),
        "Train/cat/7": brighter(50),
    }
    found = gathered(tmp_path, pictures, skip_bad=True)
    assert len(found.left_out) == 2
    assert len(found.report.duplicates.pairs) == 2
    assert copies(found.cases, found.report).pairs == ()


@pytest.mark.parametrize("listed", [True, False])
def test_cases_that_are_left_out_may_be_named_in_a_split_file_and_need_not(
    tmp_path: Path, listed: bool
) -> None:
    every = gathered(tmp_path / "data", roles())
    names = [case.id for case in every.cases if listed or case.id != "Test_cat_1"]
    half = len(names) // 2
    (tmp_path / "s.json").write_text(json.dumps({"test": names[:half], "train": names[half:]}))
    (tmp_path / "data" / "Test" / "cat" / "1.png").write_bytes(b"no picture")
    report = check(scan(FOLDERS, tmp_path / "data"), FOLDERS, ("grey",))
    found = gather(report, skip_bad=True)
    assert found.left_out == ("Test_cat_1",)

    definition: Any = declared(SplitRule(file=str(tmp_path / "s.json")), 1)
    split = share_out(definition, found.cases, found.report).split

    assert set(split.roles) == {case.id for case in found.cases}
    assert {case for case in split.roles if split.role(case) == "train"} == set(names[half:])


def test_equal_pictures_whose_first_is_left_out_are_still_found(tmp_path: Path) -> None:
    found = gathered(tmp_path, {**roles(), "Test/cat/8": picture(0), "Test/cat/9": picture(0)})
    assert found.report.duplicates.count("exact") == 2
    assert copies(found.cases[1:], found.report).count("exact") >= 1


def test_parts_that_duplicates_make_odd_are_said_and_recorded(tmp_path: Path, split_of: Any) -> None:
    pictures = {f"cat/{n}": np.clip(picture(1).astype(int) + n, 0, 255).astype(np.uint8) for n in range(18)}
    pictures |= {"dog/1": picture(2), "dog/2": picture(3)}
    found = gathered(tmp_path / "data", pictures)
    assert max(map(len, copies(found.cases, found.report).groups())) == 18
    work = job(found, tmp_path / "run", rule=SplitRule.model_validate({"val": 0.2, "test": 0.2}))
    split_of(work)
    assert "val has 1 of 20 patients, expected 20%" in work.recorder.named["duplicates.odd_parts"]
    assert any(line.startswith("ODD PARTS") for line in work.progress.lines)


def test_parts_of_given_roles_are_never_odd(tmp_path: Path) -> None:
    found = gathered(tmp_path, {**roles(), "Train/cat/3": brighter(0)})
    rule = SplitRule.model_validate({"column": "role", "test": 0.15, "val": 0.0})
    split = make_split(rule, found.cases, 1)
    shared = SharedCopies(copies(found.cases, found.report), split, found.cases)
    assert shared.duplicates.pairs
    assert shared.odd_parts(rule) == ""
    split.to_json(tmp_path / "s.json")
    told = SplitRule.model_validate({"file": str(tmp_path / "s.json")})
    kept = share_out_again(
        SimpleNamespace(), found.cases, found.report, KeptSplit(tmp_path / "s.json", ""), pytest.fail
    )
    assert kept.odd_parts(told) == ""


def test_a_damaged_split_whose_split_file_has_changed_names_both_files(tmp_path: Path) -> None:
    found = gathered(tmp_path / "data", roles())
    split = make_split(SplitRule.model_validate({"val": 0.2, "test": 0.2}), found.cases, 1)
    split.to_json(tmp_path / "given.json")
    (tmp_path / "split.json").write_bytes(b"")
    definition = declared(SplitRule.model_validate({"file": str(tmp_path / "given.json")}), 1)

    def again() -> SharedCopies:
        kept = KeptSplit(tmp_path / "split.json", split.digest())
        return share_out_again(definition, found.cases, found.report, kept, print)

    assert again().split.digest() == split.digest()
    make_split(SplitRule.model_validate({"val": 0.2, "test": 0.4}), found.cases, 1).to_json(
        tmp_path / "given.json"
    )
    with pytest.raises(RunError, match=r"Put the file, or that which split\.file names, back as it was"):
        again()
    split.to_json(tmp_path / "given.json")
    assert again().split.digest() == split.digest()


def test_the_command_line_hands_it_on_and_it_is_kept_for_resuming(monkeypatch: pytest.MonkeyPatch) -> None:
    from medseg.api import conductor
    from medseg.cli.main import app

    options: list[RunOptions] = []

    def stop(self: conductor.Conductor, *_: object) -> None:
        options.append(self.options)
        raise DataError("stopped")

    monkeypatch.setattr(conductor.Conductor, "start", stop)
    for words in ([], ["--allow-duplicates"]):
        CliRunner().invoke(app, ["pipeline", "run", "brats2d", *words])
    assert [each.allow_duplicates for each in options] == [False, True]
