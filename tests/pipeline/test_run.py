"""Steps are done once, and what a step changes is seen by the next."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from medseg.api import RunResult, resume_pipeline, run_pipeline
from medseg.errors import DataError, DefinitionError, RunError
from medseg.pipeline.folder import RunFolder, all_runs

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")  # MLflow's own


@pytest.mark.parametrize(("expected", "there", "kind"), [("auto", False, "cpu"), ("cpu", True, "cpu")])
def test_a_device_is_chosen_by_what_is_there(
    expected: str, there: bool, kind: str, monai_imported: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from medseg.pipeline.run import choose_device

    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    assert choose_device(expected).type == kind
    with pytest.raises(DefinitionError, match="auto, cpu or cuda"):
        choose_device("tpu")


@pytest.mark.slow
def test_a_run_that_fails_is_marked_and_goes_on_when_its_cause_is_gone(
    workspace: Path,
    finished: RunResult,
    patients: Path,
    tiny: tuple[str, ...],
    figureless: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from medseg.steps.evaluate import Evaluate

    def fail(*_: object) -> None:
        raise DataError("the disk was pulled out")

    with monkeypatch.context() as patch:
        patch.setattr(Evaluate, "_write", fail)
        with pytest.raises(DataError, match="pulled out"):
            run_pipeline("brats2d", patients, set=tiny, device="cpu")
    ((folder, state),) = all_runs()
    assert state.status == "FAILED"
    assert state.done == ("fit",)
    assert not (folder.path / "model").exists()  # nothing that could be taken for a finished run's
    resume_pipeline()

    assert folder.read().status == "FINISHED"
    for name in ("model/weights.safetensors", "scores/test.csv"):
        assert (folder.path / name).read_bytes() == (finished.folder / name).read_bytes()


@pytest.mark.slow
def test_a_split_that_was_changed_by_hand_is_refused(
    workspace: Path, patients: Path, tiny: tuple[str, ...], figureless: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from medseg.steps.fit import Fit

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Fit, "__call__", stop)
        with pytest.raises(KeyboardInterrupt):
            run_pipeline("brats2d", patients, set=tiny, device="cpu")
    ((folder, state),) = all_runs()
    folder.write(replace(state, split_digest="0" * len(state.split_digest)))
    with pytest.raises(RunError, match="split"):
        resume_pipeline(str(folder.path))


@pytest.mark.slow
def test_two_steps_that_score_write_two_tables(
    workspace: Path, patients: Path, tiny: tuple[str, ...], figureless: None
) -> None:
    more = "steps={fit: {_target_: medseg.steps.Fit, epochs: 1, optimiser: {_target_: torch.optim.SGD, lr: 0.1}}, "
    more += "first: {_target_: medseg.steps.Evaluate, role: val, distances: false}, "
    more += "second: {_target_: medseg.steps.Evaluate, role: test, distances: false}}"
    found = run_pipeline("brats2d", patients, set=[*tiny, more], device="cpu")

    assert RunFolder(found.folder).read().done == ("fit", "first", "second")
    assert set(found.scores("val")["case"]).isdisjoint(found.scores("test")["case"])
    assert found.scores("val")["hd95"].isna().all() if "hd95" in found.scores("val") else True


@pytest.mark.slow
def test_a_step_that_changes_a_scored_model_without_saying_so_is_told_of(
    workspace: Path, patients: Path, tiny: tuple[str, ...], figureless: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from medseg.steps.average_flips import AverageFlips

    more = "steps={fit: {_target_: medseg.steps.Fit, epochs: 1, optimiser: {_target_: torch.optim.SGD, lr: 0.1}}, "
    more += "score: {_target_: medseg.steps.Evaluate, distances: false}, "
    more += "flips: {_target_: medseg.steps.AverageFlips}}"
    with pytest.raises(DefinitionError, match=r"steps\.flips changes the model after steps\.score"):
        run_pipeline("brats2d", patients, set=[*tiny, more], device="cpu")
    assert not list(all_runs())

    monkeypatch.delattr(AverageFlips, "stage")
    found = run_pipeline("brats2d", patients, set=[*tiny, more], device="cpu")

    tags = json.loads((found.folder / "tags.json").read_text())
    assert "changed the model" in tags["scores.outdated"]


@pytest.mark.slow
def test_a_model_that_is_taken_and_learns_again_loses_what_was_chosen_for_its_old_weights(
    workspace: Path,
    finished: RunResult,
    patients: Path,
    tiny: tuple[str, ...],
    figureless: None,
    tmp_path: Path,
) -> None:
    from medseg.learning.inference.cleaning import Cleaning

    chosen = replace(finished.predictor, flips=((0,),), cleaning=(Cleaning(2, largest=True),))
    model = chosen.save(tmp_path / "chosen")
    more = f"steps={{use: {{_target_: medseg.steps.UseModel, weights: {model}}}, "
    score = "score: {_target_: medseg.steps.Evaluate, distances: false}}"
    start = f"start: {{_target_: medseg.steps.StartFrom, weights: {model}}}, "

    taken = run_pipeline("brats2d", patients, set=[*tiny, more + score], device="cpu")
    learned = run_pipeline("brats2d", patients, set=[*tiny, more + start + score], device="cpu")

    assert (taken.predictor.flips, taken.predictor.cleaning) == (chosen.flips, chosen.cleaning)
    assert (learned.predictor.flips, learned.predictor.cleaning) == ((), ())
