"""Nothing that tells who a patient is leaves the data: not to the terminal, not to a file, not to MLflow."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from PIL import Image
from pydicom.uid import RTStructureSetStorage
from typer.testing import CliRunner

from medseg.cli.main import app
from medseg.pipeline.folder import all_runs
from medseg.testing.cases import write_brats
from medseg.testing.dicoms import write_dicom
from medseg.testing.series import Stack, write_series

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")  # MLflow's own

ROOT = Path(__file__).resolve().parents[1]
NAME = "JANE_DOE_1970"
ENDING = "_ward_7"


def medseg(*words: object) -> Any:
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Patients whose name is in folders, file names and image headers."""
    folder = write_brats(tmp_path / f"{NAME}{ENDING}", cases=6, prefix=f"{NAME}_")
    for path in folder.rglob("*.nii.gz"):
        image = nibabel.load(path)
        image = nibabel.Nifti1Image(image.dataobj.get_unscaled(), image.affine, image.header)
        image.header["descrip"] = NAME
        image.header["aux_file"] = NAME
        image.header["db_name"] = NAME
        image.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", NAME.encode()))
        nibabel.save(image, path)
    return folder


@pytest.fixture
def pipeline(workspace: Path, tiny: tuple[str, ...]) -> str:
    """`brats2d` on data whose ids are identifying."""
    told = (ROOT / "data_manifests" / "brats2019.yaml").read_text(encoding="utf-8")
    (workspace / "data_manifests").mkdir()
    (workspace / "data_manifests" / "hospital.yaml").write_text(
        told.replace("ids: pseudonyms", "ids: identifying").replace("name: brats2019", "name: hospital")
    )
    from medseg.named import find_pipeline
    from medseg.pipeline.declaration.overrides import override
    from medseg.yaml import read_yaml, to_yaml

    changed = override(read_yaml(find_pipeline("brats2d").path), [*tiny, "manifest=hospital"])
    (workspace / "pipelines").mkdir()
    (workspace / "pipelines" / "hospital.yaml").write_text(to_yaml(changed))
    return "hospital"


def told(content: bytes) -> bool:
    return NAME.lower().encode() in content.lower()


def leaks(*folders: Path, but: tuple[Path, ...]) -> Iterator[str]:
    """Files whose name or content tells the name, compressed content and texts in pictures included."""
    for folder in folders:
        for path in folder.rglob("*"):
            if any(path.is_relative_to(each) for each in but):
                continue
            if told(str(path.relative_to(folder)).encode()):
                yield f"{path}: name"
            if path.is_file():
                content = path.read_bytes()
                opened = gzip.decompress(content) if path.suffix == ".gz" else b""
                if path.suffix == ".png":
                    with Image.open(path) as picture:
                        opened = repr(picture.info).encode()
                if told(content) or told(opened):
                    yield f"{path}: content"


