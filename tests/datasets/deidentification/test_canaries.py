"""Identifiers planted wherever files can hold some: after `medseg deidentify` no byte that it wrote holds any."""

from __future__ import annotations

import base64
import io
import json
import re
import struct
import warnings
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import tifffile
from isal import igzip
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from pydicom import dcmread
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.filewriter import dcmwrite
from pydicom.uid import CTImageStorage, JPEGBaseline8Bit, RTStructureSetStorage
from typer.testing import CliRunner

from medseg.cli.main import app
from medseg.testing.canaries import profile_tags
from medseg.testing.dicoms import write_dicom


class Planter:
    """Gives values that stand nowhere else, and remembers what to search for."""

    def __init__(self) -> None:
        self.planted: list[bytes] = []

    def text(self) -> str:
        return self._keep(f"Cnry{len(self.planted):05d}x")

    def _keep(self, text: str) -> str:
        self.planted.append(text.encode())
        return text

    def value(self, kind: str) -> Any:
        number = len(self.planted)
        day = f"{1000 + number:04d}0203"  # no other 3 February when they are shifted
        if kind in {"US", "AS"}:
            return None  # two bytes, or four of which there are few, stand everywhere by chance
        if kind in {"FD", "FL"}:
            value = 70000.015625 + number  # of which a float of 32 bits holds all digits
            self.planted.append(struct.pack("<d" if kind == "FD" else "<f", value))
            return value
        text = self._keep(
            {
                **dict.fromkeys(("CS", "AE"), f"CNRY{number:05d}X"),
                "UI": f"1.2.3.4444.{number}.7777",
                "DA": day,
                "DT": f"{day}111213.{number:06d}",
                "TM": f"112233.{number:06d}",
                "DS": f"7{number:05d}.2517",
                "IS": f"1{number:05d}3133",
            }.get(kind, f"Cnry{number:05d}x")
        )
        return text.encode() if kind in {"OB", "UN", "OW"} else text

    def attribute(self, data: Dataset, tag: int) -> None:
        kind = dictionary_VR(tag)[:2] if dictionary_has_tag(tag) else "LO"
        if kind == "SQ":
            item = Dataset()
            item.PatientComments, item.ReferencedSOPInstanceUID = self.text(), self.value("UI")
            block = item.private_block(0x0009, self.text(), create=True)
            block.add_new(1, "LO", self.text())
            data.add_new(tag, "SQ", [item])
        elif (value := self.value(kind)) is not None:
            data.add_new(tag, kind, value)


def plant_dicom(path: Path, plant: Planter) -> None:
    """A slice with every attribute of the profile's table, and the same once more within a sequence."""
    data = Dataset()
    inner = Dataset()
    for tag in profile_tags():
        plant.attribute(data, tag)
        plant.attribute(inner, tag)
    for each in (data, inner):
        each.SoftwareVersions = f"of {each.PatientID}"  # an attribute that stays
        each.private_block(0x0011, plant.text(), create=True).add_new(1, "UT", plant.text())
        each.add_new(0x00099999, "UN", plant.text().encode())
        each.add_new(0x60000022, "LO", plant.text())
        each.SegmentDescription, each.EvaluatorName = plant.text(), plant.text()
        each.ContentDescription = plant.text()
    data.ReferencedSeriesSequence = [inner]
    write_dicom(path, np.zeros((4, 4), np.uint8), SOPClassUID=CTImageStorage, Modality="CT")
    whole = dcmread(path)
    whole.update(data)
    whole.SOPClassUID = CTImageStorage
    whole.preamble = plant.text().encode().ljust(128, b"\0")
    whole.file_meta.MediaStorageSOPInstanceUID = whole.SOPInstanceUID
    whole.file_meta.SourceApplicationEntityTitle = plant.value("AE")
    dcmwrite(path, whole, enforce_file_format=False)
    padding = plant.text().encode()  # data set trailing padding, which pydicom does not write
    with path.open("ab") as file:
        file.write(struct.pack("<HH2s2xI", 0xFFFC, 0xFFFC, b"OB", len(padding)) + padding)


def jpeg_with_comment(plant: Planter) -> bytes:
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[0x010E], exif[0x013B], exif[0x0112] = plant.text(), plant.text(), 6
    exif.get_ifd(0x8825)[29] = plant.text()
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(
        buffer, "JPEG", exif=exif, comment=plant.text().encode(), icc_profile=plant.text().encode()
    )
    return buffer.getvalue() + plant.text().encode()


def plant_compressed(path: Path, plant: Planter) -> None:
    write_dicom(path, np.zeros((8, 8), np.uint8), transfer_syntax=JPEGBaseline8Bit, PatientID=plant.text())
    data = dcmread(path)
    frame = jpeg_with_comment(plant)
    data.PixelData = encapsulate([frame + b"\0" * (len(frame) % 2)])
    data.save_as(path)


