"""Predicting from an archive, and into one: what is fetched, kept, said, and left behind."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from pydicom import dcmread
from typer.testing import CliRunner

from medseg.api import predict
from medseg.api.dicomweb.scanning import scan
from medseg.api.dicomweb.source import warn_open
from medseg.api.dicomweb.ways import ways
from medseg.cli.main import app
from medseg.errors import DataError, DefinitionError, MedsegError, RunError
from medseg.images.dicom.web import archive as module
from medseg.images.dicom.web.open import archives
from medseg.learning.inference.label_files import label_files
from medseg.progress import Silent
from medseg.testing.archive import Archive, Request, serving
from medseg.testing.series import uid_of

pytestmark = pytest.mark.usefixtures("undrawn")

pytest.importorskip("dicomweb_client")
pytest.importorskip("highdicom")

STUDY = uid_of("p0")
Model = Callable[..., Any]


def at(archive: Archive) -> str:
    return f"dicomweb:{archive.url}"


def segmentations(archive: Archive) -> list[bytes]:
    return [stored for stored in archive.held.values() if b"SEGMENTATION" in stored]


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_WAITS_S", (0.0, 0.0))


def test_a_study_gives_what_its_files_give(
    archive: Archive, study: Path, model: Model, tmp_path: Path, temporary: Path
) -> None:
    names = tmp_path / "names.csv"
    (case,) = predict(model(), [], tmp_path / "out", source=at(archive), study=STUDY, key_map=names).cases
    assert (
        names.read_text().splitlines()[1].endswith(f",{at(archive)} study {STUDY}")
    )  # files are gone by then
    (local,) = predict(model(), [study], tmp_path / "local").cases

    assert case.case == local.case
    here, there = nibabel.load(local.path), nibabel.load(case.path)
    np.testing.assert_array_equal(here.get_fdata(), there.get_fdata())
    np.testing.assert_array_equal(here.affine, there.affine)
    assert list(temporary.iterdir()) == []
    assert segmentations(archive) == []


def test_a_local_study_is_stored_and_nothing_else_kept(
    study: Path, model: Model, tmp_path: Path, temporary: Path
) -> None:
    with serving() as archive:
        found = predict(model(), [study], to=at(archive))
    ((uid, stored),) = archive.held.items()
    (case,) = found.cases

    assert (found.stored, found.archive) == ((case.case,), archive.url)
    assert f"/instances/{uid}" in archive.asked[-1]  # it was read back
    assert stored[132:].count(b"SEGMENTATION") == 1
    assert list(temporary.iterdir()) == []
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "nothing to predict is named"),
        ({"inputs": ["x"]}, "nowhere to write to is named"),
        ({"inputs": ["x"], "source": "S", "study": STUDY, "out": "o"}, "at once"),
        ({"source": "S", "out": "o"}, "give both, or none"),
        ({"inputs": ["x"], "study": STUDY, "out": "o"}, "give both, or none"),
        ({"source": "S", "study": "../x", "out": "o"}, "--study no. 1 is no UID"),
        ({"inputs": ["x"], "to": "folder"}, "Name a folder that is written to with -o"),
        ({"source": "folder", "study": STUDY, "out": "o"}, "Name files and folders without --from"),
        (
            {"inputs": ["x"], "to": "S", "format": "nifti"},
            r"--format asks for none\. Leave it out, or add seg",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(
    given: dict[str, Any], said: str, archive: Archive, model: Model, tmp_path: Path
) -> None:
    words = {name: at(archive) if value == "S" else value for name, value in given.items()}
    with pytest.raises((RunError, DefinitionError), match=said):
        predict(model(), words.pop("inputs", ()), words.pop("out", None), **words)
    assert archive.asked == []


def test_a_model_of_other_files_asks_no_archive(archive: Archive, model: Model, tmp_path: Path) -> None:
    other = model(layout={"images": "{case}_{channel}.nii.gz"})
    with pytest.raises(DefinitionError, match=r"and the model reads NIfTI\. Name files of this machine"):
        predict(other, [], tmp_path / "out", source=at(archive), study=STUDY)
    assert archive.asked == []


def test_an_archive_that_refuses_is_told_before_anything_is_predicted(
    archive: Archive, study: Path, model: Model, tmp_path: Path
) -> None:
    archive.credentials = "Bearer other"
    with pytest.raises(DataError, match="wants to know who asks"):
        predict(model(), [study], tmp_path / "out", to=at(archive))
    assert not (tmp_path / "out").exists()


def test_what_comes_back_changed_does_not_count_as_stored(
    archive: Archive, study: Path, model: Model, tmp_path: Path
) -> None:
    def changes(request: Request) -> bool:
        if "/instances/" in request.path and request.command == "GET":
            (stored,) = segmentations(archive)
            head = stored.index(b"\xe0\x7f\x10\x00")
            request.say_parts(
                request.parts([stored[: head + 14] + bytes([stored[head + 14] ^ 1]) + stored[head + 15 :]])
            )
            return True
        return False

    archive.behaviours.append(changes)
    found = predict(model(), [study], tmp_path / "out", to=at(archive))
    (fault,), (case,) = found.faults, found.cases
    assert fault.found == "the archive gives back a segmentation that differs in PixelData"
    assert fault.remedy.startswith(
        "A changed one is in the archive: have it removed there, and store it again."
    )
    assert found.stored == ()
    assert case.path is not None
    assert case.path.exists()


def keeps(request: Request) -> None:
    """Keep what was sent, without an answer."""
    request.say_json = lambda *_: None  # type: ignore[method-assign]
    request._stored()


def hangs_up(request: Request) -> bool:
    request.close_connection = True
    return True


NOT_THERE, MAY_BE_THERE = "It is not in the archive.", "It may be in the archive: store it again,"


@pytest.mark.parametrize(
    ("behave", "said", "known"),
    [
        (
            lambda request: request.say(409, b"Canary") is None,
            "did not take the segmentation (409, Conflict)",
            NOT_THERE,
        ),
        (lambda request: request.say(413) is None, "takes no object as large", NOT_THERE),
        (lambda request: request.say_json({}) is None, "has nothing there (404, Not Found)", MAY_BE_THERE),
        (
            lambda request: request.say(307, Location="http://127.0.0.1:9/x") is None,
            "leads to another address",
            NOT_THERE,
        ),
        (
            lambda request: keeps(request) or request.say(500, b"Canary") is None,
            "is in trouble (500,",
            MAY_BE_THERE,
        ),
        (lambda request: keeps(request) or hangs_up(request), "broke off", MAY_BE_THERE),
        (
            lambda request: (
                request.say_json(
                    {"00081198": {"vr": "SQ", "Value": [{"00081197": {"vr": "US", "Value": [42752]}}]}}
                )
                is None
            ),
            "did not store the segmentation: it has no room left (code A700)",
            NOT_THERE,
        ),
    ],
    ids=["conflict", "too large", "not there", "led away", "error", "hung up", "no room"],
)
def test_what_was_not_stored_is_a_fault_of_its_case_that_says_whether_it_is_there(
    behave: Callable[[Request], bool],
    said: str,
    known: str,
    archive: Archive,
    study: Path,
    model: Model,
    tmp_path: Path,
) -> None:
    archive.behaviours.append(lambda request: request.command == "POST" and behave(request))
    (fault,) = predict(model(), [study], tmp_path / "out", to=at(archive)).faults
    assert said in fault.found
    assert "Canary" not in fault.text()
    assert fault.remedy.startswith(known)


def test_what_was_kept_and_cannot_be_read_back_may_be_there(
    archive: Archive, study: Path, model: Model, tmp_path: Path
) -> None:
    archive.behaviours.append(lambda request: "/instances/" in request.path and request.say(500) is None)
    (fault,) = predict(model(), [study], tmp_path / "out", to=at(archive)).faults
    assert "is in trouble (500" in fault.found
    assert fault.remedy.startswith(MAY_BE_THERE)
    assert len(segmentations(archive)) == 1


def test_who_ends_the_command_while_it_stores_is_told_that_it_may_be_there(
    archive: Archive, study: Path, model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ended(self: module.Archive, path: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module.Archive, "store", ended)
    model().save(tmp_path / "model")
    said = CliRunner().invoke(app, ["predict", str(tmp_path / "model"), str(study), "--to", at(archive)])
    assert said.exit_code == 130
    expected = f"Interrupted. A segmentation was being stored. {MAY_BE_THERE} which changes nothing if it is."
    assert expected in " ".join(said.output.split())


def test_storing_twice_changes_nothing_and_a_corrected_code_is_another_object(
    archive: Archive, study: Path, model: Model, tmp_path: Path
) -> None:
    keep = archive.hold

    def keeps_the_first(stored: bytes) -> None:  # as most archives do
        uid = str(dcmread(BytesIO(stored), stop_before_pixels=True).SOPInstanceUID)
        if uid not in archive.held:
            keep(stored)

    archive.hold = keeps_the_first  # type: ignore[method-assign]
    for _ in range(2):
        assert predict(model(), [study], to=at(archive)).faults == ()
        assert len(segmentations(archive)) == 1
    code = {"value": "108369006", "scheme": "SCT", "meaning": "Neoplasm"}
    corrected = model(segments={"tumour": {"code": code}})
    assert predict(corrected, [study], to=at(archive)).faults == ()
    assert len(segmentations(archive)) == 2


def test_a_study_that_cannot_be_had_does_not_cost_the_others(
    archive: Archive, model: Model, tmp_path: Path
) -> None:
    found = predict(model(), [], tmp_path / "out", source=at(archive), study=["1.2.3", STUDY])
    assert len(found.cases) == 1
    (fault,) = found.faults
    assert fault.found.startswith("no. 1 of the studies: the archive")
    with pytest.raises(DataError, match="has no series of the study"):
        predict(model(), [], tmp_path / "out", source=at(archive), study="1.2.3")


def test_a_study_without_a_series_of_the_model_says_what_it_has(
    archive: Archive, model: Model, tmp_path: Path
) -> None:
    series = {"flair": {"SeriesDescription": "pet"}, "t1": {"SeriesDescription": "ct"}}
    with pytest.raises(DataError, match=r"it has 3 series: MR \(SeriesNumber 3\), MR \(SeriesNumber 4\)"):
        predict(model(layout={"series": series}), [], tmp_path / "out", source=at(archive), study=STUDY)


def test_attributes_that_images_differ_in_leave_no_series_out(
    archive: Archive, model: Model, tmp_path: Path
) -> None:
    series = {name: {"SeriesDescription": name, "ImageType": "^$"} for name in ("flair", "t1")}
    found = predict(model(layout={"series": series}), [], tmp_path / "out", source=at(archive), study=STUDY)
    assert len(found.cases) == 1


def test_the_command_says_what_it_did_and_names_nobody(
    archive: Archive, model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDSEG_DICOMWEB_TOKEN", "secret-canary")
    archive.credentials = "Bearer secret-canary"
    model().save(tmp_path / "model")
    line = next(
        line
        for line in (Path(__file__).parents[3] / "docs" / "dicom.md").read_text().splitlines()
        if line.startswith("medseg predict") and "--to" in line and "-o" in line
    )
    words = {"latest": str(tmp_path / "model"), "UID": STUDY, "predictions": str(tmp_path / "out")}
    given = [
        words.get(word, at(archive) if word.startswith("dicomweb:") else word) for word in shlex.split(line)
    ]
    said = CliRunner().invoke(app, given[1:])

    assert said.exit_code == 0, said.output
    text = " ".join(said.output.split())
    assert "Left out, as no channel asks for them: 1 series: MR (SeriesNumber 5)." in text
    assert f"Stored 1 of 1 case in {archive.url}, each read back" in text
    everything = said.output.encode() + b"".join(
        path.read_bytes()
        for path in (tmp_path / "out").rglob("*")
        if path.is_file() and path.suffix != ".dcm"
    )
    for secret in ("secret-canary", "Canary", STUDY):
        assert secret.encode() not in everything
    (written,) = (tmp_path / "out").glob("*.seg.dcm")
    (stored,) = segmentations(archive)
    assert dcmread(written).SOPInstanceUID.encode() in stored


def test_a_fault_of_storing_ends_with_code_2(
    archive: Archive, study: Path, model: Model, tmp_path: Path
) -> None:
    archive.behaviours.append(lambda request: request.command == "POST" and request.say(409) is None)
    model().save(tmp_path / "model")
    said = CliRunner().invoke(
        app,
        ["predict", str(tmp_path / "model"), str(study), "--to", at(archive), "-o", str(tmp_path / "out")],
    )
    assert said.exit_code == 2, said.output
    text = " ".join(said.output.split())
    assert "these files were not predicted, or not stored:" in text
    assert f"Stored 0 of 1 case in {archive.url};" in text
    assert "read back" not in text


def test_a_scan_of_an_archive_counts_and_one_of_a_study_looks(archive: Archive, temporary: Path) -> None:
    rows = [
        {
            "0020000D": {"vr": "UI", "Value": [f"1.2.{number}"]},
            "00080061": {"vr": "CS", "Value": ["MR", "SEG"]},
            "00201208": {"vr": "IS", "Value": [20]},
            "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Canary^Bird"}]},
        }
        for number in range(3)
    ]
    archive.behaviours.append(
        lambda request: (
            "/studies?" in request.path
            and request.say_json(rows if "offset=0" in request.path else []) is None
        )
    )
    said = CliRunner().invoke(app, ["data", "scan", at(archive)])
    assert said.exit_code == 0, said.output
    assert "Studies: 3, with 60 images by what the archive says\n  MR: in 3 of them\n" in said.output
    assert "Canary" not in said.output

    look = CliRunner().invoke(app, ["data", "scan", at(archive), "--study", STUDY])
    assert look.exit_code == 0, look.output
    assert "Layout: DICOM series" in look.output or "series" in look.output
    assert "Files: 15" in look.output
    assert "pipeline new" not in look.output
    assert "Canary" not in look.output
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize(
    ("url", "warned"), [("http://pacs/rs", 1), ("https://pacs/rs", 0), ("http://127.0.0.1/rs", 0)]
)
def test_it_is_said_loudly_that_others_can_read_what_is_not_encrypted(url: str, warned: int) -> None:
    said: list[tuple[str, bool]] = []

    class Heard(Silent):
        def say(self, text: str, *, loud: bool = False) -> None:
            said.append((text, loud))

    with archives(f"dicomweb:{url}") as found:
        warn_open(found[f"dicomweb:{url}"], Heard())
    assert [loud for text, loud in said if "without encryption" in text] == [True] * warned


@pytest.mark.parametrize(("to", "warned"), [("http://pacs:80/rs/", 1), ("http://other/rs", 2)])
def test_it_is_said_once_of_an_archive_that_is_asked_and_told(
    to: str, warned: int, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []

    class Heard(Silent):
        def say(self, text: str, *, loud: bool = False) -> None:
            said.append(text)

    def nobody(*_: Any) -> None:
        raise DataError("nobody is there.")

    for name in ("reach", "series"):
        monkeypatch.setattr(module.Archive, name, nobody)
    predictor = model()
    with ways((), "dicomweb:http://pacs/rs", [STUDY], f"dicomweb:{to}", has_out=False) as way:
        with pytest.raises(DataError):
            way.destination.reach(label_files(("seg",), predictor), Heard())
        with pytest.raises(DataError), way.source.opened(predictor.manifest, Heard()):
            pass
    assert len([text for text in said if "without encryption" in text]) == warned


def test_counting_the_studies_of_an_archive_removes_what_a_killed_process_left(
    archive: Archive, temporary: Path
) -> None:
    left = temporary / f".{module.FOLDER}.abcd1234.part"
    left.mkdir()
    os.utime(left, (time.time() - 120,) * 2)
    scan(at(archive))
    assert list(temporary.iterdir()) == []


def test_studies_of_a_folder_cannot_be_scanned(tmp_path: Path) -> None:
    with pytest.raises(MedsegError, match="Leave --study out"):
        scan(tmp_path, studies=["1.2"])


PROGRAM = """
import sys
from medseg.api.dicomweb.scanning import scan
scan(sys.argv[1], studies=[sys.argv[2]])
"""


@pytest.mark.slow
def test_what_a_killed_process_fetched_is_closed_to_others_and_removed_by_the_next(
    archive: Archive, tmp_path: Path
) -> None:
    held = []

    def slow(request: Request) -> bool:
        if "?" not in request.path:
            held.append(1)
            time.sleep(20 if len(held) == 2 else 0)
        return False

    archive.behaviours.append(slow)
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    program = subprocess.Popen([sys.executable, "-c", PROGRAM, at(archive), STUDY], env=environment)
    for _ in range(600):
        if len(held) == 2:
            break
        time.sleep(0.05)
    program.send_signal(signal.SIGKILL)
    program.wait(10)
    (left,) = tmp_path.iterdir()
    assert left.stat().st_mode & 0o777 == 0o700
    assert len(list(left.rglob("*.dcm"))) == 5
    assert not re.search("anary|1[.]2[.]826", str(list(left.rglob("*"))))

    os.utime(left, (time.time() - 120,) * 2)
    archive.behaviours.clear()
    subprocess.run(
        [sys.executable, "-c", PROGRAM, at(archive), STUDY], env=environment, check=True, timeout=100
    )
    assert list(tmp_path.iterdir()) == []
