"""A run that goes on does again what a power cut or a hand has taken from it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from medseg.errors import RunError
from medseg.pipeline import made
from medseg.pipeline.folder import RunFolder, State
from medseg.pipeline.made import (
    RECORDS,
    damaged,
    go_back,
    keep_made,
    keep_result,
    refuse_damaged,
    stamps,
    without_records,
)
from medseg.pipeline.options import RunOptions
from medseg.tracking import jsonl

FILES = {
    "fit": ["steps/fit/last.pt", "steps/fit/history.json"],
    "tune": ["steps/tune/threshold.json"],
    "evaluate": ["scores/test.csv", "scores/test_summary.csv"],
}


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    """A run with three steps that are done."""
    folder = RunFolder.create("brats2d", tmp_path)
    state = folder.write(State(folder.path.name, "brats2d", None, RunOptions.of(device="cpu")))
    for step in FILES:
        state = do(folder, state, step)
    return folder


def do(folder: RunFolder, state: State, step: str) -> State:
    """Let a step write what it always writes, and note it."""
    before = stamps(folder)
    write(folder, step)
    return keep_made(folder, state, step, before)


def write(folder: RunFolder, step: str) -> None:
    for name in FILES[step]:
        (folder.path / name).parent.mkdir(parents=True, exist_ok=True)
        (folder.path / name).write_text(f"content of {name}")


def made_by(folder: RunFolder) -> dict[str, list[str]]:
    """Files that are noted, by step."""
    noted = folder.read().made
    return {step: [name for name in FILES[step] if noted[name][0] == step] for step in FILES}


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
    before = stamps(folder)
    (folder.path / "scores" / "test.csv").write_text("scores of a better model")
    state = keep_made(folder, folder.read(), "evaluate_again", before)
    assert go_back(folder, pytest.fail) == state

    (folder.path / "scores" / "test.csv").unlink()
    assert go_back(folder, print).done == tuple(FILES)


def test_a_file_that_a_step_writes_again_as_it_was_is_of_that_step(folder: RunFolder) -> None:
    """As the tables of an evaluation whose weights were made again as they were."""
    state, before = replace(folder.read(), done=("fit", "tune"), made={}), stamps(folder)
    path = folder.path / "scores" / "test.csv"
    path.write_bytes(path.read_bytes())
    os.utime(path, (0, 0))  # later or earlier: another time, also where a file system counts seconds

    assert keep_made(folder, state, "evaluate", before).made["scores/test.csv"][0] == "evaluate"


def test_what_lay_there_before_a_step_began_is_not_its_own_unless_in_its_folder(folder: RunFolder) -> None:
    """A table of an evaluation that was killed, or a person's own, is not made again by a training."""
    state = folder.write(replace(folder.read(), done=(), made={}))

    state = keep_made(folder, state, "fit", stamps(folder))

    assert sorted(state.made) == sorted(FILES["fit"])


@pytest.mark.parametrize("broken", ["fit", "tune"])
def test_after_a_repair_each_file_is_of_the_step_that_makes_it(folder: RunFolder, broken: str) -> None:
    (folder.path / FILES[broken][-1]).write_bytes(b"")
    state = go_back(folder, print)
    for step in list(FILES)[len(state.done) :]:
        state = do(folder, state, step)
    assert made_by(folder) == FILES

    (folder.path / "scores" / "test_summary.csv").write_bytes(b"")
    said: list[str] = []
    go_back(folder, said.append)
    assert said == ["Damaged or missing: scores/test_summary.csv. Done again: evaluate."]


def test_scores_of_weights_that_are_made_anew_go_and_those_of_a_person_stay(folder: RunFolder) -> None:
    (folder.path / "scores" / "mine.csv").write_text("patients to look at again")
    (folder.path / "steps" / "fit" / "last.pt").unlink()

    go_back(folder, print)

    assert [path.name for path in (folder.path / "scores").iterdir()] == ["mine.csv"]


def test_tables_that_are_whole_stay_until_their_step_writes_them_anew(folder: RunFolder) -> None:
    """The data may be gone, and the step is not done then."""
    (folder.path / "scores" / "test.csv").write_bytes(b"")

    go_back(folder, print)

    assert [path.name for path in (folder.path / "scores").iterdir()] == ["test_summary.csv"]


