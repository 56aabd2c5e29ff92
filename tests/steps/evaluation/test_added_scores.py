from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from medseg.allowed import SHIPPED
from medseg.component import build
from medseg.errors import DefinitionError
from medseg.steps.evaluate import Evaluate
from medseg.testing.labelled import write_class_folders
from medseg.testing.pictures import write_emps
from medseg.yaml import parse_yaml

DOCS = (Path(__file__).parents[3] / "docs" / "scores.md").read_text(encoding="utf-8")
SIDES = ("left", "right")


@pytest.fixture
def package(tmp_path, monkeypatch):
    """The module of the documentation, and one that knows images; no part of medseg."""
    (code,) = re.findall(r"```python\n(.*?)```", DOCS, flags=re.DOTALL)
    (tmp_path / "my_scores.py").write_text(
        code
        + """

class Hit:
    name = "hit"

    def __call__(self, case):
        own = {name: float(p) for name, p in zip(case.classes, case.probabilities)}
        return {"": float(case.probabilities[case.truth][0] > 0.6)} | own


class Broken:
    name = "broken"

    def __init__(self, at="P"):
        self.at = at

    def __call__(self, case):
        if case.case.startswith("made up"):
            return {}
        raise RuntimeError("no such thing")
"""
    )
    monkeypatch.syspath_prepend(str(tmp_path))


def make(**given):
    spec = {"_target_": "medseg.steps.Evaluate", **given}
    return build(spec, at="steps.evaluate", kind=Evaluate, allowed=SHIPPED.also("my_scores"))


def evaluated(step, work, run):
    step.check(work.predictor)
    step(work, run)
    return pd.read_csv(run.folder / "scores" / "test.csv"), pd.read_csv(
        run.folder / "scores" / "test_summary.csv", keep_default_na=False
    )


@pytest.mark.slow
@pytest.mark.usefixtures("package")
def test_the_scores_of_the_documentation_are_computed_of_volumes(make_work, make_run, heard):
    blocks = re.findall(r"```yaml\n(evaluate:.*?)```", DOCS, flags=re.DOTALL)
    (declared,) = (block for block in blocks if "my_scores" in block)
    spec = parse_yaml(declared, "docs")["evaluate"]
    spec.pop("_target_")
    work = make_work()
    table, summary = evaluated(make(**spec, distances=False), work, make_run("evaluate"))
    ((_, metrics),) = heard.numbers
    there = table.dropna(subset="recall")
    assert len(there) > 5
    np.testing.assert_allclose(there["missed_share"], 1 - there["recall"])
    assert table["missed_share"].isna().equals(table["recall"].isna())
    assert table["surface_dice"].between(0, 1).sum() > 5
    for name in ("whole_tumour", "healthy"):
        rows = table[table["name"] == name]
        assert metrics[f"test/missed_share/{name}"] == pytest.approx(rows["missed_share"].mean())
    assert {"dice", "hd95", "missed_share", "surface_dice"} <= set(summary["score"])
    assert {"figures/test_missed_share.png", "figures/test_surface_dice.png", "figures/test_dice.png"} <= set(
        heard.artifacts
    )


@pytest.mark.slow
def test_only_what_is_listed_is_computed(make_work, make_run, heard):
    table, summary = evaluated(make(scores=["iou", "mcc"]), make_work(), make_run("evaluate"))
    assert list(table.columns) == ["case", "group", "name", "iou", "mcc"]
    assert set(summary["score"]) == {"iou", "mcc"}
    assert "figures/test_dice.png" not in heard.artifacts


@pytest.mark.slow
@pytest.mark.usefixtures("package")
def test_of_pictures_a_group_has_the_mean_of_its_pictures(make_picture_work, make_run, heard, tmp_path):
    data = write_emps(tmp_path / "emps", cases=6, size=(20, 28), seed=6)
    work = make_picture_work(data, "emps", lambda _: "test")
    step = make(scores=["dice", {"_target_": "my_scores.MissedShare"}])
    run = make_run("evaluate")
    table, summary = evaluated(step, work, run)
    groups = pd.read_csv(run.folder / "scores" / "test_groups.csv").set_index("group")
    assert list(table.columns[:5]) == ["case", "group", "name", "dice", "missed_share"]
    means = table.groupby("group")["missed_share"].mean()
    np.testing.assert_allclose(groups["missed_share"], means[groups.index])
    ((_, metrics),) = heard.numbers
    assert metrics["test/missed_share/foreground"] == pytest.approx(groups["missed_share"].mean())
    assert set(summary.loc[summary["name"] == "foreground/pooled", "score"]) == {"dice"}


