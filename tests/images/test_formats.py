from __future__ import annotations

import pickle

import imagecodecs
import nibabel
import numpy as np
import pydicom
import pytest
import tifffile
from PIL import Image
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate

from medseg.datasets.case import Case
from medseg.datasets.checks.case_facts import examine
from medseg.datasets.manifest.label_map import LabelRule
from medseg.datasets.reading.volume import read_volume
from medseg.errors import DataError
from medseg.geometry.axes import AXES
from medseg.images.dicom.reader import read_dicom
from medseg.images.formats import NIFTI, PictureFiles, StackedNiftiFiles
from medseg.images.refusal import RefusedError
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


# Several pictures in one file

SLICES = PictureFiles("grey", ("grey",), flat=False)
STACK = np.random.default_rng(2).integers(0, 256, (4, 6, 9)).astype(np.uint8)


def pages(path, stack, **options):
    tifffile.imwrite(path, stack, photometric="minisblack", metadata=None, **options)
    return path


@pytest.mark.parametrize("syntax", [uid.ExplicitVRLittleEndian, uid.RLELossless, uid.JPEGLSLossless])
def test_frames_and_pages_are_slices_each_as_a_file_of_its_own_would_be(tmp_path, syntax):
    shown = {"WindowCenter": 128, "WindowWidth": 256}
    frames = write_dicom(tmp_path / "frames.dcm", STACK, NumberOfFrames=4, **shown)
    data = pydicom.dcmread(frames)
    if syntax == uid.RLELossless:
        data.compress(syntax, STACK, generate_instance_uid=False)
    elif syntax == uid.JPEGLSLossless:
        data.PixelData = encapsulate([imagecodecs.jpegls_encode(each) for each in STACK])
        data["PixelData"].VR, data.file_meta.TransferSyntaxUID = "OB", syntax
    data.save_as(frames)
    for path in (frames, pages(tmp_path / "pages.tif", STACK)):
        (found,) = SLICES.read(path, ("grey",))
        assert found.data.shape == (9, 6, 4)
        assert SLICES.geometry(path).same_grid(found.geometry)
        assert "1 mm was taken" in " ".join((*found.notes, *found.geometry.assumed))
        for number, picture in enumerate(AXES["axial"].cut(found.geometry.to_ras(found.data))):
            one = tmp_path / f"{path.stem}{number}{path.suffix}"
            if path.suffix == ".tif":
                write_picture(one, STACK[number])
            else:
                write_dicom(one, STACK[number], **shown)
            (alone,) = GREY.read(one, ("grey",))
            np.testing.assert_array_equal(picture.T, alone.data[..., 0])
    assert SLICES.meaning() != GREY.meaning()


def test_colours_of_frames_stay_colours_and_a_single_picture_is_one_slice(tmp_path, colours):
    stack = np.stack([colours, 255 - colours])
    path = write_dicom(tmp_path / "us.dcm", stack, NumberOfFrames=2, PlanarConfiguration=0)
    planes = PictureFiles("rgb", PLANES, flat=False).read(path, PLANES)
    np.testing.assert_array_equal(np.stack([each.data for each in planes]), stack.transpose(3, 2, 1, 0))
    write_picture(tmp_path / "one.png", colours)
    (alone,) = SLICES.read(tmp_path / "one.png", ("grey",))
    (usual,) = GREY.read(tmp_path / "one.png", ("grey",))
    np.testing.assert_array_equal(alone.data, usual.data)
    assert alone.geometry == usual.geometry
    assert usual.notes == ()
    assert "1 mm was taken" in " ".join(alone.notes)  # a volume is measured in mm, be it of one picture


def test_frames_that_have_a_place_are_no_pictures(tmp_path):
    place = Dataset()
    place.ImagePositionPatient = [0, 0, 0]
    group = Dataset()
    group.PlanePositionSequence = [place]
    path = write_dicom(
        tmp_path / "ct.dcm",
        np.zeros((2, 4, 4), np.uint16),
        NumberOfFrames=2,
        PerFrameFunctionalGroupsSequence=[group, group],
    )
    for call in (lambda: SLICES.read(path, ("grey",)), lambda: SLICES.geometry(path)):
        with pytest.raises(RefusedError, match="say where they lie in space") as refused:
            call()
        assert "Read it as a DICOM series" in refused.value.remedy


def test_a_mask_of_pages_belongs_to_frames_and_one_of_other_slices_does_not(tmp_path):
    image = write_dicom(tmp_path / "a.dcm", STACK, NumberOfFrames=4)
    mask = pages(tmp_path / "mask.tif", (STACK > 128).astype(np.uint8))
    case = Case("a", "a", {"grey": image}, mask)
    rule = LabelRule(("background", "bright"), {0: "background", 1: "bright"})
    assert examine(case, ("grey",), rule, SLICES).faults == ()
    volume = read_volume(case, ("grey",), rule, files=SLICES)
    np.testing.assert_array_equal(AXES["axial"].cut(volume.label), STACK > 128)
    pages(mask, np.ones((3, 6, 9), np.uint8))
    (fault,) = examine(case, ("grey",), rule, SLICES).faults
    assert "3 pictures of 6 rows x 9 columns, where the first channel has 4 pictures of" in fault.found


def test_without_the_setting_they_are_refused_and_it_is_offered(tmp_path):
    frames = write_dicom(tmp_path / "frames.dcm", STACK, NumberOfFrames=4)
    for path, what in (
        (frames, "holds 4 frames"),
        (pages(tmp_path / "pages.tif", STACK), "4 pictures in one file"),
    ):
        for read in (lambda each: GREY.read(each, ("grey",)), GREY.geometry):
            with pytest.raises(RefusedError, match=what) as caught:
                read(path)
            assert "`frames: slices` under 'pictures' of the manifest" in caught.value.remedy


def test_pages_that_are_no_slices_are_refused(tmp_path):
    path = tmp_path / "pyramid.tif"
    with tifffile.TiffWriter(path) as file:
        file.write(STACK[0], metadata=None)
        file.write(STACK[1, ::2, ::2], metadata=None)
    with pytest.raises(RefusedError, match="its pages differ in size"):
        SLICES.read(path, ("grey",))
    hidden = tmp_path / "behind.tif"
    tifffile.imwrite(hidden, STACK, imagej=True)
    with tifffile.TiffFile(hidden) as file:
        several = len(file.pages) == len(STACK)
    if not several:
        with pytest.raises(RefusedError, match="4 pictures in one file") as caught:
            SLICES.read(hidden, ("grey",))
        assert caught.value.remedy == "Save each in a file of its own, or each as a page."


def test_frames_that_unpack_to_more_than_memory_are_refused_before(tmp_path, monkeypatch):
    frames = write_dicom(tmp_path / "frames.dcm", np.zeros((4, 600, 600), np.uint8), NumberOfFrames=4)
    tiff = pages(tmp_path / "pages.tif", np.zeros((4, 600, 600), np.uint8), compression="deflate")
    monkeypatch.setattr("medseg.images.limits._NO_MATTER", 1000)
    monkeypatch.setattr("medseg.images.limits.available_memory", lambda: 10_000)
    for path in (frames, tiff):
        with pytest.raises(RefusedError, match="does not fit into memory"):
            SLICES.read(path, ("grey",))
