"""The leak certificate of a run: made as it ends, and again from what it left and its data."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

import medseg
from medseg.errors import RunError
from medseg.pipeline.folder import RunFolder
from medseg.tracking.mlflow.store import open_store

pytestmark = [
    pytest.mark.slow,  # all look at a run
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy"),  # MLflow's own
]


def test_a_run_ends_with_its_certificate_and_an_audit_finds_the_same(ended: RunFolder) -> None:
    own = json.loads((ended.path / "audit.json").read_text(encoding="utf-8"))
    found = medseg.audit_run("latest")

    assert own["sha256"] == found.digest()
    assert own["leaks"] == {}
    assert own["images"]["cases"] == 6
    assert {each["step"] for each in own["fitted"]} == {"fit"}
    with open_store(ended.read().tracking_uri) as client:
        run = client.get_run(ended.read().tracked)
        files = {Path(each.path).name for each in client.list_artifacts(run.info.run_id, "audit")}
    assert run.data.tags["leaks"] == "none found"
    assert run.data.tags["leaks.sha256"] == found.digest()
    assert files == {"audit.json", "audit.txt"}


def test_a_leak_that_is_found_later_is_in_tags_closing_table_and_exit_code(
    ended: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    from io import StringIO

    from rich.console import Console

    from medseg.api.running import ended as result_of
    from medseg.cli.main import app
    from medseg.cli.tables import print_result

    monkeypatch.setattr("medseg.steps.Fit.fits", {"weights": ("train", "test")})
    done = CliRunner().invoke(app, ["runs", "audit", ended.path.name])
    console = Console(width=80, record=True, file=StringIO())
    print_result(console, result_of(ended))

    assert done.exit_code == 2
    assert "LEAK: steps.fit has fitted its weights on the test part." in done.stdout
    assert "LEAK: steps.fit has fitted" in console.export_text()
    with open_store(ended.read().tracking_uri) as client:
        assert client.get_run(ended.read().tracked).data.tags["leaks"] == "fitted"


def test_where_the_data_are_gone_or_others_the_images_are_said_not_to_be_compared(
    ended: RunFolder, tmp_path: Path
) -> None:
    gone = replace(ended.read(), data=str(tmp_path / "gone"))
    ended.write(gone)
    found = medseg.audit_run(ended.path.name)

    assert found.images == {}
    assert "Its images were not compared" in found.unseen[-1]
    assert found.counts["train"]["slices"] > 0
    with pytest.raises(RunError, match=r"a canary needs the data of the run\. Its images"):
        medseg.audit_run(ended.path.name, canary=True)


def test_other_data_than_the_run_learned_from_are_not_looked_at(
    ended: RunFolder, tmp_path: Path, patients: Path
) -> None:
    fewer = shutil.copytree(patients, tmp_path / "fewer")
    shutil.rmtree(sorted(path for path in fewer.rglob("*") if any(path.glob("*.nii*")))[0])

    assert "not those that the run learned from" in medseg.audit_run("latest", data=fewer).unseen[-1]


def test_a_canary_of_masks_is_refused(ended: RunFolder) -> None:
    with pytest.raises(RunError, match="a canary is for classes of whole images"):
        medseg.audit_run("latest", canary=True)


def test_edited_slices_are_refused(ended: RunFolder) -> None:
    path = ended.path / "slices.csv"
    path.write_text(path.read_text(encoding="utf-8").replace("train", "test"), encoding="utf-8")

    with pytest.raises(RunError, match=r"damaged or missing.*slices.csv.*medseg pipeline resume"):
        medseg.audit_run("latest")


def test_of_somebody_elses_run_nothing_is_written_and_no_data_are_looked_for(
    ended: RunFolder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MEDSEG_CONFIG", str(tmp_path / "another-user"))
    (ended.path / "audit.json").unlink()
    found = medseg.audit_run(ended.path)

    assert "made by somebody else" in found.unseen[-1]
    assert not (ended.path / "audit.json").exists()


def test_a_run_that_has_no_slices_yet_has_nothing_to_audit(made_run) -> None:
    made_run("young", {}, data=None)
    (Path("medseg-runs") / "young" / "manifest.yaml").write_text(
        (Path(__file__).parents[3] / "data_manifests" / "brats2019.yaml").read_text(encoding="utf-8"), "utf-8"
    )
    with pytest.raises(RunError, match="no roles and slices yet"):
        medseg.audit_run("young", data="nowhere")
