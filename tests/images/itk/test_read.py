"""MetaImage, NRRD and pairs: the same voxels in the same places as NIfTI, behind the same refusals."""

from __future__ import annotations

import gzip
import itertools
import os
import time
import tracemalloc
import zlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import SimpleITK
from isal import isal_zlib
from numpy.typing import NDArray

from medseg.errors import DataError
from medseg.files.content import content_of
from medseg.files.many import files_of
from medseg.images import limits
from medseg.images.itk import read as reading
from medseg.images.itk.apart import whole
from medseg.images.itk.kind import ItkFiles
from medseg.images.itk.read import header_of, itk_geometry, read_itk, read_several, stored_channels
from medseg.images.nifti.read import read_nifti
from medseg.testing.dicoms import write_dicom

FILES = ItkFiles()
SHAPE = (3, 4, 5)
VOXELS = np.arange(60, dtype=np.int16).reshape(SHAPE)
EMPTY = gzip.compress(b"", mtime=0)
BYTES = VOXELS.tobytes(order="F")
TURNED = (0.36, 0.48, -0.8, -0.8, 0.6, 0.0, 0.48, 0.64, 0.6)


def image(data: NDArray[Any] = VOXELS, direction: tuple[float, ...] = TURNED) -> Any:
    made = SimpleITK.GetImageFromArray(np.ascontiguousarray(data.T))
    made.SetSpacing((0.7, 1.1, 2.3))
    made.SetOrigin((-12.5, 33.25, 7.0))
    made.SetDirection(direction)
    return made


def metaimage(path: Path, content: bytes = BYTES, **fields: str) -> Path:
    """A `.mha` file; fields with no value are left out."""
    usual = dict(
        line.split(" = ")
        for line in (
            "ObjectType = Image",
            "NDims = 3",
            "BinaryData = True",
            "CompressedData = False",
            "TransformMatrix = 1 0 0 0 1 0 0 0 1",
            "Offset = 0 0 0",
            "ElementSpacing = 1 1 1",
            "DimSize = 3 4 5",
            "ElementType = MET_SHORT",
        )
    )
    last = {"ElementDataFile": fields.pop("ElementDataFile", "LOCAL")}
    lines = [f"{name} = {value}\n" for name, value in {**usual, **fields, **last}.items() if value]
    path.write_bytes("".join(lines).encode() + content)
    return path


def nrrd(path: Path, content: bytes = BYTES, **fields: str) -> Path:
    """A `.nrrd` file; `_` in names of fields stands for a space, and fields with no value are left out."""
    usual = {
        "type": "short",
        "dimension": "3",
        "space": "left-posterior-superior",
        "sizes": "3 4 5",
        "space_directions": "(1,0,0) (0,1,0) (0,0,1)",
        "kinds": "domain domain domain",
        "endian": "little",
        "encoding": "raw",
        "space_origin": "(0,0,0)",
    }
    lines = [f"{name.replace('_', ' ')}: {value}\n" for name, value in {**usual, **fields}.items() if value]
    path.write_bytes(f"NRRD0004\n{''.join(lines)}\n".encode() + content)
    return path


# --- The same as NIfTI


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("ending", [".mha", ".mhd", ".nrrd", ".nhdr", ".hdr"])
@pytest.mark.parametrize(
    "direction", [TURNED, (1.0, 0, 0, 0, 1, 0, 0, 0, 1), (0.0, 0, -1, 1, 0, 0, 0, -1, 0)]
)
def test_a_volume_is_the_same_in_every_format(tmp_path, ending, direction, packed):
    for name in (f"a{ending}", "b.nii.gz"):
        SimpleITK.WriteImage(image(direction=direction), str(tmp_path / name), packed and ending != ".hdr")

    found, expected = FILES.read_image(tmp_path / f"a{ending}"), read_nifti(tmp_path / "b.nii.gz")

    np.testing.assert_array_equal(found.data, expected.data)
    assert found.data.dtype == np.int16
    np.testing.assert_allclose(found.geometry.affine, expected.geometry.affine, atol=1e-6)
    assert FILES.geometry(tmp_path / f"a{ending}").same_grid(found.geometry)
    assert found.notes == found.geometry.assumed == ()


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"])
@pytest.mark.parametrize("ending", [".mha", ".nrrd"])
def test_numbers_of_every_type_are_read(tmp_path, ending, dtype):
    data = (VOXELS * 4 % 100).astype(dtype)
    SimpleITK.WriteImage(image(data), str(tmp_path / f"a{ending}"))

    found = read_itk(tmp_path / f"a{ending}").data

    np.testing.assert_array_equal(found, data)
    assert found.dtype == (np.float32 if dtype == "f8" else dtype)