def test_a_kill_while_files_of_forgotten_steps_go_leaves_none_of_them_done(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> State:
        raise KeyboardInterrupt

    (folder.path / "steps" / "tune" / "threshold.json").write_bytes(b"")
    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "write", killed)
        with pytest.raises(KeyboardInterrupt):
            go_back(folder, print)
    assert folder.read().done == tuple(FILES)

    assert go_back(folder, print).done == ("fit",)


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
        "Damaged or missing: model/weights.safetensors, split.json. No step has to be done again."
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


@pytest.fixture
def drawn(folder: RunFolder) -> RunFolder:
    """The same run, whose training and evaluation have drawn a picture each."""
    state, made = folder.read(), {}
    for step in ("fit", "evaluate"):
        path = folder.path / "figures" / f"{step}.png"
        path.parent.mkdir(exist_ok=True)
        before = stamps(folder)
        path.write_bytes(b"drawn")
        made |= keep_made(folder, replace(state, done=()), step, before).made
    folder.write(replace(state, made=made))
    return folder


def test_a_picture_that_was_emptied_is_drawn_again_by_a_training_that_keeps_what_it_has(
    drawn: RunFolder,
) -> None:
    (drawn.path / "figures" / "fit.png").write_bytes(b"")
    said: list[str] = []

    assert go_back(drawn, said.append).done == ()
    assert said[0].startswith(
        "Damaged or missing: figures/fit.png. Done again: fit, tune, evaluate. What a training"
    )
    assert (drawn.path / "steps" / "fit" / "last.pt").exists()
    assert not (drawn.path / "figures" / "fit.png").exists()


def test_a_picture_of_an_evaluation_takes_no_training(drawn: RunFolder) -> None:
    (drawn.path / "figures" / "evaluate.png").unlink()

    assert go_back(drawn, print).done == ("fit", "tune")


def test_pictures_of_weights_that_are_made_anew_go(drawn: RunFolder) -> None:
    (drawn.path / "steps" / "fit" / "last.pt").unlink()

    go_back(drawn, print)

    assert not (drawn.path / "figures" / "evaluate.png").exists()


@pytest.mark.parametrize("name", RECORDS)
def test_what_a_finished_run_has_recorded_is_known_and_changes_once_it_goes_on(
    folder: RunFolder, name: str
) -> None:
    (folder.path / name).write_text("{}")
    keep_result(folder)
    (folder.path / name).write_bytes(b"")
    said: list[str] = []

    state = go_back(folder, said.append)

    assert said == [f"Damaged or missing: {name}. No step has to be done again."]
    assert name not in without_records(state).made


def test_the_records_are_those_that_the_folder_keeps() -> None:
    assert set(RECORDS) == {jsonl.METRICS, jsonl.PARAMS, jsonl.TAGS, jsonl.INPUTS}


def test_what_an_earlier_medseg_has_noted_of_the_whole_run_is_noted_anew(folder: RunFolder) -> None:
    """A file that nothing makes any more would be missing for ever, and the model be refused for it."""
    folder.write(replace(folder.read(), made={**folder.read().made, "model/old.pt": ("", 1, 1)}))
    assert damaged(folder) == {"model/old.pt": ""}

    keep_result(folder)

    assert damaged(folder) == {}


def test_a_file_of_another_size_is_damaged_and_not_read(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder.path / "scores" / "test.csv"
    with path.open("r+b") as file:
        file.truncate(20 * 10**9)  # no bytes on the disk
    monkeypatch.setattr(made, "checksum", lambda path: pytest.fail(f"{path} is read"))

    assert damaged(folder, "scores/test.csv") == {"scores/test.csv": "evaluate"}


def test_of_somebody_else_s_run_no_more_is_looked_through_than_any_run_has(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(made, "MOST_CHECKED", 40)
    assert damaged(folder) == {}, "one's own may have any size"

    monkeypatch.setenv("MEDSEG_CONFIG", "another-user")
    assert damaged(folder, "steps/tune/") == {}
    with pytest.raises(
        RunError, match=r"more than 0 GB of files below steps/fit/ to look through.*another copy"
    ):
        damaged(folder, "steps/fit/")
