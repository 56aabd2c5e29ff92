from __future__ import annotations

import pickle

import nibabel
import numpy as np
import pytest
from PIL import Image

from medseg.datasets.case import Case
from medseg.datasets.checks.case_facts import examine
from medseg.datasets.manifest.label_map import LabelRule
from medseg.datasets.reading.volume import read_volume
from medseg.errors import DataError
from medseg.geometry.axes import AXES
from medseg.images.dicom.reader import read_dicom
from medseg.images.formats import NIFTI, PictureFiles, StackedNiftiFiles
from medseg.testing.dicoms import write_dicom
from medseg.testing.pictures import write_picture

PLANES = ("red", "green", "blue")
GREY, RGB = PictureFiles("grey", ("grey",)), PictureFiles("rgb", PLANES)
LABELS = LabelRule(("background", "foreground"), {0: "background"}, instances="foreground")
ROTATED = 6  # of EXIF: the picture is to be turned clockwise by a quarter


@pytest.fixture
def colours():
    """60 rows of 100 columns: red tells the row, green the column, blue both."""
    rows, columns = np.mgrid[:60, :100]
    return np.stack([rows, columns, rows + columns], axis=-1).astype(np.uint8)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp", ".npy"])
def test_a_picture_is_a_volume_of_one_slice_with_its_rows_and_columns(tmp_path, colours, suffix):
    path = tmp_path / f"a{suffix}"
    if suffix == ".npy":
        np.save(path, colours)
    else:
        write_picture(path, colours)
    stored = RGB.read(path, PLANES)
    for plane, each in enumerate(stored):
        assert each.data.shape == each.geometry.shape == (100, 60, 1)
        assert each.data[70, 20, 0] == colours[20, 70, plane]
        ras = each.geometry.to_ras(each.data)
        np.testing.assert_array_equal(AXES["axial"].cut(ras)[0], colours[..., plane])
        np.testing.assert_array_equal(each.geometry.from_ras(ras), each.data)
    assert stored[0].geometry.orientation == "LPS"
    assert stored[0].geometry.text() == "60 rows x 100 columns"
    assert RGB.geometry(path).same_grid(stored[0].geometry)


def test_the_size_that_a_header_tells_is_that_of_the_picture_after_its_exif_rotation(tmp_path, colours):
    exif = Image.Exif()
    exif[0x0112] = ROTATED
    path = write_picture(tmp_path / "a.png", colours, exif=exif)
    (stored,) = RGB.read(path, ["green"])
    assert RGB.geometry(path).same_grid(stored.geometry)
    assert stored.geometry.shape == (60, 100, 1)
    ras = stored.geometry.to_ras(stored.data)
    np.testing.assert_array_equal(AXES["axial"].cut(ras)[0], np.rot90(colours[..., 1], -1))


def test_planes_are_given_in_the_order_that_is_asked_for(tmp_path, colours):
    path = write_picture(tmp_path / "a.png", colours)
    found = RGB.read(path, ["blue", "red"])
    assert len(found) == 2
    np.testing.assert_array_equal(found[0].data[:, :, 0].T, colours[..., 2])
    np.testing.assert_array_equal(found[1].data[:, :, 0].T, colours[..., 0])


def test_grey_and_colour_give_one_or_three_planes_of_either_picture(tmp_path, colours):
    grey = write_picture(tmp_path / "grey.png", colours[..., 2])
    several = RGB.read(grey, PLANES)
    assert all(np.array_equal(each.data[:, :, 0].T, colours[..., 2]) for each in several)
    (one,) = GREY.read(write_picture(tmp_path / "colour.png", colours), ["grey"])
    np.testing.assert_array_equal(one.data[:, :, 0].T, np.asarray(Image.fromarray(colours).convert("L")))


def test_sixteen_bits_stay_as_they_are_in_images_and_masks(tmp_path):
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)[:60, :100] * 3
    path = write_picture(tmp_path / "a.png", values)
    np.testing.assert_array_equal(GREY.read(path, ["grey"])[0].data[:, :, 0].T, values)
    np.testing.assert_array_equal(GREY.read_mask(path).data[:, :, 0].T, values)


def test_a_mask_above_a_brightness_holds_0_and_1(tmp_path):
    values = np.arange(6000, dtype=np.uint8).reshape(60, 100)
    path = write_picture(tmp_path / "a.png", values)
    found = PictureFiles("grey", ("grey",), mask_above=127).read_mask(path).data
    np.testing.assert_array_equal(found[:, :, 0].T, values > 127)


def test_what_decides_pixels_decides_the_meaning():
    made = [
        GREY,
        RGB,
        PictureFiles("rgb", PLANES[::-1]),
        PictureFiles("grey", ("grey",), mask_above=0),
        PictureFiles("grey", ("grey",), mask_above=127),
        NIFTI,
    ]
    meanings = [str(each.meaning()) for each in made]
    assert len(set(meanings)) == len(meanings)
    assert PictureFiles("grey", ("grey",)).meaning() == GREY.meaning()


