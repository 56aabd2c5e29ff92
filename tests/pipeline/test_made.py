"""A run that goes on does again what a power cut or a hand has taken from it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from medseg.errors import RunError
from medseg.pipeline.folder import RunFolder, State
from medseg.pipeline.made import damaged, go_back, keep_made, keep_result, refuse_damaged
from medseg.pipeline.options import RunOptions

FILES = {
    "fit": ["steps/fit/last.pt", "steps/fit/history.json"],
    "tune": ["steps/tune/threshold.json"],
    "evaluate": ["scores/test.csv"],
}


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    """A run with three steps that are done."""
    folder = RunFolder.create("brats2d", tmp_path)
    state = folder.write(State(folder.path.name, "brats2d", None, RunOptions.of(device="cpu")))
    for step, names in FILES.items():
        for name in names:
            (folder.path / name).parent.mkdir(parents=True, exist_ok=True)
            (folder.path / name).write_text(f"content of {name}")
        state = keep_made(folder, state, step)
    return folder


def test_what_is_as_it_was_is_not_done_again(folder: RunFolder) -> None:
    before = folder.read()

    assert go_back(folder, pytest.fail) == before
    assert before.done == tuple(FILES)
    assert folder.read().mine


@pytest.mark.parametrize(
    "damage",
    [
        Path.unlink,
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(bytes(path.stat().st_size)),
    ],
    ids=["missing", "empty", "zeros"],
)
@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("steps/fit/last.pt", ()),
        ("steps/tune/threshold.json", ("fit",)),
        ("scores/test.csv", ("fit", "tune")),
    ],
)
def test_a_step_whose_file_is_damaged_and_all_after_it_are_done_again(
    folder: RunFolder, name: str, kept: tuple[str, ...], damage: Callable[[Path], object]
) -> None:
    damage(folder.path / name)
    said: list[str] = []

    state = go_back(folder, said.append)

    again = [step for step in FILES if step not in kept]
    assert state.done == kept
    assert folder.read() == state
    assert said == [f"Damaged or missing: {name}. Done again: {', '.join(again)}."]
    assert [step for step in FILES if (folder.path / "steps" / step).exists()] == [
        step for step in kept if step != "evaluate"
    ]
    assert go_back(folder, pytest.fail) == state


def test_a_file_that_a_later_step_writes_anew_is_of_that_step(folder: RunFolder) -> None:
    (folder.path / "scores" / "test.csv").write_text("scores of a better model")
    state = keep_made(folder, folder.read(), "evaluate_again")
    assert go_back(folder, pytest.fail) == state

    (folder.path / "scores" / "test.csv").unlink()
    assert go_back(folder, print).done == tuple(FILES)


def test_a_file_of_a_run_that_points_elsewhere_is_refused(folder: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "last.pt").write_text("content of steps/fit/last.pt")
    (folder.path / "steps" / "fit" / "last.pt").unlink()
    (folder.path / "steps" / "fit" / "last.pt").symlink_to(tmp_path / "last.pt")

    with pytest.raises(RunError, match="leads out"):
        go_back(folder, print)
    assert (tmp_path / "last.pt").exists()


def test_what_the_whole_run_gives_is_made_again_without_doing_a_step_again(folder: RunFolder) -> None:
    (folder.path / "model").mkdir()
    (folder.path / "model" / "weights.safetensors").write_text("weights")
    (folder.path / "split.json").write_text("{}")
    state = keep_result(folder)
    assert state.done == tuple(FILES)
    assert damaged(folder) == {}
    (folder.path / "model" / "weights.safetensors").write_text("Weights")
    (folder.path / "split.json").write_text("")
    said: list[str] = []

    assert go_back(folder, said.append) == state
    assert said == [
        "Damaged or missing: model/weights.safetensors, split.json. Made again from what the steps have left."
    ]
    assert set(damaged(folder, "model/")) == {"model/weights.safetensors"}
    with pytest.raises(RunError, match=r"missing in the run .*: split\.json\. .* medseg pipeline resume /"):
        refuse_damaged(folder, "split.json")
    refuse_damaged(folder, "scores/")


def written(folder: RunFolder, **changes: object) -> None:
    """Change run.json as somebody else would, who cannot sign it."""
    path = folder.path / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"done": ["..", "fit"], "made": {"scores/x": ["..", 1, 1]}},
        {"done": ["fit/../.."]},
        {"done": [""]},
        {"made": {"scores/x": [".", 1, 1]}},
        *(
            {"made": {name: ["fit", 1, 1]}}
            for name in ("model/./x", "model/../x", "/x", "steps//x", "model/", "")
        ),
        {"made": {f"model/{number}": ["fit", 1, 1] for number in range(10_001)}},
    ],
)
def test_a_state_that_names_no_steps_or_no_files_is_refused(
    folder: RunFolder, changes: dict[str, object]
) -> None:
    written(folder, **changes)

    with pytest.raises(RunError, match=r"run\.json of the run .* is damaged"):
        go_back(folder, pytest.fail)
    assert (folder.path / "scores" / "test.csv").exists()


@pytest.mark.parametrize(("link", "target"), [("steps/fit", ".."), ("steps", ".")])
def test_nothing_is_deleted_through_a_link(folder: RunFolder, link: str, target: str) -> None:
    shutil.rmtree(folder.path / link)
    (folder.path / link).symlink_to(target)
    (folder.path / "fit").mkdir()

    with pytest.raises(RunError, match="leads elsewhere"):
        go_back(folder, lambda _: None)
    assert (folder.path / "run.json").exists()
    assert (folder.path / "fit").exists()


def test_what_is_noted_of_folders_is_not_looked_for_below_them(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(folder, made={"steps/fit": ["fit", 1, 1]})
    monkeypatch.setattr(os, "walk", lambda *_: pytest.fail("a folder was walked"))

    assert damaged(folder) == {"steps/fit": "fit"}
