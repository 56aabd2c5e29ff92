"""Segmenting new cases with a run's model: what is written, where, and with which values."""

from __future__ import annotations

import csv
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Literal

import nibabel
import numpy as np
import pytest
from typer.testing import CliRunner

from medseg.api import RunResult, predict
from medseg.cli.main import app
from medseg.datasets.reading.volume import Volume
from medseg.errors import DataError, ModelError, RunError
from medseg.learning.inference.prediction import Prediction
from medseg.learning.inference.predictor import Predictor
from medseg.progress import Silent
from medseg.testing.cases import brats_affine, brats_case, write_brats, write_case

pytestmark = pytest.mark.usefixtures("undrawn")

NAMES = ("outside", "healthy", "necrotic_core", "oedema", "enhancing")


@pytest.fixture
def model(finished: RunResult) -> Path:
    return finished.folder / "model"


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def turned(image: nibabel.Nifti1Image, axes: str) -> nibabel.Nifti1Image:
    """The same volume stored with other axes, by nibabel: an oracle apart from medseg's own reading."""
    start = nibabel.orientations.io_orientation(image.affine)
    end = nibabel.orientations.axcodes2ornt(tuple(axes))
    return image.as_reoriented(nibabel.orientations.ornt_transform(start, end))


@pytest.mark.slow
@pytest.mark.parametrize("axes", ["LPS", "RAS", "SRA"])
def test_label_maps_lie_on_the_grid_of_the_input_in_values_of_the_data_set(
    axes: str, model: Path, patients: Path, tmp_path: Path
) -> None:
    one = tmp_path / "in" / "Brats_001"
    one.mkdir(parents=True)
    for path in (patients / "Brats_001").glob("*.nii.gz"):
        image = turned(nibabel.load(path), axes)
        image.set_sform(image.affine, code=2)
        image.set_qform(image.affine, code=1)
        nibabel.save(image, one / path.name)
    predict(model, [tmp_path / "in"], tmp_path / "out")
    predict(model, [patients / "Brats_001"], tmp_path / "as stored")

    source = nibabel.load(one / "Brats_001_flair.nii.gz")
    written = nibabel.load(tmp_path / "out" / "Brats_001.nii.gz")
    straight = nibabel.load(tmp_path / "as stored" / "Brats_001.nii.gz")
    values = np.asanyarray(written.dataobj)
    assert written.shape == source.shape
    assert np.array_equal(written.affine, source.affine)
    assert nibabel.aff2axcodes(written.affine) == tuple(axes)
    assert int(written.header["sform_code"]) == 2
    assert int(written.header["qform_code"]) == 1
    assert np.issubdtype(values.dtype, np.integer)
    assert set(np.unique(values)) <= {0, 1, 2, 4}
    assert values.any()
    # one patient, whichever way his axes are stored, has one segmentation
    assert np.array_equal(values, np.asanyarray(turned(straight, axes).dataobj))


def test_volumes_are_the_voxels_of_the_label_map_in_millilitres(model: Path, tmp_path: Path) -> None:
    images, _ = brats_case(seed=5)
    affine = brats_affine(images["flair"].shape) @ np.diag([1.5, 1.0, 2.0, 1.0])
    write_case(tmp_path / "in" / "Brats_900", images, affine=affine)
    found = predict(model, [tmp_path / "in" / "Brats_900"], tmp_path / "out")

    (row,) = table(tmp_path / "out" / "volumes.csv")
    values = np.asanyarray(nibabel.load(tmp_path / "out" / "Brats_900.nii.gz").dataobj)
    for name, stored in (("necrotic_core", 1), ("oedema", 2), ("enhancing", 4)):
        assert float(row[f"{name}_ml"]) == pytest.approx((values == stored).sum() * 3 / 1000, abs=1e-4)
    assert float(row["whole_tumour_ml"]) == pytest.approx((values > 0).sum() * 3 / 1000, abs=1e-4)
    assert float(row["outside_ml"]) + float(row["healthy_ml"]) == pytest.approx(
        (values == 0).sum() * 3 / 1000, abs=1e-3
    )
    assert any("spacing" in warning for warning in found.cases[0].warnings)
    assert "spacing" in row["warnings"]


