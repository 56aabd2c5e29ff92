"""A sweep ranks runs on validation, goes on after a kill, and looks at the test part once, for the winner."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from medseg.api import SweepResult, resume_pipeline, resume_sweep, run_sweep, sweep_to_go_on
from medseg.errors import DefinitionError, RunError
from medseg.pipeline.folder import all_runs
from medseg.progress import Silent
from medseg.tracking.mlflow.store import open_store

pytestmark = pytest.mark.slow

VARY = ["steps.fit.optimiser.lr=1e-6,1e-2"]


class Killed(Silent):
    """Presses Ctrl-C when the second combination begins."""

    def say(self, text: str, *, loud: bool = False) -> None:
        if text.startswith("Combination 2"):
            raise KeyboardInterrupt


def scored(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "scores").glob("test.csv"))


@pytest.mark.usefixtures("figureless")
def test_a_sweep_that_was_killed_goes_on_and_scores_the_winner_alone(
    workspace: Path, patients: Path, tiny: tuple[str, ...]
) -> None:
    asked: dict[str, Any] = {"vary": VARY, "seeds": 2, "set": [*tiny, "steps.fit.epochs=1"], "device": "cpu"}
    with pytest.raises(KeyboardInterrupt):
        run_sweep("brats2d", patients, progress=Killed(), **asked)
    (first, second) = sorted(folder.path.name for folder, _ in all_runs())
    name = sweep_to_go_on(None)
    assert name is not None
    with pytest.raises(RunError, match="no unfinished run"):
        resume_pipeline()

    result = resume_sweep(name)

    assert isinstance(result, SweepResult)
    assert result.best.settings == ("steps.fit.optimiser.lr=1e-2",)
    assert [len(each.scores) for each in result.tried] == [2, 2]
    assert result.trials()["steps.fit.optimiser.lr"].tolist() == ["1e-2", "1e-6"]
    runs = {folder.path.name: (folder, state) for folder, state in all_runs()}
    assert {first, second} < set(runs)
    assert len(runs) == 2 * 2 + 2
    winners = {each.name for each in result.results}
    for run, (folder, _) in runs.items():
        assert scored(folder.path) == (["test.csv"] if run in winners else []), run
    splits = {json.dumps(json.loads((f.path / "split.json").read_text())["test"]) for f, _ in runs.values()}
    assert len(splits) == 1, "runs of other seeds share the patients of each role"
    with open_store(result.tracking_uri) as client:
        parent = client.get_run(result.run_id)
        below = [client.get_run(state.tracked).data.tags["mlflow.parentRunId"] for _, state in runs.values()]
    assert set(below) == {result.run_id}
    assert (parent.data.tags["leaks"], result.leaks) == ("none found", ())
    assert parent.data.metrics["val/score"] == pytest.approx(result.best.score)
    means = [
        each.summary().query("name == 'mean' and score == 'dice'")["mean"].item() for each in result.results
    ]
    assert parent.data.metrics["test/dice/mean"] == pytest.approx(sum(means) / 2)
    journal = result.folder / "trials.log"
    kept = journal.read_text()
    journal.write_text(
        kept.replace("0.", "9.").replace('"fault"', '"values"')
    )  # scores of a journal are not taken
    assert resume_sweep(name).best.score == result.best.score
    journal.write_text('{"op_code": 99}\n' + kept)
    with pytest.raises(RunError, match=r"trials\.log of .* is damaged\. Remove it"):
        resume_sweep(name)
    journal.write_text(kept)
    again = resume_sweep(name)
    assert (again.run_id, again.best, len(list(all_runs()))) == (result.run_id, result.best, len(runs))
    assert sweep_to_go_on(None) is None


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({}, "nothing varies"),
        ({"vary": ["steps.fit.lr=1,2"]}, "at steps.fit.lr: Fit takes no 'lr'"),
        ({"vary": ["split.val=0.1,0.2"]}, "scored on other patients"),
        ({"vary": ["manifest=brats2020,brats2023"]}, "scored on other patients"),
        ({"vary": ["steps.nothing.x=1,2"]}, "--vary steps.nothing.x"),
        ({"vary": ["seed=1,2"], "seeds": 2}, "Leave one out"),
        ({"vary": ["slices.size=[16,16],[32,32]"]}, "scored on other pixels"),
        ({"vary": ["slices.spacing=[1,1],[2,2]"]}, "scored on other pixels"),
        ({"vary": ["task.select=[oedema],[outside]"]}, "what the validation score is of"),
        ({"vary": ["steps.fit.best_by=score,loss"]}, "what the validation score is of"),
        ({"vary": ["steps.evaluate.role=test,val"]}, "does not change the validation score"),
        (
            {"vary": [f"{each}={','.join(map(str, range(1, 40)))}" for each in ("a", "b", "c")]},
            "Give --trials",
        ),
        ({"vary": VARY, "set": ["steps={e: {_target_: medseg.steps.Evaluate}}"]}, "steps.fit"),
        (
            {"seeds": 2, "set": ["steps={e: {_target_: medseg.steps.Evaluate}}"]},
            "learns without the test part",
        ),
        ({"vary": VARY, "trials": 0}, "trials is 0"),
        ({"vary": VARY, "minutes": float("nan")}, "minutes is nan"),
    ],
)
def test_what_cannot_be_compared_or_trained_is_refused_before_anything_is_learned(
    asked: dict[str, Any], said: str, workspace: Path, patients: Path
) -> None:
    with pytest.raises(DefinitionError, match=said):
        run_sweep("brats2d", patients, **asked)

    assert not (workspace / "medseg-sweeps").exists()
    assert not (workspace / "medseg-runs").exists()