@pytest.mark.slow
@pytest.mark.usefixtures("package")
def test_of_images_they_are_means_over_images_with_intervals(make_class_work, make_run, heard, tmp_path):
    work = make_class_work(write_class_folders(tmp_path / "sides", SIDES, cases=4), SIDES)
    step = make(scores=["accuracy", {"_target_": "my_scores.Hit"}])
    table, summary = evaluated(step, work, make_run("evaluate"))
    assert set(summary["score"]) == {"accuracy", "hit", "support", "predicted"}
    ((_, metrics),) = heard.numbers
    assert metrics["test/hit"] == pytest.approx(table["hit"].mean())
    assert metrics["test/hit/left"] == pytest.approx(table["probability_left"].mean())
    assert metrics["test/hit/left/low"] < metrics["test/hit/left"] < metrics["test/hit/left/high"]
    assert "figures/test_hit.png" in heard.artifacts


@pytest.mark.usefixtures("package")
def test_a_score_that_fails_is_refused_with_its_name_and_the_case(make_work, make_run):
    work = make_work()
    with pytest.raises(
        DefinitionError, match=r"score broken \(Broken\) failed at the case \w+: no such thing"
    ) as at:
        make(scores=[{"_target_": "my_scores.Broken"}])(work, make_run("evaluate"))
    assert work.of("test")[0].id in str(at.value)


@pytest.mark.parametrize(
    ("scores", "said"),
    [
        (["dise"], "scores names 'dise', which is unknown here. Did you mean 'dice'"),
        ([{"_target_": "monai.metrics.DiceMetric"}], "DiceMetric is no score"),
        (
            [
                {
                    "_target_": "medseg.learning.LibraryScore",
                    "name": "distance",
                    "metric": {"_target_": "monai.metrics.HausdorffDistanceMetric"},
                }
            ],
            r"distance .* made up \(missed\)",
        ),
    ],
)
def test_what_is_no_score_is_refused_before_anything_runs(make_work, scores, said):
    with pytest.raises(DefinitionError, match=said):
        make(scores=scores).check(make_work().predictor)


def test_of_pictures_there_is_nothing_in_millimetres(make_picture_work, tmp_path):
    data = write_emps(tmp_path / "emps", cases=3, size=(20, 28))
    with pytest.raises(DefinitionError, match="names 'hd95', which is unknown here"):
        make(scores=["hd95"]).check(make_picture_work(data, "emps", lambda _: "test").predictor)


def test_a_task_of_a_stranger_names_who_reports(make_work, make_run, monkeypatch):
    work = make_work()

    class Own(type(work.predictor.task)):
        def evaluation(self, files):
            assert files is work.predictor.preparation.files
            return "medseg.steps.evaluation.LabelEvaluation"

    task = work.predictor.task
    predictor = replace(work.predictor, task=Own(task.classes, task.regions))
    with pytest.raises(DefinitionError, match="expected a task of classes of whole images, got Own"):
        Evaluate().check(predictor)


def test_the_best_epoch_is_chosen_by_the_score_that_is_named():
    from medseg.errors import TrainingError
    from medseg.learning.scores.added.library_score import LibraryScore
    from medseg.learning.tasks.binary_mask import BinaryMask
    from medseg.learning.training.plan import Plan

    label = torch.zeros(2, 1, 8, 8, dtype=torch.uint8)
    label[:, :, 2:5, 2:5] = 1
    logits = torch.where(torch.roll(label, 1, dims=2) > 0, 4.0, -4.0)
    error = LibraryScore(torch.nn.L1Loss(), "error", larger_is_better=False)
    error._type = torch.float32
    worths = {}
    for best_by in ("iou", error):
        plan = Plan(3, torch.optim.SGD, best_by=best_by)
        for good, given in ((False, logits), (True, label * 8.0 - 4)):
            scorer = BinaryMask().scorer(plan.added)
            scorer.update(["a", "b"], given, label)
            found = scorer.compute()
            worths[str(best_by), good] = plan.worth({"epoch": 1} | {f"val/{k}": v for k, v in found.items()})
        with pytest.raises(TrainingError, match="in epoch 2, and the best epoch is chosen by it"):
            plan.worth({"epoch": 2, "val/score": 1.0})
    assert worths["iou", False] == pytest.approx(6 / 12)
    assert worths["iou", True] == 1
    assert worths[str(error), False] == pytest.approx(-6 / 64)
    assert worths[str(error), True] == 0
