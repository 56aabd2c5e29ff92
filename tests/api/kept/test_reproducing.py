"""A run is made again from what it kept, or refused with what is not as it was."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
from typer.testing import CliRunner

import medseg
from medseg.api.kept import recorded
from medseg.api.kept.recorded import Recorded
from medseg.api.result import RunResult
from medseg.cli.main import app
from medseg.datasets.manifest.manifest import Manifest
from medseg.errors import RunError
from medseg.pipeline.folder import RunFolder, State
from medseg.pipeline.made import known
from medseg.pipeline.options import RunOptions
from medseg.pipeline.study.reproduction import reproduction
from medseg.tracking.mlflow import moved
from medseg.tracking.mlflow.store import open_store
from medseg.yaml import read_yaml, to_yaml

pytestmark = [
    pytest.mark.slow,  # all look at a run
    pytest.mark.filterwarnings("ignore"),  # MLflow's own, and of libraries
]


@pytest.fixture
def stored(ended: RunFolder, workspace: Path, finished: RunResult, monkeypatch: pytest.MonkeyPatch) -> State:
    """A finished run that the tracking store knows with all its artifacts, and whose folder is not here."""
    first = finished.folder.parents[1]
    shutil.copytree(first / "mlartifacts", workspace / "mlartifacts")
    with closing(sqlite3.connect(workspace / "mlflow.db")) as database, database:
        moved._replace(database, (first / "mlartifacts").as_uri(), (workspace / "mlartifacts").as_uri())
    state = ended.read()
    (artifacts,) = (workspace / "mlartifacts").rglob(f"{state.tracked}/artifacts")
    shutil.rmtree(artifacts / "scores")  # copies of this run that other tests go on with write there as well
    shutil.copytree(ended.path / "scores", artifacts / "scores")
    shutil.copyfile(ended.path / "tracked" / "definition.yaml", artifacts / "definition.yaml")
    (workspace / "elsewhere").mkdir()
    monkeypatch.chdir(workspace / "elsewhere")
    return state


def runs() -> int:
    return len(list(Path("medseg-runs").iterdir()))


@pytest.mark.usefixtures("figureless")
def test_a_run_that_is_made_again_is_the_same_to_the_bit_and_says_so_in_mlflow(
    ended: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So does the command, below a closing table that names a leak as that of `run` does."""
    monkeypatch.setattr("medseg.steps.Fit.fits", {"weights": ("train", "test")})
    done = CliRunner().invoke(app, ["runs", "reproduce", ended.path.name])
    (again,) = (RunFolder(path) for path in Path("medseg-runs").iterdir() if path.name != ended.path.name)
    found = reproduction(ended.path, again.path)

    assert done.exit_code == 0, done.output
    assert "LEAK: steps.fit has fitted its weights on the test part." in done.stdout
    assert "test: mean over patients" in done.stdout
    assert found.text() in done.stdout
    assert found.identical, found.text()
    assert (
        json.loads((again.path / "reproduction.json").read_text(encoding="utf-8"))["verdict"] == found.verdict
    )
    with open_store(again.read().tracking_uri) as client:
        tags = client.get_run(again.read().tracked).data.tags
    assert tags["reproduces"] == ended.path.name
    assert tags["reproduction"] == "identical to the bit"


@pytest.mark.usefixtures("figureless")
def test_a_run_whose_folder_is_elsewhere_is_made_again_from_the_tracking_store_alone(
    stored: State, patients: Path
) -> None:
    state = stored
    with pytest.raises(RunError, match=r"no run .* in medseg-runs/ .*: --tracking-uri"):
        medseg.reproduce_run(state.name)
    with pytest.raises(RunError, match=r"does not know where its data lie\. Say it: --data FOLDER"):
        medseg.reproduce_run(state.name, tracking_uri=state.tracking_uri)
    assert not Path("medseg-runs").exists()

    found = medseg.reproduce_run(state.tracked[:8], data=patients, tracking_uri=state.tracking_uri)
    assert found.identical, found.text()
    assert found.run == state.name
    assert {"test", "test_summary"} <= set(found.tables)
    assert RunFolder(Path("medseg-runs") / found.again).read().tracking_uri == state.tracking_uri