def test_anything_but_the_label_map_lies_below_the_folder_of_the_case(
    model: Path, patients: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    predict(model, [patients / "Brats_002"], out, probabilities=True)

    assert {path.name for path in out.iterdir()} == {
        *("Brats_002.nii.gz", "Brats_002", "volumes.csv", "README.txt")
    }
    assert {path.name for path in (out / "Brats_002").iterdir()} == {
        "overview.png",
        *(f"probability_{name}.nii.gz" for name in NAMES),
    }
    assert "Research use only" in (out / "README.txt").read_text()
    chances = np.stack(
        [nibabel.load(out / "Brats_002" / f"probability_{name}.nii.gz").get_fdata() for name in NAMES]
    )
    assert np.allclose(chances.sum(axis=0), 1, atol=1e-5)
    stored = np.array([0, 0, 1, 2, 4])[chances.argmax(axis=0)]
    assert np.array_equal(stored, np.asanyarray(nibabel.load(out / "Brats_002.nii.gz").dataobj))


@pytest.mark.slow
def test_a_bad_case_does_not_keep_good_ones_from_being_segmented(
    model: Path, patients: Path, tmp_path: Path
) -> None:
    data = tmp_path / "in"
    shutil.copytree(patients, data)
    broken = data / "Brats_003" / "Brats_003_t1.nii.gz"
    broken.write_bytes(broken.read_bytes()[:300])
    (data / "Brats_004" / "Brats_004_t2.nii.gz").unlink()
    said = CliRunner().invoke(app, ["predict", str(model), str(data), "-o", str(tmp_path / "out")])

    assert said.exit_code == 2
    assert {path.name for path in (tmp_path / "out").glob("*.nii.gz")} == {
        f"Brats_00{number}.nii.gz" for number in (1, 2, 5, 6)
    }
    assert "case Brats_003" in said.stderr
    assert "case Brats_004" in said.stderr
    assert "t2" in said.stderr
    assert "Traceback" not in said.output
    assert len(table(tmp_path / "out" / "volumes.csv")) == 4


def test_an_unforeseen_error_at_one_case_does_not_keep_the_others_from_being_segmented(
    model: Path, patients: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take = Predictor.predict_volume

    def odd(self: Predictor, volume: Volume, **asked: bool) -> Prediction:
        if not (tmp_path / "out" / "Brats_001.nii.gz").exists():
            return take(self, volume, **asked)
        raise ZeroDivisionError("Anna Meier")

    monkeypatch.setattr(Predictor, "predict_volume", odd)
    inputs = [patients / "Brats_001", patients / "Brats_002"]
    found = predict(model, inputs, tmp_path / "out")

    assert [each.case for each in found.cases] == ["Brats_001"]
    ((case, met),) = [(fault.case, fault.found) for fault in found.faults]
    assert case == "Brats_002"
    assert "ZeroDivisionError in " in met
    assert "Meier" not in met


@pytest.mark.slow
def test_two_inputs_with_one_name_are_not_written_over_each_other(model: Path, tmp_path: Path) -> None:
    first = write_brats(tmp_path / "a", cases=1, seed=1)
    second = write_brats(tmp_path / "b", cases=1, seed=2)
    alone = predict(model, [first], tmp_path / "alone")
    both = predict(model, [first, second], tmp_path / "out")

    assert len(both.cases) == 1
    assert "two inputs" in both.faults[0].found
    assert both.cases[0].measures == alone.cases[0].measures


def test_an_input_that_is_named_twice_is_segmented_once(model: Path, patients: Path, tmp_path: Path) -> None:
    found = predict(model, [patients / "Brats_001", patients / "Brats_001"], tmp_path)

    assert len(found.cases) == 1
    assert not found.faults


def test_files_of_no_case_are_said(model: Path, patients: Path, tmp_path: Path) -> None:
    class Heard(Silent):
        def say(self, text: str, *, loud: bool = False) -> None:
            heard.append((text, loud))

    heard: list[tuple[str, bool]] = []
    first = next(path for path in sorted(patients.iterdir()) if path.is_dir())
    root = shutil.copytree(first, tmp_path / "in" / first.name).parent
    (root / "scout.nii.gz").write_bytes(b"")
    predict(model, [root], tmp_path / "out", progress=Heard())

    said = "1 of the NIfTI files is left out, since its name fits no pattern (the nearest: "
    (found,) = (text for text, loud in heard if loud and text.startswith(said))
    assert found.endswith(": in/scout.nii.gz.")


def test_nothing_to_segment_is_an_error_and_leaves_nothing(model: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()

    with pytest.raises(DataError, match="no case could be predicted"):
        predict(model, [tmp_path / "empty"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("ids", ["pseudonyms", "identifying"])
def test_where_no_case_can_be_used_paths_are_shown_as_they_are_where_some_can(
    ids: Literal["pseudonyms", "identifying"],
    finished: RunResult,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    case = write_brats(tmp_path / "in", cases=1) / "Brats_001"
    (case / "Brats_001_flair.nii.gz").write_bytes(b"")
    model = replace(finished.predictor, manifest=finished.predictor.manifest.model_copy(update={"ids": ids}))
    monkeypatch.setattr("medseg.api.prediction.load_model", lambda *_, **__: model)

    done = CliRunner().invoke(app, ["predict", "latest", str(case), "-o", str(tmp_path / "out")])

    assert done.exit_code == 2
    assert "no case could be predicted" in done.output
    assert ("Brats_001_flair.nii.gz" in done.output) == (ids == "pseudonyms")


@pytest.mark.slow
def test_intensities_unlike_those_of_training_are_warned_of(model: Path, tmp_path: Path) -> None:
    images, _ = brats_case(seed=3)
    write_case(tmp_path / "Brats_901", {name: data * 20 for name, data in images.items()})
    found = predict(model, [tmp_path / "Brats_901"], tmp_path / "out")

    assert any("flair" in warning for warning in found.cases[0].warnings)


@pytest.mark.slow
def test_a_case_like_those_of_training_is_not_warned_of(model: Path, patients: Path, tmp_path: Path) -> None:
    found = predict(model, [patients], tmp_path)

    assert [each.warnings for each in found.cases] == [()] * 6


@pytest.mark.slow
def test_a_run_is_a_model_by_its_folder(finished: RunResult, patients: Path, tmp_path: Path) -> None:
    by_folder = predict(finished.folder, [patients / "Brats_001"], tmp_path / "a")
    by_model = predict(finished.predictor, [patients / "Brats_001"], tmp_path / "b")

    assert by_folder.cases[0].measures == by_model.cases[0].measures


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")
def test_a_run_that_is_not_here_comes_from_the_tracking_store(
    finished: RunResult, patients: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    here = predict(finished.folder, [patients / "Brats_001"], tmp_path / "a")
    for _ in range(2):  # the second time from the cache
        there = predict(
            finished.run_id[:10],
            [patients / "Brats_001"],
            tmp_path / "b",
            tracking_uri=finished.tracking_uri,
        )

        assert there.cases[0].measures == here.cases[0].measures


def test_what_is_no_model_is_refused(tmp_path: Path, patients: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other").mkdir()

    with pytest.raises(ModelError, match="no saved model"):
        predict("other", [patients], tmp_path / "out")
    with pytest.raises(RunError):
        predict("latest", [patients], tmp_path / "out")


def test_a_model_with_a_hostile_network_is_refused(model: Path, patients: Path, tmp_path: Path) -> None:
    copy = tmp_path / "model"
    shutil.copytree(model, copy)
    told = (copy / "model.json").read_text().replace("monai.networks.nets.UNet", "os.system")
    (copy / "model.json").write_text(told)

    with pytest.raises(ModelError, match=r"os\.system"):
        predict(copy, [patients], tmp_path / "out")


def test_a_model_whose_weights_are_torn_is_refused(model: Path, patients: Path, tmp_path: Path) -> None:
    copy = tmp_path / "model"
    shutil.copytree(model, copy)
    weights = copy / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])

    with pytest.raises(ModelError):
        predict(copy, [patients], tmp_path / "out")


def test_what_several_models_chose_differently_is_left_out_and_said(
    finished: RunResult, patients: Path, tmp_path: Path
) -> None:
    flipped = replace(finished.predictor, flips=((0,),)).save(tmp_path / "flipped")
    said: list[tuple[str, bool]] = []

    class Listens(Silent):
        def say(self, text: str, *, loud: bool = False) -> None:
            said.append((text, loud))

    predict(
        [finished.folder / "model", flipped], [patients / "Brats_001"], tmp_path / "out", progress=Listens()
    )

    left_out = "What some of the models do is left out: mirror images, over which not all average."
    assert (left_out, True) in said
