"""No file among data asks for more time or memory than there is: each is a fault, and the others are read."""

from __future__ import annotations

import gzip
import io
import os
import time
import zipfile
from contextlib import contextmanager

import nibabel
import numpy as np
import pytest
from PIL import Image

from medseg.datasets.case import Case
from medseg.datasets.checks.case_facts import examine
from medseg.datasets.finding import excel as spreadsheet
from medseg.datasets.finding import text_table as table
from medseg.datasets.finding.excel import read_sheet
from medseg.datasets.finding.scan import scan
from medseg.datasets.finding.text_table import open_table
from medseg.datasets.manifest.label_map import LabelRule
from medseg.datasets.manifest.manifest import Manifest
from medseg.errors import DataError
from medseg.images import limits
from medseg.images.dicom import header as dicom_file
from medseg.images.dicom.reader import read_dicom
from medseg.images.formats import NIFTI, PictureFiles
from medseg.images.nifti.read import nifti_geometry, read_nifti
from medseg.images.pictures.read import read_picture
from medseg.images.pictures.scans import SCAN
from medseg.splits.file import read_split_file
from medseg.testing.dicoms import write_dicom
from medseg.testing.pictures import shapes, write_picture

pytestmark = pytest.mark.timeout(60)  # each would take for ever, or all memory
UNIX = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
VOXELS = np.random.default_rng(0).integers(1, 99, (4, 5, 6)).astype(np.int16)


@contextmanager
def soon(seconds=5.0):
    """What it holds takes no longer than this, as the process counts its time."""
    begin = time.process_time()
    yield
    assert time.process_time() - begin < seconds


def header(shape, dtype=np.int16):
    made = nibabel.Nifti1Header()
    made.set_data_dtype(dtype)
    made.set_data_shape(shape)
    made.set_sform(np.eye(4), 2)
    made["magic"], made["vox_offset"] = b"n+1", 352
    return made.binaryblock + bytes(4)


# --- NIfTI


@pytest.mark.slow
def test_a_stream_beyond_its_header_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    path = tmp_path / "a.nii.gz"
    whole = nibabel.Nifti1Image(VOXELS, np.eye(4)).to_bytes()
    path.write_bytes(gzip.compress(whole + bytes(1 << 20)))
    np.testing.assert_array_equal(read_nifti(path).data, VOXELS)

    path.write_bytes(gzip.compress(whole + bytes(1 << 28), compresslevel=1))
    with soon(0.3), pytest.raises(DataError, match="unpacks to more than the 592 bytes"):
        read_nifti(path)
    with soon(0.3):
        assert nifti_geometry(path).shape == VOXELS.shape


def test_a_volume_that_does_not_fit_into_memory_is_refused_before_it_is_read(tmp_path, monkeypatch):
    path = tmp_path / "a.nii.gz"
    path.write_bytes(gzip.compress(header((400, 400, 500)) + bytes(160_000_000), compresslevel=1))
    monkeypatch.setattr(limits, "available_memory", lambda: 700_000_000)

    with soon(0.3), pytest.raises(DataError, match=r"400 x 400 x 500 voxels.*0\.7 GiB are free.*fewer jobs"):
        read_nifti(path)


def test_a_header_that_says_more_than_can_be_packed_is_a_truncated_file(tmp_path):
    path = tmp_path / "a.nii.gz"
    path.write_bytes(gzip.compress(header((32767, 32767, 32767), np.float64) + bytes(1000)))

    with soon(0.3), pytest.raises(DataError, match="truncated"):
        read_nifti(path)


def test_more_axes_are_refused_by_the_header_alone(tmp_path):
    path = tmp_path / "a.nii.gz"
    path.write_bytes(gzip.compress(header((400, 400, 100, 2)) + bytes(64_000_000), compresslevel=1))

    with soon(0.1), pytest.raises(DataError, match=r"shape \(400, 400, 100, 2\)"):
        read_nifti(path)


def test_what_follows_the_voxels_of_a_plain_file_is_passed_over(tmp_path):
    path = tmp_path / "a.nii"
    path.write_bytes(nibabel.Nifti1Image(VOXELS, np.eye(4)).to_bytes())
    with path.open("ab") as file:
        file.truncate(1 << 40)  # takes no space on the disk

    with soon(0.3):
        np.testing.assert_array_equal(read_nifti(path).data, VOXELS)


# --- pipes and links


@UNIX
@pytest.mark.parametrize(
    ("name", "files"),
    [("a.nii.gz", NIFTI), ("a.png", PictureFiles("grey", ("x",))), ("a.dcm", PictureFiles("grey", ("x",)))],
)
def test_a_pipe_among_data_is_a_fault_of_its_case(tmp_path, name, files):
    os.mkfifo(tmp_path / name)
    case = Case("a", "a", {"x": tmp_path / name})

    facts = examine(case, ["x"], LabelRule(("no", "yes"), {0: "no", 1: "yes"}), files)

    met = "the file cannot be read: it is a named pipe, expected a regular file"
    assert [fault.found for fault in facts.faults] == [met]
    with pytest.raises(DataError, match="a named pipe"):
        files.geometry(tmp_path / name)


