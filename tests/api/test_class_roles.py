"""Which pictures are learned from, by folders, by tables and by nothing; and images of several classes at once."""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn import metrics as oracle

from medseg.api import RunResult, check_data, predict, prepare_data, run_pipeline
from medseg.class_names import key_name
from medseg.datasets.finding.scan import scan
from medseg.errors import DataError
from medseg.learning.scores.tables import metrics_of
from medseg.testing.dicoms import write_dicom
from medseg.testing.labelled import write_class_folders, write_labelled_table
from medseg.tracking.mlflow.store import open_store
from medseg.yaml import read_yaml, to_yaml

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")  # MLflow's own

TAGS = ("fracture", "oedema", "Ödem")  # in the one order of classes that are found: by code point
FOLDERS = ("manifest=image_folders",)
UNKNOWN = "leakage between neighbouring images"


def roles_of(data: Path, tiny: tuple[str, ...], *settings: str) -> dict[str, set[tuple[str, str]]]:
    """Patient and class of the pictures of each role, as a run would share them out."""
    store = prepare_data("radiology_cnn", data, set=[*tiny, *settings], jobs=1)
    found: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for role in ("train", "val", "test"):
        for sample in store.role(role):
            found[role].add((sample.group, "".join(sample.labels or ())))
    assert not {g for g, _ in found["train"]} & {g for g, _ in found["val"]}
    assert not {g for g, _ in found["test"]} & {g for g, _ in found["train"] | found["val"]}
    return found


def notes_of(data: Path, tiny: tuple[str, ...], *settings: str) -> list[str]:
    return list(check_data("radiology_cnn", data, set=[*tiny, *settings], jobs=1).report.listing.notes)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("folders", "sizes"),
    [
        ((), (6, 2, 2)),
        (("Train",), (6, 2, 2)),
        (("Train", "Test"), (8, 2, 10)),
        (("Train", "Val"), (8, 10, 2)),
        (("Train", "Val", "Test"), (10, 10, 10)),
        (("training", "VALID", "Testing"), (10, 10, 10)),
    ],
    ids=lambda each: "-".join(map(str, each)) or "none",
)
@pytest.mark.usefixtures("monai_imported")
def test_folders_tell_roles_and_what_lacks_is_drawn_from_training(
    folders: tuple[str, ...], sizes: tuple[int, int, int], tiny_radiology: tuple[str, ...], tmp_path: Path
) -> None:
    write_class_folders(tmp_path, ("left", "right"), cases=5, roles=folders)
    drawn = ("split.val=0.2", "split.test=0.2", "split.stratify=class")
    found = roles_of(tmp_path, tiny_radiology, *FOLDERS, *drawn)

    assert tuple(len(found[role]) for role in ("train", "val", "test")) == sizes
    for role in ("train", "val", "test"):
        assert {name for _, name in found[role]} == {"left", "right"}


