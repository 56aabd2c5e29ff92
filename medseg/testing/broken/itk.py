"""Broken MetaImage and NRRD files, in one file and in two."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Mapping

import numpy as np

from medseg.testing.broken.form import Files, Kind, Make
from medseg.testing.broken.volumes import SHAPE, deflated_zeros, voxels

_META = {
    "ObjectType": "Image",
    "NDims": "3",
    "BinaryData": "True",
    "BinaryDataByteOrderMSB": "False",
    "CompressedData": "False",
    "TransformMatrix": "1 0 0 0 1 0 0 0 1",
    "Offset": "0 0 0",
    "ElementSpacing": "1.5 1.5 3",
    "DimSize": " ".join(map(str, SHAPE)),
    "ElementType": "MET_SHORT",
    "ElementDataFile": "LOCAL",
}

_HUGE = "4000000 4000000 4000000"

#: Lines of a MetaImage that are others, by what is wrong; empty for one that is missing.
_META_LIES: Mapping[str, Mapping[str, str]] = {
    "huge dimensions": {"DimSize": _HUGE},
    "dimensions that overflow": {"DimSize": f"{2**63} {2**63} {2**63}"},
    "dimensions of a thousand digits": {"DimSize": f"{'9' * 1000} 10 6"},
    "dimensions of ten thousand digits": {"DimSize": f"{'9' * 10_000} 10 6"},
    "a negative size": {"DimSize": "-12 10 6"},
    "negative sizes": {"DimSize": "-12 -10 6"},
    "a size of zero": {"DimSize": "12 0 6"},
    "a size that is no whole number": {"DimSize": "12.5 10 6"},
    "a size that is infinite": {"DimSize": "inf 10 6"},
    "too few sizes": {"DimSize": "12 10"},
    "no sizes": {"DimSize": ""},
    "a million axes": {"NDims": "1000000"},
    "no axes": {"NDims": "0"},
    "minus three axes": {"NDims": "-3"},
    "axes that are no number": {"NDims": "three"},
    "zero spacing": {"ElementSpacing": "0 0 0"},
    "negative spacing": {"ElementSpacing": "-1 -1 -1"},
    "spacing that is no number": {"ElementSpacing": "nan 1 1"},
    "infinite spacing": {"ElementSpacing": "inf 1 1"},
    "huge spacing": {"ElementSpacing": "1e300 1e300 1e300"},
    "tiny spacing": {"ElementSpacing": "1e-300 1e-300 1e-300"},
    "a place that is no number": {"Offset": "nan nan nan"},
    "a place beyond any image": {"Offset": "1e30 0 0"},
    "directions that lose an axis": {"TransformMatrix": "1 0 0 1 0 0 0 0 1"},
    "directions of zeros": {"TransformMatrix": "0 0 0 0 0 0 0 0 0"},
    "directions that are no number": {"TransformMatrix": "nan 0 0 0 nan 0 0 0 nan"},
    "directions that lean": {"TransformMatrix": "1 0 0 0.7 0.7 0 0 0 1"},
    "too few directions": {"TransformMatrix": "1 0 0 0"},
    "a type of voxels that is none": {"ElementType": "MET_NONSENSE"},
    "text as voxels": {"ElementType": "MET_ASCII_CHAR"},
    "voxels of 8 bytes": {"ElementType": "MET_DOUBLE"},
    "a thousand channels": {"ElementNumberOfChannels": "1000000000"},
    "minus one channels": {"ElementNumberOfChannels": "-1"},
    "packed, it says": {"CompressedData": "True"},
    "packed to a negative size": {"CompressedData": "True", "CompressedDataSize": "-5"},
    "packed to a huge size": {"CompressedData": "True", "CompressedDataSize": "999999999999"},
    "voxels as text": {"BinaryData": "False"},
    "a header of huge size": {"HeaderSize": "999999999999"},
    "a header of negative size": {"HeaderSize": "-2"},
    "voxels in a file above": {"ElementDataFile": "../../../../etc/hostname"},
    "voxels in a device": {"ElementDataFile": "/dev/zero"},
    "voxels in itself": {"ElementDataFile": "{self}"},
    "voxels in a file that is missing": {"ElementDataFile": "gone.raw"},
    "voxels in a list": {"ElementDataFile": "LIST"},
    "voxels in a pattern of files": {"ElementDataFile": "%d.raw 1 999999999 1"},
    "voxels in a pattern of files that kills": {"ElementDataFile": "%s%s%n%n 1 9 1"},
    "no file of voxels": {"ElementDataFile": ""},
    "no byte order": {"BinaryDataByteOrderMSB": ""},
    "another object": {"ObjectType": "Mesh"},
    "a line of a megabyte": {"Comment": "x" * 1_000_000},
}


def meta(draw: np.random.Generator, changed: Mapping[str, str], *, apart: bool, pack: bool = False) -> Files:
    """The files of a MetaImage; lines that are empty are left out."""
    said = {**_META, **({"ElementDataFile": "{raw}"} if apart else {}), **changed}
    own, raw = voxels(draw).tobytes("F"), ".raw"
    if pack:
        said["CompressedData"] = "True"
        own = zlib.compress(own)
    last = said.pop("ElementDataFile")
    lines = [f"{key} = {value}\n" for key, value in said.items() if value]
    lines += [f"ElementDataFile = {last}\n"] if last else []
    head = "".join(lines).encode("latin-1")
    return {".mhd": head, raw: own} if apart else {".mha": head + own}


def _meta_lies(*, apart: bool) -> dict[str, Make]:
    def made(changed: Mapping[str, str]) -> Make:
        return lambda draw: meta(draw, changed, apart=apart)

    lies = {why: made(changed) for why, changed in _META_LIES.items()}
    if not apart:
        lies["a bomb: 300 MB of zeros packed"] = lambda draw: {
            ".mha": meta(draw, {"CompressedData": "True"}, apart=False)[".mha"].split(b"LOCAL\n")[0]
            + b"LOCAL\n"
            + deflated_zeros(b"", 300 << 20, 15)
        }
        lies["ten thousand lines"] = lambda draw: {
            ".mha": b"Comment = x\n" * 10_000 + meta(draw, {}, apart=False)[".mha"]
        }
        lies["lines twice"] = lambda draw: {
            ".mha": b"DimSize = 1 1 1\n" + meta(draw, {}, apart=False)[".mha"]
        }
    return lies


_NRRD = {
    "type": "int16",
    "dimension": "3",
    "space": "left-posterior-superior",
    "sizes": " ".join(map(str, SHAPE)),
    "space directions": "(1.5,0,0) (0,1.5,0) (0,0,3)",
    "kinds": "domain domain domain",
    "endian": "little",
    "encoding": "raw",
    "space origin": "(0,0,0)",
}

_NRRD_LIES: Mapping[str, Mapping[str, str]] = {
    "huge dimensions": {"sizes": _HUGE},
    "dimensions that overflow": {"sizes": f"{2**63} {2**63} {2**63}"},
    "dimensions of ten thousand digits": {"sizes": f"{'9' * 10_000} 10 6"},
    "a negative size": {"sizes": "-12 10 6"},
    "negative sizes": {"sizes": "-12 -10 6"},
    "a size of zero": {"sizes": "12 0 6"},
    "a size that is no number": {"sizes": "x 10 6"},
    "too few sizes": {"sizes": "12 10"},
    "no sizes": {"sizes": ""},
    "a million axes": {"dimension": "1000000"},
    "no axes": {"dimension": "0"},
    "minus three axes": {"dimension": "-3"},
    "zero spacing": {"space directions": "(0,0,0) (0,0,0) (0,0,0)"},
    "spacing that is no number": {"space directions": "(nan,0,0) (0,1,0) (0,0,1)"},
    "infinite spacing": {"space directions": "(inf,0,0) (0,1,0) (0,0,1)"},
    "huge spacing": {"space directions": "(1e300,0,0) (0,1e300,0) (0,0,1e300)"},
    "directions that lose an axis": {"space directions": "(1,0,0) (1,0,0) (0,0,1)"},
    "directions without brackets": {"space directions": "1 0 0 0 1 0"},
    "directions that begin and do not end": {"space directions": "(" * 5000},
    "a direction that is none": {"space directions": "none (0,1,0) (0,0,1)"},
    "a place that is no number": {"space origin": "(nan,nan,nan)"},
    "a place beyond any image": {"space origin": "(1e30,0,0)"},
    "a space that is none": {"space": "over-there"},
    "a space of another number of axes": {"space": "", "space dimension": "9999999"},
    "a type of voxels that is none": {"type": "nonsense"},
    "blocks as voxels": {"type": "block", "block size": "999999999999"},
    "an encoding that is none": {"encoding": "rot13"},
    "packed, it says": {"encoding": "gzip"},
    "packed by bzip2, it says": {"encoding": "bzip2"},
    "voxels as hexadecimal digits": {"encoding": "hex"},
    "voxels as text": {"encoding": "ascii"},
    "lines to be passed over": {"line skip": "999999999"},
    "bytes to be passed over": {"byte skip": "999999999"},
    "bytes to be passed over, before the file": {"byte skip": "-999"},
    "all bytes from the end": {"byte skip": "-1"},
    "voxels in a file above": {"data file": "../../../../etc/hostname"},
    "voxels in a device": {"data file": "/dev/zero"},
    "voxels in itself": {"data file": "{self}"},
    "voxels in a list": {"data file": "LIST"},
    "voxels in a pattern of files": {"data file": "%d.raw 1 999999999 1 3"},
    "no byte order": {"endian": ""},
    "kinds that are others": {"kinds": "RGB-color domain domain"},
    "a line of a megabyte": {"content": "x" * 1_000_000},
}


def nrrd(draw: np.random.Generator, changed: Mapping[str, str], *, apart: bool, pack: bool = False) -> Files:
    """The files of an NRRD; lines that are empty are left out."""
    said = {**_NRRD, **({"data file": "{raw}"} if apart else {}), **changed}
    own = voxels(draw).tobytes("F")
    if pack:
        said["encoding"], own = "gzip", gzip.compress(own, mtime=0)
    lines = "".join(f"{key}: {value}\n" for key, value in said.items() if value)
    head = f"NRRD0005\n{lines}\n".encode("latin-1")
    return {".nhdr": head, ".raw": own} if apart else {".nrrd": head + own}


def _nrrd_lies(*, apart: bool) -> dict[str, Make]:
    def made(changed: Mapping[str, str]) -> Make:
        return lambda draw: nrrd(draw, changed, apart=apart)

    lies = {why: made(changed) for why, changed in _NRRD_LIES.items()}
    if not apart:
        lies["a bomb: 300 MB of zeros packed"] = lambda draw: {
            ".nrrd": nrrd(draw, {"encoding": "gzip"}, apart=False)[".nrrd"].split(b"\n\n")[0]
            + b"\n\n"
            + deflated_zeros(b"", 300 << 20)
        }
        lies["another version"] = lambda draw: {
            ".nrrd": b"NRRD9999" + nrrd(draw, {}, apart=False)[".nrrd"][8:]
        }
        lies["no end of the header"] = lambda draw: {
            ".nrrd": b"NRRD0005\n" + b"# nothing\n" * 10_000 + nrrd(draw, {}, apart=False)[".nrrd"][-40:]
        }
    return lies


META = Kind(
    ".mha", lambda draw: meta(draw, {}, apart=False, pack=draw.random() < 0.5), _meta_lies(apart=False)
)
META_APART = Kind(".mhd", lambda draw: meta(draw, {}, apart=True), _meta_lies(apart=True))
NRRD = Kind(
    ".nrrd", lambda draw: nrrd(draw, {}, apart=False, pack=draw.random() < 0.5), _nrrd_lies(apart=False)
)
NRRD_APART = Kind(".nhdr", lambda draw: nrrd(draw, {}, apart=True), _nrrd_lies(apart=True))
