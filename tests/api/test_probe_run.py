"""A pipeline of features, clusters and a probe: run, interrupted, resumed, and asked like any other model."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from sklearn.metrics import adjusted_rand_score

from medseg.api import RunResult, resume_pipeline, run_pipeline
from medseg.api.prediction import predict
from medseg.pipeline.folder import all_runs
from medseg.steps.features.cluster import Cluster
from medseg.testing.labelled import write_class_folders
from medseg.tracking.mlflow.store import open_store

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")  # MLflow's own

PIPELINE = """
name: probed
about: A tiny network that is only probed.
seed: 5
manifest: radiology
channels: [picture]
slices:
  size: [24, 32]
  fit: resize
  keep: all
  transforms:
    - {_target_: monai.transforms.ScaleIntensityd, keys: [image]}
split: {by: group, val: 0.2, test: 0.2, stratify: class}
loading: {batch_size: 8}
task: {_target_: medseg.learning.ImageClasses}
network: {_target_: medseg.learning.networks.TutorialCNN, feature_maps: 4, dense: 8}
steps:
  embed: {_target_: medseg.steps.Embed}
  reduce: {_target_: medseg.steps.Reduce, components: 0.9}
  cluster: {_target_: medseg.steps.Cluster}
  probe: {_target_: medseg.steps.Probe, folds: 3, strengths: [0.01, 1]}
  evaluate: {_target_: medseg.steps.Evaluate, role: test}
"""
STEPS = ("embed", "reduce", "cluster", "probe", "evaluate")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_class_folders(tmp_path / "data", ("left", "right"), cases=10)


@pytest.fixture
def run(workspace: Path, data: Path, figureless: None) -> Callable[[], RunResult]:
    (workspace / "probed.yaml").write_text(PIPELINE)
    return lambda: run_pipeline("probed.yaml", data, device="cpu", jobs=1)


def files(folder: Path) -> dict[str, bytes]:
    kept = (path for place in ("steps", "scores") for path in sorted((folder / place).rglob("*")))
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in kept
        if path.suffix in {".csv", ".parquet", ".safetensors"}
    }


@pytest.mark.slow
def test_what_is_interrupted_goes_on_to_the_same_bytes_and_predicts_as_it_was_scored(
    run: Callable[[], RunResult], data: Path, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run()
    expected = files(whole.folder)
    assert {name.split("/")[1] for name in expected if name.startswith("steps/")} == set(STEPS[:-1])

    with monkeypatch.context() as patch:
        patch.setattr(Cluster, "__call__", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run()
    (cut,) = [folder for folder, state in all_runs() if state.status == "KILLED"]
    assert cut.read().done == STEPS[:2]
    resumed = resume_pipeline(cut.path.name, device="cpu", jobs=1)
    assert files(resumed.folder) == expected
    shutil.rmtree(cut.path / "steps" / "embed")  # all after it is made again, too
    resume_pipeline(cut.path.name, device="cpu", jobs=1)
    assert files(resumed.folder) == expected

    with open_store(whole.tracking_uri) as client:
        values = client.get_run(whole.run_id).data.metrics
    table = pd.read_parquet(whole.folder / "steps" / "cluster" / "cluster_clusters.parquet")
    train = table[table["role"] == "train"]
    assert values["cluster/ari/label"] == pytest.approx(adjusted_rand_score(train["label"], train["cluster"]))
    assert {"probe/C", "probe/log_loss", "reduce/explained_variance", "val/score", "train/loss"} <= set(
        values
    )

    predict(whole.folder / "model", [data], workspace / "out", device="cpu")
    told = pd.read_csv(workspace / "out" / "classes.csv").set_index("case")
    scores = pd.read_csv(whole.folder / "scores" / "test.csv").set_index("case")
    assert len(scores) == 4
    columns = ["probability_left", "probability_right"]
    pd.testing.assert_frame_equal(told.loc[scores.index, columns], scores[columns], atol=1e-6)
