"""Identifiers planted wherever files can hold some, to be searched for by `medseg.testing.leaks`."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from pydicom import dcmread
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataset import Dataset
from pydicom.filewriter import dcmwrite
from pydicom.tag import Tag
from pydicom.uid import RTStructureSetStorage

from medseg.testing.dicoms import write_dicom
from medseg.testing.leaks import DAY, DECIMAL, DIGITS, MOMENT, WORD
from medseg.testing.series import Stack, write_series


class Planter:
    """Gives values to plant, and remembers them.

    Attributes:
        planted: Every text, in the order of planting.
    """

    def __init__(self) -> None:
        self.planted: list[str] = []

    def text(self) -> str:
        """A text that is planted once."""
        return self._keep(f"{WORD}{len(self.planted):05d}x")

    def value(self, kind: str) -> Any:
        """A value of a value representation of DICOM; None of those that are too short to be told from others."""
        number = len(self.planted)
        if kind in {"US", "AS", "FD", "FL", "UL", "SL", "SS", "AT"}:
            return None
        text = self._keep(
            {
                **dict.fromkeys(("CS", "AE"), f"{WORD.upper()}{number:05d}"),
                "UI": f"1.2.3.{DIGITS}.{number}",
                "DA": DAY,
                "DT": f"{DAY}{MOMENT}",
                "TM": MOMENT,
                "DS": DECIMAL,
                "IS": DIGITS,
            }.get(kind, f"{WORD}{number:05d}x")
        )
        return text.encode() if kind in {"OB", "UN", "OW"} else text

    def attribute(self, data: Dataset, tag: int) -> None:
        """Plant an attribute, with an item if it is a sequence."""
        kind = dictionary_VR(tag)[:2] if dictionary_has_tag(tag) else "LO"
        if kind == "SQ":
            item = Dataset()
            item.PatientComments, item.ReferencedSOPInstanceUID = self.text(), self.value("UI")
            item.private_block(0x0009, self.text(), create=True).add_new(1, "LO", self.text())
            data.add_new(tag, "SQ", [item])
        elif (value := self.value(kind)) is not None:
            data.add_new(tag, kind, value)

    def _keep(self, text: str) -> str:
        self.planted.append(text)
        return text


def profile_tags() -> list[int]:
    """Every attribute of the confidentiality profile's table, a group or element of several by its first."""
    text = files("medseg.datasets.deidentification.dicom").joinpath("profile.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(line for line in text.splitlines() if not line.startswith("#"))
    tags = [int(row["tag"].replace("xxxxxx", "002500").replace("x", "0"), 16) for row in rows]
    return [tag for tag in tags if tag >> 16 not in {0x0000, 0x0002, 0xFFFC}]


#: Of every study: what tells it apart, and what is read most.
_USUAL = (
    *(
        "PatientID",
        "PatientName",
        "StudyInstanceUID",
        "SeriesInstanceUID",
        "FrameOfReferenceUID",
        "StudyDate",
    ),
    *("StudyDescription", "ProtocolName", "AccessionNumber", "ImageComments", "InstitutionName", "StudyID"),
)


def planted_attributes(plant: Planter, *, every: bool = True) -> Dataset:
    """Attributes of the profile's table, and once more within a sequence; private and unknown ones too.

    Args:
        plant: Gives what is planted.
        every: Whether all of the table; else the usual ones.
    """
    data, inner = Dataset(), Dataset()
    for tag in profile_tags() if every else map(Tag, _USUAL):
        plant.attribute(data, tag)
        plant.attribute(inner, tag)
    for each in (data, inner):
        each.private_block(0x0011, plant.text(), create=True).add_new(1, "UT", plant.text())
        each.add_new(0x00099999, "UN", plant.text().encode())
        each.SegmentDescription, each.EvaluatorName = plant.text(), plant.text()
    data.ReferencedSeriesSequence = [inner]
    data.PatientSex = "O"  # others than the standard's are in the way of a DICOM segmentation
    return data


def write_planted_studies(
    root: Path, plant: Planter, count: int, *, size: int = 16, slices: int = 4, described: str = "flair"
) -> Path:
    """Studies of patients: a series with planted attributes, and a structure set that draws `tumour`.

    The first has a value in every attribute of the profile's table, the others in some dozen.

    Args:
        root: Folder of them, each in a folder whose name is planted.
        plant: Gives what is planted.
        count: Of patients.
        size: Rows and columns.
        slices: Of each series.
        described: How the series' description begins.
    """
    for number in range(count):
        hidden = planted_attributes(plant, every=number == 0)
        hidden.SeriesDescription = f"{described} {plant.text()}"
        volume = np.random.default_rng(number).integers(0, 400, (slices, size, size)).astype(np.uint16)
        volume[1:3, 3:9, 3:8] += 400
        folder = root / plant.text()
        written = write_series(folder / plant.text(), volume, SeriesDescription=plant.text())
        instances = []
        for path in written:
            whole = dcmread(path)
            own = {keyword: whole[keyword].value for keyword in ("SOPInstanceUID", "SOPClassUID", "Modality")}
            geometry = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "InstanceNumber")
            own |= {keyword: whole[keyword].value for keyword in geometry}
            pixels = whole.PixelData
            whole.update(hidden)
            for keyword, value in own.items():
                setattr(whole, keyword, value)
            whole.SOPInstanceUID = plant.value("UI")
            whole.PixelData = pixels
            whole.preamble = plant.text().encode().ljust(128, b"\0")
            whole.file_meta.MediaStorageSOPInstanceUID = whole.SOPInstanceUID
            dcmwrite(path, whole, enforce_file_format=False)
            instances.append(whole)
        _draw(folder / plant.text(), plant, instances[0])
    return root


