"""A real archive, Debian's Orthanc with its DICOMweb plug-in: from a study in it to a segmentation in it."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import requests
from pydicom import dcmread
from typer.testing import CliRunner

from medseg.api import predict
from medseg.cli.main import app
from medseg.images.dicom.web.open import archives

pytest.importorskip("dicomweb_client")
pytest.importorskip("highdicom")
pytestmark = pytest.mark.slow

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
PROGRAM = shutil.which("Orthanc", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


@pytest.fixture
def orthanc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Start an archive of its own, which wants a password; give its address."""
    if PROGRAM is None or not PLUGIN.exists():
        pytest.skip(
            "Orthanc and its DICOMweb plug-in are not installed: apt install orthanc orthanc-dicomweb"
        )
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    password = secrets.token_hex(12)
    settings = {
        "StorageDirectory": str(tmp_path / "orthanc"),
        "IndexDirectory": str(tmp_path / "orthanc"),
        "Plugins": [str(PLUGIN)],
        "HttpPort": port,
        "DicomServerEnabled": False,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": True,
        "RegisteredUsers": {"medseg": password},
        "DicomWeb": {"Enable": True},
    }
    (tmp_path / "orthanc.json").write_text(json.dumps(settings))
    monkeypatch.setenv("MEDSEG_DICOMWEB_USER", "medseg")
    monkeypatch.setenv("MEDSEG_DICOMWEB_PASSWORD", password)
    with (tmp_path / "orthanc.log").open("wb") as log:
        server = subprocess.Popen([PROGRAM, tmp_path / "orthanc.json"], stdout=log, stderr=log)
    try:
        url = f"http://127.0.0.1:{port}/dicom-web"
        _wait(url, server, tmp_path / "orthanc.log")
        yield f"dicomweb:{url}"
    finally:
        server.terminate()
        server.wait(20)


def _wait(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(300):
        assert server.poll() is None, log.read_text()
        try:
            if requests.get(f"{url}/studies", timeout=5).status_code == 401:
                return
        except requests.ConnectionError:
            time.sleep(0.05)
    pytest.fail(f"Orthanc does not answer: {log.read_text()}")


def test_a_study_is_fetched_predicted_stored_and_read_back_equal(
    orthanc: str, study: Path, model: Callable[..., Any], tmp_path: Path, temporary: Path
) -> None:
    sources = [dcmread(path) for path in study.iterdir()]
    with archives(orthanc) as found:
        found[orthanc]._client.store_instances(sources)
    uid = str(sources[0].StudyInstanceUID)
    model().save(tmp_path / "model")

    words = ["predict", str(tmp_path / "model"), "--from", orthanc, "--study", uid, "--to", orthanc]
    said = CliRunner().invoke(app, [*words, "-o", str(tmp_path / "out"), "--format", "seg,nifti"])

    assert said.exit_code == 0, said.output
    text = " ".join(said.output.split())
    assert "Left out, as no channel asks for them: 1 series: MR (SeriesNumber 5)." in text
    assert "Stored 1 of 1 case" in text
    for secret in (os.environ["MEDSEG_DICOMWEB_PASSWORD"], "Canary", uid):
        assert secret not in said.output
    assert list(temporary.iterdir()) == []

    (written,) = (tmp_path / "out").glob("*.seg.dcm")
    ours = dcmread(written)
    with archives(orthanc) as found:
        rows = {row["SeriesInstanceUID"]: row for row in found[orthanc].series(uid, ())}
        assert rows[ours.SeriesInstanceUID]["Modality"] == "SEG"
        series = ours.SeriesInstanceUID
        (back,) = found[orthanc].fetch(uid, series, new=lambda _: tmp_path / "back", most=1 << 24)
    theirs = dcmread(back)
    assert theirs == ours
    np.testing.assert_array_equal(theirs.pixel_array, ours.pixel_array)

    (local,) = predict(model(), [study], tmp_path / "local", format="nifti,seg").cases
    (nifti,) = (tmp_path / "out").glob("*.nii.gz")
    here, there = nibabel.load(local.paths[0]), nibabel.load(nifti)
    np.testing.assert_array_equal(here.get_fdata(), there.get_fdata())
    np.testing.assert_array_equal(here.affine, there.affine)
    assert dcmread(local.paths[1]).SOPInstanceUID == ours.SOPInstanceUID

    again = CliRunner().invoke(app, [*words, "--format", "seg,seg-labelmap"])  # it keeps what it has
    assert again.exit_code == 0, again.output
    counted = CliRunner().invoke(app, ["data", "scan", orthanc])
    assert "Studies: 1, with 17 images" in counted.output
    assert "  SEG: in 1 of them" in counted.output


def test_a_wrong_password_is_told_without_it(
    orthanc: str, model: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MEDSEG_DICOMWEB_PASSWORD", "wrong-canary")
    model().save(tmp_path / "model")
    said = CliRunner().invoke(
        app, ["predict", str(tmp_path / "model"), "--from", orthanc, "--study", "1.2.3", "--to", orthanc]
    )
    assert said.exit_code == 2
    assert "(401, Unauthorized). Set MEDSEG_DICOMWEB_USER and" in " ".join(said.output.split())
    assert "wrong-canary" not in said.output
