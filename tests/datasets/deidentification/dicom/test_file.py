"""DICOM by the profile: what is kept, replaced, moved and said, and which objects are left out."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Callable
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset, FileDataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import CTImageStorage, JPEG2000Lossless, JPEGBaseline8Bit, JPEGLSLossless, RLELossless

from medseg.datasets.deidentification.choice import Choice, Cleaned
from medseg.datasets.deidentification.dicom.file import clean_dicom
from medseg.datasets.deidentification.dicom.run_lengths import bare_rle
from medseg.datasets.deidentification.substitutes import Substitutes, shifted
from medseg.datasets.pseudonym import pseudonym
from medseg.errors import DataError
from medseg.testing.dicoms import write_dicom

KEY = bytes(range(32))
PIXELS = np.arange(16 * 12, dtype=np.uint8).reshape(16, 12)
STUDY = {
    "SOPClassUID": CTImageStorage,
    "Modality": "CT",
    "PatientID": "4711",
    "PatientBirthDate": "19500501",
    "StudyDate": "20200229",
    "SeriesDate": "20200301",
    "AcquisitionDateTime": "20200301235900.5+0100",
    "StudyTime": "101500",
    "DeviceSerialNumber": "SN1",
    "StationName": "CT3",
    "SeriesDescription": "T1C axial",
    "ImagePositionPatient": [1, 2, 3],
}


@pytest.fixture
def cleaned(tmp_path: Path) -> Callable[..., tuple[Cleaned, FileDataset]]:
    """Write a file with some attributes, clean it, and read what was made."""

    def clean(
        choice: Choice | None = None, *, array: Any = PIXELS, key: bytes = KEY, **attributes: Any
    ) -> tuple[Cleaned, FileDataset]:
        path = write_dicom(tmp_path / "a.dcm", array, **(STUDY | attributes))
        found = clean_dicom(path, choice or Choice(), Substitutes(key))
        (tmp_path / "b.dcm").write_bytes(found.content)
        return found, dcmread(tmp_path / "b.dcm")

    return clean


def test_a_patient_is_called_as_in_runs(cleaned: Callable[..., Any]) -> None:
    _, data = cleaned()

    assert data.PatientID == data.PatientName == pseudonym("patient", "4711", KEY)


def test_pixels_and_places_stay(cleaned: Callable[..., Any]) -> None:
    _, data = cleaned()

    assert np.array_equal(data.pixel_array, PIXELS)
    assert data.ImagePositionPatient == [1, 2, 3]


@pytest.mark.parametrize("syntax", [JPEGBaseline8Bit, JPEGLSLossless, JPEG2000Lossless, RLELossless])
def test_compressed_pixels_are_not_coded_anew(
    cleaned: Callable[..., Any], syntax: str, tmp_path: Path
) -> None:
    _, data = cleaned(transfer_syntax=syntax)

    assert data.file_meta.TransferSyntaxUID == syntax
    assert np.array_equal(data.pixel_array, dcmread(tmp_path / "a.dcm").pixel_array)


def test_a_comment_in_compressed_pixels_goes(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "a.dcm", PIXELS, transfer_syntax=JPEG2000Lossless, **STUDY)
    data = dcmread(path)
    (frame,) = generate_frames(data.PixelData, number_of_frames=1)
    size = int.from_bytes(frame[4:6]) + 4  # SOC and SIZ
    commented = frame[:size] + b"\xff\x64\x00\x0a\x00\x01Sophie" + frame[size:] + b"Sophie"
    data.PixelData = encapsulate([commented])
    data.save_as(path)

    found = clean_dicom(path, Choice(), Substitutes(KEY))

    assert b"Sophie" in path.read_bytes()
    assert b"Sophie" not in found.content


@pytest.mark.parametrize("where", ["behind the last run", "between segments", "before the first", "in a run"])
def test_what_the_runs_of_rle_do_not_need_goes(tmp_path: Path, where: str) -> None:
    wide = PIXELS.astype(np.uint16) * 300  # two bytes, and so two segments
    path = write_dicom(tmp_path / "a.dcm", wide, transfer_syntax=RLELossless, **STUDY)
    usual = clean_dicom(path, Choice(), Substitutes(KEY))
    data = dcmread(path)
    (frame,) = generate_frames(data.PixelData, number_of_frames=1)
    count, *starts = struct.unpack_from("<16L", frame)
    segments = [frame[a:b] for a, b in pairwise([*starts[:count], len(frame)])]
    text = b"Sophie Meier"
    before = text if where == "before the first" else b""
    if where == "between segments":
        segments[0] += text
    if where == "behind the last run":
        segments[-1] += text
    if where == "in a run":  # the last pixel is the first of a literal run that goes on
        row = [bytes([257 - 128]) + bytes(1)] * (PIXELS.size // 128)
        left = PIXELS.size % 128
        segments[-1] = (
            b"".join(row) + (bytes([257 - (left - 1)]) + bytes(1)) + bytes([len(text)]) + b"7" + text
        )
    at = [64 + len(before) + sum(map(len, segments[:n])) for n in range(count)]
    head = struct.pack("<16L", count, *at, *[0] * (15 - count))
    data.PixelData = encapsulate([head + before + b"".join(segments)])
    data.save_as(path)

    found = clean_dicom(path, Choice(), Substitutes(KEY))

    assert b"Sophie" in path.read_bytes()
    assert b"Sophie" not in found.content
    with warnings.catch_warnings(action="ignore"):  # pydicom's, of what is more than the pixels need
        expected = dcmread(path).pixel_array
    assert np.array_equal(dcmread(BytesIO(found.content)).pixel_array, expected)
    assert found.changes["removed"] == usual.changes["removed"] + 1


@pytest.mark.parametrize("depth", [np.uint8, np.uint16], ids=["a byte", "two bytes"])
def test_sound_runs_of_rle_stay_byte_by_byte(tmp_path: Path, depth: Any) -> None:
    wide = np.repeat(PIXELS, 3, axis=0).astype(depth) * 7
    data = dcmread(write_dicom(tmp_path / "a.dcm", wide, transfer_syntax=RLELossless, **STUDY))
    (frame,) = generate_frames(data.PixelData, number_of_frames=1)
    assert bare_rle(frame, wide.size) == (frame, 0)


@pytest.mark.parametrize("frame", [b"", bytes(64), struct.pack("<16L", 1, 63, *[0] * 14) + bytes(9)])
def test_damaged_rle_is_refused(frame: bytes) -> None:
    with pytest.raises((ValueError, struct.error)):
        bare_rle(frame, 4)


def test_what_follows_the_pixels_goes(cleaned: Callable[..., Any]) -> None:
    found, _ = cleaned(
        PixelData=PIXELS.tobytes() + b"Sophie Meier",
        Rows=16,
        Columns=12,
        SamplesPerPixel=1,
        BitsAllocated=8,
        BitsStored=8,
        HighBit=7,
        PixelRepresentation=0,
        PhotometricInterpretation="MONOCHROME2",
    )

    assert b"Sophie" not in found.content


def test_uids_are_the_same_for_the_same_and_others_with_another_key(cleaned: Callable[..., Any]) -> None:
    reference = {"ReferencedImageSequence": [{"ReferencedSOPInstanceUID": "1.2.3.4"}]}
    _, first = cleaned(SOPInstanceUID="1.2.3.4")
    _, second = cleaned(**reference)
    _, other = cleaned(SOPInstanceUID="1.2.3.4", key=bytes(32))

    assert first.SOPInstanceUID == second.ReferencedImageSequence[0].ReferencedSOPInstanceUID
    assert first.SOPInstanceUID == first.file_meta.MediaStorageSOPInstanceUID
    assert len({"1.2.3.4", first.SOPInstanceUID, other.SOPInstanceUID}) == 3
    assert first.SOPClassUID == CTImageStorage


def test_uids_may_stay(cleaned: Callable[..., Any]) -> None:
    _, data = cleaned(Choice(keep_uids=True), SOPInstanceUID="1.2.3.4")

    assert data.SOPInstanceUID == "1.2.3.4"


def test_dates_go(cleaned: Callable[..., Any]) -> None:
    _, data = cleaned()

    assert not data.StudyDate
    assert data.SeriesDate == "19000101"
    assert data.LongitudinalTemporalInformationModified == "REMOVED"


def test_dates_of_a_patient_move_together(cleaned: Callable[..., Any]) -> None:
    _, data = cleaned(Choice(shift_dates=True))

    days = Substitutes(KEY).days("4711")
    assert data.StudyDate == shifted("20200229", days)
    assert data.SeriesDate == shifted("20200301", days)
    assert data.AcquisitionDateTime == shifted("20200301", days) + "235900.5+0100"
    assert data.StudyTime == "101500"
    assert not data.PatientBirthDate
    assert days < 0
    assert days != Substitutes(KEY).days("4712")


@pytest.mark.parametrize("text", ["2020", "20201301", "2020030x", "20200301Meier", ""])
def test_what_is_no_date_is_not_moved(text: str) -> None:
    with pytest.raises(ValueError, match=r"no|must be|month"):
        shifted(text, -1)


def test_the_device_goes_or_stays(cleaned: Callable[..., Any]) -> None:
    _, gone = cleaned()
    _, kept = cleaned(Choice(keep_device=True))

    assert "SN1" not in str(gone)
    assert (kept.DeviceSerialNumber, kept.StationName) == ("SN1", "CT3")


def test_a_description_stays_if_all_its_words_may(cleaned: Callable[..., Any]) -> None:
    _, some = cleaned(Choice(words=frozenset({"t1c"})))
    _, all_words = cleaned(Choice(words=frozenset({"t1c", "axial"})))

    assert "SeriesDescription" not in some
    assert all_words.SeriesDescription == "T1C axial"


def test_short_texts_and_numbers_that_name_the_patient_are_emptied(cleaned: Callable[..., Any]) -> None:
    naming = {"PatientName": "Meier^Sophie", "SoftwareVersions": "of MEIER", "SeriesNumber": 4711}
    _, data = cleaned(**naming, InstanceNumber=12, Manufacturer="Good")

    assert not data.SoftwareVersions
    assert data.SeriesNumber is None
    assert (data.InstanceNumber, data.Manufacturer) == (12, "Good")


def test_a_name_is_found_in_other_spellings_and_a_number_without_its_letters(
    cleaned: Callable[..., Any],
) -> None:
    naming = {"SpecificCharacterSet": "ISO_IR 192", "PatientName": "Müller^Anna", "PatientID": "KH-0012345"}
    _, data = cleaned(**naming, SoftwareVersions="for MUELLER", Manufacturer="Good", SeriesNumber=12345)

    assert not data.SoftwareVersions
    assert data.SeriesNumber is None
    assert data.Manufacturer == "Good"


def test_codes_that_name_the_patient_are_replaced_and_others_stay(cleaned: Callable[..., Any]) -> None:
    """The standard lets programs add codes of their own."""
    told: dict[str, Any] = {
        "PatientName": "Headley^Primary",
        "BodyPartExamined": "HEADLEY",
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
        "PatientPosition": "HFS",
    }
    _, data = cleaned(**told)

    assert data.BodyPartExamined == "REMOVED"
    assert list(data.ImageType) == ["ORIGINAL", "REMOVED", "AXIAL"]
    assert (data.PatientPosition, data.Modality) == ("HFS", "CT")
    assert data.PhotometricInterpretation == "MONOCHROME2"


@pytest.mark.filterwarnings("ignore:Unknown encoding")  # pydicom's own
def test_what_is_no_character_set_is_none_afterwards(cleaned: Callable[..., Any]) -> None:
    assert cleaned(SpecificCharacterSet="HEADLEY GREEN")[1].SpecificCharacterSet == "ISO_IR 100"
    assert cleaned(SpecificCharacterSet="ISO_IR 192")[1].SpecificCharacterSet == "ISO_IR 192"
    assert not cleaned(SpecificCharacterSet=None)[1].get("SpecificCharacterSet")
    several = ["", "ISO 2022 IR 87"]
    assert list(cleaned(SpecificCharacterSet=several)[1].SpecificCharacterSet) == several


def test_a_sealed_identity_is_removed(cleaned: Callable[..., Any]) -> None:
    sealed = Dataset()
    sealed.EncryptedContentTransferSyntaxUID = "1.2.840.10008.1.2"
    sealed.EncryptedContent = b"4711" * 4

    assert "EncryptedAttributesSequence" not in cleaned(EncryptedAttributesSequence=[sealed])[1]


def test_it_says_what_was_done(cleaned: Callable[..., Any]) -> None:
    _, data = cleaned(Choice(shift_dates=True, keep_uids=True))

    assert data.PatientIdentityRemoved == "YES"
    assert [code.CodeValue for code in data.DeidentificationMethodCodeSequence] == [
        "113100",
        "113107",
        "113110",
    ]


@pytest.mark.parametrize(
    ("attributes", "warned"),
    [
        ({"BurnedInAnnotation": "YES"}, "burned into"),
        ({"Modality": "US"}, "often show text"),
        ({"Modality": "US", "BurnedInAnnotation": "NO"}, ""),
        ({}, ""),
        ({"RecognizableVisualFeatures": "YES"}, "recognised"),
    ],
)
def test_pixels_that_may_show_text_are_warned_of(
    cleaned: Callable[..., Any], attributes: dict[str, str], warned: str
) -> None:
    found, _ = cleaned(**attributes)

    assert bool(found.warnings) == bool(warned)
    assert all(warned in warning for warning in found.warnings)


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("1.2.840.10008.5.1.4.1.1.88.11", r"a structured report.*\(Basic Text SR Storage\)"),
        ("1.2.840.10008.5.1.4.1.1.88.59", r"a structured report.*\(Key Object Selection"),
        ("1.2.840.10008.5.1.4.1.1.11.1", r"a presentation state.*\(Grayscale Softcopy"),
        ("1.2.840.10008.5.1.4.1.1.104.1", r"a document within DICOM.*\(Encapsulated PDF"),
        ("1.2.840.10008.5.1.4.1.1.481.5", r"a radiation treatment.*\(RT Plan"),
        ("1.2.840.10008.5.1.4.1.1.9.1.1", r"a recording.*\(12-lead ECG"),
        ("1.2.3.4.5", r"without an image.*\(unknown kind\)"),
    ],
)
def test_what_holds_text_in_place_of_an_image_is_left_out_by_its_name(
    cleaned: Callable[..., Any], kind: str, told: str
) -> None:
    with pytest.raises(DataError, match=told):
        cleaned(array=None, SOPClassUID=kind)


def test_remarks_in_attributes_that_the_profile_does_not_list_are_emptied(
    cleaned: Callable[..., Any],
) -> None:
    texts = {"ContentDescription": "for Anna", "FrameOfReferenceTransformationComment": "by Anna"}

    _, data = cleaned(**texts, SegmentLabel="tumour")
    _, kept = cleaned(choice=Choice(words=frozenset({"for", "anna"})), **texts)

    assert [data[keyword].value for keyword in texts] == ["", ""]
    assert data.SegmentLabel == "tumour"
    assert (kept.ContentDescription, kept.FrameOfReferenceTransformationComment) == ("for Anna", "")


def nested(levels: int, *, lengths: bool) -> bytes:
    """A sequence of one item that holds a sequence, and so on; its lengths are written down, or open."""
    tag, item, end, last = (
        b"\x08\0\x40\x11SQ\0\0",
        b"\xfe\xff\0\xe0",
        b"\xfe\xff\x0d\xe0",
        b"\xfe\xff\xdd\xe0",
    )
    if not lengths:
        opened, none = b"\xff" * 4, bytes(4)
        return (tag + opened + item + opened) * levels + (end + none + last + none) * levels
    heads: list[bytes] = []
    size = 0
    for _ in range(levels):
        heads.append(tag + struct.pack("<I", size + 8) + item + struct.pack("<I", size))
        size += 20
    return b"".join(reversed(heads))


@pytest.mark.parametrize("lengths", [True, False])
def test_a_file_whose_sequences_are_nested_too_deeply_says_so(tmp_path: Path, lengths: bool) -> None:
    path = write_dicom(tmp_path / "deep", PIXELS)
    before, patient, after = path.read_bytes().partition(b"\x10\0\x10\0PN")
    path.write_bytes(before + nested(3000, lengths=lengths) + patient + after)
    with pytest.raises(DataError, match=r"sequences of the DICOM file are nested too deeply"):
        clean_dicom(path, Choice(), Substitutes(KEY))


@pytest.mark.parametrize(
    "element", [b"\x08\0\x60\0CS", b"\x10\0\x20\0LO", b"\x20\0\x0d\0UI"], ids=["modality", "patient", "study"]
)
def test_an_attribute_of_no_kind_that_is_known_is_told_in_words(tmp_path: Path, element: bytes) -> None:
    path = write_dicom(tmp_path / "odd", PIXELS, **STUDY)
    whole = path.read_bytes()
    assert whole.count(element) == 1
    path.write_bytes(whole.replace(element, element[:4] + b"XX"))
    with pytest.raises(DataError, match="has a value representation that is not known"):
        clean_dicom(path, Choice(), Substitutes(KEY))


def test_a_film_is_left_out(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "a.dcm", PIXELS, transfer_syntax=JPEGBaseline8Bit, **STUDY)
    data = dcmread(path)
    data.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.102"
    data.save_as(path)

    with pytest.raises(DataError, match="film"):
        clean_dicom(path, Choice(), Substitutes(KEY))


@pytest.mark.parametrize(
    "keyword",
    [
        *("PatientBirthDateInAlternativeCalendar", "PatientDeathDateInAlternativeCalendar"),
        *(
            "PotentialReasonsForProcedure",
            "RequestedProcedureDescriptionTrial",
            "SubstanceAdministrationNotes",
        ),
        *(
            "PlacerOrderNumberProcedure",
            "FillerOrderNumberProcedure",
            "AssignedLocation",
            "HangingProtocolCreator",
        ),
    ],
)
def test_short_texts_that_people_type_are_emptied_though_the_table_does_not_list_them(
    cleaned: Callable[..., Any], keyword: str
) -> None:
    _, data = cleaned(**{keyword: "5714 Mrs. Huber", "ConvolutionKernel": "B30f"})

    assert not data.get(keyword)
    assert data.ConvolutionKernel == "B30f"
