"""What a run on whole images leaves behind, in MLflow and in its folder, by oracles apart from medseg's scoring."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from rich.console import Console
from sklearn import metrics as oracle

from medseg.api import RunResult
from medseg.cli.tables import print_result
from medseg.datasets.finding.scan import scan
from medseg.learning.inference.predictor import Predictor
from medseg.tracking.mlflow.store import open_store
from medseg.yaml import read_yaml

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")  # MLflow's own

TOGETHER = (
    *("accuracy", "balanced_accuracy", "precision", "recall", "f1", "f2", "auroc", "auroc_weighted"),
    *("average_precision", "cohen_kappa", "brier", "log_loss", "calibration_error", "top_2_accuracy"),
)
OF_CLASS = (
    *("precision", "recall", "specificity", "f1", "f2", "auroc", "average_precision", "brier"),
    *("calibration_error", "f2_always"),
)
FIGURES = (
    *("data", "fit_learning_curves", "fit_validation_0001", "fit_validation_0004", "test_confusion"),
    *("test_curves", "test_reliability", "test_mistakes", "test_attention"),
)


@pytest.fixture(scope="module")
def tracked(classified: RunResult) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with open_store(classified.tracking_uri) as client:
            return client.get_run(classified.run_id)


@pytest.fixture(scope="module")
def artifacts(classified: RunResult) -> set[str]:
    def below(client: Any, path: str) -> Iterator[str]:
        for one in client.list_artifacts(classified.run_id, path):
            yield from below(client, one.path) if one.is_dir else [one.path]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with open_store(classified.tracking_uri) as client:
            return set(below(client, ""))


@pytest.fixture(scope="module")
def said(classified: RunResult, class_names: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Truth (N,) as indices and probabilities (N, K), as the table of the run has them."""
    table = classified.scores()
    truth = table["truth"].map(class_names.index).to_numpy()
    return truth, table[[f"probability_{name}" for name in class_names]].to_numpy()


@pytest.mark.slow
def test_metrics_are_called_role_score_and_class_with_their_intervals(
    tracked: Any, class_names: tuple[str, ...]
) -> None:
    found = tracked.data.metrics
    shown = ("accuracy", "balanced_accuracy", "auroc", "f1", "recall")
    for score in set(TOGETHER).intersection(shown):
        assert found[f"test/{score}/low"] <= found[f"test/{score}"] <= found[f"test/{score}/high"]
    for name in class_names:
        for score in set(OF_CLASS).intersection(shown):
            assert f"test/{score}/{name}" in found
    names = "|".join(map(re.escape, class_names))
    form = re.compile(rf"test/({'|'.join(shown)})(/({names}))?(/(low|high))?")
    assert not sorted(key for key in found if key.startswith("test/") and not form.fullmatch(key))


