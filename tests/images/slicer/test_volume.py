"""Files for 3D Slicer: another reader finds the same voxels in the same places, and names and colours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from medseg.geometry.grid import Geometry
from medseg.images.dicom.writing.segments import Segment
from medseg.images.slicer.volume import write_image, write_segmentation

SHAPE = (5, 4, 3)
#: A turned grid with voxels of three sizes.
AFFINE = np.array([[0.0, -0.8, 0.0, 12.5], [1.2, 0.0, 0.0, -7.0], [0.0, 0.0, 3.0, 40.0], [0, 0, 0, 1.0]])


def placed(image: SimpleITK.Image) -> np.ndarray:
    """The affine (RAS) of what SimpleITK read."""
    found = np.eye(4)
    found[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    found[:3, 3] = image.GetOrigin()
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ found


@pytest.mark.parametrize(("offset", "kind"), [(0.0, np.int16), (0.25, np.float32), (40_000.0, np.float32)])
def test_an_image_is_read_again_as_it_was(offset: float, kind: type, tmp_path: Path) -> None:
    image = np.arange(60, dtype=np.float32).reshape(SHAPE) + np.float32(offset)
    write_image(image, Geometry(SHAPE, AFFINE), tmp_path / "image.nrrd")

    read = SimpleITK.ReadImage(str(tmp_path / "image.nrrd"))
    voxels = SimpleITK.GetArrayFromImage(read).T
    assert voxels.dtype == kind
    assert np.array_equal(voxels, image)
    assert np.allclose(placed(read), AFFINE, atol=1e-9)


def test_a_segmentation_says_what_its_values_are(tmp_path: Path) -> None:
    values = np.zeros(SHAPE, np.uint16)
    values[1:3, 2, 1], values[4, 0, 2] = 2, 5
    segments = (Segment(2, "wall"), Segment(5, "back\\slash\nand line", colour=(255, 0, 51)))
    path = tmp_path / "truth.seg.nrrd"
    write_segmentation(values, Geometry(SHAPE, AFFINE), segments, path)

    read = SimpleITK.ReadImage(str(path))
    assert np.array_equal(SimpleITK.GetArrayFromImage(read).T, values)
    assert np.allclose(placed(read), AFFINE, atol=1e-9)
    said = {key: read.GetMetaData(key) for key in read.GetMetaDataKeys()}
    assert [said[f"Segment{place}_LabelValue"] for place in (0, 1)] == ["2", "5"]
    assert said["Segment0_Name"] == "wall"
    assert said["Segment1_Name"] == "back\\slash\nand line"
    assert said["Segment1_Color"] == "1.000000 0.000000 0.200000"
    assert said["Segment0_ID"] != said["Segment1_ID"]
    assert said["Segment0_Extent"] == "0 4 0 3 0 2"
    assert said["Segmentation_ReferenceImageExtentOffset"] == "0 0 0"


def test_the_same_is_written_byte_for_byte(tmp_path: Path) -> None:
    image = np.ones(SHAPE, np.float32)
    for name in ("a", "b"):
        write_image(image, Geometry(SHAPE, AFFINE), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
