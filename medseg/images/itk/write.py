"""Writing label maps and probabilities in the format of the file on whose grid they lie."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medseg.geometry.grid import Geometry
from medseg.images.itk.read import LPS, itk_name, simpleitk
from medseg.images.nifti.write import write_nifti

#: The ending of what is written for an input of each: one file, so that header and voxels are never apart, and never
#: Analyze, which holds no place.
_WRITTEN = {".mha": ".mha", ".mhd": ".mha", ".nrrd": ".nrrd", ".nhdr": ".nrrd"}
_NIFTI = ".nii.gz"


def itk_ending(like: Path) -> str:
    """The ending of a file that is written for an input."""
    return _WRITTEN.get(like.suffix.lower(), _NIFTI)


def write_volume(data: NDArray[Any], geometry: Geometry, path: Path) -> None:
    """Write an (I, J, K) array on a given grid to a file with an ending of `itk_ending`.

    Raises:
        RefusedError: SimpleITK is needed, and not installed.
        OSError: It cannot be written.
    """
    (write_nifti if path.name.lower().endswith(_NIFTI) else _write_itk)(data, geometry, path)


def _write_itk(data: NDArray[Any], geometry: Geometry, path: Path) -> None:
    """Packed; the header holds no time and no name."""
    itk, name = simpleitk(), itk_name(path)
    image = itk.GetImageFromArray(np.ascontiguousarray(data.T))
    affine = LPS @ geometry.affine
    image.SetSpacing(geometry.spacing)
    image.SetOrigin(affine[:3, 3].tolist())
    image.SetDirection((affine[:3, :3] / geometry.spacing).ravel().tolist())
    try:
        itk.WriteImage(image, name, useCompression=True)
    except RuntimeError as error:
        raise OSError(errno.EIO, "SimpleITK could not write it", name) from error