def test_scores_agree_with_scikit_learn_on_the_probabilities_of_the_table(
    tracked: Any, classified: RunResult, said: tuple[np.ndarray, np.ndarray], class_names: tuple[str, ...]
) -> None:
    truth, chances = said
    chosen, shares = chances.argmax(axis=1), chances / chances.sum(axis=1, keepdims=True)
    hot = np.eye(len(class_names))[truth]
    expected = {
        "accuracy": oracle.accuracy_score(truth, chosen),
        "balanced_accuracy": oracle.balanced_accuracy_score(truth, chosen),
        "precision": oracle.precision_score(truth, chosen, average="macro"),
        "recall": oracle.recall_score(truth, chosen, average="macro"),
        "f1": oracle.f1_score(truth, chosen, average="macro"),
        "f2": oracle.fbeta_score(truth, chosen, beta=2, average="macro"),
        "cohen_kappa": oracle.cohen_kappa_score(truth, chosen),
        "log_loss": oracle.log_loss(truth, shares),
        "brier": ((chances - hot) ** 2).sum(axis=1).mean(),
        "auroc": oracle.roc_auc_score(truth, shares, multi_class="ovr", average="macro"),
        "auroc_weighted": oracle.roc_auc_score(truth, shares, multi_class="ovr", average="weighted"),
        "average_precision": oracle.average_precision_score(hot, chances, average="macro"),
        "top_2_accuracy": oracle.top_k_accuracy_score(truth, shares, k=2),
    }
    for place, name in enumerate(class_names):
        is_it, told = truth == place, chosen == place
        expected |= {
            f"precision/{name}": oracle.precision_score(is_it, told),
            f"recall/{name}": oracle.recall_score(is_it, told),
            f"specificity/{name}": oracle.recall_score(~is_it, ~told),
            f"f1/{name}": oracle.f1_score(is_it, told),
            f"auroc/{name}": oracle.roc_auc_score(is_it, chances[:, place]),
            f"average_precision/{name}": oracle.average_precision_score(is_it, chances[:, place]),
            f"brier/{name}": oracle.brier_score_loss(is_it, chances[:, place]),
            f"support/{name}": is_it.sum(),
        }

    assert 0.5 < expected["accuracy"] < 1  # of no use where all is right
    rows = classified.summary("test").fillna({"name": ""}).set_index(["score", "name"])["mean"]
    for key, value in expected.items():
        score, _, name = key.partition("/")
        assert rows[score, name] == pytest.approx(value, abs=1e-6), key
        assert tracked.data.metrics.get(f"test/{key}", value) == pytest.approx(value, abs=1e-6), key


def test_intervals_are_over_patients_and_not_over_pictures(tracked: Any, classified: RunResult) -> None:
    table = classified.scores()

    assert len(table) == 34
    assert table["group"].nunique() == 20  # 0001, 0002 and 0003, 0004 and 0005, 0006 (and 0007) of each class
    of_all = classified.summary("test").query("name.isna() or name == ''").set_index("score")
    assert of_all.loc["accuracy", "patients"] == 20


@pytest.mark.slow
def test_the_table_holds_what_the_saved_model_says_of_each_picture(
    classified: RunResult, sorted_pictures: Path, class_names: tuple[str, ...]
) -> None:
    model = Predictor.load(classified.folder / "model")
    cases = {case.id: case for case in scan(model.manifest, sorted_pictures).cases}
    table = classified.scores()

    assert set(table["case"]) == set(json.loads((classified.folder / "split.json").read_text())["test"])
    for row in table.to_dict("records"):
        found = model.classify(model.read_image(cases[row["case"]]))
        assert (row["predicted"],) == found.names
        assert (row["truth"],) == cases[row["case"]].labels
        stored = np.array([row[f"probability_{name}"] for name in class_names], dtype=np.float32)
        assert np.abs(stored - found.probabilities).max() <= 1e-7
        assert row["confidence"] == pytest.approx(float(found.probabilities.max()), abs=1e-7)
        assert row["correct"] == (row["predicted"] == row["truth"])


def test_the_order_of_the_classes_is_one_everywhere(
    classified: RunResult, class_names: tuple[str, ...], tracked: Any
) -> None:
    order = list(class_names)
    folder = classified.folder
    model = json.loads((folder / "model" / "model.json").read_text(encoding="utf-8"))
    matrix = pd.read_csv(folder / "scores" / "test_confusion.csv", index_col=0)
    columns = [name for name in classified.scores().columns if name.startswith("probability_")]
    history = json.loads((folder / "steps" / "fit" / "history.json").read_text(encoding="utf-8"))
    summary = classified.summary("test")["name"].dropna()

    assert read_yaml(folder / "manifest.yaml")["classes"] == order
    assert read_yaml(folder / "definition.yaml")["task"]["classes"] == order
    assert model["task"]["classes"] == model["manifest"]["classes"] == model["maps"] == order
    assert list(classified.predictor.task.classes) == order
    assert list(matrix.index) == list(matrix.columns) == order
    assert columns == [f"probability_{name}" for name in order]
    assert list(dict.fromkeys(name for name in summary if name)) == order
    assert [key.split("/")[2] for key in history[0] if key.startswith("val/recall/")] == order
    assert {key for key in tracked.data.metrics if key.startswith("epoch/val/recall/")} == {
        f"epoch/val/recall/{name}" for name in order
    }


