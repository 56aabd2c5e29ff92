"""Decoding the pixels of a DICOM file: one decoder for each transfer syntax, the same on every machine.

| transfer syntax                          | decoder                                     |
|------------------------------------------|---------------------------------------------|
| uncompressed, deflated                   | pydicom; single bits and plain greys NumPy  |
| RLE                                      | pydicom                                     |
| JPEG baseline, extended (8 and 12 bits)  | libjpeg-turbo (imagecodecs)                 |
| JPEG lossless, all predictors            | libjpeg-turbo (imagecodecs)                 |
| JPEG-LS, lossless and near-lossless      | CharLS (imagecodecs)                        |
| JPEG 2000, HTJ2K, lossless and lossy     | OpenJPEG (imagecodecs)                      |

pydicom would take whichever of several decoders is installed, and their results differ for some files. GDCM, and
the decoders that imagecodecs has for lossless JPEG alone, are not among these: they end the whole program over
some damaged files. Video and others are refused by name.

A compressed picture must be of the size that the header says before a decoder sees it, and complete: over
truncated data CharLS never comes to an end, and the others make the rest up. JPEG and JPEG-LS may lack their end
marker alone. JPEG 2000 is taken out of a JP2 file around it, which DICOM does not allow.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.encaps import encapsulate, generate_frames, get_frame
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_color_lut
from pydicom.pixels.utils import as_pixel_options
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from medseg.images.codestream import bare, complete, header
from medseg.images.dicom.attributes import COPY
from medseg.images.dicom.compressed import DECODERS, decoded
from medseg.images.dicom.header import Header
from medseg.images.dicom.lookup_table import table
from medseg.images.dicom.run_lengths import refuse_long_runs
from medseg.images.dicom.segmented_palette import refuse_long
from medseg.images.pictures.scans import refuse_many_scans
from medseg.images.refusal import RefusedError, of_format

PIXEL_BY_PIXEL = "it does not say how its colours lie (`PlanarConfiguration`), and was read pixel by pixel"

_NATIVE = {
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
}

_PLAIN = {ImplicitVRLittleEndian, ExplicitVRLittleEndian}
_GREYS = {"MONOCHROME1", "MONOCHROME2"}
_WAVELET_COLOURS = {"YBR_ICT", "YBR_RCT"}
_COLOURS = {"RGB", "YBR_FULL", "YBR_FULL_422", *_WAVELET_COLOURS}
_KNOWN = {"HSV", "ARGB", "CMYK", "YBR_PARTIAL_422", "YBR_PARTIAL_420", "XYB"}

_MOST_CODED, _BESIDE = 2, 1 << 20
"""Of the bytes of a picture, those that it may take compressed, with so many for what stands beside, as a profile."""

_EXPORT = "Export it uncompressed (as with dcmtk's dcmdjpeg or gdcmconv --raw), or leave the case out."


def stored_values(head: Header) -> NDArray[Any]:
    """Decode the picture that is meant: (H, W) stored values of greys and palettes, or (H, W, 3) red, green and blue.

    Raises:
        RefusedError: Its pixels are not of a kind that is decoded, or are damaged.
    """
    _refuse_odd_samples(head)
    _refuse_unknown_syntax(head)
    coded = _coded(head)
    try:
        if coded is None:
            found = _bits(head) if head.allocated == 1 else _uncoded(head)
        else:
            found = _unrolled(head, coded) if head.syntax == RLELossless else decoded(head, coded)
    except MemoryError:
        raise RefusedError("the picture does not fit into memory", "Save it smaller, or in tiles.") from None
    except EOFError as error:
        raise _early() from error
    except Exception as error:  # decoders raise whatever they meet
        if coded is not None and head.syntax != RLELossless and not complete(coded):
            raise _early() from error
        raise RefusedError(
            f"the pixels of the DICOM file ({head.syntax.name}) are damaged and cannot be decoded", COPY
        ) from error
    shape = (head.height, head.width, 3)[: 2 if head.samples == 1 else 3]
    if found.shape != shape:
        raise RefusedError("the pixels of the DICOM file are not of the size that its header says", COPY)
    return found.astype(found.dtype.newbyteorder("="), copy=False)


def is_palette(head: Header) -> bool:
    """Whether stored values are places in a table of colours."""
    return head.colours == "PALETTE COLOR"


def palette_colours(head: Header, stored: NDArray[Any]) -> tuple[NDArray[Any], int]:
    """Colours (H, W, 3) of stored values, and how many bits they have.

    Raises:
        RefusedError: The palette is missing or damaged.
    """
    data, colours = head.data, ("Red", "Green", "Blue")
    try:
        if f"Segmented{colours[0]}PaletteColorLookupTableData" in data:
            _refuse_long_segments(head)
            unpacked = apply_color_lut(stored.astype(np.int32), data)[..., :3]
            return unpacked, 8 * unpacked.dtype.itemsize
        tables = [
            table(
                data[f"{colour}PaletteColorLookupTableDescriptor"].value,
                data[f"{colour}PaletteColorLookupTableData"].value,
                little=head.syntax.is_little_endian,
                signed=head.signed,
            )
            for colour in colours
        ]
    except (LookupError, ValueError, TypeError, AttributeError, RuntimeError, ArithmeticError) as error:
        raise RefusedError("the palette of the DICOM file is missing or damaged", COPY) from error
    return np.stack([each.of(stored) for each in tables], axis=-1), tables[0].bits


def _refuse_long_segments(head: Header) -> None:
    _, _, bits = head.data["RedPaletteColorLookupTableDescriptor"].value
    for colour in ("Red", "Green", "Blue", "Alpha"):
        given = head.value(f"Segmented{colour}PaletteColorLookupTableData")
        if given:
            refuse_long(given, bits=int(bits), little=head.syntax.is_little_endian)


def _refuse_odd_samples(head: Header) -> None:
    name = head.colours if head.colours in _KNOWN else "no known photometric interpretation"
    greys = head.colours in _GREYS or is_palette(head) or (head.is_float and not head.colours)
    if head.samples not in {1, 3} or not (greys if head.samples == 1 else head.colours in _COLOURS):
        raise RefusedError(
            f"the DICOM file holds {head.samples} samples a pixel of {name if not greys else head.colours}, expected "
            "greys, a palette, RGB or YBR",
            "Export it as one of these, or leave the case out.",
        )
    if head.is_float:
        return
    if head.allocated not in {1, 8, 16, 32} or not 1 <= head.stored <= head.allocated:
        raise RefusedError(
            f"the DICOM file holds {head.stored} bits stored in {head.allocated}, expected 1, 8, 16 or 32 allocated",
            "Export it as such, or leave the case out.",
        )
    high = head.value("HighBit")
    if isinstance(high, int) and high != head.stored - 1:
        raise RefusedError(
            f"the DICOM file has its high bit at {high}, expected one less than its {head.stored} bits stored",
            "Export it anew, or leave the case out.",
        )
    lies = head.value("PlanarConfiguration")
    if head.samples > 1 and lies not in {None, 0, 1}:
        raise RefusedError(
            f"the DICOM file says that its colours lie in the way {of_format(str(lies))} (`PlanarConfiguration`), "
            "expected 0 or 1",
            "Export it anew, or leave the case out.",
        )


def _refuse_unknown_syntax(head: Header) -> None:
    if head.syntax in _NATIVE or head.syntax == RLELossless or head.syntax in DECODERS:
        return
    known = head.syntax.name != head.syntax
    named = f"compressed as {head.syntax.name}" if known else "in a transfer syntax that is not known"
    raise RefusedError(f"the pixels of the DICOM file are {named}, which medseg does not decode", _EXPORT)


def _coded(head: Header) -> bytes | None:
    """The code of a compressed picture, of the size that the header says; None where none is compressed."""
    raw = head.value(head.keyword)
    if not raw:
        raise RefusedError("the pixel data of the DICOM file are empty", COPY)
    if head.syntax in _NATIVE:
        if head.data[head.keyword].is_undefined_length:
            raise RefusedError("the DICOM file holds compressed pixels, but does not say of which kind", COPY)
        samples = head.height * head.width * (2 if head.colours == "YBR_FULL_422" else head.samples)
        samples *= head.frames
        if len(raw) < (samples * head.allocated + 7) // 8:
            raise _early()
        return None
    coded = _frame(head)
    _refuse_much(head, coded)
    if head.syntax == RLELossless:
        refuse_long_runs(coded, head.height * head.width)
        return coded
    inner = header(coded)
    if inner is None:
        raise RefusedError(
            f"the pixels of the DICOM file are not {head.syntax.name}, though its header says so", COPY
        )
    if (inner.height, inner.width, inner.samples) != (head.height, head.width, head.samples):
        raise RefusedError(
            f"the compressed pixels of the DICOM file say {inner.height} x {inner.width} x {inner.samples} (rows "
            f"x columns x samples), its header {head.height} x {head.width} x {head.samples}: one is damaged",
            COPY,
        )
    if inner.wavelets:
        if not complete(coded):
            raise _early()
    else:
        refuse_many_scans(coded)
    return coded


def _refuse_much(head: Header, coded: bytes) -> None:
    """Refuse a picture that takes much more compressed than it needs otherwise: a decoder would go through it all."""
    needed = head.height * head.width * head.samples * max(head.allocated // 8, 1)
    if len(coded) > _MOST_CODED * needed + _BESIDE:
        raise RefusedError(
            f"the compressed pixels of a picture of the DICOM file take {len(coded)} bytes, and {needed} are its "
            "pixels unpacked: one of these is damaged",
            COPY,
        )


def _early() -> RefusedError:
    return RefusedError("the DICOM file ends early: it holds fewer pixels than its header says", COPY)


def _frame(head: Header) -> bytes:
    data = head.data.PixelData
    try:
        if head.frames == 1:
            return bare(get_frame(data, 0, number_of_frames=1))
        if not head.coded:  # each asked for by itself would be looked for from the first one on
            head.coded.extend(generate_frames(data, number_of_frames=head.frames))
        return bare(head.coded[head.frame])
    except Exception as error:
        raise RefusedError(
            "the DICOM file ends early or is damaged: its compressed pixels cannot be taken apart", COPY
        ) from error


def _bits(head: Header) -> NDArray[np.uint8]:
    """One picture of single bits: they follow one another without regard to bytes, so that pydicom misses some."""
    count = head.height * head.width * head.samples
    first, skipped = divmod(head.frame * count, 8)
    held = np.frombuffer(head.value(head.keyword), np.uint8, count=(skipped + count + 7) // 8, offset=first)
    bits = np.unpackbits(held, bitorder="little")[skipped : skipped + count]
    return bits.reshape((head.height, head.width, head.samples)[: 2 if head.samples == 1 else 3])


def _uncoded(head: Header) -> NDArray[Any]:
    """One picture: plain greys as they lie in the file, in a third of the time of pydicom, which takes all others."""
    raw: Any = head.data.get_item(head.keyword) if head.keyword else None
    held, size = getattr(raw, "value", None), head.allocated // 8
    needed = head.height * head.width * size
    together = head.frames * needed
    plain = head.syntax in _PLAIN and head.samples == 1 and size in (1, 2) and not head.is_float
    if not plain or not isinstance(held, bytes) or not together <= len(held) <= together + together % 2:
        return _of_pydicom(head)
    kind = np.dtype(f"<{'i' if head.signed else 'u'}{size}")
    found = np.frombuffer(held, kind, head.height * head.width, head.frame * needed)
    found = found.reshape(head.height, head.width)
    unused = kind.type(head.allocated - head.stored)  # bits that may hold anything, such as overlays
    return np.right_shift(np.left_shift(found, unused), unused) if unused else found


def _of_pydicom(head: Header) -> NDArray[Any]:
    data = head.data
    if not getattr(data, "file_meta", None) or "TransferSyntaxUID" not in data.file_meta:
        data.file_meta.TransferSyntaxUID = head.syntax
    if _give_planes(head):
        head.notes.append(PIXEL_BY_PIXEL)
    options: Any = {"allow_excess_frames": False}
    return get_decoder(head.syntax).as_array(data, index=head.frame, **options)[0]


def _unrolled(head: Header, coded: bytes) -> NDArray[Any]:
    """A picture in run lengths, by pydicom, which gets this one alone: it would look for it from the first one on."""
    _give_planes(head)
    options = as_pixel_options(head.data, number_of_frames=1)
    options.pop("extended_offsets", None)
    source: Any = encapsulate([coded])
    return get_decoder(head.syntax).as_array(source, index=0, decoding_plugin="pydicom", **options)[0]


def _give_planes(head: Header) -> bool:
    """Say for pydicom how colours lie where the file does not; whether that was needed."""
    missing = head.samples > 1 and head.value("PlanarConfiguration") is None
    if missing:
        head.data.PlanarConfiguration = 0
    return missing
