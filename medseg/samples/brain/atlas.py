"""The anatomy that generated cases start from: the ICBM 2009a nonlinear symmetric template at 1 mm.

The maps lie in the installed nilearn package and are read from there; nilearn itself is not imported.
Fonov et al., "Unbiased average age-appropriate atlases for pediatric studies", NeuroImage 54 (2011), and
"Unbiased nonlinear average age-appropriate brain templates from birth to adulthood", NeuroImage 47 (2009).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from medseg.errors import DataError
from medseg.samples.drawing.fields import Floats

Bytes = NDArray[np.uint8]

CENTRE = np.array([98.0, 117.5, 77.5])  # middle of the brain in the template's voxels
HALF = np.array([73.0, 92.0, 78.0])  # half its extent along each axis, in voxels
MIDLINE = 98.0


@dataclass(frozen=True)
class Atlas:
    """Maps of the template, indexed (x, y, z) from left, back and below; 1 mm.

    Attributes:
        tissue: Probability of grey matter (real part) and of white matter (imaginary part), 0 to 1.
        brain: Smoothed membership in the brain with its fluid, at every second voxel, 0 to 1.
        cap: Nearness to the ventricles, 0 to 255, at every second voxel.
        sites: (N, 3) voxels where a tumour may start: deep white matter of the hemispheres.
    """

    tissue: NDArray[np.complex64]
    brain: Floats
    cap: Bytes
    sites: NDArray[np.int64]


def _map(folder: Path, name: str) -> Bytes:
    path = folder / f"mni_icbm152_{name}_tal_nlin_sym_09a_converted.nii.gz"
    if not path.is_file():
        raise DataError(
            f"The {name} map of the ICBM 2009a template is not in the installed nilearn package, where "
            "generated brains are made from it. Install nilearn 0.10 or newer."
        )
    return np.asarray(nib.load(path).dataobj, dtype=np.uint8)


def _sites(white: Bytes, brain: Floats) -> NDArray[np.int64]:
    """Deep white matter, away from midline, cerebellum and brain stem; every third voxel along each axis."""
    x, y, z = 3 * np.array(np.indices(white[::3, ::3, ::3].shape))
    away = np.abs(x - MIDLINE)
    good = (white[::3, ::3, ::3] > 150) & (away > 16) & ((z >= 66) | ((y > 95) & (z >= 48) & (away > 24)))
    deep = ndimage.gaussian_filter(brain, 3) > 0.9
    good &= deep[x // 2, y // 2, z // 2]
    return np.stack([x[good], y[good], z[good]], axis=1).astype(np.int64)


@lru_cache(maxsize=1)
def atlas() -> Atlas:
    """Read the template; once a process.

    Raises:
        DataError: nilearn or its maps are not installed.
    """
    spec = find_spec("nilearn")
    if spec is None or spec.origin is None:
        raise DataError("Generated brains need the template in the nilearn package. Install nilearn.")
    folder = Path(spec.origin).parent / "datasets" / "data"
    t1, grey, white = (_map(folder, name) for name in ("t1", "gm", "wm"))
    half = t1[::2, ::2, ::2]
    brain = ndimage.gaussian_filter((half > 0).astype(np.float32), 1.5)
    tissue = np.minimum(255, grey[::2, ::2, ::2].astype(np.int16) + white[::2, ::2, ::2])
    deep = ndimage.gaussian_filter((half > 0).astype(np.float32), 6) > 0.96
    fluid = deep & (half > 0) & (half < 130) & (tissue < 110)
    kept, _ = ndimage.label(ndimage.binary_closing(fluid))
    sizes = np.bincount(kept.ravel())
    sizes[0] = 0
    ventricles = (kept == sizes.argmax()).astype(np.float32)
    near = ndimage.gaussian_filter(ventricles, 1.6)
    cap = np.clip(near * 2 * 255, 0, 255).astype(np.uint8)
    both = np.empty(grey.shape, np.complex64)
    both.real, both.imag = grey / np.float32(255), white / np.float32(255)
    return Atlas(both, brain, cap, _sites(white, brain))