def test_the_matrix_counts_each_picture_once_by_its_own_class(
    classified: RunResult, said: tuple[np.ndarray, np.ndarray]
) -> None:
    truth, chances = said
    matrix = pd.read_csv(classified.folder / "scores" / "test_confusion.csv", index_col=0)

    assert np.array_equal(matrix.to_numpy(), oracle.confusion_matrix(truth, chances.argmax(axis=1)))


def test_validation_is_tracked_by_epoch_and_the_best_is_a_tag(tracked: Any, classified: RunResult) -> None:
    with open_store(classified.tracking_uri) as client:
        for key in ("train/loss", "val/loss", "val/balanced_accuracy", "val/accuracy", "val/auroc", "val/f1"):
            points = client.get_metric_history(classified.run_id, f"epoch/{key}")
            assert [point.step for point in points] == [1, 2, 3, 4], key
        best = [point.value for point in client.get_metric_history(classified.run_id, "epoch/val/score")]
    assert best[int(tracked.data.tags["fit.best_epoch"]) - 1] == max(best) > 0.8


def test_figures_and_tables_are_artifacts_and_figures_are_no_blank_sheets(
    artifacts: set[str], classified: RunResult
) -> None:
    wanted = {
        *("definition.yaml", "split.json", "tables/history.json"),
        *(f"scores/test{each}.csv" for each in ("", "_summary", "_confusion")),
        *(f"figures/{name}.png" for name in FIGURES),
    }

    assert wanted <= artifacts
    for name in FIGURES:
        with Image.open(classified.folder / "figures" / f"{name}.png") as image:
            pixels = np.asarray(image)
        assert min(pixels.shape[:2]) > 200, name
        assert pixels[..., :3].std() > 5, name


def test_the_run_is_finished_and_its_pictures_are_no_generated_ones(
    tracked: Any, classified: RunResult
) -> None:
    tags = tracked.data.tags

    assert tracked.info.status == "FINISHED"
    assert (tags["data.kind"], tags["split.leaking"]) == ("given", "false")
    assert (classified.generated, classified.leaking) == (False, False)
    assert tags["duplicates.across_roles"] == "0"


def test_the_closing_table_fits_a_terminal_of_80_columns(
    classified: RunResult, class_names: tuple[str, ...], tracked: Any
) -> None:
    console = Console(width=80, record=True, file=StringIO())
    print_result(console, classified)
    table = console.export_text().split("Model:")[0]
    lines = table.splitlines()

    assert max(map(len, lines)) <= 80
    assert "…" not in table
    for name in class_names:
        (row,) = [line for line in lines if line.strip().startswith(f"{name} ")]
        recall = tracked.data.metrics[f"test/recall/{name}"]
        assert f" {recall:.3f} " in row
    (accuracy,) = [line for line in lines if line.strip().startswith("accuracy ")]
    low, high = (tracked.data.metrics[f"test/accuracy/{end}"] for end in ("low", "high"))
    assert f"{low:.3f}-{high:.3f}" in accuracy


def test_nothing_that_identifies_is_tracked_or_left_in_the_run(
    classified: RunResult, artifacts: set[str]
) -> None:
    for path in classified.folder.rglob("*"):
        assert "zylinski" not in path.name.lower()
        if path.is_file() and path.name != "run.json":
            content = path.read_bytes().lower()
            assert b"zylinski" not in content, path.name
            if path.suffix in {".csv", ".json", ".yaml", ".md", ".jsonl"} and "manifest" not in path.name:
                assert b".dcm" not in content, path.name
    assert not [name for name in artifacts if "zylinski" in name.lower()]
