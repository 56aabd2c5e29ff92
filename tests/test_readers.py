from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
from monai.data import MetaTensor, NibabelReader
from monai.transforms import Compose, LoadImage, LoadImaged, Resize, Spacing
from nibabel.orientations import axcodes2ornt, inv_ornt_aff, ornt_transform

from medseg.component import resolve
from medseg.datasets.case import Case
from medseg.datasets.reading.volume import read_volume
from medseg.errors import DataError, DefinitionError
from medseg.images.dicom.reader import read_dicom
from medseg.images.formats import PictureFiles
from medseg.images.pictures.read import read_picture
from medseg.readers import DicomReader, NiftiReader, PictureReader, RefusedError
from medseg.testing.dicoms import write_dicom
from medseg.testing.pictures import write_picture

# MONAI 1.6.1 makes one of each of its own readers with every LoadImage, and one of them warns as it is made.
pytestmark = pytest.mark.filterwarnings("ignore:NvImgCodecPydicomReader:UserWarning")

RNG = np.random.default_rng(5)
SHAPE = (5, 6, 7)
COLOURS = RNG.integers(0, 256, (20, 30, 3)).astype(np.uint8)


def affine_of(codes: str, tilt: float = 0.3) -> np.ndarray:
    """Axes that run as `codes`, of 1 x 2 x 3 mm, turned a little."""
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(tilt), -np.sin(tilt)], [np.sin(tilt), np.cos(tilt)]]
    base = turn @ np.diag([1.0, 2.0, 3.0, 1.0])
    base[:3, 3] = [-7, 11, 5]
    return base @ inv_ornt_aff(ornt_transform(axcodes2ornt("RAS"), axcodes2ornt(codes)), SHAPE)


def nifti(path: Path, affine: np.ndarray, data: np.ndarray | None = None) -> Path:
    voxels = RNG.integers(-50, 900, SHAPE).astype(np.int16) if data is None else data
    nibabel.save(nibabel.Nifti1Image(voxels, affine), path)
    return path


@pytest.mark.parametrize("name", ["RAS.nii", "LPS.nii.gz", "SPL.nii"])
def test_a_volume_comes_as_from_nibabel_and_as_from_monai_s_own_reader(tmp_path, name):
    path = nifti(tmp_path / name, affine_of(name[:3]))
    ours, theirs = (LoadImage(reader=reader)(path) for reader in (NiftiReader(), NibabelReader()))
    known = nibabel.load(path)
    assert isinstance(ours, MetaTensor)
    assert torch.equal(ours.as_tensor(), theirs.as_tensor())
    np.testing.assert_array_equal(ours, known.get_fdata())
    np.testing.assert_array_equal(ours.affine, known.affine)
    np.testing.assert_array_equal(ours.affine, theirs.affine)
    np.testing.assert_allclose(ours.pixdim, known.header.get_zooms(), rtol=1e-6)
    for key in ("original_affine", "spatial_shape", "space"):
        np.testing.assert_array_equal(ours.meta[key], theirs.meta[key])
    np.testing.assert_allclose(ours.meta["pixdim"][1:4], theirs.meta["pixdim"][1:4], rtol=1e-6)


def test_channels_come_first_as_from_monai_s_own_reader(tmp_path):
    paths = [nifti(tmp_path / f"{name}.nii", affine_of("LPS")) for name in "ab"]
    for files in (paths[0], paths):
        ours, theirs = (
            LoadImage(reader=reader, ensure_channel_first=True)(files)
            for reader in (NiftiReader(), NibabelReader())
        )
        assert torch.equal(ours.as_tensor(), theirs.as_tensor())
        np.testing.assert_array_equal(ours.affine, theirs.affine)


def test_a_voxel_size_goes_on_being_told_after_a_transform_of_monai(tmp_path):
    path = nifti(tmp_path / "a.nii", affine_of("RAS", tilt=0))
    coarser = Spacing((2.0, 2.0, 6.0))(LoadImage(reader=NiftiReader(), ensure_channel_first=True)(path))
    np.testing.assert_allclose(coarser.pixdim, [2, 2, 6])
    np.testing.assert_allclose(coarser.meta["pixdim"][1:4], [2, 2, 6])


def test_files_on_two_grids_are_refused(tmp_path):
    paths = [nifti(tmp_path / f"{codes}.nii", affine_of(codes)) for codes in ("RAS", "LAS")]
    with pytest.raises(RefusedError, match=r"several grids: 5 x 6 x 7 voxels.*LAS.*RAS"):
        LoadImage(reader=NiftiReader())(paths)


def test_the_text_fields_of_a_header_stay_in_the_file(tmp_path):
    image = nibabel.Nifti1Image(np.zeros(SHAPE, np.int16), np.eye(4))
    image.header["descrip"] = image.header["db_name"] = b"Ada"
    nibabel.save(image, tmp_path / "a.nii")
    found = LoadImage(reader=NiftiReader())(tmp_path / "a.nii")
    assert found.shape == SHAPE
    assert "Ada" not in str(found.meta)


@pytest.mark.parametrize("channels", ["grey", "rgb"])
def test_a_picture_is_row_major_with_its_channels_first(tmp_path, channels):
    path = write_picture(tmp_path / "a.png", COLOURS)
    found = LoadImage(reader=PictureReader(channels), ensure_channel_first=True)(path)
    assert found.shape == ((3 if channels == "rgb" else 1), 20, 30)
    np.testing.assert_array_equal(found, read_picture(path, channels).pixels)
    if channels == "rgb":
        np.testing.assert_array_equal(found, COLOURS.transpose(2, 0, 1))


