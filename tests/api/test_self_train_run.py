"""A pipeline of self-training: run, killed within a round, resumed to the same bytes, and recorded round by round."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from medseg.api import RunResult, resume_pipeline, run_pipeline
from medseg.learning.training.checkpoint import Checkpoints
from medseg.pipeline.folder import all_runs
from medseg.testing.labelled import disc, write_class_folders
from medseg.testing.pictures import write_picture
from medseg.tracking.mlflow.store import open_store

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")  # MLflow's own

PIPELINE = """
name: taught
about: A tiny network that learns from its own predictions.
seed: 5
manifest: brain_mri_ssl
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
  probe: {_target_: medseg.steps.Probe, folds: 3, strengths: [0.01]}
  self_train:
    _target_: medseg.steps.SelfTrain
    rule: {_target_: medseg.learning.ByRank, first: 0.5, last: 1.0, rounds: 2}
    learn:
      _target_: medseg.steps.Fit
      epochs: 2
      optimiser: {_target_: torch.optim.Adam, lr: 1.0e-3}
      pictures_every: 0
  evaluate: {_target_: medseg.steps.Evaluate, role: test}
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    root = tmp_path / "data"
    write_class_folders(root / "labelled", ("left", "right"), cases=10)
    (root / "unlabelled").mkdir()
    for number in range(8):
        write_picture(root / "unlabelled" / f"{number}.png", disc([number % 2], 2, seed=(400, number)))
    return root


@pytest.fixture
def run(workspace: Path, data: Path, figureless: None) -> Callable[[], RunResult]:
    (workspace / "taught.yaml").write_text(PIPELINE)
    return lambda: run_pipeline("taught.yaml", data, device="cpu", jobs=1)


def files(folder: Path) -> dict[str, bytes]:
    kept = (path for place in ("steps", "scores") for path in sorted((folder / place).rglob("*")))
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in kept
        if path.suffix in {".csv", ".parquet", ".safetensors"}
    }


@pytest.mark.slow
def test_what_is_killed_within_a_round_goes_on_to_the_same_bytes(
    run: Callable[[], RunResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run()
    expected = files(whole.folder)
    saves, plain = [], Checkpoints.save

    def killed(checkpoints: Checkpoints, *given: object) -> None:
        saves.append(checkpoints)
        if len(saves) == 4:  # the second epoch of the second round
            raise KeyboardInterrupt
        plain(checkpoints, *given)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "save", killed)
        with pytest.raises(KeyboardInterrupt):
            run()
    (cut,) = [folder for folder, state in all_runs() if state.status == "KILLED"]
    assert cut.read().done == ("embed", "probe")
    resumed = resume_pipeline(cut.path.name, device="cpu", jobs=1)
    assert files(resumed.folder) == expected

    with open_store(whole.tracking_uri) as client:
        tracked = client.get_run(whole.run_id)
        shares = client.get_metric_history(whole.run_id, "self_train/share")
    assert [(each.step, each.value) for each in shares] == [(1, 0.5), (2, 1.0)]
    assert tracked.data.metrics["self_train/accepted/left"] >= 1
    assert "onfirmation bias" in tracked.data.tags["self_train.verdict"]
    table = pd.read_csv(whole.folder / "scores" / "test.csv")
    assert not table["case"].str.startswith("unlabelled").any()
    assert whole.verdicts() == {}  # of the trainings that are steps
