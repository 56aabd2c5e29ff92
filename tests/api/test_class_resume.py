"""Transfer learning in two stages, interrupted anywhere, ends as if it had not been."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from medseg.api import RunResult, resume_pipeline, run_pipeline
from medseg.errors import ModelError
from medseg.learning.networks import TutorialCNN
from medseg.pipeline.folder import RunFolder, all_runs
from medseg.testing.labelled import write_class_folders
from medseg.tracking.mlflow.store import open_store

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")  # MLflow's own

WEIGHTS = "elsewhere.safetensors"
PIPELINE = f"""
name: two_stages
about: A tiny network that starts from given features.
seed: 5
manifest: radiology
channels: [picture]
slices:
  size: [24, 32]
  fit: resize
  keep: all
  transforms:
    - {{_target_: monai.transforms.NormalizeIntensityd, keys: [image]}}
split: {{by: group, column: role, val: 0.2, test: 0.2}}
loading:
  batch_size: 5
  augment:
    - {{_target_: monai.transforms.RandGaussianNoised, keys: [image], prob: 0.5, std: 0.1}}
task: {{_target_: medseg.learning.ImageClasses}}
network:
  _target_: medseg.learning.networks.TutorialCNN
  feature_maps: 4
  dense: 8
  dropout: 0.3
  batch_norm: true
steps:
  start: {{_target_: medseg.steps.StartFrom, weights: {WEIGHTS}, part: features}}
  head:
    _target_: medseg.steps.Fit
    freeze: features
    epochs: 2
    pictures_every: 0
    optimiser: {{_target_: torch.optim.AdamW, lr: 0.01}}
  all:
    _target_: medseg.steps.Fit
    epochs: 3
    pictures_every: 0
    optimiser: {{_target_: torch.optim.SGD, lr: 0.02, momentum: 0.9}}
  evaluate: {{_target_: medseg.steps.EvaluateClasses, role: test}}
