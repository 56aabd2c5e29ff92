"""Cross-validation: every image is tested once, and all are scored together."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import accuracy_score

from medseg.api import run_folds
from medseg.errors import DefinitionError
from medseg.testing.labelled import write_class_folders

TINY = (
    "manifest=image_folders",
    "slices.size=[16,16]",
    "network.feature_maps=4",
    "network.dense=8",
    "loading.batch_size=8",
    "steps.fit.epochs=1",
    "steps.fit.pictures_every=0",
    "split.stratify=class",
)


@pytest.fixture(scope="module")
def folded(long_workspace, monai_imported):
    with long_workspace("folded") as place:
        data = write_class_folders(place / "data", ("no", "yes"), cases=6, size=(16, 16))
        found = run_folds("radiology_cnn", data, folds=2, set=TINY, device="cpu", jobs=1)
        return found, place / "mlflow.db"


def test_every_image_is_tested_once(folded):
    result, _ = folded
    tested = [case for each in result.results for case in each.scores()["case"]]

    assert len(result.results) == 2
    assert len(tested) == len(set(tested)) == 12


def test_the_scores_together_are_those_of_all_tables(folded):
    import pandas as pd

    result, _ = folded
    frame = pd.concat([each.scores() for each in result.results])
    summary = result.summary()
    together = summary[(summary["name"] == "") & (summary["score"] == "accuracy")].iloc[0]

    assert together["mean"] == pytest.approx(accuracy_score(frame["truth"], frame["predicted"]))
    assert together["cases"] == 12
    assert together["low"] <= together["mean"] <= together["high"]


def test_the_folds_lie_below_one_run_with_the_scores(folded):
    from mlflow.tracking import MlflowClient

    result, database = folded
    client = MlflowClient(f"sqlite:///{database}")
    parent = client.get_run(result.run_id)

    assert parent.info.status == "FINISHED"
    for key in ("folds/accuracy", "folds/accuracy/low", "folds/recall/yes"):
        assert np.isfinite(parent.data.metrics[key])
    for each in result.results:
        assert client.get_run(each.run_id).data.tags["mlflow.parentRunId"] == result.run_id
    assert any(
        file.path.endswith("folds_confusion.png") for file in client.list_artifacts(result.run_id, "figures")
    )


def test_the_run_above_is_not_the_latest_model(folded):
    from medseg.tracking.mlflow.runs import find_run

    result, database = folded

    assert find_run(f"sqlite:///{database}", "latest") in {each.run_id for each in result.results}


def test_pipelines_of_masks_have_no_folds():
    with pytest.raises(DefinitionError, match=r"end with medseg\.steps\.EvaluateClasses"):
        run_folds("emps")
