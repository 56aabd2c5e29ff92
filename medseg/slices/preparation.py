"""From a volume as read to the slices that a network sees, and from its answers back to the file's grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from monai.data.meta_tensor import MetaTensor
from monai.transforms.compose import Compose
from monai.transforms.transform import MapTransform
from numpy.typing import NDArray

from medseg.allowed import Allowed
from medseg.datasets.case import Case
from medseg.datasets.manifest.label_map import LabelRule
from medseg.datasets.reading.unforeseen import one_case
from medseg.datasets.reading.volume import Volume, without_meaning
from medseg.datasets.unannotated import UNANNOTATED
from medseg.errors import DataError
from medseg.geometry.grid import Geometry
from medseg.images.formats import NIFTI, FileKind
from medseg.machine.within_memory import within_memory
from medseg.slices.dictionary.check import CheckPreparedd
from medseg.slices.dictionary.content import CarryMaskd, MarkContentd
from medseg.slices.dictionary.encode import EncodeLabelsd
from medseg.slices.dictionary.fit import FitSlicesd
from medseg.slices.dictionary.load import LoadCased
from medseg.slices.dictionary.neighbours import StackNeighboursd
from medseg.slices.dictionary.orient import CutSlicesd, OrientRASd
from medseg.slices.sizes import Fitting
from medseg.slices.stages import reading_stages, slicing_stages
from medseg.slices.transform_checks import check_transforms, together
from medseg.slices.transforms import TRANSFORMS_KEY, Chain, as_array, as_meta, tracked, undone, why

if TYPE_CHECKING:
    from medseg.slices.rule import SliceRule

__all__ = ["Preparation", "PreparedVolume", "check_transforms"]

_OWN: Mapping[str, type[MapTransform]] = {
    each.__name__: each
    for each in (
        *(LoadCased, OrientRASd, EncodeLabelsd, MarkContentd, CheckPreparedd, CarryMaskd, CutSlicesd),
        *(StackNeighboursd, FitSlicesd),
    )
}


@dataclass(frozen=True)
class PreparedVolume:
    """All slices of one volume, as a network sees them.

    Attributes:
        image: (S, C, H, W) float32, with a channel for each of the preparation's `inputs`; slices run along the axis
            of the rule.
        label: (S, H, W) uint8 class indices, or `UNANNOTATED`; None without a truth.
        content: (S,) whether some channel of the slice is not its background. The others hold nothing and
            are never sent to a network.
        geometry: The grid of the file, which `restore` leads back to.
        fitting: How the volume was cut and brought to size.
        compose: The transforms that were applied.
        cut_away: How many places of the label that are not of the first class were cropped away, and of how many.
        moved: Whether one that the definition declares moves voxels.
        trace: What they did to the image (without its voxels).
    """

    image: NDArray[np.float32]
    label: NDArray[np.uint8] | None
    content: NDArray[np.bool_]
    geometry: Geometry
    fitting: Fitting = field(repr=False)
    compose: Compose = field(repr=False, compare=False)
    cut_away: tuple[int, int]
    moved: bool
    trace: MetaTensor = field(repr=False, compare=False)

    @property
    def telling(self) -> NDArray[np.intp]:
        """Places of the slices that decide the class of the whole: those with content, or all without any."""
        rows = np.flatnonzero(self.content)
        return rows if rows.size else np.arange(len(self.content))

    def restore(
        self, slices: NDArray[Any], *, nearest: bool, outside: Sequence[float] | None = None
    ) -> NDArray[Any]:
        """Bring maps on the slices back to the grid and the axis order of the file.

        MONAI inverts every transform that moved voxels, the last one first: padding is cut off, tiles are joined,
        stretched slices stretched back, slices stacked; what the definition declares is undone; axes are flipped
        back.

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
        fill = bool(background.any()) and (self.fitting.crops or self.moved)
        if fill:
            slices = np.concatenate([slices, np.ones((1, *slices.shape[1:]), dtype=slices.dtype)])
        maps = np.array(slices, dtype=np.float32 if self.moved else slices.dtype, order="C")
        volume = undone(self.compose, maps, self.trace, nearest=nearest)
        if fill:
            missing = 1 - volume[-1]
            volume = volume[:-1]
            for place in np.flatnonzero(background):
                volume[place] += background[place] * missing
        if nearest and volume.dtype != slices.dtype:
            volume = np.rint(volume).astype(slices.dtype)
        return np.ascontiguousarray(volume)


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

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of what a network sees of a slice, in order: the channels, and those of its neighbours."""
        return self.rule.inputs(self.channels)

    @property
    def reference(self) -> str | None:
        """The channel onto whose grid the others are resampled; None where other grids are refused."""
        return self.rule.reference(self.channels)

    @property
    def moves(self) -> bool:
        """Whether a transform that the definition declares moves voxels."""
        return self._slicing()[1].moves

    def compose(self, labels: LabelRule | None = None) -> Compose:
        """All transforms from the files of a case to its slices, built afresh.

        Takes what `medseg.transforms.LoadCased` takes, such as `{"image": [path of each channel]}`, and gives `image`
        (C, S, H, W) float32, and where `labels` are given `label` (1, S, H, W) uint8; `content` (1, S, H, W) says
        where the image shows something. `Compose.inverse` leads maps that have the trace of `image` back to its file.
        The slice store is filled by these transforms, and predictions go through them.

        Args:
            labels: What label values mean; None reads the image alone.
        """
        before, chain, after = self._slicing()
        return Compose([*self._reading(labels), *before, *chain.transforms, *after])

    def read(self, case: Case, labels: LabelRule | None) -> Volume:
        """Read one case: the transforms of `compose` up to the volume.

        Args:
            case: Whose files to read.
            labels: What label values mean; None leaves the truth unread.

        Raises:
            DataError: A file cannot be used; `faults` holds one fault with the part and the path.
        """
        try:
            with one_case(case):
                data = _applied(Compose(self._reading(labels, kept=True)), {"case": case})
        except DataError as error:
            raise error if error.faults else without_meaning(case, error) from error
        label, objects = data.get("label"), data.get("objects")
        return Volume(
            as_array(data["image"]),
            None if label is None else as_array(label)[0],
            data["geometry"],
            None if objects is None else as_array(objects)[0],
            data["notes"],
        )

    def apply(self, volume: Volume) -> PreparedVolume:
        """Transform, cut, and pad or crop one volume, which is left as it is: the other transforms of `compose`.

        Raises:
            DataError: A transform failed on this volume, interpolated its labels, or made NaN or infinite
                values.
        """
        orient = OrientRASd(keys=["image"])
        before, chain, after = self._slicing()
        compose = Compose([orient, *before, *chain.transforms, *after])
        affine = volume.geometry.ras_affine
        with tracked():
            data = {"image": orient.recall(as_meta(volume.image, affine), volume.geometry)}
        if volume.label is not None:
            data["label"] = as_meta(volume.label[None], affine)
        first, last = 1 + len(before), 1 + len(before) + len(chain.transforms)
        data = _applied(compose, data, 1, first)
        try:
            data = _applied(compose, data, first, last)
        except Exception as error:  # transforms may raise anything at voxels they did not expect
            reason = why(error)
            keys = TRANSFORMS_KEY if self.rule.spacing is None else f"{TRANSFORMS_KEY} or slices.spacing"
            raise DataError(f"{keys} failed on this volume: {reason}") from error
        if 0 in data["image"].shape:
            raise DataError(f"{TRANSFORMS_KEY} left no voxel of this volume")
        if "label" in data and not together(data["image"], data["label"]):
            raise DataError(
                f"after {TRANSFORMS_KEY} image and label map lie on different grids: one moved alone. "
                "Write `keys: [image, label]` for what moves voxels"
            )
        marked = _marked(data)
        data = _applied(compose, data, last)
        image = data["image"]
        (fit,) = (each for each in after if isinstance(each, FitSlicesd))
        fitting = fit.fitting_of(image)
        return PreparedVolume(
            image=as_array(image).swapaxes(0, 1),
            label=as_array(data["label"])[0] if "label" in data else None,
            content=as_array(data["content"])[0].any(axis=(1, 2)),
            geometry=volume.geometry,
            fitting=fitting,
            cut_away=(marked - _marked(data) if fitting.crops else 0, marked),
            compose=compose,
            moved=chain.moves,
            trace=_without_voxels(image),
        )

    def _reading(self, labels: LabelRule | None, *, kept: bool = False) -> list[MapTransform]:
        """From files to a volume; `kept` with what a `Volume` holds beside its arrays."""
        stages = reading_stages(self.channels, self.rule, self.files.noun, truth=labels is not None)
        more: dict[str, dict[str, Any]] = {
            "LoadCased": {
                "files": self.files,
                **({"geometry_key": "geometry", "notes_key": "notes"} if kept else {}),
            },
            "EncodeLabelsd": {"rule": labels, "objects_key": "objects" if kept else None},
        }
        return [_built(stage, more) for stage in stages]

    def _slicing(self) -> tuple[list[MapTransform], Chain, list[MapTransform]]:
        """From a volume to slices: ours, the definition's, ours."""
        before, after = slicing_stages(self.channels, self.rule)
        chain = Chain(self.rule.chain, at=TRANSFORMS_KEY, allowed=self.allowed)
        return [_built(stage, {}) for stage in before], chain, [_built(stage, {}) for stage in after]