@pytest.mark.slow
def test_the_name_of_a_patient_is_nowhere_after_check_failure_run_and_prediction(
    data: Path, pipeline: str, workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDSEG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MEDSEG_CONFIG", str(tmp_path / "config"))
    spoilt = Path(shutil.copytree(data, tmp_path / f"{NAME} spoilt"))
    for number in (2, 5):
        broken = spoilt / f"{NAME}_00{number}" / f"{NAME}_00{number}_t1.nii.gz"
        broken.write_bytes(broken.read_bytes()[:200])
    (spoilt / f"{NAME}_003" / f"{NAME}_003_t2.nii.gz").unlink()
    run = ("pipeline", "run", pipeline, "--device", "cpu", "--data")
    said = {
        "a check": (medseg("data", "check", pipeline, "--data", data), 0),
        "a check of bad data": (medseg("data", "check", pipeline, "--data", spoilt), 2),
        "a picture": (medseg("data", "show", pipeline, "--data", data, "-o", "data.png"), 0),
        "a plan": (medseg("data", "prepare", pipeline, "--data", data, "--dry-run"), 0),
        "a refused run": (medseg(*run, spoilt), 2),
        "a run on what is not there": (medseg(*run, data / f"{NAME}_nobody"), 2),
        "a run that fails": (medseg(*run, data, "--set", "steps.fit.optimiser.lr=1e30"), 2),
        "a run without bad cases": (medseg(*run, spoilt, "--skip-bad"), 0),
        "a run": (medseg(*run, data), 0),
        "a prediction": (medseg("predict", "latest", data, "-o", "out", "--probabilities"), 0),
        "a prediction of bad data": (medseg("predict", "latest", spoilt, "-o", "out2"), 2),
        "a prediction of nothing": (medseg("predict", "latest", data / NAME, "-o", "out3"), 2),
        "a list": (medseg("pipeline", "list"), 0),
        "a resume": (medseg("pipeline", "resume", "latest"), 2),
    }

    for what, (result, code) in said.items():
        assert result.exit_code == code, f"{what}: {result.output}"
        assert not told(result.output.encode()), f"{what}: {result.output}"
    assert (
        len(list(leaks(data, but=()))) > 60
    )  # names and headers of 30 files: what looks for leaks finds these
    names = {path.name for path in (workspace / "out").glob("*.nii.gz")}
    assert len(names) == 6
    assert all(name.startswith("case-") for name in names)
    private = tuple(folder.path.resolve() / "run.json" for folder, _ in all_runs())
    assert len(private) == 3
    found = list(leaks(workspace, tmp_path / "cache", tmp_path / "config", but=private))
    assert not found


@pytest.mark.slow
def test_paths_are_printed_on_request_and_then_to_the_terminal_alone(
    data: Path, pipeline: str, workspace: Path
) -> None:
    (data / f"{NAME}_003" / f"{NAME}_003_t2.nii.gz").unlink()
    quiet = medseg("data", "check", pipeline, "--data", data)
    asked = medseg("data", "check", pipeline, "--data", data, "--show-paths")

    assert not told(quiet.output.encode())
    assert "--show-paths" in quiet.stderr
    assert f"{NAME}_003" in asked.stderr.replace("\n", "")
    assert not list(leaks(workspace, but=()))


@pytest.mark.slow
def test_a_manifest_that_is_set_on_the_command_line_decides_whether_paths_are_shown(
    data: Path, pipeline: str, workspace: Path
) -> None:
    (data / f"{NAME}_003" / f"{NAME}_003_t2.nii.gz").unlink()
    result = medseg("pipeline", "run", "brats2d", "--set", "manifest=hospital", "--data", data)

    assert result.exit_code == 2
    assert "case case-" in result.stderr
    assert not told(result.output.encode())


@pytest.mark.slow
def test_ids_that_are_pseudonyms_are_printed(workspace: Path, patients: Path, tmp_path: Path) -> None:
    data = Path(shutil.copytree(patients, tmp_path / "data"))
    (data / "Brats_003" / "Brats_003_t2.nii.gz").unlink()
    result = medseg("data", "check", "brats2d", "--data", data)

    assert "case Brats_003" in result.stderr
    assert "data/Brats_003" in result.stderr.replace("\\", "/")


SERIES = {
    "name": "hospital",
    **dict.fromkeys(("about", "source", "licence", "citation", "obtain"), "Made up."),
    "channels": ["flair"],
    "classes": ["background", "tumour"],
    "label_values": {0: "background", 1: "tumour"},
    "layout": {"series": {"flair": {"SeriesDescription": "flair"}}, "mask": {"structures": {"tumour": "*"}}},
}
TRAINED = {
    "name": "hospital",
    "about": "Made up.",
    "seed": 1,
    "manifest": "hospital",
    "channels": ["flair"],
    "slices": {"axis": "axial", "size": [16, 16], "keep": {"contains": "foreground"}},
    "split": {"by": "group", "val": 0.25, "test": 0.25},
    "loading": {"batch_size": 4},
    "task": {"_target_": "medseg.learning.ClassMasks", "classes": ["background", "tumour"]},
    "network": {
        "_target_": "monai.networks.nets.UNet",
        "spatial_dims": 2,
        "in_channels": 1,
        "out_channels": 2,
        "channels": [2, 4],
        "strides": [2],
    },
    "steps": {
        "fit": {
            "_target_": "medseg.steps.Fit",
            "epochs": 1,
            "optimiser": {"_target_": "torch.optim.AdamW", "lr": 0.01},
        },
        "evaluate": {"_target_": "medseg.steps.Evaluate", "role": "test", "distances": False},
    },
}


def write_studies(root: Path) -> Path:
    """Studies of four patients, whose name is in every place of text that is read; the last lacks a slice."""
    for number in range(4):
        study = {
            "PatientID": f"{NAME}-{number}",
            "PatientName": NAME,
            "StudyInstanceUID": f"1.2.{number + 1}",
        }
        study |= {"StudyDescription": NAME, "ProtocolName": NAME, "ImageComments": NAME}
        volume = np.random.default_rng(number).integers(0, 500, (4, 16, 16)).astype(np.uint16)
        folder = root / f"{NAME}-{number}"
        paths = write_series(folder, volume, SeriesDescription=f"flair {NAME}", **study)
        x, y, z = Stack().at(1)
        square = [x + 2, y + 2, z, x + 6, y + 2, z, x + 6, y + 9, z, x + 2, y + 9, z]
        contour = {"ContourGeometricType": "CLOSED_PLANAR", "ContourData": square}
        write_dicom(
            folder / "drawn",
            None,
            SOPClassUID=RTStructureSetStorage,
            Modality="RTSTRUCT",
            SeriesInstanceUID=f"1.3.{number + 1}",
            StructureSetROISequence=[{"ROINumber": 1, "ROIName": f"tumour of {NAME}"}],
            ROIContourSequence=[{"ReferencedROINumber": 1, "ContourSequence": [contour]}],
            **study,
        )
        if number == 3:
            paths[2].unlink()
    return root


@pytest.mark.slow
def test_the_name_in_headers_of_series_is_nowhere_after_check_run_and_prediction(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from medseg.yaml import to_yaml

    monkeypatch.setenv("MEDSEG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MEDSEG_CONFIG", str(tmp_path / "config"))
    for folder, held in (("data_manifests", SERIES), ("pipelines", TRAINED)):
        (workspace / folder).mkdir()
        (workspace / folder / "hospital.yaml").write_text(to_yaml(held))
    data = write_studies(tmp_path / f"{NAME} studies")
    run = ("pipeline", "run", "hospital", "--device", "cpu", "--data", data)
    said = {
        "a check": (medseg("data", "check", "hospital", "--data", data), 2),
        "a refused run": (medseg(*run), 2),
        "a run": (medseg(*run, "--skip-bad"), 0),
        "a prediction": (medseg("predict", "latest", data, "-o", "out"), 2),
    }

    for what, (result, code) in said.items():
        assert result.exit_code == code, f"{what}: {result.output}"
        assert not told(result.output.encode()), f"{what}: {result.output}"
    assert "slices are missing" in said["a check"][0].output
    assert len(list(leaks(data, but=()))) > 20
    assert len(list((workspace / "out").glob("case-*.nii.gz"))) == 3
    private = tuple(folder.path.resolve() / "run.json" for folder, _ in all_runs())
    assert not list(leaks(workspace, tmp_path / "cache", tmp_path / "config", but=private))
