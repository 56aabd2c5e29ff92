"""What is kept when the definition of a run changes: the step that goes on, and none after it."""

from __future__ import annotations

from pathlib import Path

import pytest

from medseg.allowed import SHIPPED
from medseg.errors import RunError
from medseg.named import find_pipeline
from medseg.pipeline.change import change_of, changed
from medseg.pipeline.declaration.definition import PipelineDefinition
from medseg.pipeline.folder import RunFolder, State
from medseg.pipeline.made import go_back, keep_made, stamps
from medseg.pipeline.options import RunOptions
from medseg.yaml import write_yaml


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    """A run whose two trainings are done, and whose scores are not."""
    folder = RunFolder.create("radiology_transfer", tmp_path)
    definition = PipelineDefinition.from_yaml(find_pipeline("radiology_transfer").path)
    write_yaml(definition.to_dict(), folder.path / "definition.yaml")
    (folder.path / "manifest.yaml").write_text("name: x\n")
    options = RunOptions.of(device="cpu")
    state = folder.write(
        State(folder.path.name, definition.name, None, options, declared=folder.declaration())
    )
    for step in definition.steps:
        if step != "evaluate":
            before = stamps(folder)
            (folder.path / "steps" / step).mkdir(parents=True)
            (folder.path / "steps" / step / "last.pt").write_text(step)
            state = keep_made(folder, state, step, before)
    return folder


def keep(folder: RunFolder, *sets: str) -> State:
    before = PipelineDefinition.from_yaml(folder.path / "definition.yaml")
    change_of(folder, folder.read(), changed(before, sets), sets, SHIPPED).keep(folder)
    return folder.read()


def test_a_training_that_becomes_longer_keeps_its_checkpoint_and_what_began_with_its_weights_goes(
    folder: RunFolder,
) -> None:
    before = folder.read()
    state = keep(folder, "steps.head.epochs=50", "steps.evaluate.beta=0.5")
    first = before.done.index("head")

    assert state.done == before.done[:first]
    assert {step for step, _, _ in state.made.values()} == set(state.done)
    assert (folder.path / "steps" / "head" / "last.pt").exists()
    assert not (folder.path / "steps" / "all").exists()
    assert state.changed == ("steps.head.epochs", "steps.evaluate.beta")
    assert state.declared == folder.declaration() != before.declared
    assert state.mine


def scored(folder: RunFolder) -> RunFolder:
    """The run with its scores."""
    before = stamps(folder)
    (folder.path / "scores").mkdir()
    for name in ("test.csv", "test_summary.csv"):
        (folder.path / "scores" / name).write_text("scores of a short training")
    keep_made(folder, folder.read(), "evaluate", before)
    return folder


def test_scores_of_a_training_that_becomes_longer_go_and_later_ones_are_of_the_evaluation(
    folder: RunFolder,
) -> None:
    """Killed while it scores again, the run keeps its longer training."""
    state = keep(scored(folder), "steps.head.epochs=50")
    assert not list((folder.path / "scores").iterdir())
    for step in ("head", "all"):
        before = stamps(folder)
        (folder.path / "steps" / step).mkdir(exist_ok=True)
        (folder.path / "steps" / step / "last.pt").write_text("longer")
        state = keep_made(folder, state, step, before)
    (folder.path / "scores" / "test.csv").write_text("scores of a long training")

    assert go_back(folder, pytest.fail).done == state.done
    assert "scores/test.csv" not in state.made


def test_a_kill_before_a_change_is_kept_leaves_the_training_done(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = scored(folder).read()

    def killed(*_: object) -> State:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "write", killed)
        with pytest.raises(KeyboardInterrupt):
            keep(folder, "steps.all.epochs=50")
    assert folder.read() == before

    state = go_back(folder, print)
    assert state.done == before.done[: before.done.index("evaluate")]


def test_the_same_values_change_nothing(folder: RunFolder) -> None:
    before = (folder.path / "run.json").read_bytes(), (folder.path / "definition.yaml").read_bytes()
    same = PipelineDefinition.from_yaml(folder.path / "definition.yaml").steps["head"]["epochs"]
    keep(folder, f"steps.head.epochs={same}")

    assert ((folder.path / "run.json").read_bytes(), (folder.path / "definition.yaml").read_bytes()) == before


@pytest.mark.parametrize("path", ["network.dropout", "loading.batch_size", "steps.all.clip", "seed"])
def test_what_the_trainings_rest_on_stays(path: str, folder: RunFolder) -> None:
    with pytest.raises(RunError, match=f"{path} of the run .* cannot change any more.*Begin a new run"):
        keep(folder, f"{path}=1")