@pytest.mark.parametrize("window", ["file", "none", (40.0, 80.0)])
def test_a_dicom_image_is_row_major_and_windowed_as_asked(tmp_path, window):
    values = RNG.integers(0, 4096, (20, 30)).astype(np.uint16)
    told = {"RescaleIntercept": -1024, "RescaleSlope": 1, "WindowCenter": 100, "WindowWidth": 400}
    path = write_dicom(tmp_path / "a.dcm", values, BitsStored=12, **told)
    found = LoadImage(reader=DicomReader(window=window), ensure_channel_first=True)(path)
    np.testing.assert_array_equal(found, read_dicom(path, "grey", window).pixels)
    if window == "none":
        np.testing.assert_array_equal(found[0], values.astype(float) - 1024)


@pytest.mark.parametrize("kind", ["picture", "dicom"])
def test_a_pixel_lies_where_it_lies_in_the_volume_that_medseg_makes_of_it(tmp_path, kind):
    grey = COLOURS[..., 0]
    if kind == "picture":
        path, reader = write_picture(tmp_path / "a.png", grey), PictureReader()
    else:
        path, reader = write_dicom(tmp_path / "a.dcm", grey), DicomReader()
    found = LoadImage(reader=reader, ensure_channel_first=True)(path)
    volume = read_volume(Case("a", "a", {"x": path}), ["x"], None, files=PictureFiles("grey", ("x",)))
    for row, column in ((0, 0), (3, 17), (19, 29)):
        place = found.affine.numpy() @ [row, column, 0, 1]
        i, j, k, _ = np.rint(np.linalg.inv(volume.geometry.ras_affine) @ place).astype(int)
        assert volume.image[0, i, j, k] == found[0, row, column]


def test_a_picture_resized_by_monai_comes_back_to_its_size(tmp_path):
    found = LoadImage(reader=PictureReader("rgb"), ensure_channel_first=True)(
        write_picture(tmp_path / "a.png", COLOURS)
    )
    resize = Resize((10, 10))
    assert resize.inverse(resize(found)).shape == (3, 20, 30)


def broken(folder: Path) -> dict[str, tuple[Any, Path, str]]:
    whole = nifti(folder / "a.nii", np.eye(4))
    (folder / "short.nii").write_bytes(whole.read_bytes()[:500])
    (folder / "text.png").write_text("no picture at all")
    picture = write_picture(folder / "b.png", COLOURS)
    frames = write_dicom(folder / "f.dcm", np.zeros((2, 4, 4), np.uint8), NumberOfFrames=2)
    return {
        "truncated": (NiftiReader(), folder / "short.nii", "truncated"),
        "absent": (NiftiReader(), folder / "none.nii", "not there"),
        "a picture for a volume": (NiftiReader(), picture, "not NIfTI"),
        "text for a picture": (PictureReader(), folder / "text.png", "it holds text"),
        "a volume for a picture": (PictureReader(), whole, "it holds NIfTI"),
        "a DICOM image for a picture": (PictureReader(), frames, "DicomReader"),
        "several frames": (DicomReader(), frames, "frames"),
        "a picture for a DICOM image": (DicomReader(), picture, "DICOM"),
    }


@pytest.mark.parametrize(
    "name",
    [
        *("truncated", "absent", "a picture for a volume", "text for a picture", "a volume for a picture"),
        *("a DICOM image for a picture", "several frames", "a picture for a DICOM image"),
    ],
)
def test_what_cannot_be_read_is_refused_for_its_reason_and_left_to_no_other_reader(tmp_path, name):
    reader, path, reason = broken(tmp_path)[name]
    with pytest.raises(RefusedError, match=reason) as caught:
        LoadImage(reader=reader)(path)
    assert caught.value.found
    assert caught.value.remedy
    assert str(tmp_path) not in str(caught.value)


def test_a_refusal_in_a_chain_is_the_cause_of_monai_s_error(tmp_path):
    (tmp_path / "a.nii").write_bytes(b"")
    chain = Compose([LoadImaged("image", reader=NiftiReader())])
    with pytest.raises(RuntimeError) as caught:
        chain({"image": tmp_path / "a.nii"})
    cause: BaseException | None = caught.value
    while cause is not None and not isinstance(cause, DataError):
        cause = cause.__cause__
    assert isinstance(cause, RefusedError)
    assert "empty" in cause.found


def test_files_are_known_by_their_endings_where_monai_asks():
    for reader, names in {
        NiftiReader(): ["a.nii", "A.NII.GZ"],
        PictureReader(): ["a.png", "b.JPG", "c.npy"],
        DicomReader(): ["a.dcm", "b.IMA"],
    }.items():
        assert reader.verify_suffix(names)
        assert reader.verify_suffix(Path(names[0]))
        assert not reader.verify_suffix([*names, "a.txt"])


def test_a_rule_of_channels_that_is_not_known_is_refused_at_once():
    for reader in (PictureReader, DicomReader):
        with pytest.raises(ValueError, match="grey or rgb"):
            reader("colour")


def test_a_definition_may_not_name_a_reader():
    with pytest.raises(DefinitionError, match="no allowed module"):
        resolve("medseg.readers.NiftiReader", at="slices.transforms.0")