def test_bytes_in_the_other_order_are_turned(tmp_path):
    content = VOXELS.astype(">i2").tobytes(order="F")
    for path in (
        metaimage(tmp_path / "a.mha", content, BinaryDataByteOrderMSB="True"),
        nrrd(tmp_path / "a.nrrd", content, endian="big"),
    ):
        found = read_itk(path).data
        np.testing.assert_array_equal(found, VOXELS)
        assert found.dtype.isnative


def named(value: object) -> str | None:
    """Names of tests hold no bytes, which differ from one second to the next."""
    return f"{len(value)} bytes" if isinstance(value, bytes) else None


@pytest.mark.parametrize(
    ("write", "fields", "content"),
    [
        (metaimage, {"CompressedData": "True"}, zlib.compress(BYTES)),  # which SimpleITK reads as it likes
        (metaimage, {"CompressedData": "True"}, gzip.compress(BYTES, mtime=0)),
        (metaimage, {"HeaderSize": "-1"}, b"more" + BYTES),
        (metaimage, {"ElementType": "MET_LONG"}, VOXELS.astype("<i4").tobytes(order="F")),
        (nrrd, {"encoding": "gzip"}, gzip.compress(BYTES[:50], mtime=0) + gzip.compress(BYTES[50:], mtime=0)),
        (nrrd, {"byte_skip": "4"}, b"more" + BYTES),
        (nrrd, {"byte_skip": "-1"}, b"more" + BYTES),
        (nrrd, {"#_by": "Jane Doe", "kinds": "domain domain domain\nName:=Jane Doe"}, BYTES),
    ],
    ids=named,
)
def test_ways_to_say_where_the_voxels_are(tmp_path, write, fields, content):
    path = write(tmp_path / f"a{'.mha' if write is metaimage else '.nrrd'}", content, **fields)

    np.testing.assert_array_equal(read_itk(path).data, VOXELS)


@pytest.mark.parametrize("ending", [".mha", ".mhd", ".nrrd", ".nhdr"])
@pytest.mark.parametrize("before", ["NIfTI", "DICOM"])
def test_what_simpleitk_converts_is_read_with_all_that_it_writes_of_the_header(
    tmp_path, capfd, ending, before
):
    if before == "NIfTI":
        SimpleITK.WriteImage(image(), str(tmp_path / "a.nii.gz"))
        first = tmp_path / "a.nii.gz"
    else:
        comments = "a = b\r\nof\r\nseveral lines"
        first = write_dicom(tmp_path / "a.dcm", VOXELS[:, :, 0].astype(np.uint16), ImageComments=comments)
    converted = SimpleITK.ReadImage(str(first))
    path = tmp_path / f"b{ending}"
    SimpleITK.WriteImage(converted, str(path))
    capfd.readouterr()  # SimpleITK warns of what it does not write

    found, expected = read_itk(path), SimpleITK.ReadImage(str(path))

    assert (b"dim[0]" if before == "NIfTI" else b"0020|4000") in path.read_bytes()
    np.testing.assert_array_equal(found.data, SimpleITK.GetArrayFromImage(expected).T)
    np.testing.assert_allclose(found.geometry.spacing, expected.GetSpacing())
    np.testing.assert_allclose(found.geometry.affine[:3, 3], expected.GetOrigin() * np.array([-1, -1, 1]))
    assert found.notes == ()


@pytest.mark.parametrize(
    ("write", "fields"),
    [
        (metaimage, {"DistanceUnits": "mm"}),
        (metaimage, {"DistanceUnits": "?"}),
        (nrrd, {"space_units": '"mm" "mm" "mm"'}),
        (
            nrrd,
            {
                "space_units": '"mm" "mm" "mm"',
                "units": '"" "" "" "s"',
                "dimension": "4",
                "sizes": "3 4 5 1",
                "space_directions": "(1,0,0) (0,1,0) (0,0,1) none",
                "kinds": "domain domain domain domain",
            },
        ),
    ],
)
def test_lengths_in_mm_and_units_of_other_things_are_no_matter(tmp_path, write, fields):
    path = write(tmp_path / f"a{'.mha' if write is metaimage else '.nrrd'}", **fields)

    assert header_of(path).sizes[:3] == SHAPE