def _draw(path: Path, plant: Planter, image: Dataset) -> None:
    """A structure set of one square, in the study of an image."""
    x, y, z = Stack().at(1)
    square = [x + 2, y + 2, z, x + 6, y + 2, z, x + 6, y + 9, z, x + 2, y + 9, z]
    same = ("PatientID", "PatientName", "StudyInstanceUID", "FrameOfReferenceUID")
    write_dicom(
        path,
        None,
        SOPClassUID=RTStructureSetStorage,
        Modality="RTSTRUCT",
        SeriesInstanceUID=plant.value("UI"),
        StructureSetLabel=plant.text(),
        StructureSetName=plant.text(),
        StructureSetROISequence=[
            {"ROINumber": 1, "ROIName": f"tumour of {plant.text()}", "ROIDescription": plant.text()}
        ],
        ROIContourSequence=[
            {
                "ReferencedROINumber": 1,
                "ContourSequence": [{"ContourGeometricType": "CLOSED_PLANAR", "ContourData": square}],
            }
        ],
        RTROIObservationsSequence=[
            {"ROIInterpreter": plant.text(), "ROIObservationLabel": plant.text(), "ObservationNumber": 1}
        ],
        **{keyword: image[keyword].value for keyword in same},
    )


def write_planted_nifti(path: Path, array: NDArray[Any], plant: Planter, affine: NDArray[Any]) -> Path:
    """A NIfTI with planted texts in its header and extensions, and in the name within a packed file."""
    image = nibabel.Nifti1Image(array, affine)
    image.header.set_xyzt_units("mm")
    for field in ("descrip", "aux_file", "intent_name", "db_name"):
        image.header[field] = plant.text()
    for kind in ("comment", "dicom"):
        image.header.extensions.append(nibabel.nifti1.Nifti1Extension(kind, plant.text().encode()))
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(image, path)
    return path


def write_planted_picture(path: Path, array: NDArray[Any], plant: Planter) -> Path:
    """A PNG, JPEG or TIFF, by the ending, with planted texts and EXIF."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture, exif = Image.fromarray(array), Image.Exif()
    exif[0x010E], exif[0x013B] = plant.text(), plant.text()
    how: dict[str, Any] = {"exif": exif}
    if path.suffix == ".png":
        text = PngInfo()
        text.add_text("Author", plant.text())
        text.add_text("Comment", plant.text(), zip=True)
        text.add_itxt("XML:com.adobe.xmp", f"<x>{plant.text()}</x>", zip=True)
        how["pnginfo"] = text
    elif path.suffix in {".jpg", ".jpeg"}:
        how["comment"] = plant.text().encode()
    else:
        how["description"] = plant.text()
    picture.save(path, **how)
    return path


def write_planted_itk(path: Path, array: NDArray[Any], plant: Planter) -> Path:
    """A MetaImage or NRRD, by the ending, with planted texts in its header; (X, Y, Z) as float32."""
    path.parent.mkdir(parents=True, exist_ok=True)
    raw, sizes = array.astype("<f4").tobytes(order="F"), " ".join(map(str, array.shape))
    if path.suffix == ".mha":
        head = (
            f"ObjectType = Image\nNDims = 3\nComment = {plant.text()}\nName = {plant.text()}\nBinaryData = True\n"
            "BinaryDataByteOrderMSB = False\nCompressedData = False\nTransformMatrix = 1 0 0 0 1 0 0 0 1\n"
            f"Offset = 0 0 0\nElementSpacing = 1 1 1\nDimSize = {sizes}\nElementType = MET_FLOAT\n"
            "ElementDataFile = LOCAL\n"
        )
    else:
        head = (
            f"NRRD0004\n# {plant.text()}\ntype: float\ndimension: 3\nspace: left-posterior-superior\nsizes: {sizes}\n"
            "space directions: (1,0,0) (0,1,0) (0,0,1)\nkinds: domain domain domain\nendian: little\nencoding: raw\n"
            f"space origin: (0,0,0)\ncontent: {plant.text()}\n{plant.text()}:={plant.text()}\n\n"
        )
    path.write_bytes(head.encode() + raw)
    return path


def write_planted_table(
    path: Path, columns: Sequence[str], rows: Sequence[Sequence[str]], plant: Planter
) -> Path:
    """A CSV with a further column of planted texts."""
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow([*columns, "remark"])
        table.writerows([*row, plant.text()] for row in rows)
    return path


def write_planted_sidecar(path: Path, plant: Planter) -> Path:
    """A JSON beside an image, as converters write it."""
    path.write_text(json.dumps({"EchoTime": 0.03, "PatientName": plant.text(), plant.text(): [plant.text()]}))
    return path