"""


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory, monai_imported: None) -> Path:
    """A definition, pictures of three classes, and weights of a network of the same shape but seven classes."""
    folder = tmp_path_factory.mktemp("course")
    (folder / "two_stages.yaml").write_text(PIPELINE, encoding="utf-8")
    write_class_folders(folder / "data", ("a", "b", "c"), cases=4, roles=("Train", "Val", "Test"))
    with torch.random.fork_rng():
        torch.manual_seed(3)
        other = TutorialCNN((24, 32), out_channels=7, feature_maps=4, dense=8, batch_norm=True)
    save_file(other.state_dict(), folder / WEIGHTS)
    return folder


def start(course: Path) -> RunResult:
    """Run in the working folder, beside the weights that the definition names."""
    shutil.copyfile(course / WEIGHTS, WEIGHTS)
    return run_pipeline(course / "two_stages.yaml", course / "data", device="cpu", jobs=1)


@pytest.fixture(scope="module")
def whole(
    long_workspace: Callable[[str], AbstractContextManager[Path]],
    unmade_figures: Callable[[], AbstractContextManager[None]],
    course: Path,
) -> RunResult:
    with long_workspace("whole"), unmade_figures():
        return start(course)


def interrupted(call: Callable[..., Any], number: int) -> Callable[..., Any]:
    """Pass calls on, except one."""
    seen = 0

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        nonlocal seen
        seen += 1
        if seen == number:
            raise KeyboardInterrupt
        return call(*args, **kwargs)

    return wrapped


def features(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: values for name, values in weights.items() if not name.startswith("classifier.")}


@pytest.mark.slow
def test_the_first_stage_trains_the_head_alone_and_the_second_all(whole: RunResult, course: Path) -> None:
    given, told = load_file(course / WEIGHTS), whole.folder / "steps"
    started, head, everything = (
        load_file(told / step / "predictor" / "weights.safetensors") for step in ("start", "head", "all")
    )

    for name, values in features(given).items():
        assert torch.equal(started[name], values), name
        assert torch.equal(head[name], values), name  # running means and variances as well
        if name != "features.0.1.num_batches_tracked" and values.is_floating_point():
            assert not torch.equal(everything[name], values), name
    assert not torch.equal(head["classifier.weight"], started["classifier.weight"])
    assert given["classifier.weight"].shape != started["classifier.weight"].shape


@pytest.mark.slow
def test_epochs_of_the_stages_follow_each_other_and_the_file_is_known_by_its_digest(whole: RunResult) -> None:
    with open_store(whole.tracking_uri) as client:
        points = client.get_metric_history(whole.run_id, "epoch/train/loss")
        run = client.get_run(whole.run_id)

    assert [point.step for point in points] == [1, 2, 3, 4, 5]
    assert run.data.tags["start.part"] == "features"
    assert len(run.data.tags["start.weights"]) >= 16
    assert not [text for text in (*run.data.params.values(), *run.data.tags.values()) if WEIGHTS in text]


STAGES = {
    "in the second epoch of the head": ("medseg.learning.training.engine.epochs.Epochs", "_train", 2),
    "between the stages": ("medseg.steps.fit.Fit", "__call__", 2),
    "in the second epoch of all": ("medseg.learning.training.engine.epochs.Epochs", "_train", 4),
}


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.usefixtures("workspace", "figureless")
def test_a_transfer_run_whose_weights_are_gone_goes_on_to_the_same_bits(
    stage: str, whole: RunResult, course: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pydoc import locate

    import medseg.learning.training.engine.epochs
    import medseg.steps.fit  # noqa: F401

    where, name, number = STAGES[stage]
    owner = locate(where)
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, interrupted(getattr(owner, name), number))
        with pytest.raises(KeyboardInterrupt):
            start(course)
    Path(WEIGHTS).unlink()
    ((folder, state),) = all_runs()
    assert state.status == "KILLED"
    found = resume_pipeline(jobs=1)

    assert RunFolder(folder.path).read().status == "FINISHED"
    assert found.run_id == state.tracked
    same_bits(folder.path, whole.folder)
    with open_store(found.tracking_uri) as client, open_store(whole.tracking_uri) as other:
        for key in (
            "epoch/train/loss",
            "epoch/val/loss",
            "epoch/val/score",
            "val/score",
            "test/accuracy",
            "test/auroc/a/low",
        ):
            points = (
                client.get_metric_history(found.run_id, key),
                other.get_metric_history(whole.run_id, key),
            )
            assert told(points[0]) == told(points[1]), key


def told(points: Sequence[Any]) -> list[tuple[int, float]]:
    return [(point.step, point.value) for point in points]


def same_bits(folder: Path, other: Path) -> None:
    """Weights of each step and of the model, tables and split are, to the byte, the same."""
    names = [f"steps/{step}/predictor/weights.safetensors" for step in ("start", "head", "all")]
    names += ["model/weights.safetensors", "split.json"]
    names += [f"scores/test{each}.csv" for each in ("", "_summary", "_confusion")]
    for name in names:
        assert (folder / name).read_bytes() == (other / name).read_bytes(), name
    for step in ("head", "all"):
        rows = [json.loads((each / "steps" / step / "history.json").read_text()) for each in (folder, other)]
        for row in (*rows[0], *rows[1]):
            del row["slices_per_second"], row["seconds"]
        assert rows[0] == rows[1]


@pytest.mark.usefixtures("workspace")
def test_weights_of_another_network_are_refused_before_a_run_begins_and_layers_are_named(
    course: Path,
) -> None:
    save_file({"features.0.0.weight": torch.zeros(9, 9, 3, 3)}, WEIGHTS)

    with pytest.raises(ModelError, match="features"):
        run_pipeline(course / "two_stages.yaml", course / "data", device="cpu", jobs=1)
    assert list(all_runs()) == []