def test_spaces_within_a_header_cost_no_more_than_other_characters(tmp_path):
    path = metaimage(tmp_path / "a.mha", Name="Doe" + " " * 60_000 + "Jane")
    begun = time.process_time()

    with pytest.raises(DataError, match="60007 characters"):
        read_itk(path)

    assert time.process_time() - begun < 1


def test_sides_of_nrrd_are_those_that_it_names(tmp_path):
    path = nrrd(tmp_path / "a.nrrd", space="right-anterior-superior", space_origin="(1,2,3)")

    np.testing.assert_allclose(
        read_itk(path).geometry.affine, [[1, 0, 0, 1], [0, 1, 0, 2], [0, 0, 1, 3], [0, 0, 0, 1]]
    )


def test_a_picture_is_one_slice_whose_thickness_is_assumed(tmp_path):
    flat = SimpleITK.GetImageFromArray(VOXELS[:, :, 0].T)
    flat.SetSpacing((0.5, 2))
    for name in ("a.mha", "a.nrrd"):
        SimpleITK.WriteImage(flat, str(tmp_path / name))
        found = read_itk(tmp_path / name)
        np.testing.assert_array_equal(found.data, VOXELS[:, :, :1])
        assert found.geometry.spacing == (0.5, 2.0, 1.0)
        assert "thickness" in found.notes[-1]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("signs", list(itertools.product((1, -1), repeat=3)))
def test_the_sides_that_simpleitk_writes_beside_a_matrix_are_not_against_it(tmp_path, order, signs):
    turned = np.diag(signs)[:, order]
    if np.linalg.det(turned) < 0:
        turned = turned * [-1, -1, -1]
    SimpleITK.WriteImage(image(direction=tuple(turned.ravel().astype(float))), tmp_path / "a.mha")

    assert b"AnatomicalOrientation" in (tmp_path / "a.mha").read_bytes()
    assert read_itk(tmp_path / "a.mha").notes == ()


@pytest.mark.parametrize(
    ("write", "name", "fields", "said"),
    [
        (metaimage, "a.mha", {"ElementSpacing": ""}, "no voxel size"),
        (metaimage, "a.mha", {"TransformMatrix": ""}, "no directions"),
        (nrrd, "a.nrrd", {"space": "", "space_directions": "", "space_origin": ""}, "no voxel size"),
        (
            nrrd,
            "a.nrrd",
            {"space": "", "space_directions": "", "space_origin": "", "spacings": "1 2 3"},
            "no sides",
        ),
        (nrrd, "a.nrrd", {"space": "3D-right-handed"}, "no sides"),
        (
            nrrd,
            "a.nrrd",
            {"space": "", "space_directions": "", "space_origin": "", "axis_maxs": "3 8 15"},
            "axis maxs",
        ),
        (
            nrrd,
            "a.nrrd",
            {
                "space": "",
                "space_directions": "",
                "space_origin": "",
                "centers": "cell cell cell",
                "spacings": "1 2 3",
                "axis_maxs": "3 8 15",
            },
            "axis maxs), which is not looked at: its voxel size is taken",
        ),
        (metaimage, "a.mha", {"ElementSpacing": "1 -2 3"}, "below 0 (ElementSpacing)"),
        (metaimage, "a.mha", {"AnatomicalOrientation": "LPI"}, "says LPI (AnatomicalOrientation) against"),
        (
            metaimage,
            "a.mha",
            {"TransformMatrix": "", "AnatomicalOrientation": "RAS"},
            "no directions (TransformMatrix;",
        ),
        (metaimage, "a.mha", {"Offset": ""}, r"no origin (Offset); 0 is assumed"),
        (nrrd, "a.nrrd", {"space_origin": ""}, r"no origin (space origin); 0 is assumed"),
    ],
)
def test_what_a_header_leaves_open_is_said(tmp_path, write, name, fields, said):
    path = write(tmp_path / name, **fields)

    assert any(said in note for note in read_itk(path).notes)
    assert any(said in note for note in FILES.geometry(path).assumed)