def plant_structures(path: Path, plant: Planter) -> None:
    """A structure set with every text that one may hold, those of other modules of the profile among them."""
    data = Dataset()
    for tag in profile_tags():
        plant.attribute(data, tag)
    frame, roi, drawn, seen = (Dataset() for _ in range(4))
    frame.FrameOfReferenceUID, frame.FrameOfReferenceTransformationComment = plant.value("UI"), plant.text()
    roi.ROINumber, roi.ReferencedFrameOfReferenceUID = 1, plant.value("UI")
    roi.ROIName, roi.ROIDescription = f"tumour of {plant.text()}", plant.text()
    roi.ROIGenerationDescription = plant.text()
    image = Dataset()
    image.ReferencedSOPInstanceUID = plant.value("UI")
    drawn.ReferencedROINumber, drawn.ROIDisplayColor = 1, [255, 0, 0]
    contour = Dataset()
    contour.ContourGeometricType, contour.ContourData = "POINT", [1, 2, 3]
    contour.ContourImageSequence = [image]
    drawn.ContourSequence = [contour]
    seen.ObservationNumber, seen.ReferencedROINumber = 1, 1
    seen.ROIObservationLabel, seen.ROIInterpreter = plant.text(), plant.text()
    seen.ROIObservationDescription = plant.text()
    data.ReferencedFrameOfReferenceSequence, data.StructureSetROISequence = [frame], [roi]
    data.ROIContourSequence, data.RTROIObservationsSequence = [drawn], [seen]
    write_dicom(path, None, SOPClassUID=RTStructureSetStorage, Modality="RTSTRUCT")
    whole = dcmread(path)
    whole.update(data)
    whole.SOPClassUID = RTStructureSetStorage
    whole.file_meta.MediaStorageSOPInstanceUID = whole.SOPInstanceUID
    dcmwrite(path, whole, enforce_file_format=False)


#: Kinds of objects that hold text in place of an image, by what the report calls them.
TEXTS = {
    "a structured report": "1.2.840.10008.5.1.4.1.1.88.33",
    "a presentation state": "1.2.840.10008.5.1.4.1.1.11.1",
    "a document within DICOM": "1.2.840.10008.5.1.4.1.1.104.1",
    "an object of a radiation treatment": "1.2.840.10008.5.1.4.1.1.481.5",
    "a recording": "1.2.840.10008.5.1.4.1.1.9.1.1",
    "a DICOM object without an image": "1.2.840.10008.5.1.4.1.1.66",
}


def plant_texts(folder: Path, plant: Planter) -> None:
    """Reports with nested items of text, names and codes; annotations; documents; plans."""
    for kind in TEXTS.values():
        person, text, within, code = (Dataset() for _ in range(4))
        code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = plant.text(), "99X", plant.text()
        person.ValueType, person.PersonName, person.ConceptNameCodeSequence = "PNAME", plant.text(), [code]
        text.ValueType, text.TextValue, text.ContentSequence = "TEXT", plant.text(), [person]
        within.UnformattedTextValue = plant.text()
        annotation = Dataset()
        annotation.TextObjectSequence, annotation.GraphicLayer = [within], plant.value("CS")
        write_dicom(
            folder / plant.text(),
            None,
            SOPClassUID=kind,
            PatientName=plant.text(),
            ContentLabel=plant.value("CS"),
            ContentDescription=plant.text(),
            ContentSequence=[text],
            GraphicAnnotationSequence=[annotation],
            EncapsulatedDocument=plant.text().encode(),
            RTPlanDescription=plant.text(),
        )


def plant_nifti(path: Path, plant: Planter) -> None:
    image = nibabel.Nifti1Image(np.zeros((3, 3, 2), np.int16), np.eye(4))
    image.header["descrip"], image.header["aux_file"] = plant.text(), plant.text()
    image.header["intent_name"], image.header["db_name"] = plant.text(), plant.text()
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", plant.text().encode()))
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension("dicom", plant.text().encode()))
    raw = image.to_bytes() + plant.text().encode()
    if path.suffix == ".gz":
        with path.open("wb") as file, igzip.IGzipFile(plant.text(), "wb", fileobj=file) as packed:
            packed.write(raw)
    else:
        path.write_bytes(raw)


def plant_nifti2(path: Path, plant: Planter) -> None:
    image = nibabel.Nifti2Image(np.zeros((3, 3, 2), np.int16), np.eye(4))
    image.header["descrip"], image.header["aux_file"] = plant.text(), plant.text()
    image.header["intent_name"] = plant.text()
    path.write_bytes(image.to_bytes())


def plant_png(path: Path, plant: Planter) -> None:
    text = PngInfo()
    text.add_text("Author", plant.text())
    text.add_text("Comment", plant.text(), zip=True)
    text.add_itxt("XML:com.adobe.xmp", f"<x>{plant.text()}</x>", zip=True)
    exif = Image.Exif()
    exif[0x010E], exif[0x0112] = plant.text(), 3
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(
        path, pnginfo=text, exif=exif, icc_profile=plant.text().encode()
    )
    path.write_bytes(path.read_bytes() + plant.text().encode())


