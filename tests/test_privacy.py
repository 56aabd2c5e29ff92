"""Nothing that tells who a patient is leaves the data: not to the terminal, not to a file, not to MLflow."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import nibabel
import pytest
from typer.testing import CliRunner

from medseg.cli.main import app
from medseg.pipeline.folder import all_runs
from medseg.testing.cases import write_brats
from medseg.testing.leaks import WORD, leaks, leaks_in

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")  # MLflow's own

ROOT = Path(__file__).resolve().parents[1]
NAME = f"{WORD}_DOE_1970"
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
    return bool(leaks_in(content))


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
        "an export as ONNX": (medseg("export", "latest", "-o", "model.onnx"), 0),
        "an export as a bundle": (medseg("export", "latest", "-o", "bundle", "--to", "bundle"), 0),
        "a servable model": (medseg("runs", "servable", "latest", "-o", "servable"), 0),
        "a list": (medseg("pipeline", "list"), 0),
        "a resume": (medseg("pipeline", "resume", "latest"), 2),
    }

    for what, (result, code) in said.items():
        assert result.exit_code == code, f"{what}: {result.output}"
        assert not told(result.output.encode()), f"{what}: {result.output}"
    assert len(leaks(data)) > 30  # names and headers of 30 files: what looks for leaks finds these
    names = {path.name for path in (workspace / "out").glob("*.nii.gz")}
    assert len(names) == 6
    assert all(name.startswith("case-") for name in names)
    private = tuple(folder.path.resolve() / "run.json" for folder, _ in all_runs())
    assert len(private) == 3
    assert not leaks(workspace, tmp_path / "cache", tmp_path / "config", but=private)


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
    assert not leaks(workspace)


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
