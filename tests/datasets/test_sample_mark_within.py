"""Generated files say so themselves: copied, renamed or alone, read or remembered, they stay what they are."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

from medseg.api import deidentify, write_sample
from medseg.datasets.checks.check import Report
from medseg.datasets.deidentification.choice import Choice
from medseg.datasets.deidentification.dicom.file import clean_dicom
from medseg.datasets.deidentification.substitutes import Substitutes
from medseg.datasets.manifest.manifest import Manifest
from medseg.datasets.sample_mark import is_mark, mark_sample
from medseg.images.dicom.reader import read_dicom
from medseg.images.made_up import MADE_UP
from medseg.images.nifti.read import read_nifti
from medseg.images.pictures.read import read_picture
from medseg.named import find_manifest
from medseg.pipeline.gather import check_data
from medseg.pipeline.options import RunOptions
from medseg.progress import Silent
from medseg.samples.brain_tumour import _write as write_nifti
from medseg.samples.drawing.files import write_png, write_tiff
from medseg.testing.dicoms import write_dicom

NUCLEI = Manifest.from_yaml(find_manifest("nuclei").path)
GREY = np.arange(64, dtype=np.uint8).reshape(8, 8)


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sample("nuclei", tmp_path_factory.mktemp("sample"), cases=3, seed=1, jobs=1)


@pytest.fixture
def given(sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three cases of a sample, renamed, in a folder without its mark."""
    monkeypatch.setenv("MEDSEG_CACHE", str(tmp_path / "cache"))
    for number, case in enumerate(sorted((sample / "stage1_train").iterdir()), start=1):
        mine = Path(shutil.copytree(case, tmp_path / "given" / f"P{number}"))
        (picture,) = (mine / "images").iterdir()
        picture.rename(picture.with_stem(f"P{number}"))
    return tmp_path / "given"


def found(folder: Path) -> Report:
    return check_data(NUCLEI, NUCLEI.channels, folder, RunOptions.of(jobs=1), Silent())


def picture_of(folder: Path, number: int) -> Path:
    return folder / f"P{number}" / "images" / f"P{number}.png"


def saved_anew(path: Path) -> None:
    with Image.open(path) as image:
        pixels = Image.fromarray(np.asarray(image))
    pixels.save(path)


def test_cases_of_a_sample_are_known_without_its_folder_and_without_reading_them_again(given: Path) -> None:
    assert found(given).read == 3
    again = found(given)
    assert again.read == 0
    assert again.generated
    assert again.origin_note().startswith("GENERATED DATA")


def test_what_was_remembered_before_files_said_so_themselves_is_read_again(
    given: Path, tmp_path: Path
) -> None:
    found(given)
    for path in (tmp_path / "cache" / "checked").iterdir():
        stored = json.loads(path.read_text())
        del stored["facts"]["made_up"]
        path.write_text(json.dumps(stored))
    again = found(given)
    assert again.read == 3
    assert again.generated


def test_an_image_that_another_program_has_saved_is_not_said_to_be_generated(given: Path) -> None:
    before = found(given).fingerprint()
    saved_anew(picture_of(given, 2))
    mixed = found(given)
    assert mixed.mixture() == "2 of 3"
    assert mixed.fingerprint() == before, "the mark is none of the data"


def test_whoever_drew_on_a_generated_image_it_is_no_patient(given: Path) -> None:
    for mask in (given / "P1" / "masks").iterdir():
        saved_anew(mask)
    assert found(given).generated


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_nifti_says_so_in_its_header(ending: str, tmp_path: Path) -> None:
    write_nifti(np.ones((240, 240, 155), np.int16)[:2, :2, :2], tmp_path / "a.nii.gz")
    image = nibabel.load(tmp_path / "a.nii.gz")  # type: ignore[attr-defined]
    nibabel.save(image, tmp_path / f"b{ending}")  # type: ignore[attr-defined]
    assert read_nifti(tmp_path / "a.nii.gz").made_up
    assert read_nifti(tmp_path / f"b{ending}").made_up
    image.header["descrip"] = "FSL"
    nibabel.save(image, tmp_path / "c.nii.gz")  # type: ignore[attr-defined]
    assert not read_nifti(tmp_path / "c.nii.gz").made_up


@pytest.mark.parametrize(("write", "name"), [(write_png, "a.png"), (write_tiff, "a.tif")])
@pytest.mark.parametrize("pixels", [GREY, np.stack([GREY] * 3, axis=2)], ids=["grey", "rgb"])
def test_pictures_say_so_in_a_text_beside_their_pixels(write, name, pixels, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    write(pixels, tmp_path / name)
    read = read_picture(tmp_path / name, "rgb")
    assert read.made_up
    assert np.array_equal(read.pixels[0], GREY)
    saved_anew(tmp_path / name)
    assert not read_picture(tmp_path / name, "rgb").made_up


def test_dicom_says_so_in_its_comment_and_still_does_when_it_is_de_identified(tmp_path: Path) -> None:
    for name, comment in (("a", MADE_UP), ("b", "Meier")):
        write_dicom(tmp_path / name, GREY, ImageComments=comment)
        cleaned = clean_dicom(tmp_path / name, Choice(), Substitutes(b"key"))
        (tmp_path / f"{name}.dcm").write_bytes(cleaned.content)
    assert read_dicom(tmp_path / "a", "grey").made_up
    assert read_dicom(tmp_path / "a.dcm", "grey").made_up
    assert not read_dicom(tmp_path / "b", "grey").made_up
    assert b"Meier" not in (tmp_path / "b.dcm").read_bytes()


def test_de_identified_files_of_a_sample_stay_marked(tmp_path: Path) -> None:
    source = tmp_path / "sample"
    source.mkdir()
    write_png(GREY, source / "a.png")
    write_tiff(GREY, source / "b.tif")
    write_nifti(np.ones((2, 2, 2), np.int16), source / "c.nii.gz")
    deidentify(source, tmp_path / "out", keep=["a", "b", "c"])
    readers = {"a.png": read_picture, "b.tif": read_picture, "c.nii.gz": lambda path, _: read_nifti(path)}
    for name, read in readers.items():
        assert read(next((tmp_path / "out").rglob(name)), "grey").made_up, name


def test_de_identified_files_that_only_the_mark_of_their_sample_knows_get_one_of_their_own(
    tmp_path: Path,
) -> None:
    source = tmp_path / "sample"
    source.mkdir()
    Image.fromarray(GREY).save(source / "a.png")  # as an earlier version wrote them
    mark_sample(source)
    Image.fromarray(GREY.T.copy()).save(source / "mine.png")
    done = deidentify(source, tmp_path / "out")
    (mark,) = (path for path in (tmp_path / "out").iterdir() if is_mark(path.name))
    assert len(json.loads(mark.read_text())["files"]) == 1
    assert len(done.files) == 2, "the old mark is no file of the data"