@pytest.mark.parametrize("files", [GREY, RGB, NIFTI])
def test_kinds_of_files_can_be_sent_to_other_processes(files):
    again = pickle.loads(pickle.dumps(files))  # noqa: S301 - made in this line
    assert again == files
    assert again.meaning() == files.meaning()


def test_nifti_files_are_read_as_before(tmp_path):
    affine = np.diag([-1.0, -2.0, 3.0, 1.0])
    voxels = np.random.default_rng(0).integers(0, 99, (4, 5, 6)).astype(np.int16)
    path = tmp_path / "a.nii.gz"
    nibabel.save(nibabel.Nifti1Image(voxels, affine), path)
    (stored,) = NIFTI.read(path, ["t1"])
    np.testing.assert_array_equal(stored.data, voxels)
    np.testing.assert_array_equal(NIFTI.read_mask(path).data, voxels)
    assert NIFTI.geometry(path).same_grid(stored.geometry)
    assert NIFTI.suffixes == (".nii", ".nii.gz")
    with pytest.raises(DataError, match="not NIfTI"):
        NIFTI.geometry(write_picture(tmp_path / "a.png", np.zeros((9, 9), np.uint8)))


def test_a_flat_nifti_image_has_the_grid_of_one_slice(tmp_path):
    path = tmp_path / "flat.nii.gz"
    nibabel.save(nibabel.Nifti1Image(np.zeros((7, 9), np.uint8), np.eye(4)), path)
    assert NIFTI.geometry(path).shape == (7, 9, 1)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda path: path.write_bytes(b""), "empty"),
        (lambda path: path.write_bytes(path.read_bytes()[:200]), "ends early"),
        (lambda path: path.write_bytes(b"GIF89a" + bytes(99)), "GIF"),
        (lambda path: path.unlink(), "not there"),
    ],
)
@pytest.mark.parametrize("part", ["grey", "mask"])
def test_a_file_that_cannot_be_read_is_a_fault_with_its_part_and_no_path(tmp_path, spoil, said, part):
    noise = np.random.default_rng(0).integers(0, 255, (60, 100)).astype(np.uint8)
    pixels = {"grey": noise, "mask": np.where(noise > 127, 255, 0).astype(np.uint8)}
    files = {name: write_picture(tmp_path / f"secret_{name}.png", each) for name, each in pixels.items()}
    spoil(files[part])
    case = Case("one", "one", {"grey": files["grey"]}, files["mask"], position=4)
    with pytest.raises(DataError, match=said) as caught:
        read_volume(case, ("grey",), LABELS, files=GREY)
    (fault,) = caught.value.faults
    assert (fault.case, fault.position, fault.part, fault.path) == ("one", 4, part, files[part])
    assert "secret" not in str(caught.value)
    assert str(tmp_path) not in str(caught.value)
    (told,) = examine(case, ("grey",), LABELS, GREY).faults
    assert (told.part, told.path) == (part, files[part])
    assert said in told.text()


def test_a_broken_colour_picture_is_told_once_and_not_for_each_plane(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"")
    case = Case("one", "one", dict.fromkeys(PLANES, path), position=1)
    assert len(examine(case, PLANES, LABELS, RGB).faults) == 1
    with pytest.raises(DataError) as caught:
        read_volume(case, PLANES, None, files=RGB)
    assert len(caught.value.faults) == 1


def test_a_colour_picture_is_read_once_for_all_its_planes(tmp_path, colours, monkeypatch):
    path = write_picture(tmp_path / "a.png", colours)
    case = Case("one", "one", dict.fromkeys(PLANES, path), position=1)
    calls = []
    plain = PictureFiles.read
    monkeypatch.setattr(PictureFiles, "read", lambda *given: calls.append(given[2]) or plain(*given))
    volume = read_volume(case, PLANES, None, files=RGB)
    assert calls == [list(PLANES)]
    assert volume.image.shape == (3, 100, 60, 1)
    facts = examine(case, PLANES, LABELS, RGB)
    assert len(calls) == 2
    assert [facts.channels[name].intensity["max"] for name in PLANES] == [59, 99, 158]
    assert facts.shape == (100, 60, 1)


def test_channels_of_two_sizes_are_a_fault_of_the_second(tmp_path):
    first = write_picture(tmp_path / "1.png", np.eye(8, dtype=np.uint8))
    second = write_picture(tmp_path / "2.png", np.eye(8, 9, dtype=np.uint8))
    case = Case("one", "one", {"a": first, "b": second}, position=1)
    with pytest.raises(
        DataError, match=r"8 rows x 9 columns, where the first channel has 8 rows x 8"
    ) as caught:
        read_volume(case, ("a", "b"), None, files=PictureFiles("grey", ("a", "b")))
    assert caught.value.faults[0].part == "b"