# --- What is refused

PLACELESS, SHORT = "singular or not finite", "truncated"
BAD = [
    (metaimage, {"ElementSpacing": "0 1 1"}, BYTES, PLACELESS),
    (metaimage, {"ElementSpacing": "nan 1 1"}, BYTES, PLACELESS),
    (metaimage, {"TransformMatrix": "1 0 0 1 0 0 0 0 1"}, BYTES, PLACELESS),
    (metaimage, {"TransformMatrix": "nan 0 0 0 1 0 0 0 1"}, BYTES, PLACELESS),
    (metaimage, {"Offset": "1e30 0 0"}, BYTES, "beyond any image"),
    (
        metaimage,
        {"ElementSpacing": "1e-200 1e-200 1e-200"},
        BYTES,
        "voxels of 0 mm, which is smaller than an atom",
    ),
    (metaimage, {"ElementNumberOfChannels": "3"}, BYTES * 3, "3 values in each voxel"),
    (metaimage, {"DistanceUnits": "cm"}, BYTES, "lengths in cm, expected mm"),
    (metaimage, {"DistanceUnits": "um"}, BYTES, "lengths in um, expected mm"),
    (metaimage, {"DistanceUnits": "Doe"}, BYTES, "lengths in something else, expected mm"),
    (metaimage, {"ElementType": "MET_FLOAT_MATRIX"}, BYTES, "type MET_FLOAT_MATRIX"),
    (metaimage, {"BinaryData": "False"}, BYTES, "as text"),
    (metaimage, {"DimSize": "3 4 0"}, BYTES, "whole numbers above 0 under 'DimSize'"),
    (metaimage, {"DimSize": "3 4 -5"}, BYTES, "whole numbers above 0 under 'DimSize'"),
    (metaimage, {"DimSize": "99999 99999 99999"}, BYTES, SHORT),
    (metaimage, {"DimSize": "3 4 5 2", "NDims": "4"}, BYTES * 2, r"shape \(3, 4, 5, 2\)"),
    (metaimage, {"NDims": "2"}, BYTES, "3 sizes, and 2"),
    (metaimage, {"DimSize": "3 4 5\nDimSize = 1 1 1"}, BYTES, "gives DimSize twice"),
    (metaimage, {}, BYTES[:50], SHORT),
    (metaimage, {"HeaderSize": "9999"}, BYTES, "begin at byte 9999, and the file ends at"),
    (metaimage, {"CompressedData": "True"}, zlib.compress(BYTES)[:20], SHORT),
    (metaimage, {"CompressedData": "True"}, zlib.compress(BYTES[:50]), SHORT),
    (metaimage, {"CompressedData": "True"}, b"x" * 90, "damaged"),
    (metaimage, {"CompressedData": "True", "CompressedDataSize": "99999"}, zlib.compress(BYTES), SHORT),
    (metaimage, {"CompressedData": "True", "DimSize": "9999 9999 99"}, zlib.compress(BYTES), SHORT),
    (nrrd, {"space_directions": "(0,0,0) (0,1,0) (0,0,1)"}, BYTES, PLACELESS),
    (nrrd, {"space_directions": "(nan,nan,nan) (0,1,0) (0,0,1)"}, BYTES, PLACELESS),
    (nrrd, {"space_directions": "none (0,1,0) (0,0,1)"}, BYTES, PLACELESS),
    (nrrd, {"space_directions": "(1,0,0) (1,0,0) (0,0,1)"}, BYTES, PLACELESS),
    (
        nrrd,
        {"space": "", "space_directions": "", "space_origin": "", "spacings": "nan 1 1"},
        BYTES,
        PLACELESS,
    ),
    (nrrd, {"space_origin": "(1e30,0,0)"}, BYTES, "beyond any image"),
    (nrrd, {"space_units": '"um" "um" "um"'}, BYTES, "lengths in um"),
    (nrrd, {"space_units": "cm cm cm"}, BYTES, "lengths in cm"),
    (nrrd, {"space_units": '"mm" "mm" "mm"', "units": '"cm" "cm" "cm"'}, BYTES, "lengths in cm"),
    (nrrd, {"type": "block"}, BYTES, "type block"),
    (nrrd, {"encoding": "bzip2"}, BYTES, "encoded as bzip2"),
    (nrrd, {"endian": ""}, BYTES, "order bytes"),
    (nrrd, {"line_skip": "1"}, BYTES, "skips lines"),
    (nrrd, {"sizes": "3 4 5\nSizes: 1 1 1"}, BYTES, "gives sizes twice"),
    (nrrd, {"sizes": "3 4 5 6"}, BYTES, "4 sizes, and 3"),
    (nrrd, {}, BYTES[:50], SHORT),
    (nrrd, {"byte_skip": "9999"}, BYTES, "begin at byte 10[0-9]*, and the file ends at"),
    (nrrd, {"encoding": "gzip"}, gzip.compress(BYTES, mtime=0)[:-12], SHORT),
    (nrrd, {"space": "nowhere"}, BYTES, "SimpleITK cannot read"),
]


