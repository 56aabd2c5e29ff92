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
from medseg.pipeline.made import keep_made
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
            (folder.path / "steps" / step).mkdir(parents=True)
            (folder.path / "steps" / step / "last.pt").write_text(step)
            state = keep_made(folder, state, step)
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


def test_the_same_values_change_nothing(folder: RunFolder) -> None:
    before = (folder.path / "run.json").read_bytes(), (folder.path / "definition.yaml").read_bytes()
    same = PipelineDefinition.from_yaml(folder.path / "definition.yaml").steps["head"]["epochs"]
    keep(folder, f"steps.head.epochs={same}")

    assert ((folder.path / "run.json").read_bytes(), (folder.path / "definition.yaml").read_bytes()) == before


@pytest.mark.parametrize("path", ["network.dropout", "loading.batch_size", "steps.all.clip", "seed"])
def test_what_the_trainings_rest_on_stays(path: str, folder: RunFolder) -> None:
    with pytest.raises(RunError, match=f"{path} of the run .* cannot change any more.*Begin a new run"):
        keep(folder, f"{path}=1")