def test_what_a_store_has_not_is_refused_and_named(
    stored: State, ended: RunFolder, workspace: Path, tmp_path: Path
) -> None:
    state = stored
    with open_store(state.tracking_uri) as client:
        client.set_tag(state.tracked, "data.fingerprint", "0" * 32)
    kept = Recorded.of_store(state.tracking_uri, state.tracked, tmp_path, tmp_path)
    assert (kept.name, kept.data, kept.split) == (state.name, "0" * 32, state.split_digest)
    declared = kept.folder / "definition.yaml"
    given = read_yaml(declared)

    declared.write_text(to_yaml({**given, "split": {"file": "given"}}), encoding="utf-8")
    definition, manifest = kept.declaration()
    assert definition.split.file is not None
    assert Path(definition.split.file).read_bytes() == (kept.folder / "split.json").read_bytes()
    assert not Path(definition.split.file).is_relative_to(
        tmp_path / kept.folder.parent
    )  # it stays for the new run
    assert manifest == Manifest.from_yaml(workspace / ended.path / "manifest.yaml")

    given["steps"]["fit"]["weights"] = "given"
    declared.write_text(to_yaml(given), encoding="utf-8")
    with pytest.raises(RunError, match=r"began with weights from a file \(steps\.fit\.weights\)"):
        kept.declaration()

    (kept.folder / "model" / "model.json").write_text("{", encoding="utf-8")
    declared.write_text(
        to_yaml({**given, "steps": {"evaluate": given["steps"]["evaluate"]}}), encoding="utf-8"
    )
    with pytest.raises(RunError, match=r"model\.json of the run .* is damaged on the tracking server"):
        kept.declaration()

    (artifacts,) = (workspace / "mlartifacts").rglob(f"{state.tracked}/artifacts")
    (artifacts / "scores" / "test.csv").write_bytes(b"case\n\xff\n")
    with pytest.raises(RunError, match=r"test\.csv of the run .* is damaged on the tracking server"):
        Recorded.of_store(state.tracking_uri, state.tracked, tmp_path / "second", tmp_path)
    shutil.rmtree(artifacts / "scores")
    with pytest.raises(RunError, match="has no tables of scores"):
        Recorded.of_store(state.tracking_uri, state.tracked, tmp_path / "third", tmp_path)

    with open_store(state.tracking_uri) as client:
        client.set_terminated(state.tracked, "FAILED")
    with pytest.raises(RunError, match=r"is not finished \(FAILED\)"):
        Recorded.of_store(state.tracking_uri, state.tracked, tmp_path / "again", tmp_path)


def test_other_versions_are_refused_before_anything_is_run(ended: RunFolder) -> None:
    path = ended.path / "tags.json"
    tags = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**tags, "version.torch": "1.0", "version.numpy": "1.1"}), encoding="utf-8")
    state = ended.read()
    ended.write(replace(state, made={**state.made, "tags.json": ("", *known(path))}))

    with pytest.raises(RunError, match=r"torch: 1\.0 then, .* now; numpy: 1\.1 then"):
        medseg.reproduce_run("latest")
    assert runs() == 1


def test_other_data_or_roles_are_refused_before_anything_is_run(
    ended: RunFolder, tmp_path: Path, patients: Path
) -> None:
    fewer = shutil.copytree(patients, tmp_path / "fewer")
    shutil.rmtree(sorted(path for path in fewer.rglob("*") if any(path.glob("*.nii*")))[0])
    with pytest.raises(
        RunError, match=r"the data are not those of the run .*: 1 case \(.+\) is missing .* then, .* now"
    ):
        medseg.reproduce_run("latest", data=fewer)
    other = shutil.copytree(patients, tmp_path / "other")
    path = sorted(other.rglob("*_t1.nii.gz"))[0]
    image = nibabel.load(path)
    nibabel.save(nibabel.Nifti1Image(np.asanyarray(image.dataobj) + 1, image.affine, image.header), path)
    with pytest.raises(RunError, match=r"its cases are there, and some hold other images"):
        medseg.reproduce_run("latest", data=other)
    ended.write(replace(ended.read(), split_digest="0" * 32))
    with pytest.raises(RunError, match="the split is not that of the run"):
        medseg.reproduce_run("latest")
    assert runs() == 1


def test_an_unfinished_run_an_edited_one_and_that_of_somebody_else_are_refused(
    ended: RunFolder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ended.write(replace(ended.read(), status="KILLED"))
    with pytest.raises(RunError, match="is not finished"):
        medseg.reproduce_run("latest")
    ended.write(replace(ended.read(), status="FINISHED"))
    (ended.path / "tags.json").write_text("{}", encoding="utf-8")
    with pytest.raises(RunError, match=r"damaged or missing .*tags.json"):
        medseg.reproduce_run("latest")
    monkeypatch.setenv("MEDSEG_CONFIG", str(tmp_path / "another-user"))
    with pytest.raises(
        RunError, match=r"made by somebody else.*medseg pipeline run .*definition.yaml --data"
    ):
        medseg.reproduce_run(ended.path)


def test_a_copy_is_tracked_where_its_run_is_and_in_no_new_database(
    tracked_run: Callable[..., RunFolder], uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one that lies below no `medseg-runs/`, beside whose folder above a database would be made."""
    monkeypatch.setattr(recorded, "_refuse", lambda *_: None)  # of what a run made by hand lacks
    options = RunOptions.of(device="cpu", own_store="mlflow.db")
    run = tracked_run("brats2d-20260101-000000-aaaa", options=options)
    (run.path / "tags.json").write_text("{}")
    copied = tmp_path / "beside" / "copied"
    shutil.copytree(run.path, copied)

    assert Recorded.of_folder(RunFolder(copied)).uri == uri
