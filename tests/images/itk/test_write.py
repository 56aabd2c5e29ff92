"""Label maps are written in the format of the input, on its grid; headers say nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from medseg.geometry.grid import Geometry
from medseg.images.itk.kind import ItkFiles
from medseg.images.itk.write import itk_ending, write_volume
from medseg.images.nifti.read import read_nifti

SHAPE = (3, 4, 5)
TURNED = np.array([[0.25, -0.6, 1.1, -12.5], [0.3, 0.5, 1.5, 33.25], [-0.6, 0.0, 1.3, 7.0], [0, 0, 0, 1]])
LABELS = (np.arange(60) % 4).astype(np.uint8).reshape(SHAPE)


@pytest.mark.parametrize(
    ("name", "ending"),
    [
        ("a.mha", ".mha"),
        ("a.MHD", ".mha"),
        ("a.nrrd", ".nrrd"),
        ("a.nhdr", ".nrrd"),
        ("a.hdr", ".nii.gz"),
    ],
)
@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float32])
def test_what_is_written_is_read_where_it_lay(tmp_path, name, ending, dtype):
    assert itk_ending(Path(name)) == ending
    path = tmp_path / f"b{ending}"

    write_volume(LABELS.astype(dtype), Geometry(SHAPE, TURNED), path)

    found = read_nifti(path) if ending == ".nii.gz" else ItkFiles().read_image(path)
    np.testing.assert_array_equal(found.data, LABELS)
    assert found.data.dtype == dtype
    np.testing.assert_allclose(found.geometry.affine, TURNED, atol=1e-6)


@pytest.mark.parametrize("ending", [".mha", ".nrrd"])
def test_the_same_is_written_each_time_and_names_nobody(tmp_path, ending):
    paths = [tmp_path / each / f"Doe{ending}" for each in "ab"]
    for path in paths:
        path.parent.mkdir()
        write_volume(LABELS, Geometry(SHAPE, TURNED), path)

    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert b"Doe" not in paths[0].read_bytes()
    kept = SimpleITK.ReadImage(str(paths[0]))
    assert not {key for key in kept.GetMetaDataKeys() if "date" in key.lower() or "time" in key.lower()}