@pytest.mark.parametrize(("write", "fields", "content", "reason"), BAD, ids=named)
def test_a_file_that_cannot_be_used_is_refused_for_its_reason(
    tmp_path, capfd, write, fields, content, reason
):
    path = write(tmp_path / f"Doe{'.mha' if write is metaimage else '.nrrd'}", content, **fields)

    with pytest.raises(DataError, match=reason) as caught:
        read_itk(path)

    assert "Doe" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("kinds", "first", "named"),
    [
        ("RGB-color", "3", r"colours \(RGB-color\)"),
        ("vector", "3", r"several values in each voxel \(vector\)"),
        ("complex", "2", "complex numbers"),
    ],
)
def test_several_values_in_a_voxel_are_refused_by_their_names(tmp_path, kinds, first, named):
    path = nrrd(
        tmp_path / "a.nrrd",
        BYTES * int(first),
        dimension="4",
        sizes=f"{first} 3 4 5",
        kinds=f"{kinds} domain domain domain",
        space_directions="none (1,0,0) (0,1,0) (0,0,1)",
    )
    with pytest.raises(DataError, match=named):
        read_itk(path)


@pytest.mark.parametrize("ending", [".mha", ".mhd", ".nrrd", ".nhdr", ".hdr"])
@pytest.mark.parametrize(
    "content", [b"", b"a list of patients\n" * 40, b"\0" * 900, b"NRRD0004\n", b"\n" * 10]
)
def test_what_is_none_of_them_is_refused(tmp_path, ending, content):
    (tmp_path / f"a{ending}").write_bytes(content)

    with pytest.raises(DataError, match=r"empty \(0 bytes\)|is not|is no header|whole numbers above 0"):
        FILES.read_image(tmp_path / f"a{ending}")


@pytest.mark.parametrize("ending", [".mha", ".nhdr", ".hdr"])
def test_a_pipe_is_refused_and_not_waited_for(tmp_path, ending):
    os.mkfifo(tmp_path / f"a{ending}")

    with pytest.raises(DataError, match="named pipe"):
        FILES.read_image(tmp_path / f"a{ending}")
    assert whole(tmp_path / f"a{ending}") == tmp_path / f"a{ending}"


@pytest.mark.parametrize(
    ("write", "name", "fields"),
    [(metaimage, "a.mha", {"CompressedData": "True"}), (nrrd, "a.nrrd", {"encoding": "gzip"})],
)
def test_a_bomb_is_not_unpacked(tmp_path, write, name, fields):
    path = write(tmp_path / name, gzip.compress(bytes(1 << 27), compresslevel=1), **fields)

    tracemalloc.start()
    with pytest.raises(DataError, match="unpacks to more than the 120 bytes"):
        read_itk(path)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert most < 1 << 26


def test_very_many_packed_members_take_time_by_their_number_alone(tmp_path, monkeypatch):
    """What stands behind a member is copied for each."""
    path = nrrd(tmp_path / "a.nrrd", EMPTY * 2000 + gzip.compress(BYTES, mtime=0), encoding="gzip")
    given = []

    class Watched:
        def __init__(self, **options):
            self._inner = isal_zlib.decompressobj(**options)

        def decompress(self, data, most):
            given.append(len(data))
            return self._inner.decompress(data, most)

        def __getattr__(self, name):
            return getattr(self._inner, name)

    monkeypatch.setattr(reading, "isal_zlib", SimpleNamespace(decompressobj=Watched))
    np.testing.assert_array_equal(read_itk(path).data, VOXELS)

    assert len(given) == 2001
    assert max(given) <= 4096


