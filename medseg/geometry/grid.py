"""Where the voxels of a file lie: the grid as stored, and the way to RAS+ and back."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

import numpy as np
from nibabel.orientations import aff2axcodes, apply_orientation, inv_ornt_aff, io_orientation, ornt_transform
from numpy.typing import NDArray

#: How far apart, in voxels, two grids may place a voxel and still be called one grid: affines are stored rounded, and
#: a tenth of a voxel changes no label. A share of the voxel, so that it means the same for organs and for cells.
TOLERANCE_VOXELS = 0.1

#: By how many degrees axes may be off a right angle: affines are stored rounded.
_UPRIGHT = 0.1

#: No voxel is as large, nor lies as far from the origin: a kilometre.
FARTHEST_MM = 1e6

#: No voxel is as small: a hundredth of an atom.
SMALLEST_MM = 1e-9


def spans(affine: NDArray[Any]) -> bool:
    """Whether the three axes of a 4x4 affine lead to different places, however small the voxels are."""
    largest = np.abs(affine[:3, :3]).max()
    if not 0 < largest < np.inf:
        return False
    axes = affine[:3, :3] / largest  # squares of a damaged header's numbers may be beyond all numbers
    sizes = np.linalg.norm(axes, axis=0)
    return bool(sizes.all()) and abs(np.linalg.det(axes / sizes)) > 1e-6


def unlike_any(affine: NDArray[Any]) -> str:
    """What a 4x4 affine in mm says that is of no image, as a clause without its subject; empty if nothing."""
    if (longest := float(np.abs(affine).max())) > FARTHEST_MM:
        return f"holds {longest:.3g} mm, which is beyond any image"
    if (least := float(np.linalg.norm(affine[:3, :3], axis=0).min())) < SMALLEST_MM:
        return f"makes voxels of {least:.3g} mm, which is smaller than an atom"
    return ""


@dataclass(frozen=True)
class Geometry:
    """Where the voxels of a volume lie.

    Attributes:
        shape: (I, J, K) as stored in the file.
        affine: 4x4, from stored voxel indices to world coordinates in mm, RAS+ (nibabel's world).
        header: The file's header; written back so that a label map keeps codes, units and data grid.
        assumed: Which sizes in mm, or sides of the patient, are assumed, or angles of the axes; clauses.
        frame: Which frame of reference the world coordinates are of, where the file says so: those of two that differ
            tell nothing of each other. A UID, and private.
    """

    shape: tuple[int, int, int]
    affine: NDArray[np.float64] = field(compare=False)
    header: Any = field(compare=False, repr=False, default=None)
    assumed: tuple[str, ...] = field(compare=False, default=())
    frame: str = field(compare=False, repr=False, default="")

    @property
    def orientation(self) -> str:
        """Directions in which the stored axes run, such as `LPS`."""
        return "".join(aff2axcodes(self.affine))

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Voxel size along the stored axes, mm."""
        sizes = np.sqrt((self.affine[:3, :3] ** 2).sum(axis=0))
        return (float(sizes[0]), float(sizes[1]), float(sizes[2]))

    @property
    def voxel_volume(self) -> float:
        """Volume of a voxel, mm3; also where the axes are not at right angles."""
        return float(abs(np.linalg.det(self.affine[:3, :3])))

    @property
    def lean(self) -> float:
        """By how many degrees two of the axes are off a right angle, at most."""
        along = self.affine[:3, :3] / self.spacing
        return float(np.degrees(np.arcsin(min(1.0, np.abs(along.T @ along - np.eye(3)).max()))))

    def leaning(self) -> Geometry:
        """The same grid; where axes are off a right angle by more than a tenth of a degree, `assumed` says so."""
        if self.lean <= _UPRIGHT:
            return self
        note = (
            f"its axes are not at right angles (off by up to {self.lean:.1f} degrees); volumes are right, and "
            "distances are measured as if they were"
        )
        return replace(self, assumed=(*self.assumed, note))

    @property
    def ras_affine(self) -> NDArray[np.float64]:
        """The affine of the volume after `to_ras`."""
        return self.affine @ inv_ornt_aff(io_orientation(self.affine), self.shape)

    def to_ras(self, array: NDArray[Any]) -> NDArray[Any]:
        """Flip and permute a stored (I, J, K) array to the closest RAS+ order; no resampling."""
        return apply_orientation(array, io_orientation(self.affine))

    def from_ras(self, array: NDArray[Any]) -> NDArray[Any]:
        """Undo `to_ras`: bring an (I, J, K) RAS+ array back to the order of the file."""
        ras = np.array([[0, 1], [1, 1], [2, 1]])
        return apply_orientation(array, ornt_transform(ras, io_orientation(self.affine)))

    def same_grid(self, other: Geometry) -> bool:
        """Whether two volumes share their shape and the places of all voxels, within `TOLERANCE_VOXELS`."""
        return self.shape == other.shape and self.apart(other) <= TOLERANCE_VOXELS

    def apart(self, other: Geometry) -> float:
        """How far from this grid another one of its shape places a voxel, at most: in voxels of this one."""
        corners = np.array(list(product(*((0, size - 1) for size in self.shape), (1,)))).T
        there = np.linalg.inv(self.affine) @ other.affine @ corners
        return float(np.abs(there - corners).max())  # of all voxels, a corner is the farthest

    def text(self) -> str:
        """The grid in words, for messages."""
        shape = " x ".join(str(size) for size in self.shape)
        spacing = " x ".join(f"{size:.3g}" for size in self.spacing)
        return f"{shape} voxels of {spacing} mm, {self.orientation}"


@dataclass(frozen=True)
class PixelGrid(Geometry):
    """A picture as a volume of one slice, or pictures of one size as its slices.

    The stored axes are (column, row, slice), and run to the patient's Left, Posterior and Superior: an axial
    slice of it has the picture's own rows and columns, row 0 on top. A picture says no size of its pixels,
    so that one stands for 1 mm.
    """

    @classmethod
    def of(cls, height: int, width: int, count: int | None = None) -> PixelGrid:
        """The grid of a picture of H rows and W columns; or of so many pictures, be it one, as slices of a volume."""
        taken = "pictures do not say how large a pixel is: 1 mm was taken along each axis"
        assumed = () if count is None else (taken,)
        return cls((width, height, count or 1), np.diag([-1.0, -1.0, 1.0, 1.0]), assumed=assumed)

    def text(self) -> str:
        """The grid in words, for messages."""
        count = "" if self.shape[2] == 1 else f"{self.shape[2]} pictures of "
        return f"{count}{self.shape[1]} rows x {self.shape[0]} columns"


@dataclass(frozen=True)
class StoredImage:
    """One channel, or a label map, as stored.

    Attributes:
        data: (I, J, K) as stored; integers stay integers unless the header scales them (then float32). In the byte
            order of the machine, whatever that of the file: torch takes no other.
        geometry: Where the voxels lie.
        notes: What is odd about the file, though it can be used.
        turned: The EXIF orientation that was applied to a picture, 1 to 8; 1 changes nothing.
        made_up: Whether the file says that medseg generated it (`medseg.images.made_up`).
    """

    data: NDArray[Any]
    geometry: Geometry
    notes: tuple[str, ...] = ()
    turned: int = 1
    made_up: bool = False

    def __post_init__(self) -> None:
        if not self.data.dtype.isnative:
            object.__setattr__(self, "data", self.data.astype(self.data.dtype.newbyteorder("=")))