def plant_tiff(path: Path, plant: Planter) -> None:
    with tifffile.TiffWriter(path, byteorder=">") as file:
        file.write(
            np.arange(64, dtype=np.uint8).reshape(8, 8),
            description=plant.text(),
            software=plant.text(),
            metadata=None,
            extratags=[(tag, 2, 0, plant.text(), True) for tag in (269, 285, 315, 316, 33432, 65000)],
        )
    path.write_bytes(path.read_bytes() + plant.text().encode())


def plant_study(folder: Path, plant: Planter) -> Path:
    """Files of every kind, in folders and under names that are planted too."""
    home = folder / plant.text() / f"{plant.text()}_{plant.text()}"
    home.mkdir(parents=True)
    plant_dicom(home / f"{plant.text()}.dcm", plant)
    plant_compressed(home / "compressed", plant)
    plant_structures(home / "drawn", plant)
    plant_texts(home, plant)
    for ending in (".nii", ".nii.gz"):
        plant_nifti(home / f"{plant.text()}{ending}", plant)
    plant_nifti2(home / f"{plant.text()}.NII", plant)
    plant_png(home / f"{plant.text()}.png", plant)
    (home / f"{plant.text()}.jpeg").write_bytes(jpeg_with_comment(plant))
    plant_tiff(home / f"{plant.text()}.tiff", plant)
    sidecar = {"EchoTime": 0.03, "PatientName": plant.text(), plant.text(): 1, "Manufacturer": plant.text()}
    sidecar |= {
        "AcquisitionDateTime": plant.value("DT"),
        "x": {"y": [plant.text()]},
        "SeriesNumber": [plant.text()],
    }
    (home / f"{plant.text()}.json").write_text(json.dumps(sidecar))
    (home / f"{plant.text()}.csv").write_text(f"id\n{plant.text()}\n")
    (home / "broken.json").write_text('{"' + plant.text())
    (home / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n" + plant.text().encode())
    (home / "broken.dcm").write_bytes(bytes(128) + b"DICM" + plant.text().encode())
    return folder


def unpacked(content: bytes) -> Iterator[bytes]:
    """A file, and what is packed in it."""
    yield content
    if content.startswith(b"\x1f\x8b"):
        yield igzip.decompress(content)
    for found in re.finditer(rb"zTXt|iTXt|iCCP|IDAT", content):
        for at in range(found.end(), min(found.end() + 60, len(content))):
            try:
                yield zlib.decompressobj().decompress(content[at:])
            except zlib.error:
                continue


def encoded(canary: bytes) -> Iterator[bytes]:
    """The forms in which a text may stand."""
    yield canary
    yield from (canary.hex().encode(), canary.hex().upper().encode())
    for lead in range(3):  # base64 depends on where among three bytes it begins
        yield base64.b64encode(bytes(lead) + canary)[4 if lead else 0 : -4]
    if canary.isascii():
        yield from (canary.decode().encode(form) for form in ("utf-16-le", "utf-16-be"))


def all_bytes(folder: Path) -> bytes:
    """Contents, packed ones too, and names of everything in a folder."""
    parts: list[bytes] = []
    for path in sorted(folder.rglob("*")):
        parts.append(path.relative_to(folder).as_posix().encode())
        if path.is_file():
            parts += unpacked(path.read_bytes())
    return b"\0\0".join(parts)


TIMES = b"112233."

#: Options, and how canaries begin that may stay with them: times of the day, where only dates are moved.
OPTIONS: Mapping[str, tuple[list[str], bytes]] = {
    "plain": ([], b"none"),
    "dates": (["--shift-dates", "--keep", "t1c"], TIMES),
}


@pytest.mark.slow
@pytest.mark.parametrize(("options", "may_stay"), OPTIONS.values(), ids=OPTIONS)
def test_no_planted_identifier_is_left(options: list[str], may_stay: bytes, tmp_path: Path) -> None:
    plant = Planter()
    with warnings.catch_warnings(action="ignore"):  # values that are planted are odd
        study = plant_study(tmp_path / "study", plant)
    before = all_bytes(study)
    absent = [canary for canary in plant.planted if not any(form in before for form in encoded(canary))]
    assert absent == []
    assert len(plant.planted) >= 400

    done = CliRunner().invoke(app, ["deidentify", str(study), str(tmp_path / "out"), *options])

    assert done.exit_code == 2, done.output  # a table and damaged files are left out
    after = all_bytes(tmp_path / "out") + done.output.encode() + done.stderr.encode()
    searched = [canary for canary in plant.planted if not canary.startswith(may_stay)]
    left = [canary for canary in searched if any(form in after for form in encoded(canary))]
    assert left == []
    written = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert len(written) == 1 + 10, (
        "a report, and every file but the table, the damaged ones and those of texts"
    )
    told = (tmp_path / "out" / "deidentification.csv").read_text(encoding="utf-8")
    assert [kind for kind in TEXTS if kind not in told] == []
