"""A run that has ended and whose files were damaged later: nothing of it is used, and resuming makes them again."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from medseg.api import RunResult, load_model, resume_pipeline
from medseg.cli.main import app
from medseg.errors import MedsegError, RunError
from medseg.learning.scores.tables import read_scores
from medseg.pipeline.folder import RunFolder
from medseg.tracking.mlflow.store import open_store

pytestmark = pytest.mark.usefixtures("figureless")

MADE = ("model/weights.safetensors", "model/model.json", "scores/test.csv", "split.json", "slices.csv")


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def flipped(path: Path) -> None:
    """Change one bit, which no reader of the format can see."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def result_of(folder: RunFolder, finished: RunResult) -> RunResult:
    return replace(finished, folder=folder.path)


def refused(use: Callable[[], object], file: str) -> list[str]:
    """What the refusal of a damaged file offers, as words of a command."""
    with pytest.raises(MedsegError, match=f"damaged or missing in the run .*: {file}") as caught:
        use()
    words = shlex.split(str(caught.value).partition("To make it again: ")[2])
    assert words[0] == "medseg"
    return words[1:]


@pytest.mark.parametrize("damage", [emptied, flipped, Path.unlink])
@pytest.mark.parametrize("file", ["model/weights.safetensors", "model/model.json"])
def test_a_model_that_was_damaged_after_its_run_is_not_used(
    ended: RunFolder, finished: RunResult, file: str, damage: Callable[[Path], object]
) -> None:
    damage(ended.path / file)

    assert refused(lambda: load_model(finished.name), file) == ["pipeline", "resume", finished.name]
    assert refused(lambda: result_of(ended, finished).predictor, file)


@pytest.mark.parametrize("damage", [emptied, flipped, Path.unlink])
def test_scores_that_were_damaged_after_their_run_are_not_read(
    ended: RunFolder, finished: RunResult, damage: Callable[[Path], object]
) -> None:
    damage(ended.path / "scores" / "test.csv")
    damage(ended.path / "steps" / "fit" / "verdict.json")

    assert refused(result_of(ended, finished).scores, "scores/test.csv")
    assert refused(result_of(ended, finished).verdicts, "steps/fit/verdict.json")
    assert not result_of(ended, finished).summary().empty, "what is whole is read"


@pytest.mark.parametrize("content", [b"", b'case,dice\n"a,1\n', b"case\n\xff\n"])
def test_a_table_that_is_none_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "test_summary.csv").write_bytes(content)

    with pytest.raises(RunError, match=r"test_summary\.csv is damaged"):
        read_scores(tmp_path / "test_summary.csv")


@pytest.mark.slow
@pytest.mark.parametrize("damage", [emptied, flipped])
def test_resuming_a_finished_run_makes_again_what_was_damaged(
    ended: RunFolder, finished: RunResult, damage: Callable[[Path], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    import medseg.learning.training.engine.epochs

    def fail(*_: object) -> None:
        raise AssertionError("trained again, though what training made is whole")

    monkeypatch.setattr(medseg.learning.training.engine.epochs.Epochs, "run", fail)
    pictures = sorted(name for name in ended.read().made if name.startswith("figures/test_"))
    assert pictures
    for file in (*MADE, *pictures, "figures/data.png"):
        damage(ended.path / file)
    emptied(ended.path / "metrics.jsonl")  # a line of it that is no JSON is told, with what to do

    done = CliRunner().invoke(app, ["pipeline", "resume", finished.name])

    assert done.exit_code == 0, done.output
    said = " ".join(done.output.split())
    assert all(file in said for file in MADE), said
    assert "Done again: evaluate." in said
    for file in MADE:
        assert (ended.path / file).read_bytes() == (finished.folder / file).read_bytes(), file
    for file in (*pictures, "figures/data.png"):
        begins = b"{" if file.endswith(".json") else b"\x89PNG"
        assert (ended.path / file).read_bytes().startswith(begins), file
        assert file in said
    assert "metrics.jsonl" in said
    state = ended.read()
    assert {state.made[name][0] for name in state.made if name.startswith("scores/")} == {"evaluate"}
    assert (state.status, state.done) == ("FINISHED", ("fit", "evaluate"))
    with open_store(state.tracking_uri) as client:
        assert client.get_run(finished.run_id).info.status == "FINISHED"
    with pytest.raises(RunError, match="nothing to go on with"):
        resume_pipeline(finished.name)


@pytest.mark.slow
def test_learning_curves_that_were_emptied_are_drawn_again_without_training(
    ended: RunFolder, finished: RunResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    import medseg.learning.training.engine.epochs

    monkeypatch.setattr(
        medseg.learning.training.engine.epochs.Epochs, "run", lambda *_: pytest.fail("trained again")
    )
    curves = ended.path / "figures" / "fit_learning_curves.png"
    emptied(curves)
    monkeypatch.setattr("medseg.tracking.mlflow.recorder.MlflowRecorder.refused", 3)

    result = resume_pipeline(finished.name, jobs=1)

    assert curves.read_bytes().startswith(b"\x89PNG")
    assert (ended.path / "scores/test.csv").read_bytes() == (finished.folder / "scores/test.csv").read_bytes()
    assert result.refused == 3
    with pytest.raises(RunError, match="nothing to go on with"):
        resume_pipeline(finished.name)


@pytest.mark.slow
def test_a_finished_run_that_cannot_make_a_table_again_is_finished_no_more(
    ended: RunFolder, finished: RunResult, tmp_path: Path
) -> None:
    emptied(ended.path / "scores" / "test.csv")

    with pytest.raises(MedsegError):
        resume_pipeline(finished.name, data=tmp_path / "nothing")

    assert ended.read().status == "KILLED"
    resume_pipeline()
    assert ended.read().status == "FINISHED"
    assert (ended.path / "scores/test.csv").read_bytes() == (finished.folder / "scores/test.csv").read_bytes()
