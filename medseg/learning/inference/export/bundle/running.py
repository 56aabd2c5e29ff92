"""What the configuration of a bundle names: which cases, how slices are predicted, and how they become label maps."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data.meta_tensor import MetaTensor
from monai.inferers.inferer import Inferer
from monai.transforms.compose import Compose
from monai.transforms.transform import MapTransform
from monai.utils.enums import MetaKeys, TraceKeys
from numpy.typing import NDArray

from medseg.errors import DataError, ModelError
from medseg.geometry.axes import AXES, AxisName
from medseg.geometry.grid import Geometry
from medseg.learning.inference.cleaning import cleaned, cleanings_of
from medseg.learning.inference.deciding import decided
from medseg.learning.inference.flips import flips_of, mean_logits
from medseg.learning.outputs.main_output import with_main_output
from medseg.learning.tasks.task import mask_task
from medseg.slices.dictionary.fit import FitSlicesd
from medseg.slices.preparation import PreparedVolume
from medseg.slices.transforms import as_array

_ENDINGS = (".nii.gz", ".nii")


def cases_in(folder: str | PathLike[str], channels: Sequence[str]) -> list[dict[str, Any]]:
    """The cases of a folder and those below it, as rows for `LoadCased`.

    A case has a file for each channel, `CASE_CHANNEL.nii.gz` or `.nii`; of a single channel `CASE.nii.gz` will do.

    Raises:
        DataError: There is none, one lacks a channel, or a folder cannot be looked into.
    """
    names = {path: _without_ending(path) for path in sorted(_files(Path(folder)))}
    alone = len(channels) == 1 and not any(name.endswith(f"_{channels[0]}") for name in names.values())
    if alone:
        return _some([{"case": name, "image": [str(path)]} for path, name in names.items()], channels)
    found: dict[tuple[Path, str], dict[str, str]] = {}
    for path, name in names.items():
        for channel in channels:
            if name.endswith(f"_{channel}"):
                case = name.removesuffix(f"_{channel}")
                found.setdefault((path.parent, case), {})[channel] = str(path)
    for (_, case), images in found.items():
        if missing := [channel for channel in channels if channel not in images]:
            raise DataError(
                f"case {case} has no file {case}_{missing[0]}.nii.gz. Add it, or take the case out."
            )
    rows = [
        {"case": case, "image": [images[each] for each in channels]} for (_, case), images in found.items()
    ]
    return _some(rows, channels)


def _files(folder: Path) -> Iterator[Path]:
    def closed(error: OSError) -> None:
        raise DataError(
            f"a folder of the input cannot be looked into: {error.strerror}. Name the folder of the images, and give "
            "this user the right to read and enter it, and all folders within"
        ) from error

    for place, _, names in os.walk(folder, onerror=closed):
        yield from (Path(place, name) for name in names if name.endswith(_ENDINGS))


def _without_ending(path: Path) -> str:
    return next(path.name.removesuffix(ending) for ending in _ENDINGS if path.name.endswith(ending))


def _some(rows: list[dict[str, Any]], channels: Sequence[str]) -> list[dict[str, Any]]:
    if not rows:
        raise DataError(
            f"the folder holds no case: expected files such as CASE_{channels[0]}.nii.gz. Name another with "
            "--dataset_dir, or list cases with --datalist."
        )
    return rows


class SlicesInferer(Inferer):
    """Logits (1, K, S, H, W) of the slices (1, C, S, H, W) of one case, some slices at a time.

    Args:
        batch_size: Slices at a time.
        flips: Axes of the mirror images that are predicted too; the logits are the mean over them.
    """

    def __init__(self, batch_size: int = 16, flips: Sequence[Sequence[int]] = ()) -> None:
        super().__init__()
        self.batch_size, self.flips = batch_size, flips_of([list(flip) for flip in flips])

    def __call__(
        self, inputs: torch.Tensor, network: Any, *_: Any, content: torch.Tensor | None = None, **__: Any
    ) -> torch.Tensor:
        """Predict.

        Args:
            inputs: Prepared slices.
            network: A torch.nn.Module of slices (B, C, H, W); of several outputs one counts.
            content: (1, 1, S, H, W) where the image shows something: other slices are not sent to the network,
                and their logits are 0. Without it, all are sent.

        Raises:
            ModelError: The network returned NaN or infinity.
        """
        network = with_main_output(network)
        plain = inputs.as_tensor() if isinstance(inputs, MetaTensor) else inputs
        slices = plain[0].movedim(1, 0)
        rows = _rows(len(slices), None if content is None else as_array(content[0]))
        logits = None
        with torch.inference_mode():
            for start in range(0, len(rows), self.batch_size):
                here = torch.from_numpy(rows[start : start + self.batch_size])
                given = mean_logits(network, slices[here].float().contiguous(), self.flips)
                if not torch.isfinite(given).all():
                    raise ModelError("the network returned NaN or infinity.")
                if logits is None:
                    logits = given.new_zeros((len(slices), *given.shape[1:]))
                logits[here] = given
            if logits is None:  # nothing but background: what the network is asked is how many maps it gives
                logits = torch.zeros_like(network(slices[:1].float())).repeat(len(slices), 1, 1, 1)
        return logits.movedim(0, 1)[None].clone()


def _rows(slices: int, content: NDArray[Any] | None) -> NDArray[np.intp]:
    """Places of the slices that are sent: `content` is (1, S, H, W)."""
    return np.arange(slices) if content is None else np.flatnonzero(content[0].any(axis=(1, 2)))


class LabelsFromLogitsd(MapTransform):
    """The label map (1, I, J, K) of a case on the grid of its file, from the logits (K, S, H, W) of its slices.

    Args:
        keys: Of the logits.
        preprocessing: The transforms that the image went through.
        task: What logits mean.
        axis: Along which slices are cut.
        moves: Whether a transform that the definition declares moves voxels.
        cleaning: Post-processing: mappings of index, largest, least and fill.
        image_key: Of the prepared slices (C, S, H, W).
        content_key: Of (1, S, H, W) where they show something; without it all slices count.
    """

    def __init__(
        self,
        keys: str | Sequence[str],
        preprocessing: Compose,
        task: Any,
        axis: AxisName,
        moves: bool = False,
        cleaning: Sequence[Mapping[str, Any]] = (),
        image_key: str = "image",
        content_key: str = "content",
    ) -> None:
        super().__init__(keys)
        self.task = mask_task(task)
        self.preprocessing, self.moves, self.along = preprocessing, moves, AXES[axis].along
        self.cleaning = cleanings_of(list(cleaning), len(self.task.classes))
        self.image_key, self.content_key = image_key, content_key
        for each in preprocessing.transforms:
            each.allow_missing_keys = True  # maps are led back without what else was prepared

    def __call__(self, data: Mapping[Any, Any]) -> dict[Any, Any]:
        """Decide, restore and clean."""
        done = dict(data)
        image = done[self.image_key]
        prepared = self._prepared(image, done.get(self.content_key))
        rows = np.flatnonzero(prepared.content)
        for key in self.key_iterator(done):
            logits = torch.as_tensor(done[key])
            plain = logits.as_tensor() if isinstance(logits, MetaTensor) else logits
            native, _ = decided(self.task, prepared, rows, [plain.movedim(1, 0)[torch.from_numpy(rows)]])
            done[key] = self._on_grid(self._cleaned(native, prepared.geometry), image, prepared.geometry)
        return done

    def _prepared(self, image: MetaTensor, content: torch.Tensor | None) -> PreparedVolume:
        trace = _known_to_any(image)
        (fit,) = (each for each in self.preprocessing.transforms if isinstance(each, FitSlicesd))
        shown = np.zeros(image.shape[1], dtype=bool)
        shown[_rows(image.shape[1], None if content is None else as_array(content))] = True
        grid = np.asarray(image.meta[MetaKeys.ORIGINAL_AFFINE], dtype=np.float64)
        shape = np.asarray(image.meta[MetaKeys.SPATIAL_SHAPE]).astype(int).tolist()
        return PreparedVolume(
            image=as_array(image).swapaxes(0, 1),
            label=None,
            content=shown,
            geometry=Geometry(shape=tuple(shape), affine=grid),
            fitting=fit.fitting_of(trace),
            cut_away=(0, 0),
            compose=self.preprocessing,
            moved=self.moves,
            trace=trace,
        )

    def _cleaned(self, labels: NDArray[np.uint8], grid: Geometry) -> NDArray[np.uint8]:
        if not self.cleaning:
            return labels
        return grid.from_ras(cleaned(grid.to_ras(labels), self.cleaning, grid.voxel_volume, self.along))

    def _on_grid(self, labels: NDArray[np.uint8], image: MetaTensor, grid: Geometry) -> MetaTensor:
        affine = torch.from_numpy(grid.affine.copy())
        kept = ("filename_or_obj", MetaKeys.SPACE, MetaKeys.ORIGINAL_CHANNEL_DIM)
        meta = {key: image.meta[key] for key in kept if key in image.meta}
        meta |= {MetaKeys.SPATIAL_SHAPE: np.array(grid.shape), MetaKeys.ORIGINAL_AFFINE: grid.affine.copy()}
        return MetaTensor(torch.from_numpy(np.ascontiguousarray(labels)[None]), affine=affine, meta=meta)


def _known_to_any(image: MetaTensor) -> MetaTensor:
    """The trace of an image for transforms that are built as those were which it went through.

    MONAI knows a trace by the very object; programs such as MONAI Label build the transforms a second time.
    """
    trace = MetaTensor(image.as_tensor(), meta=dict(image.meta))
    trace.applied_operations = [
        dict(each) | {TraceKeys.ID: TraceKeys.NONE} for each in image.applied_operations
    ]
    return trace
