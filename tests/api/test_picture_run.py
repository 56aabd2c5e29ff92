"""What a run on pictures leaves behind, in MLflow and in its folder, by oracles apart from medseg's scoring."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn import metrics as oracle

from medseg.api import RunResult, predict, run_pipeline
from medseg.datasets.case import Case
from medseg.datasets.finding.scan import scan
from medseg.learning.inference.predictor import Predictor
from medseg.testing.pictures import write_picture
from medseg.tracking.mlflow.store import open_store

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")  # MLflow's own


@pytest.fixture(scope="module")
def tracked(pictured: RunResult) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with open_store(pictured.tracking_uri) as client:
            return client.get_run(pictured.run_id)


@pytest.fixture(scope="module")
def artifacts(pictured: RunResult) -> set[str]:
    def below(client: Any, path: str) -> Iterator[str]:
        for one in client.list_artifacts(pictured.run_id, path):
            yield from below(client, one.path) if one.is_dir else [one.path]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with open_store(pictured.tracking_uri) as client:
            return set(below(client, ""))


def stored(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.array(image)


def role_of(run: RunResult, role: str) -> list[str]:
    return list(json.loads((run.folder / "split.json").read_text())[role])


def case_of(run: RunResult, particles: Path, name: str) -> Case:
    return next(case for case in scan(run.predictor.manifest, particles).cases if case.id == name)


def truth_and_chance(
    run: RunResult, particles: Path, role: str
) -> dict[str, tuple[np.ndarray, np.ndarray, str]]:
    """Truth as Pillow reads it, probability of the saved model, and article, by case."""
    found = {}
    for name in role_of(run, role):
        case = case_of(run, particles, name)
        truth = stored(particles / "segmaps" / f"{name}.png") > 0
        chances = run.predictor.predict(case, probabilities=True).probabilities
        assert chances is not None
        found[name] = (truth, chances[0, :, :, 0].T, case.group)
    return found


def test_articles_stay_together_and_every_picture_has_a_role(pictured: RunResult) -> None:
    roles = {role: role_of(pictured, role) for role in ("train", "val", "test")}

    assert sorted(name for names in roles.values() for name in names) == [f"emps{n:02d}" for n in range(1, 9)]
    for names in roles.values():
        articles = {(int(name[4:]) - 1) // 2 for name in names}
        assert len(names) == 2 * len(articles)


def test_metrics_are_called_role_score_and_foreground_and_pooled(tracked: Any) -> None:
    scored = {key for key in tracked.data.metrics if key.startswith("test/")}

    assert scored == {
        f"test/{score}/{name}{end}"
        for score in ("dice", "precision", "recall")
        for name in ("foreground", "foreground/pooled")
        for end in ("", "/low", "/high")
    }


def test_scores_agree_with_scikit_learn_on_what_the_saved_model_says(
    tracked: Any, pictured: RunResult, particles: Path
) -> None:
    threshold = np.float32(pictured.predictor.task.threshold)
    seen = truth_and_chance(pictured, particles, "test")
    assert len(seen) == 4

    truth = np.concatenate([each[0].ravel() for each in seen.values()])
    chance = np.concatenate([each[1].ravel() for each in seen.values()])
    found, rows = tracked.data.metrics, pictured.summary("test").set_index(["name", "score"])["mean"]
    pooled = {
        "dice": oracle.f1_score(truth, chance >= threshold),
        "iou": oracle.jaccard_score(truth, chance >= threshold),
        "precision": oracle.precision_score(truth, chance >= threshold),
        "recall": oracle.recall_score(truth, chance >= threshold),
        "accuracy": oracle.accuracy_score(truth, chance >= threshold),
        "auroc": oracle.roc_auc_score(truth, chance),
        "average_precision": oracle.average_precision_score(truth, chance),
        "brier": oracle.brier_score_loss(truth, chance),
    }
    for score, value in pooled.items():
        assert rows["foreground/pooled", score] == pytest.approx(value, abs=1e-6), score

    by_article = []
    for article in {each[2] for each in seen.values()}:
        mine = [each for each in seen.values() if each[2] == article]
        both = [np.concatenate([each[part].ravel() for each in mine]) for part in (0, 1)]
        by_article.append(oracle.f1_score(both[0], both[1] >= threshold))
    assert len(by_article) == 2
    assert found["test/dice/foreground"] == pytest.approx(np.mean(by_article), abs=1e-9)

    table = pictured.scores().set_index("case")
    for name, (there, chances, article) in seen.items():
        assert table.loc[name, "dice"] == pytest.approx(
            oracle.f1_score(there.ravel(), (chances >= threshold).ravel())
        )
        assert table.loc[name, "group"] == article
        assert table.loc[name, "truth_pixels"] == there.sum()


def test_the_threshold_is_the_best_of_the_validation_cases_by_brute_force_and_kept_in_the_model(
    tracked: Any, pictured: RunResult, particles: Path
) -> None:
    seen = truth_and_chance(pictured, particles, "val").values()
    truth, chance = (np.concatenate([each[part].ravel() for each in seen]) for part in (0, 1))
    above = chance >= np.unique(chance)[:, None]  # one row for each threshold that matters
    best = (2 * (above & truth).sum(axis=1) / (above.sum(axis=1) + truth.sum())).max()
    threshold = pictured.predictor.task.threshold

    assert tracked.data.metrics["threshold/f1"] == pytest.approx(best, abs=1e-12)
    assert oracle.f1_score(truth, chance >= np.float32(threshold)) == pytest.approx(best, abs=1e-12)
    assert tracked.data.metrics["threshold/value"] == pytest.approx(threshold)
    assert tracked.data.metrics["threshold/f1_at_half"] == pytest.approx(
        oracle.f1_score(truth, chance >= 0.5)
    )
    assert float(tracked.data.tags["threshold.threshold"]) == pytest.approx(threshold, rel=1e-5)
    assert tracked.data.tags["threshold.role"] == "val"
    assert Predictor.load(pictured.folder / "model").task.threshold == threshold
    coarse = pd.read_csv(pictured.folder / "steps" / "threshold" / "thresholds.csv")
    assert coarse["threshold"].tolist() == pytest.approx([step / 10 for step in range(11)])
    for row in coarse.itertuples():
        assert row.f1 == pytest.approx(oracle.f1_score(truth, chance >= np.float32(row.threshold)), abs=1e-6)


def test_the_curves_are_read_and_the_verdict_is_a_tag(tracked: Any, pictured: RunResult) -> None:
    (verdict,) = pictured.verdicts().values()

    assert tracked.data.tags["fit.verdict"] == verdict["text"] != ""
    assert verdict["kind"] != "too short"
    assert verdict["next_step"]
    assert 1 <= int(tracked.data.tags["fit.best_epoch"]) <= 6


def test_given_pictures_have_an_experiment_without_the_word_generated(
    tracked: Any, pictured: RunResult
) -> None:
    with open_store(pictured.tracking_uri) as client:
        assert client.get_experiment(tracked.info.experiment_id).name == "emps"
    assert tracked.info.status == "FINISHED"
    assert tracked.data.tags["data.kind"] == "given"
    assert not pictured.leaking


def test_figures_and_tables_are_artifacts_and_figures_are_no_blank_sheets(
    artifacts: set[str], pictured: RunResult
) -> None:
    expected = {
        *("definition.yaml", "split.json", "tables/history.json", "tables/thresholds.csv"),
        *(
            "scores/test.csv",
            "scores/test_groups.csv",
            "scores/test_summary.csv",
            "scores/test_confusion.csv",
        ),
        *("figures/data.png", "figures/fit_learning_curves.png", "figures/threshold_curve.png"),
        *("figures/test_masks.png", "figures/test_confusion_images.png", "figures/test_roc.png"),
        *("figures/test_reliability.png", "figures/test_confusion.png"),
    }

    assert expected <= artifacts
    for name in expected:
        if name.startswith("figures/"):
            pixels = stored(pictured.folder / name)
            assert min(pixels.shape[:2]) > 200
            assert pixels[..., :3].std() > 5


def test_the_matrix_counts_each_pixel_of_the_test_pictures_once(pictured: RunResult, particles: Path) -> None:
    matrix = pd.read_csv(pictured.folder / "scores" / "test_confusion.csv", index_col=0)
    sizes = [stored(particles / "segmaps" / f"{name}.png").size for name in role_of(pictured, "test")]

    assert matrix.to_numpy().sum() == sum(sizes)


def test_what_predict_writes_has_the_dice_of_the_table(
    pictured: RunResult, particles: Path, tmp_path: Path
) -> None:
    predict(pictured.predictor, [particles], tmp_path)
    for row in pictured.scores().itertuples():
        truth = stored(particles / "segmaps" / f"{row.case}.png") > 0
        written = stored(tmp_path / f"{row.case}.png") > 0
        assert row.dice == pytest.approx(oracle.f1_score(truth.ravel(), written.ravel()))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning:monai")  # of the augmentation, at a blank slice
@pytest.mark.usefixtures("workspace", "figureless")
def test_test_labels_of_another_make_change_neither_weights_nor_threshold(
    pictured: RunResult, particles: Path, tiny_emps: tuple[str, ...], tmp_path: Path
) -> None:
    spoilt = Path(shutil.copytree(particles, tmp_path / "spoilt"))
    for name in role_of(pictured, "test"):
        path = spoilt / "segmaps" / f"{name}.png"
        instances = stored(path)
        write_picture(path, np.roll(instances, len(instances) // 2, axis=0))
    again = run_pipeline("emps", spoilt, set=tiny_emps, device="cpu", jobs=1)

    weights = "model/weights.safetensors"
    assert (again.folder / weights).read_bytes() == (pictured.folder / weights).read_bytes()
    assert again.predictor.task.threshold == pictured.predictor.task.threshold
    assert (again.folder / "split.json").read_bytes() == (pictured.folder / "split.json").read_bytes()
    assert again.scores()["dice"].mean() < pictured.scores()["dice"].mean()


def test_the_model_is_registered_with_its_card_and_scores_are_a_table_of_the_evaluation_view(
    pictured: RunResult, tracked: Any, artifacts: set[str]
) -> None:
    with open_store(pictured.tracking_uri) as client:
        version = client.get_model_version_by_alias("emps", "champion")

    assert version.run_id == pictured.run_id
    assert float(version.tags["val/score"]) == tracked.data.metrics["val/score"]
    assert version.description == (pictured.folder / "model" / "README.md").read_text(encoding="utf-8")
    assert {"path": "tables/test.json", "type": "table"} in json.loads(
        tracked.data.tags["mlflow.loggedArtifacts"]
    )
    assert "tables/test.json" in artifacts
    assert tracked.data.tags["leaks"] == "none found"
