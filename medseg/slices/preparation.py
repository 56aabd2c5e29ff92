"""From a volume as read to the slices that a network sees, and from its answers back to the file's grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from monai.data.meta_tensor import MetaTensor
from numpy.typing import NDArray

from medseg.allowed import Allowed
from medseg.datasets.reading.volume import Volume
from medseg.errors import DataError
from medseg.geometry.background import is_background
from medseg.geometry.grid import Geometry
from medseg.images.formats import NIFTI, FileKind
from medseg.slices.sizes import FITTINGS, Fitting
from medseg.slices.transform_checks import check_transforms
from medseg.slices.transforms import TRANSFORMS_KEY, Chain, as_array, as_meta, moved, whole_label

if TYPE_CHECKING:
    from medseg.slices.rule import SliceRule

__all__ = ["Preparation", "PreparedVolume", "check_transforms"]


@dataclass(frozen=True)
class PreparedVolume:
    """All slices of one volume, as a network sees them.

    Attributes:
        image: (S, C, H, W) float32; slices run along the axis of the rule.
        label: (S, H, W) uint8 class indices; None without a truth.
        content: (S,) whether some channel of the slice is not its background. The others hold nothing and
            are never sent to a network.
        geometry: The grid of the file, which `restore` leads back to.
        fitting: How the volume was cut and brought to size.
        chain: The transforms that were applied.
        trace: What they did to the image (without its voxels).
    """

    image: NDArray[np.float32]
    label: NDArray[np.uint8] | None
    content: NDArray[np.bool_]
    geometry: Geometry
    fitting: Fitting = field(repr=False)
    chain: Chain = field(repr=False, compare=False)
    trace: MetaTensor = field(repr=False, compare=False)

    @property
    def telling(self) -> NDArray[np.intp]:
        """Places of the slices from which the class of the whole is told: those with content, or all without any."""
        rows = np.flatnonzero(self.content)
        return rows if rows.size else np.arange(len(self.content))

    def restore(
        self, slices: NDArray[Any], *, nearest: bool, outside: Sequence[float] | None = None
    ) -> NDArray[Any]:
        """Bring maps on the slices back to the grid and the axis order of the file.

        Padding is cut off, tiles are joined, stretched slices stretched back; spatial transforms are inverted
        by MONAI; axes are flipped back.

        Args:
            slices: (N, S, H, W): label maps (`nearest`), or one channel for each class.
            nearest: Take the nearest voxel where the inverse resamples, as labels need; else interpolate
                linearly. Without spatial transforms nothing is resampled, and both are exact.
            outside: The N values of voxels that no slice covers, because they were cropped away. Default: 0
                (class 0) for labels and for a single channel; for several channels, which are read as
                probabilities of classes, 1 in class 0 and 0 in the others. Covered in part, by an
                interpolating inverse, a voxel gets its share of it.

        Returns:
            (N, I, J, K) in the order of the file; the dtype of `slices`, float32 where it was resampled.
        """
        background = np.zeros(len(slices)) if outside is None else np.asarray(outside, dtype=float)
        if outside is None and not nearest and len(slices) > 1:
            background[0] = 1
        fill = bool(background.any()) and (self.fitting.crops or self.trace.applied_operations != [])
        if fill:
            slices = np.concatenate([slices, np.ones((1, *slices.shape[1:]), dtype=slices.dtype)])
        maps = self.fitting.undo(np.moveaxis(slices, 1, 0), nearest=nearest)
        volume = self.chain.undo(maps, self.trace, nearest=nearest)
        if fill:
            missing = 1 - volume[-1]
            volume = volume[:-1]
            for place in np.flatnonzero(background):
                volume[place] += background[place] * missing
        if nearest and volume.dtype != slices.dtype:
            volume = np.rint(volume).astype(slices.dtype)
        return np.stack([self.geometry.from_ras(each) for each in volume])


@dataclass(frozen=True)
class Preparation:
    """How volumes become slices: the same for training and for prediction.

    Attributes:
        channels: Names of the channels, in the order of the image's first axis.
        rule: Axis, size, padding and transforms.
        allowed: Where classes of the transforms may come from.
        files: The kind of files that volumes are read from.
    """

    channels: tuple[str, ...]
    rule: SliceRule
    allowed: Allowed = field(default_factory=Allowed, compare=False, repr=False)
    files: FileKind = NIFTI

    def apply(self, volume: Volume) -> PreparedVolume:
        """Transform, pad or crop, and cut one volume, which is left as it is.

        Raises:
            DataError: A transform failed on this volume, interpolated its labels, or made NaN or infinite
                values.
        """
        affine = volume.geometry.ras_affine
        chain = Chain(self.rule.transforms, at=TRANSFORMS_KEY, allowed=self.allowed)
        data = {"image": as_meta(volume.image, affine)}
        if volume.label is not None:
            data["label"] = as_meta(volume.label[None], affine)
        data = self._transformed(chain, data)
        trace = data["image"]
        image = as_array(trace).astype(np.float32, copy=False)
        self._check(image)
        content = moved(~is_background(volume.image), affine, trace)
        inner = (image.shape[1], image.shape[2], image.shape[3])
        fitting = FITTINGS[self.rule.fit](self.rule, inner)
        label = fitting.label(whole_label(data["label"])) if "label" in data else None
        return PreparedVolume(
            image=fitting.image(image, self.rule.pad),
            label=label,
            content=np.asarray(fitting.label(content).any(axis=(1, 2))),
            geometry=volume.geometry,
            fitting=fitting,
            chain=chain,
            trace=_without_voxels(trace),
        )

    def _transformed(self, chain: Chain, data: dict[str, MetaTensor]) -> dict[str, Any]:
        try:
            after = chain.apply(data)
        except Exception as error:  # transforms may raise anything at voxels they did not expect
            reason = str(error.__cause__ or error) or type(error).__name__
            raise DataError(f"{TRANSFORMS_KEY} failed on this volume: {reason}") from error
        image = after["image"]
        if not isinstance(image, MetaTensor) or image.ndim != 4 or len(image) != len(self.channels):
            raise DataError(
                f"{TRANSFORMS_KEY} made an image of shape {tuple(image.shape)}, wanted a MetaTensor of "
                f"{len(self.channels)} channels (C, I, J, K)"
            )
        return after

    def _check(self, image: NDArray[np.float32]) -> None:
        finite = [bool(np.isfinite(channel).all()) for channel in image]
        if not all(finite):
            bad = self.channels[finite.index(False)]
            raise DataError(
                f"{TRANSFORMS_KEY} made NaN or infinite values in channel {bad}, as a division by zero does"
            )


def _without_voxels(trace: MetaTensor) -> MetaTensor:
    """What a transformed image knows of its way, in a tensor that holds no memory of its voxels."""
    empty = MetaTensor(trace.as_tensor().new_zeros(0), meta=dict(trace.meta))
    empty.applied_operations = trace.applied_operations
    return empty
