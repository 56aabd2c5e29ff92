"""The leak certificate of a run: made as it ends, and again from what it left and its data."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import medseg
from medseg.errors import RunError
from medseg.pipeline.audit.certificate import digest_of
from medseg.pipeline.folder import RunFolder
from medseg.pipeline.made import keep_certificate
from medseg.tracking.mlflow.store import open_store
from medseg.yaml import read_yaml, to_yaml

pytestmark = [
    pytest.mark.slow,  # all look at a run
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy"),  # MLflow's own
]


def put_leak(folder: RunFolder) -> dict[str, Any]:
    """Write the certificate of a run anew, as of one in which images of two roles are alike; gives what it holds."""
    path = folder.path / "audit.json"
    known = json.loads(path.read_text(encoding="utf-8"))
    known["leaks"] = {
        "images": "1 pair of images that are one, or nearly, in roles that must be apart: a and b."
    }
    path.write_text(json.dumps({**known, "sha256": digest_of(known)}), encoding="utf-8")
    keep_certificate(folder)
    return dict(known)


def test_a_certificate_that_somebody_edited_is_told_and_made_anew(ended: RunFolder, tmp_path: Path) -> None:
    """Also where the digest was computed anew: the signed state of the run keeps its checksum."""
    from medseg.cli.main import app

    assert medseg.runs()["altered"].tolist() == [False]
    path = ended.path / "audit.json"
    known = {**put_leak(ended), "leaks": {}, "canary": None, "images": {"cases": 99, "near": 0}}
    path.write_text(json.dumps({**known, "sha256": digest_of(known)}), encoding="utf-8")
    state = ended.read()
    ended.write(replace(state, data=str(tmp_path / "gone")))

    assert medseg.runs()["altered"].tolist() == [True]
    done = CliRunner().invoke(app, ["runs", "audit", "latest"])
    assert "leak certificate was changed after it was written" in " ".join(done.stderr.split())
    assert json.loads(path.read_text(encoding="utf-8"))["images"] == {}, (
        "what speaks for it is not taken over"
    )
    assert medseg.runs()["altered"].tolist() == [False]
    (ended.path / "audit.txt").write_text("No leak was found.", encoding="utf-8")
    assert medseg.runs()["altered"].tolist() == [True]


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
    (ended.path / "audit.json").unlink()
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

    assert "not those that the run learned from" in " ".join(medseg.audit_run("latest", data=fewer).unseen)


def test_a_leak_of_images_stays_said_where_they_are_not_looked_at_again(
    ended: RunFolder, tmp_path: Path
) -> None:
    """Neither the certificate nor the tag of a look that had the images gives way to one that had none."""
    from medseg.cli.main import app

    own = put_leak(ended)
    ended.write(replace(ended.read(), data=str(tmp_path / "gone")))
    done = CliRunner().invoke(app, ["runs", "audit", ended.path.name])
    known = json.loads((ended.path / "audit.json").read_text(encoding="utf-8"))

    assert done.exit_code == 2, done.output
    assert "LEAK: 1 pair of images" in done.stdout
    assert "No leak was found" not in done.stdout
    assert "Images a second time" in done.stdout
    assert (known["leaks"], known["images"]) == (own["leaks"], own["images"])
    with open_store(ended.read().tracking_uri) as client:
        assert client.get_run(ended.read().tracked).data.tags["leaks"] == "images"


def test_where_the_data_are_back_the_certificate_is_that_of_a_whole_look(
    ended: RunFolder, tmp_path: Path
) -> None:
    state, whole = ended.read(), json.loads((ended.path / "audit.json").read_text(encoding="utf-8"))
    ended.write(replace(state, data=str(tmp_path / "gone")))
    less = medseg.audit_run("latest")
    ended.write(state)

    assert less.images == whole["images"]
    assert "Images a second time" in less.unseen[-1]
    assert medseg.audit_run("latest").digest() == whole["sha256"]


def test_a_folder_of_data_that_is_not_there_is_refused_and_nothing_is_written(
    ended: RunFolder, tmp_path: Path
) -> None:
    from medseg.cli.main import app

    before = (ended.path / "audit.json").read_bytes()
    done = CliRunner().invoke(app, ["runs", "audit", "latest", "--data", str(tmp_path / "gone")])

    assert done.exit_code == 2
    assert "there is no folder" in done.stderr
    assert "--data" in done.stderr
    assert (ended.path / "audit.json").read_bytes() == before


def test_a_run_that_was_killed_says_so_and_nothing_of_the_steps_that_were_not_done(killed: RunFolder) -> None:
    """Its earlier certificate says what they fit; they are to be done again."""
    path = killed.path / "definition.yaml"
    declared = read_yaml(path)
    later = {"post": {"_target_": "medseg.steps.PostProcess"}, "test": declared["steps"].pop("evaluate")}
    path.write_text(to_yaml({**declared, "steps": {**declared["steps"], **later}}), encoding="utf-8")
    killed.write(replace(killed.read(), declared=killed.declaration()))
    text = medseg.audit_run("latest").text()

    assert "THE RUN WAS INTERRUPTED. Not done: steps.post, steps.test." in text
    assert "steps.post: " not in text
    assert "slices prepared, not scored" in text
    assert "steps.fit: weights on train" in text
    assert "class weights" not in text


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
        medseg.audit_run("young", data=".")
