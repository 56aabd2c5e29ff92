"""What the files of one case hold, as far as planning needs it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Seen:
    """What the files of one case hold. No name of a patient.

    Attributes:
        whole: Whether all files were read, not the label map alone.
        shape: (I, J, K), RAS+; None where nothing could be read.
        spacing: Voxel size along these axes, mm.
        orientation: Of the file as stored, such as `LPS`.
        labels: Voxels of each value of the label map; None where it has none of whole numbers, or too many.
        grey: Whether its label map holds shades: of interpolation, or of JPEG.
        kept: Share of the volume that a box around the voxels that are not 0 takes, 0 to 1.
        window: Sides (I, J, K), RAS+, of the smallest box around the centre of the volume that holds all that the
            label map marks; None where it marks nothing, or there is none.
        foreground: Some intensities of each channel where the label map is not 0.
        problem: Why files could not be used; empty if they could.
        fitting: Where channels lie on several grids, those on that of the label map, or else of the first;
            empty where all lie on one.
    """

    whole: bool
    shape: tuple[int, int, int] | None = None
    spacing: tuple[float, float, float] | None = None
    orientation: str = ""
    labels: Mapping[int, int] | None = None
    grey: bool = False
    kept: float = 1.0
    window: tuple[int, int, int] | None = None
    foreground: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    problem: str = ""
    fitting: tuple[str, ...] = ()