def _built(stage: Mapping[str, Any], more: Mapping[str, dict[str, Any]]) -> MapTransform:
    """One of our own transforms, as it is declared, with what no declaration can hold."""
    _, _, name = str(stage["_target_"]).rpartition(".")
    made = _OWN[name](
        **{key: value for key, value in stage.items() if key != "_target_"} | dict(more.get(name, {}))
    )
    made.allow_missing_keys = True  # there may be no truth, and maps are led back without it
    return made


def _applied(
    compose: Compose, data: Mapping[str, Any], start: int = 0, end: int | None = None
) -> dict[str, Any]:
    """Run some of the transforms, never lazily; what one of them raises comes as it is, and not as MONAI's."""
    try:
        with tracked(), torch.no_grad(), within_memory(growing=True):
            return dict(compose(dict(data), start=start, end=end, lazy=False))
    except RuntimeError as error:
        raised = error.__cause__ or error
    raise raised


def _marked(data: Mapping[str, Any]) -> int:
    """Places of the label that are not of the first class."""
    if "label" not in data:
        return 0
    label = as_array(data["label"])
    return int(np.count_nonzero(label) - np.count_nonzero(label == UNANNOTATED))


def _without_voxels(trace: MetaTensor) -> MetaTensor:
    """What a transformed image knows of its way, in a tensor that holds no memory of its voxels."""
    empty = MetaTensor(trace.as_tensor().new_zeros(0), meta=dict(trace.meta))
    empty.applied_operations = trace.applied_operations
    return empty