def test_a_picture_with_another_suffix_than_its_kind_is_read_with_a_note(tmp_path, colours):
    path = write_picture(tmp_path / "a.jpg", colours, format="PNG")
    case = Case("one", "one", dict.fromkeys(PLANES, path), position=1)
    facts = examine(case, PLANES, LABELS, RGB)
    assert not facts.faults
    assert len(facts.notes) == 1
    assert "PNG" in facts.notes[0]


def test_dicom_images_are_pictures_with_their_rows_and_columns(tmp_path, colours):
    rising = np.add.outer(np.arange(60) * 100, np.arange(100)).astype(np.uint16)
    path = write_dicom(tmp_path / "no_suffix", rising, WindowCenter=3000, WindowWidth=6000)
    (shown,) = GREY.read(path, ["grey"])
    assert shown.data.shape == shown.geometry.shape == (100, 60, 1)
    np.testing.assert_array_equal(shown.data[:, :, 0].T, read_dicom(path, "grey").pixels[0])
    assert np.ptp(shown.data) > 200
    assert GREY.geometry(path).same_grid(shown.geometry)
    (plain,) = PictureFiles("grey", ("grey",), window="none").read(path, ["grey"])
    np.testing.assert_array_equal(plain.data[:, :, 0].T, rising)
    (fixed,) = PictureFiles("grey", ("grey",), window=(50.5, 100)).read(path, ["grey"])
    np.testing.assert_array_equal(np.unique(fixed.data[:, 1:]), [255])
    several = RGB.read(write_dicom(tmp_path / "b.dcm", colours), ["blue", "red"])
    np.testing.assert_array_equal(several[0].data[:, :, 0].T, colours[..., 2])
    np.testing.assert_array_equal(several[1].data[:, :, 0].T, colours[..., 0])


def test_a_tag_is_told_by_dicom_and_empty_elsewhere(tmp_path, colours):
    path = write_dicom(tmp_path / "a.dcm", colours, PatientID="p1")
    assert RGB.tag(path, "PatientID") == "p1"
    assert RGB.tag(write_picture(tmp_path / "a.png", colours), "PatientID") == ""
    assert NIFTI.tag(path, "PatientID") == ""


def test_a_mask_in_dicom_is_refused(tmp_path, colours):
    path = write_dicom(tmp_path / "secret.dcm", colours[..., 0])
    with pytest.raises(DataError, match="a mask in DICOM") as caught:
        GREY.read_mask(path)
    assert "secret" not in str(caught.value)


def test_a_dicom_that_cannot_be_read_is_a_fault_of_its_case(tmp_path):
    path = write_dicom(tmp_path / "secret.dcm", None, Modality="SR")
    case = Case("one", "one", {"grey": path}, None, position=4)
    with pytest.raises(DataError, match="holds no pixels") as caught:
        read_volume(case, ("grey",), None, files=GREY)
    assert "secret" not in str(caught.value)
    assert caught.value.faults[0].path == path


def test_the_window_decides_the_meaning_and_endings_of_dicom_are_among_those_of_pictures():
    windows = ["file", "none", (40, 400), (40, 401)]
    meanings = [PictureFiles("grey", ("grey",), window=window).meaning() for window in windows]
    assert len({str(each) for each in meanings}) == len(windows)
    assert meanings[2] == PictureFiles("grey", ("grey",), window=(40.0, 400.0)).meaning()
    assert set(meanings[0]["dicom"]) == {"pydicom", "imagecodecs"}
    assert set(GREY.suffixes) >= {".png", ".dcm", ".dicom", ".ima"}


def test_channels_of_one_file_are_read_by_their_places_and_mean_nothing_else(tmp_path):
    stack = np.arange(4 * 5 * 6 * 3, dtype=np.int16).reshape(4, 5, 6, 3)
    nibabel.save(nibabel.Nifti1Image(stack, np.diag([1.0, 2.0, 3.0, 1.0])), tmp_path / "a.nii.gz")
    kind = StackedNiftiFiles(planes=("flair", "t1", "t2"))

    t2, flair = kind.read(tmp_path / "a.nii.gz", ["t2", "flair"])

    np.testing.assert_array_equal(t2.data, stack[..., 2])
    np.testing.assert_array_equal(flair.data, stack[..., 0])
    assert t2.geometry.shape == (4, 5, 6)
    assert t2.geometry.same_grid(kind.geometry(tmp_path / "a.nii.gz"))
    assert kind.meaning() != NIFTI.meaning()


@pytest.mark.parametrize("shape", [(4, 5, 6), (4, 5, 6, 2), (4, 5, 6, 4), (4, 5, 6, 3, 2)])
def test_a_file_of_another_number_of_channels_is_refused(tmp_path, shape):
    nibabel.save(nibabel.Nifti1Image(np.ones(shape, np.int16), np.eye(4)), tmp_path / "a.nii.gz")

    with pytest.raises(DataError, match=r"expected the 3 channels of the manifest one behind another"):
        StackedNiftiFiles(planes=("flair", "t1", "t2")).read(tmp_path / "a.nii.gz", ["t1"])