@pytest.mark.parametrize("first", [1, 7, 1 << 12])
def test_members_and_pieces_of_any_size_come_together(tmp_path, monkeypatch, first):
    monkeypatch.setattr(reading, "_FIRST", first)
    monkeypatch.setattr(reading, "PIECE", 50)
    for cut in (0, 1, 60, 119, 120):
        parts = (BYTES[:cut], b"", BYTES[cut:])
        content = b"".join(gzip.compress(part, mtime=0) for part in parts)
        path = nrrd(tmp_path / "a.nrrd", content, encoding="gzip")
        np.testing.assert_array_equal(read_itk(path).data, VOXELS)


def test_what_does_not_fit_into_memory_is_refused_before_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "available_memory", lambda: 2**29)
    path = metaimage(tmp_path / "a.mha", b"", DimSize="400 400 500")
    with path.open("ab") as file:
        file.truncate(200_000_000)  # which takes no room on the disk

    with pytest.raises(DataError, match=r"400 x 400 x 500 voxels.*0\.5 GiB are free"):
        read_itk(path)


def test_a_name_that_is_no_text_is_refused_where_simpleitk_would_end_the_program(tmp_path):
    path = metaimage(tmp_path / "a.mha")
    odd = path.rename(tmp_path / os.fsdecode(b"\xff.mha"))

    with pytest.raises(DataError, match="no UTF-8"):
        read_itk(odd)
    assert read_itk(odd.rename(tmp_path / "ü 日.mha")).data.shape == SHAPE


@pytest.mark.parametrize(("write", "name"), [(metaimage, "a.mha"), (nrrd, "a.nrrd")])
def test_one_that_is_read_as_nifti_is_refused_with_the_format_that_it_has(tmp_path, write, name):
    with pytest.raises(DataError, match=r"it holds text.*`format: itk`"):
        read_nifti(write(tmp_path / name))


def test_a_missing_library_is_named_with_the_extra_that_brings_it(tmp_path, monkeypatch):
    def missing(name: str) -> Any:
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(reading, "import_module", missing)

    with pytest.raises(DataError, match=r"SimpleITK.*pip install 'medseg\[itk\]'"):
        read_itk(metaimage(tmp_path / "a.mha"))


# --- Voxels beside the header

APART = [
    (metaimage, "a.mhd", "ElementDataFile"),
    (nrrd, "a.nhdr", "data_file"),
]


@pytest.mark.parametrize(("write", "name", "field"), APART)
@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("/etc/passwd", "elsewhere"),
        ("../a.raw", "elsewhere"),
        ("below/a.raw", "elsewhere"),
        ("..\\a.raw", "elsewhere"),
        ("C:a.raw", "elsewhere"),
        ("..", "elsewhere"),
        ("LIST", "in several files"),
        ("a%03d.raw 1 3 1", "in several files"),
        ("none.raw", "not there beside it"),
        ("link.raw", "is a link"),
        ("pipe.raw", "named pipe"),
        ("short.raw", "truncated"),
    ],
)
def test_a_header_leads_nowhere_but_to_a_file_beside_it(tmp_path, write, name, field, given, reason):
    (tmp_path / "in" / "below").mkdir(parents=True)
    for place in ("a.raw", "in/below/a.raw", "in/a001.raw"):
        (tmp_path / place).write_bytes(BYTES)
    (tmp_path / "in" / "link.raw").symlink_to(tmp_path / "a.raw")
    (tmp_path / "in" / "short.raw").write_bytes(BYTES[:50])
    os.mkfifo(tmp_path / "in" / "pipe.raw")
    path = write(tmp_path / "in" / name, b"", **{field: given})

    with pytest.raises(DataError, match=reason) as caught:
        read_itk(path)

    assert given not in ("none.raw", "link.raw") or given not in str(caught.value)


@pytest.mark.parametrize(("write", "name", "field"), APART)
def test_a_change_of_the_voxels_is_a_change_of_the_file(tmp_path, write, name, field):
    (tmp_path / "a b.raw").write_bytes(BYTES)
    path = whole(write(tmp_path / name, b"", **{field: "a b.raw"}))
    before = content_of(path).digest
    np.testing.assert_array_equal(read_itk(path).data, VOXELS)

    (tmp_path / "a b.raw").write_bytes(bytes(120))

    assert files_of(path) == (tmp_path / name, tmp_path / "a b.raw")
    assert content_of(path).digest != before
    assert not read_itk(path).data.any()


