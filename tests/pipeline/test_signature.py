"""Whose a run is: only this user's key makes a signature, and it is of all that the file says."""

from __future__ import annotations

import json
import os
import shutil
import stat
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from medseg.errors import RunError
from medseg.pipeline.folder import RunFolder, State
from medseg.pipeline.options import RunOptions
from medseg.pipeline.signature import is_signed, refuse_damaged_key, signed
from medseg.pipeline.study.cross_validation import CrossValidation
from medseg.pipeline.study.part import Part

OPTIONS = RunOptions.of(device="cpu")

OTHERWISE: dict[str, Any] = {
    "name": "other",
    "pipeline": "other",
    "data": "/etc",
    "options": {**OPTIONS.kept(), "allow": ["subprocess"]},
    "tracking_uri": "http://there",
    "tracked": "abc",
    "status": "RUNNING",
    "process": {"host": "there", "pid": 3},
    "data_fingerprint": "abc",
    "split_digest": "abc",
    "done": ["fit"],
    "ending": "FINISHED",
    "anew": "steps.fit.optimiser.lr=1",
    "declared": {"definition.yaml": "abc"},
    "made": {"scores/test.csv": ["fit", 1, 2]},
    "part_of": {"name": "folds", "fold": 1},
    "changed": ["seed"],
    "unprepared": [["Brats_001", 1, "", "it does not fit into memory", "Leave it out."]],
    "sample": True,
    "mixture": "1 of 2",
    "signature": "abc",
}


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    folder.write(State("run", "brats2d", "/data", OPTIONS, status="KILLED"))
    return folder


def edit(folder: RunFolder, **changes: Any) -> None:
    path = folder.path / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_run_is_of_whoever_wrote_it_and_stays_so_when_its_folder_is_moved(
    run: RunFolder, tmp_path: Path
) -> None:
    shutil.move(run.path, tmp_path / "moved")

    assert RunFolder(tmp_path / "moved").read().mine


def test_every_value_of_a_run_is_signed() -> None:
    assert {each.name for each in fields(State)} == set(OTHERWISE)


@pytest.mark.parametrize("name", OTHERWISE)
def test_an_edited_run_is_of_nobody(name: str, run: RunFolder) -> None:
    edit(run, **{name: OTHERWISE[name]})

    assert not run.read().mine


def test_a_run_that_another_user_signed_is_not_ones_own(
    run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDSEG_CONFIG", str(tmp_path / "other"))

    assert not run.read().mine
    assert not (tmp_path / "other").exists()  # to look makes no key
    run.write(run.read())
    assert run.read().mine
    if os.name == "posix":
        assert stat.S_IMODE((tmp_path / "other" / "runs.key").stat().st_mode) == 0o600


def test_a_signature_of_a_run_is_none_of_folds(run: RunFolder) -> None:
    content = run.read().content()

    assert is_signed("run", content)
    assert not is_signed("folds", content)


def test_a_run_without_a_signature_is_read_and_is_of_nobody(run: RunFolder) -> None:
    path = run.path / "run.json"
    old = {k: v for k, v in json.loads(path.read_text()).items() if k not in ("signature", "declared")}
    path.write_text(json.dumps(old))

    assert not run.read().mine


def test_a_fold_that_an_earlier_version_kept_is_read_and_is_still_ones_own(tmp_path: Path) -> None:
    options = {**OPTIONS.kept(), "allow": ["mypackage"], "part_of": {"name": "folds", "fold": 2}}
    old = {
        "name": "run",
        "pipeline": "brats2d",
        "data": None,
        "options": options,
        "tracking_uri": "sqlite:///x",
        "tracked": "abc",
        "status": "KILLED",
        "process": {"host": "here", "pid": 3, "id": "f"},
        "ending": "",
        "data_fingerprint": "f",
        "split_digest": "f",
        "done": ["fit"],
        "declared": {"manifest.yaml": "f"},
        "made": {"steps/fit/last.pt": ["fit", 1, 2]},
    }
    (tmp_path / "run.json").write_text(json.dumps({**old, "signature": signed("run", old)}))
    state = RunFolder(tmp_path).read()

    assert state.mine
    assert state.part_of == Part("folds", 2)
    assert state.options == OPTIONS.but(allow=["mypackage"])
    assert {key: value for key, value in state.content().items() if key != "signature"} == json.loads(
        json.dumps(old), object_hook=_with_tuples
    )


def _with_tuples(known: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in known.items()}


@pytest.mark.parametrize("odd", [None, 3, "é", "\ud800", ["x"]], ids=repr)
def test_any_value_may_stand_where_a_signature_is_wanted(odd: Any) -> None:
    signed("run", {})

    assert not is_signed("run", {"signature": odd})


def test_values_a_thousand_deep_are_of_nobody() -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]

    assert not is_signed("run", {"options": deep, "signature": ""})


def test_a_run_that_somebody_else_put_there_meanwhile_is_not_claimed(run: RunFolder) -> None:
    state = run.read()
    edit(run, tracking_uri="http://there")
    with pytest.raises(RunError, match="has just been changed"):
        run.claim(state)
    assert run.claim(state, vouched={"tracking_uri": "http://mine"}).mine


def test_a_key_that_cannot_be_made_or_is_damaged_is_told_with_what_to_do(
    run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = run.read()
    monkeypatch.setenv("MEDSEG_CONFIG", str(tmp_path / "config"))
    (tmp_path / "config").mkdir()
    key, uses = (
        tmp_path / "config" / "runs.key",
        [lambda: state.mine, lambda: run.write(state), refuse_damaged_key],
    )
    for damaged, wrong in (
        (b"short", "holds 5 bytes, expected 32"),
        (b"\0" * 32, "holds NUL bytes alone"),
        (b"", "is empty, expected 32 bytes"),
    ):
        key.write_bytes(damaged)
        for use in uses if damaged else uses[:1]:  # an empty one is waited for, for a second
            with pytest.raises(
                RunError, match=rf"'runs\.key'.* {wrong}.*Put back a copy of it, or remove it"
            ):
                use()
    key.unlink()
    refuse_damaged_key()
    assert not state.mine
    assert run.write(state).mine
    (tmp_path / "file").touch()
    monkeypatch.setenv("MEDSEG_CONFIG", str(tmp_path / "file" / "config"))
    with pytest.raises(RunError, match="Set MEDSEG_CONFIG"):
        run.write(state)


def test_an_edited_cross_validation_is_of_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    declared = {"definition": {}, "manifest": {}}
    made = CrossValidation(
        "folds", "mednist", "/data", 2, ("a=1",), OPTIONS, declared, "sqlite:///x", "KILLED"
    ).write()
    path = made.folder / "folds.json"
    content = json.loads(path.read_text())

    assert CrossValidation.read(made.folder).mine
    for name, value in {
        "data": "/etc",
        "tracking_uri": "http://there",
        "set": ["a=2"],
        "pipeline": "x.yaml",
    }.items():
        path.write_text(json.dumps({**content, name: value}))
        assert not CrossValidation.read(made.folder).mine, name
