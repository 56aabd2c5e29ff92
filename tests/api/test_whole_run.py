"""What a run leaves behind: in MLflow, and in its own folder."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pandas as pd
import pytest

from medseg.api import RunResult, run_pipeline
from medseg.api.running import ended
from medseg.datasets.sample_mark import mark_sample
from medseg.errors import RunError
from medseg.pipeline.folder import RunFolder
from medseg.tracking.mlflow.store import open_store

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")  # MLflow's own

SCORES = (
    *("dice", "iou", "precision", "recall", "specificity", "f1", "hd95"),
    *("volume_difference_ml", "volume_absolute_difference_ml"),
)
CLASSES = ("outside", "healthy", "necrotic_core", "oedema", "enhancing")
REGIONS = ("whole_tumour", "tumour_core", "enhancing_tumour")


@pytest.fixture
def client(finished: RunResult) -> Iterator[Any]:
    with open_store(finished.tracking_uri) as client:
        yield client


@pytest.fixture
def tracked(client: Any, finished: RunResult) -> Any:
    return client.get_run(finished.run_id)


def test_the_run_is_finished_in_mlflow_and_in_its_folder(tracked: Any, finished: RunResult) -> None:
    assert tracked.info.status == "FINISHED"
    assert json.loads((finished.folder / "run.json").read_text())["status"] == "FINISHED"
    assert json.loads((finished.folder / "status.json").read_text())["status"] == "FINISHED"


def test_given_data_have_an_experiment_without_the_word_generated(
    client: Any, tracked: Any, finished: RunResult
) -> None:
    assert client.get_experiment(tracked.info.experiment_id).name == "brats2d"
    assert re.fullmatch(r"\d{4}-\d{4}-[0-9a-f]{4}", tracked.info.run_name)
    assert finished.name.endswith(tracked.info.run_name[-5:])
    assert not finished.generated


def test_the_flattened_definition_is_the_parameters(tracked: Any) -> None:
    params = tracked.data.params

    assert params["steps.fit.epochs"] == "2"
    assert params["network._target_"] == "monai.networks.nets.UNet"
    assert json.loads(params["network.channels"]) == [4, 8]
    assert json.loads(params["slices.size"]) == [32, 32]
    assert params["task.loss.softmax"] == "true"


def test_tags_tell_data_split_versions_and_device(tracked: Any, finished: RunResult) -> None:
    tags = tracked.data.tags
    state = json.loads((finished.folder / "run.json").read_text())

    assert tags["data.kind"] == "given"
    assert tags["data.fingerprint"] == state["data_fingerprint"] != ""
    assert tags["split.hash"] == state["split_digest"] != ""
    assert tags["split.leaking"] == "false"
    assert tags["device"].startswith("cpu")
    for name in ("medseg", "python", "torch", "monai", "numpy", "nibabel"):
        assert tags[f"version.{name}"]


def test_metrics_are_called_role_score_and_name(tracked: Any) -> None:
    scored = {key for key in tracked.data.metrics if key.startswith("test/")}

    # of one patient there is no interval
    assert scored == {f"test/dice/{name}" for name in (*CLASSES, *REGIONS, "mean")}


def test_what_is_tracked_of_the_kept_weights_is_that_of_the_best_epoch(
    client: Any, finished: RunResult
) -> None:
    rows = json.loads((finished.folder / "steps" / "fit" / "history.json").read_text())
    best = max(rows, key=lambda row: row["val/score"])

    for key in ("val/score", "val/loss"):
        (point,) = client.get_metric_history(finished.run_id, key)
        assert (point.step, point.value) == (0, best[key])


def test_each_epoch_has_losses_scores_rate_and_speed(client: Any, finished: RunResult) -> None:
    for key in (
        "train/loss",
        "val/loss",
        "val/score",
        "val/dice/oedema",
        "work/learning_rate",
        "work/slices_per_second",
    ):
        steps = [point.step for point in client.get_metric_history(finished.run_id, f"epoch/{key}")]
        assert steps == [1, 2], key


def test_metrics_are_the_means_of_the_table_of_patients(tracked: Any, finished: RunResult) -> None:
    table = finished.scores()

    for name, rows in table.groupby("name"):
        assert tracked.data.metrics[f"test/dice/{name}"] == pytest.approx(rows["dice"].mean(), nan_ok=True)
    chosen = table[table["name"].isin(finished.predictor.task.select)]
    assert tracked.data.metrics["test/dice/mean"] == pytest.approx(chosen["dice"].mean())


def test_the_table_has_a_row_for_each_test_patient_and_name(finished: RunResult) -> None:
    split = json.loads((finished.folder / "split.json").read_text())
    table = finished.scores()

    assert sorted(table["name"].unique()) == sorted((*CLASSES, *REGIONS))
    assert table.groupby("case").size().eq(len(CLASSES) + len(REGIONS)).all()
    assert set(table["case"]) <= set(re.findall(r"Brats_\d{3}", json.dumps(split)))
    assert set(finished.summary()["name"]) == {*table["name"], "mean"}


def test_the_pooled_confusion_matrix_counts_every_voxel_of_the_test_patients(finished: RunResult) -> None:
    matrix = pd.read_csv(finished.folder / "scores" / "test_confusion.csv", index_col=0)

    assert list(matrix.index) == list(matrix.columns) == list(CLASSES)
    assert matrix.to_numpy().sum() == finished.scores()["case"].nunique() * 24 * 28 * 12


def test_the_data_set_is_an_input_of_the_run_for_each_role(tracked: Any) -> None:
    inputs = tracked.inputs.dataset_inputs
    contexts = {tag.value for one in inputs for tag in one.tags if tag.key == "mlflow.data.context"}

    assert len(inputs) == 3
    assert len(contexts) == 3
    assert {one.dataset.name for one in inputs} == {f"brats2019/{role}" for role in ("train", "val", "test")}
    assert all(one.dataset.digest for one in inputs)


def test_artifacts_hold_definition_split_scores_and_figures(client: Any, finished: RunResult) -> None:
    found = set(_artifacts(client, finished.run_id, ""))

    assert {
        "definition.yaml",
        "split.json",
        "scores/test.csv",
        "scores/test_summary.csv",
        "scores/test_confusion.csv",
        "figures/data.png",
        "figures/fit_learning_curves.png",
        "figures/test_slices.png",
        "figures/test_confusion.png",
        "figures/test_dice.png",
    } <= found
    assert any(re.fullmatch(r"figures/fit_validation_\d+\.png", path) for path in found)


def _artifacts(client: Any, run_id: str, below: str) -> Iterator[str]:
    for one in client.list_artifacts(run_id, below):
        if one.is_dir:
            yield from _artifacts(client, run_id, one.path)
        else:
            yield one.path


def test_the_run_has_one_model_that_holds_no_pickle(client: Any, tracked: Any, finished: RunResult) -> None:
    models = client.search_logged_models([tracked.info.experiment_id])
    folder = Path(models[0].artifact_location.removeprefix("file://"))
    files = [path for path in folder.rglob("*") if path.is_file()]

    assert len(models) == 1
    assert models[0].source_run_id == finished.run_id
    assert {path.name for path in files} >= {"MLmodel", "model.json", "weights.safetensors"}
    assert {path.suffix for path in files} <= {"", ".json", ".safetensors", ".md", ".py", ".txt", ".yaml"}


def test_pickles_are_found_nowhere_in_the_model_of_the_run(finished: RunResult) -> None:
    for path in (finished.folder / "model").rglob("*"):
        # a pickle of protocol 2 or later begins with 0x80, one inside an archive of torch with PK
        assert path.is_dir() or path.read_bytes()[:1] != b"\x80"
        assert path.is_dir() or path.read_bytes()[:2] != b"PK"


def test_the_card_of_the_model_says_research_use_only(finished: RunResult) -> None:
    card = (finished.folder / "model" / "README.md").read_text()

    assert "Research use only" in card
    assert "Not a medical device" in card


def test_the_folder_of_the_run_is_complete_without_mlflow(finished: RunResult) -> None:
    present = {str(path.relative_to(finished.folder)) for path in finished.folder.rglob("*")}

    assert {
        "definition.yaml",
        "manifest.yaml",
        "split.json",
        "slices.csv",
        "params.json",
        "tags.json",
        "inputs.json",
        "metrics.jsonl",
        "model/weights.safetensors",
        "scores/test.csv",
    } <= present
    assert not [name for name in present if ".part" in name]


def test_slices_name_case_position_and_role_and_follow_the_split(finished: RunResult, patients: Path) -> None:
    table = pd.read_csv(finished.folder / "slices.csv")

    roles = table.groupby("case")["role"].nunique()
    assert set(table["role"]) == {"train", "val", "test"}
    assert roles.eq(1).all()  # no patient has slices in two roles
    assert table["case"].nunique() == len(list(patients.iterdir()))
    tested = table[table["role"] == "test"]
    for case, rows in tested.groupby("case"):  # every slice of a test patient that shows anything is there
        flair = nibabel.load(patients / case / f"{case}_flair.nii.gz").get_fdata()
        assert rows["position"].tolist() == np.flatnonzero(flair.any(axis=(0, 1))).tolist()


def test_the_model_of_the_result_is_the_one_that_was_scored(finished: RunResult, patients: Path) -> None:
    from medseg.datasets.finding.scan import scan
    from medseg.datasets.reading.volume import read_volume

    predictor = finished.predictor
    table = finished.scores()
    case = next(c for c in scan(predictor.manifest, patients).cases if c.id in set(table["case"]))
    volume = read_volume(case, predictor.channels, predictor.manifest.label_rule())
    predicted = predictor.predict_volume(volume).labels
    assert volume.label is not None
    truth = volume.geometry.from_ras(volume.label)
    rows = table[table["case"] == case.id].set_index("name")

    for index, name in enumerate(CLASSES):
        both = 2 * np.logical_and(truth == index, predicted == index).sum()
        sizes = (truth == index).sum() + (predicted == index).sum()
        assert rows.loc[name, "dice"] == pytest.approx(both / sizes)


def test_a_role_without_scores_is_an_error_that_says_so(finished: RunResult) -> None:
    with pytest.raises(RunError, match="no step of it scores"):
        finished.scores("train")


@pytest.mark.slow
@pytest.mark.usefixtures("workspace", "figureless")
def test_the_same_definition_gives_the_same_weights_and_scores_again(
    finished: RunResult, patients: Path, tiny: tuple[str, ...]
) -> None:
    again = run_pipeline("brats2d", patients, set=tiny, device="cpu")

    for name in ("model/weights.safetensors", "scores/test.csv", "split.json"):
        assert (again.folder / name).read_bytes() == (finished.folder / name).read_bytes(), name


@pytest.mark.slow
@pytest.mark.usefixtures("workspace", "figureless")
def test_a_split_by_slice_is_marked_as_leaking_and_a_sample_in_a_folder_as_generated(
    patients: Path, tiny: tuple[str, ...], tmp_path: Path
) -> None:
    sample = Path(shutil.copytree(patients, tmp_path / "sample"))
    mark_sample(sample)
    found = run_pipeline("brats2d", sample, set=[*tiny, "split.by=slice", "steps.fit.epochs=1"])

    with open_store(found.tracking_uri) as client:
        tracked = client.get_run(found.run_id)
        experiment = client.get_experiment(tracked.info.experiment_id).name
    card = (found.folder / "model" / "README.md").read_text()
    assert found.leaking
    assert tracked.data.tags["split.leaking"] == "true"
    assert "too good" in card
    assert found.generated
    assert tracked.data.tags["data.kind"] == "generated"
    assert experiment == "brats2d-generated"
    assert "Learned from: a generated sample in the layout of brats2019" in card
    assert ended(RunFolder(found.folder)).generated
