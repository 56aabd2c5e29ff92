"""Tiny DICOM files for tests: any pixels under any attributes, valid or broken on purpose."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
    SecondaryCaptureImageStorage,
    generate_uid,
)

_ENCODED = {
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEG2000Lossless,
}


def write_dicom(
    path: Path,
    array: NDArray[Any] | None,
    *,
    transfer_syntax: str = ExplicitVRLittleEndian,
    bare: bool = False,
    **attributes: Any,
) -> Path:
    """Write an array as one DICOM file, a Secondary Capture of an invented patient unless `attributes` name another.

    Args:
        path: Of the file; its folder is made if it is not there.
        array: (H, W) or colours (H, W, 3), or several frames (F, H, W) or (F, H, W, 3) together with
            `NumberOfFrames=F`; uint8, int8, uint16, int16, uint32 or int32. None: a file without pixels.
        transfer_syntax: UID of one of `pydicom.uid`: uncompressed little endian or big endian, deflated, RLE;
            or, of one frame, lossless JPEG-LS, JPEG 2000 or JPEG, or JPEG baseline or of 12 bits (at quality 95).
        bare: Without preamble and file meta information, as old programs wrote.
        attributes: Further attributes by their DICOM keyword, such as `PatientID="a"`, `RescaleSlope=2`,
            `WindowCenter=[40, 80]`, `ModalityLUTSequence=[{"LUTDescriptor": [2, 0, 16], "LUTData": [5, 6]}]`;
            None leaves out one that is there by default. They win over those that follow from the array:
            `BitsStored=12` also gives the high bit 11.

    Returns:
        The path.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    syntax = UID(transfer_syntax)
    given = _defaults(path) | ({} if array is None else _described(array, attributes)) | attributes
    data = _data_set({keyword: value for keyword, value in given.items() if value is not None})
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = syntax
    data.file_meta.MediaStorageSOPClassUID = data.get("SOPClassUID", SecondaryCaptureImageStorage)
    data.file_meta.MediaStorageSOPInstanceUID = data.get("SOPInstanceUID", generate_uid())
    if array is not None and "PixelData" not in attributes:
        _put_pixels(data, array, syntax)
    if bare:
        del data.file_meta
        data.save_as(path, implicit_vr=syntax.is_implicit_VR, little_endian=syntax.is_little_endian)
    else:
        explicit: dict[str, Any] = {"implicit_vr": False, "little_endian": True} if syntax.is_private else {}
        data.save_as(path, enforce_file_format=True, **explicit)
    return path


def _defaults(path: Path) -> dict[str, Any]:
    """An invented patient, the same for the same file name."""
    uid = generate_uid(entropy_srcs=[path.name])
    return {
        "SOPClassUID": SecondaryCaptureImageStorage,
        "SOPInstanceUID": uid,
        "StudyInstanceUID": f"{uid[:56]}.1",
        "SeriesInstanceUID": f"{uid[:56]}.2",
        "Modality": "OT",
        "PatientID": "test",
        "PatientName": "Test^Invented",
    }


def _described(array: NDArray[Any], attributes: Mapping[str, Any]) -> dict[str, Any]:
    """What follows from the array."""
    frames = int("NumberOfFrames" in attributes and int(attributes["NumberOfFrames"]) > 1)
    colours = array.ndim == 3 + frames
    bits = array.dtype.itemsize * 8
    required: dict[str, Any] = {
        "Rows": array.shape[frames],
        "Columns": array.shape[frames + 1],
        "SamplesPerPixel": 3 if colours else 1,
        "PhotometricInterpretation": "RGB" if colours else "MONOCHROME2",
        "BitsAllocated": bits,
        "BitsStored": bits,
        "HighBit": (attributes.get("BitsStored") or bits) - 1,
        "PixelRepresentation": int(array.dtype.kind == "i"),
    }
    return required | ({"PlanarConfiguration": 0} if colours else {})


def _data_set(given: Mapping[str, Any]) -> Dataset:
    data = Dataset()
    for keyword, value in given.items():
        if isinstance(value, Sequence) and value and isinstance(value[0], Mapping):
            value = [_data_set(item) for item in value]  # noqa: PLW2901
        if keyword == "LUTData" and not isinstance(value, bytes):
            data.add_new(keyword, "US", value)  # else pydicom takes long tables for bytes
        else:
            setattr(data, keyword, value)
    return data


def _put_pixels(data: Dataset, array: NDArray[Any], syntax: UID) -> None:
    if syntax in _ENCODED:
        data.PixelData = encapsulate([_encoded(array, syntax, data.BitsStored)])
        if syntax == JPEGBaseline8Bit and array.ndim == 3:
            data.PhotometricInterpretation = "YBR_FULL_422"
    elif syntax == RLELossless:
        data.compress(syntax, array, encoding_plugin="pydicom", generate_instance_uid=False)
    else:
        ordered = array.astype(array.dtype.newbyteorder("<" if syntax.is_little_endian else ">"))
        if data.get("PlanarConfiguration") == 1:
            ordered = np.moveaxis(ordered, -1, -3)
        raw = ordered.tobytes()
        data.PixelData = raw + bytes(len(raw) % 2)
    data["PixelData"].VR = (
        "OB" if data.BitsAllocated <= 8 or data.file_meta.TransferSyntaxUID.is_compressed else "OW"
    )


def _encoded(array: NDArray[Any], syntax: UID, bits: int) -> bytes:
    """One codestream; of negative samples the bits that are stored, but for JPEG 2000, which knows of signs."""
    if syntax == JPEG2000Lossless:
        return bytes(
            imagecodecs.jpeg2k_encode(array, level=0, codecformat="j2k", mct=False, bitspersample=bits)
        )
    words = array.view(f"u{array.dtype.itemsize}") & ((1 << bits) - 1)
    if syntax == JPEGLSLossless:
        return bytes(imagecodecs.jpegls_encode(words))
    if syntax == JPEGBaseline8Bit:
        coded = io.BytesIO()
        Image.fromarray(array).save(coded, "JPEG", quality=95, subsampling=0)
        return coded.getvalue()
    lossless = syntax != JPEGExtended12Bit
    return bytes(imagecodecs.jpeg8_encode(words, level=95, lossless=lossless, bitspersample=bits))