@pytest.mark.slow
@pytest.mark.usefixtures("monai_imported")
def test_of_pictures_that_tell_no_patient_it_is_said_that_leakage_cannot_be_excluded(
    tiny_radiology: tuple[str, ...], tmp_path: Path
) -> None:
    for patient in range(4):
        for number in range(3):
            name = f"patient{patient}_{number}.dcm"
            picture = np.random.default_rng([patient, number]).integers(0, 255, (24, 32), dtype=np.uint8)
            write_dicom(tmp_path / "known" / "ab"[patient % 2] / name, picture, PatientID=f"p{patient}")
    write_class_folders(tmp_path / "unknown", ("a", "b"), cases=5)
    shutil.copytree(tmp_path / "unknown", tmp_path / "mixed")
    shutil.copytree(tmp_path / "known", tmp_path / "mixed", dirs_exist_ok=True)

    (unknown,) = [
        note for note in notes_of(tmp_path / "unknown", tiny_radiology, *FOLDERS) if UNKNOWN in note
    ]
    assert unknown.startswith("no picture tells")
    known = notes_of(tmp_path / "known", tiny_radiology, *FOLDERS)
    assert not [note for note in known if UNKNOWN in note]
    assert [
        note for note in known if "12 of 12 pictures is known: 12 by the DICOM attribute PatientID" in note
    ]
    (mixed,) = [note for note in notes_of(tmp_path / "mixed", tiny_radiology, *FOLDERS) if UNKNOWN in note]
    assert mixed.startswith("10 of 22 pictures do not tell")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Twenty-four pictures of eight patients, who have a role each, in the table that `image_table` expects."""
    folder = write_labelled_table(tmp_path / "table", ("left", "right"), cases=24, patients=8)
    with (folder / "labels.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    role_of = {
        f"p{number:03d}": ("train", "train", "val", "test")[(number - 1) // 2] for number in range(1, 9)
    }
    with (folder / "images.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["image", "label", "patient", "role"], extrasaction="ignore")
        writer.writeheader()
        writer.writerows({**row, "role": role_of[row["patient"]]} for row in rows)
    return folder


@pytest.mark.slow
@pytest.mark.usefixtures("monai_imported")
def test_a_table_tells_patients_and_roles_or_leaves_the_roles_to_be_drawn_by_patient(
    table: Path, tiny_radiology: tuple[str, ...]
) -> None:
    by_table = ("manifest=image_table",)
    told = roles_of(table, tiny_radiology, *by_table)
    drawn = roles_of(
        table, tiny_radiology, *by_table, "split.column=null", "split.val=0.25", "split.test=0.25"
    )

    assert [len({group for group, _ in told[role]}) for role in ("train", "val", "test")] == [4, 2, 2]
    assert [len({group for group, _ in drawn[role]}) for role in ("train", "val", "test")] == [4, 2, 2]
    assert told != drawn
    assert not [note for note in notes_of(table, tiny_radiology, *by_table) if UNKNOWN in note]


@pytest.mark.usefixtures("monai_imported")
def test_a_patient_in_two_roles_is_refused(table: Path, tiny_radiology: tuple[str, ...]) -> None:
    text = (table / "images.csv").read_text(encoding="utf-8")
    (table / "images.csv").write_text(re.sub(r"p001,train", "p001,test", text, count=1), encoding="utf-8")

    with pytest.raises(DataError, match="more than one role"):
        roles_of(table, tiny_radiology, "manifest=image_table")


@pytest.fixture
def tagged(tmp_path: Path, workspace: Path, tiny_radiology: tuple[str, ...]) -> tuple[RunResult, Path]:
    """Run on a table with a column of 0 and 1 for each of three classes; some pictures have none, some all."""
    data = write_labelled_table(tmp_path / "tags", TAGS, cases=48, many=True, patients=24, seed=2)
    manifest = read_yaml(Path(__file__).parents[2] / "data_manifests" / "image_table.yaml")
    layout = {"csv": "labels.csv", "image": "image", "labels": list(TAGS), "group": "patient"}
    changed = {**manifest, "name": "tags", "image_labels": "many", "layout": layout}
    (workspace / "tags.yaml").write_text(to_yaml(changed), encoding="utf-8")
    settings = [
        *(*tiny_radiology, "manifest=./tags.yaml", "task._target_=medseg.learning.ImageTags"),
        *("split.column=null", "split.test=0.3", "steps.fit.epochs=12", "steps.fit.pictures_every=6"),
    ]
    return run_pipeline("radiology_cnn", data, set=settings, device="cpu", jobs=1), data


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")  # of a score that is undefined for a class
def test_images_of_several_classes_at_once_are_learned_scored_and_told(
    tagged: tuple[RunResult, Path], tmp_path: Path
) -> None:
    result, data = tagged
    scores_are_those_of_scikit_learn(result)
    figures = {path.name for path in (result.folder / "figures").iterdir()}
    assert {f"test_{name}.png" for name in ("curves", "reliability", "mistakes", "attention")} <= figures
    assert "test_confusion.png" not in figures
    for path in (result.folder / "figures").iterdir():
        with Image.open(path) as image:
            assert np.asarray(image)[..., :3].std() > 5, path.name
    model = json.loads((result.folder / "model" / "model.json").read_text(encoding="utf-8"))
    assert (model["truth"], model["task"]["classes"]) == ("many", list(TAGS))

    predict(result.folder / "model", [data / "pictures"], tmp_path / "out")
    with (tmp_path / "out" / "classes.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["case"]: row for row in csv.DictReader(file)}
    assert len(rows) == 48
    predictor = result.predictor
    cases = scan(predictor.manifest, data / "pictures", truth=False).cases
    for case in cases:
        found, row = predictor.classify(predictor.read_image(case)), rows[case.id]
        assert row["class"] == "; ".join(found.names)
        likely = [name for name in TAGS if float(row[f"probability_{name}"]) >= 0.5]
        assert row["class"] == "; ".join(likely)
    assert {1, 2} <= {len([name for name in row["class"].split("; ") if name]) for row in rows.values()}


def scores_are_those_of_scikit_learn(result: RunResult) -> None:
    table = result.scores()
    summary = result.summary("test")
    found = metrics_of(summary, "test", set(summary["score"]), key_name)
    with open_store(result.tracking_uri) as client:
        tracked = client.get_run(result.run_id).data.metrics
    shown = {key: value for key, value in tracked.items() if key.startswith("test/")}
    assert {key: pytest.approx(found[key]) for key in shown} == shown
    assert {"test/f1", "test/auroc", "test/recall/oedema", "test/recall/oedema/low"} <= set(shown)
    truth = np.array([[name in str(text).split("; ") for name in TAGS] for text in table["truth"]])
    chances = table[[f"probability_{name}" for name in TAGS]].to_numpy()
    said = chances >= 0.5
    expected = {
        "subset_accuracy": oracle.accuracy_score(truth, said),
        "hamming_loss": oracle.hamming_loss(truth, said),
        "f1": oracle.f1_score(truth, said, average="macro"),
        "f1_micro": oracle.f1_score(truth, said, average="micro"),
        "auroc": oracle.roc_auc_score(truth, chances, average="macro"),
        "average_precision": oracle.average_precision_score(truth, chances, average="macro"),
        **{f"recall/{n}": oracle.recall_score(truth[:, k], said[:, k]) for k, n in enumerate(TAGS)},
        **{f"auroc/{n}": oracle.roc_auc_score(truth[:, k], chances[:, k]) for k, n in enumerate(TAGS)},
    }

    assert expected["f1"] > 0.7  # else it learned nothing, and the scores prove little
    for key, value in expected.items():
        assert found[f"test/{key}"] == pytest.approx(value, abs=1e-6), key
        if value < 1:  # of perfect ones all resamples agree
            assert found[f"test/{key}/low"] <= found[f"test/{key}"] <= found[f"test/{key}/high"]
    assert "test/accuracy" not in found
    assert "test/cohen_kappa" not in found