def test_voxels_without_their_header_are_refused_with_the_endings_of_headers(tmp_path):
    (tmp_path / "a.raw").write_bytes(BYTES)

    with pytest.raises(DataError, match=r"name ends in \.raw, which is no header .*\.mhd"):
        read_itk(tmp_path / "a.raw")


@pytest.mark.parametrize(
    ("write", "name", "fields"),
    [
        (nrrd, "a.nrrd", {"space directions": "(" * 401}),
        (nrrd, "a.nrrd", {"custom": "x" * 401}),
        (metaimage, "a.mha", {"Name": "x" * 251}),
        (metaimage, "a.mha", {"x" * 251: "a"}),
    ],
)
def test_texts_over_which_simpleitk_would_end_the_program_never_reach_it(
    tmp_path, monkeypatch, write, name, fields
):
    path = write(tmp_path / name, **fields)
    monkeypatch.setattr(reading, "_read_by_itk", lambda _: pytest.fail("it was read"))

    with pytest.raises(DataError, match=r"characters, expected \d+ at most"):
        read_itk(path)


def test_a_path_too_long_for_simpleitk_is_refused(tmp_path):
    folder = tmp_path / "a" / ("b" * 200) / ("c" * 200) / ("d" * 200)
    folder.mkdir(parents=True)
    path = metaimage(folder / "a.mha")

    with pytest.raises(DataError, match="path of the file is longer than the 500 bytes"):
        read_itk(path)


def test_a_name_that_no_file_can_have_is_refused(tmp_path):
    with pytest.raises(DataError, match="more characters than a name can have"):
        FILES.read_image(nrrd(tmp_path / "a.nhdr", **{"data file": "x" * 300}))


@pytest.mark.parametrize("ending", [".mha", ".mhd", ".nrrd", ".nhdr"])
@pytest.mark.parametrize("vector", [True, False])
def test_channels_in_one_file_lie_where_simpleitk_says(tmp_path, ending, vector):
    both = np.stack([VOXELS, 2 * VOXELS])
    order = (3, 2, 1, 0) if vector else (0, 3, 2, 1)
    made = SimpleITK.GetImageFromArray(np.ascontiguousarray(both.transpose(order)), isVector=vector)
    one = image()
    if vector:
        made.CopyInformation(one)
    else:
        made.SetSpacing((*one.GetSpacing(), 1.0))
        made.SetOrigin((*one.GetOrigin(), 0.0))
        turned = np.eye(4)
        turned[:3, :3] = np.reshape(TURNED, (3, 3))
        made.SetDirection(turned.ravel().tolist())
    path = tmp_path / f"two{ending}"
    SimpleITK.WriteImage(made, str(path))
    SimpleITK.WriteImage(one, str(tmp_path / "one.nii.gz"))

    found = read_several(path, 2)

    assert stored_channels(path) == 2
    for channel, expected in zip(found, both, strict=True):
        assert np.array_equal(channel.data, expected)
        assert channel.geometry.same_grid(read_nifti(tmp_path / "one.nii.gz").geometry)
    assert itk_geometry(path, 2).shape == SHAPE
    with pytest.raises(DataError, match="expected the 3 channels of the manifest"):
        read_several(path, 3)
    with pytest.raises(DataError, match=r"expected one number in each voxel|expected a volume"):
        read_itk(path)


def test_values_of_a_voxel_may_be_the_last_axis_of_nrrd(tmp_path):
    both = np.stack([VOXELS, 2 * VOXELS], axis=-1)
    path = nrrd(
        tmp_path / "last.nrrd",
        both.tobytes(order="F"),
        dimension="4",
        sizes="3 4 5 2",
        kinds="domain domain domain list",
        space_directions="(1,0,0) (0,2,0) (0,0,3) none",
    )
    first, second = read_several(path, 2)
    assert np.array_equal(first.data, VOXELS)
    assert np.array_equal(second.data, 2 * VOXELS)
    assert first.geometry.spacing == (1.0, 2.0, 3.0)