def manifest(**changes):
    given = {
        **dict.fromkeys(("about", "source", "licence", "citation", "obtain"), "made"),
        "name": "tiny",
        "channels": ["x"],
        "classes": ["ground", "thing"],
        "label_values": {0: "ground", 1: "thing"},
        "layout": {"images": "**/{case}.nii*"},
    }
    return Manifest.model_validate({**given, **changes})


@UNIX
def test_links_in_a_circle_are_faults_with_their_place_and_the_rest_is_found(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.nii").touch()
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "itself").symlink_to("itself")
    (tmp_path / "one").symlink_to("other")
    (tmp_path / "other").symlink_to("one")

    listing = scan(manifest(ids="pseudonyms"), tmp_path)

    assert [case.id for case in listing.cases] == ["1"]
    assert [(fault.found, fault.path) for fault in listing.faults] == [
        ("a link leads back to itself", tmp_path / name) for name in ("itself", "one", "other")
    ]


@UNIX
def test_folders_of_classes_with_links_in_a_circle_and_pipes_are_sorted(tmp_path):
    for label in ("left", "right"):
        write_picture(tmp_path / label / "1.png", shapes()[0])
        (tmp_path / label / "loop").symlink_to("loop")
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "left" / "pipe")  # of no ending: no picture, so nobody asks for it
    folders = {"layout": {"class_folders": True}, "classes": (), "label_values": {}, "image_labels": "one"}

    listing = scan(manifest(ids="pseudonyms", pictures={"channels": "grey"}, **folders), tmp_path)

    assert sorted(case.labels for case in listing.cases) == [("left",), ("right",)]
    assert {fault.found for fault in listing.faults} == {"a link leads back to itself"}


@UNIX
@pytest.mark.parametrize("name", ["list.csv", "list.xlsx"])
def test_a_pipe_for_a_table_is_a_fault(tmp_path, name):
    os.mkfifo(tmp_path / name)

    assert "a named pipe" in open_table(tmp_path / name, "the list").found


# --- tables


SHEET = '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>{}</sheetData></worksheet>'
STRINGS = '<sst xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">{}</sst>'


def cell(place, text):
    return f'<c r="{place}" t="inlineStr"><is><t>{text}</t></is></c>'


NAMES = f'<row r="1">{cell("A1", "image")}{cell("B1", "label")}</row>'


def sheet(path, rows, strings="", before=""):
    """An Excel file by hand, with what no program would write."""
    rel = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    pack = "http://schemas.openxmlformats.org/package/2006"
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{pack}/content-types">'
        f'<Override PartName="/xl/workbook.xml" ContentType="{kind}.sheet.main+xml"/>'
        f'<Override PartName="/xl/s.xml" ContentType="{kind}.worksheet+xml"/>'
        f'<Override PartName="/xl/t.xml" ContentType="{kind}.sharedStrings+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{pack}/relationships">'
        f'<Relationship Id="r1" Type="{rel}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": '<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" '
        f'xmlns:r="{rel}"><sheets><sheet name="a" sheetId="1" r:id="r1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{pack}/relationships">'
        f'<Relationship Id="r1" Type="{rel}/worksheet" Target="s.xml"/>'
        f'<Relationship Id="r2" Type="{rel}/sharedStrings" Target="t.xml"/></Relationships>',
        "xl/s.xml": before + SHEET.format(rows),
        "xl/t.xml": STRINGS.format(strings),
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            archive.writestr(name, text)
    return path


def test_a_sheet_by_hand_is_read(tmp_path):
    path = sheet(tmp_path / "a.xlsx", f'{NAMES}<row r="4">{cell("A4", "x")}{cell("XFD4", "far")}</row>')

    assert list(read_sheet(path)) == [(1, ("image", "label")), (4, ("x", ""))]


def test_a_row_that_says_to_be_the_two_billionth_is_refused(tmp_path):
    path = sheet(tmp_path / "a.xlsx", f'{NAMES}<row r="2000000000">{cell("A2000000000", "x")}</row>')

    with soon(10):
        assert "more than 1048576 rows" in open_table(path, "the list").found


def test_cells_in_the_last_column_cost_nothing(tmp_path):
    rows = "".join(f'<row r="{n}">{cell(f"A{n}", n)}{cell(f"XFD{n}", "x")}</row>' for n in range(2, 1002))

    with soon():
        found = open_table(sheet(tmp_path / "a.xlsx", NAMES + rows), "the list")
    assert found.columns == ("image", "label")
    assert found.lines[-1] == (1001, {"image": "1001", "label": ""})


@pytest.mark.parametrize(
    ("limit", "more", "met"),
    [
        ("MAX_STRINGS", {"strings": "<si/>" * 1000}, "texts or "),
        ("MAX_ELEMENTS", {"rows": NAMES + "<row/>" * 1000}, "elements, "),
        (
            "MAX_STYLES",
            {"strings": '<xf numFmtId="0"/>' * 1000},
            "formats and names, as decompression bombs do",
        ),
        ("MAX_CELLS", {"rows": NAMES + f"<row>{cell('A1', 'x')}</row>" * 200}, "above 999 cells"),
    ],
)
def test_sheets_of_very_much_are_refused(tmp_path, monkeypatch, limit, more, met):
    monkeypatch.setattr(spreadsheet, limit, 999)

    assert met in open_table(sheet(tmp_path / "a.xlsx", **{"rows": NAMES, **more}), "the list").found


def test_many_texts_in_utf_16_are_counted_as_well(tmp_path, monkeypatch):
    monkeypatch.setattr(spreadsheet, "MAX_STRINGS", 999)
    path = tmp_path / "a.xlsx"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/t.xml", ("<si/>" * 1000).encode("utf-16"))

    assert "999 texts or " in open_table(path, "the list").found


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_part_that_zipfile_would_unpack_whole_is_refused(tmp_path, monkeypatch, method):
    with zipfile.ZipFile(sheet(tmp_path / "a.xlsx", NAMES)) as usual:
        parts = {name: usual.read(name) for name in usual.namelist()}
    with zipfile.ZipFile(tmp_path / "b.xlsx", "w", method) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda *_: pytest.fail("it was unpacked"))

    assert "packed in another way than Excel packs" in open_table(tmp_path / "b.xlsx", "the list").found


def test_a_sheet_with_entities_is_refused(tmp_path):
    before = f'<!DOCTYPE w [<!ENTITY a "{"x" * 9999}">]>'
    path = sheet(tmp_path / "a.xlsx", f'<row r="1">{cell("A1", "&a;" * 999)}</row>', before=before)

    assert "defines entities" in open_table(path, "the list").found


@pytest.mark.parametrize(
    ("text", "met"),
    [
        ("image,label\n" + "," * 2000, "a row of the table has more than 1000 characters"),
        ("i" * 2000, "a row of the table has more than 1000 characters"),
        ("image,label\n" + '"\n","\n",' * 500, "a row of the table has more than 1000 characters"),
        ("image,label\n" + "a,b\n" * 2000, "the table has more than 5000 characters"),
    ],
)
def test_a_csv_of_giant_rows_is_refused_as_it_is_read(tmp_path, monkeypatch, text, met):
    monkeypatch.setattr(table, "LONGEST_ROW", 1000)
    monkeypatch.setattr(table, "MOST_TEXT", 5000)
    (tmp_path / "a.csv").write_text(text)

    assert met in open_table(tmp_path / "a.csv", "the list").found


def test_a_csv_of_very_many_empty_lines_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(table, "MOST_LINES", 100)
    (tmp_path / "a.csv").write_text("image,label\n" + "\n" * 99)
    assert open_table(tmp_path / "a.csv", "the list").columns == ("image", "label")

    (tmp_path / "a.csv").write_text("image,label\n" + "\n" * 100)
    assert "more than 100 lines, empty ones counted" in open_table(tmp_path / "a.csv", "the list").found


def test_a_csv_of_more_cells_than_fit_into_memory_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(spreadsheet, "MAX_CELLS", 100)
    (tmp_path / "a.csv").write_text("image,label\n" + "a,b\n" * 20)

    assert "above 100 cells" in open_table(tmp_path / "a.csv", "the list").found


def test_a_split_file_of_nested_lists_is_no_split_file(tmp_path):
    (tmp_path / "split.json").write_text("[" * 100_000 + "]" * 100_000)

    with pytest.raises(DataError, match="no JSON: it is nested deeper"):
        read_split_file(tmp_path / "split.json")


# --- pictures


def progressive(scans):
    held = io.BytesIO()
    Image.fromarray(shapes()[0]).save(held, "JPEG", progressive=True)
    raw = held.getvalue()
    last = raw[raw.rindex(SCAN) : -2]
    return raw[:-2] + last * scans + raw[-2:]


def test_a_jpeg_that_paints_its_picture_over_and_over_is_refused(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(progressive(20))
    assert read_picture(path, "grey").pixels.shape == (1, 48, 64)

    path.write_bytes(progressive(100))
    with pytest.raises(DataError, match=r"1\d\d scans of its picture, above the limit of 100"):
        read_picture(path, "grey")


def test_a_dicom_file_of_very_many_bytes_is_not_read_whole(tmp_path):
    path = tmp_path / "a.dcm"
    write_dicom(path, shapes()[0])
    with path.open("ab") as file:
        file.truncate(dicom_file._MOST_BYTES + 1)  # takes no space on the disk

    with soon(1.0), pytest.raises(DataError, match="a single picture needs less"):
        read_dicom(path, "grey")
