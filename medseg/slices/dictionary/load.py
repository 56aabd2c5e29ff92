"""Loading the files of a case: all its channels and its label map, on one grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data.meta_tensor import MetaTensor
from monai.transforms.transform import MapTransform
from monai.utils.enums import MetaKeys, SpaceKeys
from numpy.typing import NDArray

from medseg.datasets.case import Case
from medseg.datasets.reading.placed import CaseGrid
from medseg.datasets.reading.volume import notes_of, read_channels, read_mask
from medseg.errors import DataError
from medseg.geometry.grid import Geometry, StoredImage
from medseg.images.formats import NIFTI, FileKind, PictureFiles
from medseg.images.itk.kind import ItkFiles
from medseg.images.refusal import RefusedError

FILES: Mapping[str, FileKind] = {
    "nifti": NIFTI,
    "itk": ItkFiles(),
    "grey": PictureFiles("grey", ("grey",)),
    "rgb": PictureFiles("rgb", ("red", "green", "blue")),
}
"""The kinds of files by name: NIfTI volumes; MetaImage, NRRD and Analyze; pictures and DICOM images of one frame."""

_WIDER = {
    "uint16": np.int32,
    "uint32": np.int64,
    "uint64": np.int64,
}  # torch computes with few unsigned types


class LoadCased(MapTransform):
    """Read all channels of a case, and its label map, into MetaTensors with the axes as stored.

    Takes `{"case": medseg.Case}`, as a manifest lists them; or paths, as MONAI's data lists have them: under `image`
    a path, a list of paths or {channel: path}, under `label` a path, or a list of one path an object; and under
    `case` a name for messages, or none.

    Gives under the first key (C, I, J, K) float32, under the second (1, I, J, K) of stored values, each with the
    affine of the file (4x4, mm, RAS+), and under `case` its public name. Pictures are volumes of one slice, whose
    axes run along the columns (to the patient's left), along the rows (to posterior), and up; after `OrientRASd`,
    `CutSlicesd(axis="axial")` gives their rows back.

    Args:
        keys: Of the image, or of the image and the label map.
        channels: Which, in this order; by default all that are given, three planes of colours included.
        files: `nifti`, `itk`, `grey` or `rgb`; or a kind of files, such as `manifest.files()`.
        geometry_key: Where the grid is kept as a `Geometry` with the file's header; None keeps none, since data
            loaders cannot collate it.
        notes_key: Where what is odd about the files of the image is kept, a tuple of clauses; None keeps it in the
            image's `meta` alone.
        allow_missing_keys: Go on without the label map where there is none.
        reference: The channel onto whose grid the others are resampled where they lie on another, linearly, by the
            affines of their files; nothing is registered, and no label map resampled. None refuses other grids.

    Raises:
        DataError: A file cannot be used, or lies on another grid; says which, why, and what to do.
    """

    def __init__(
        self,
        keys: str | Sequence[str] = ("image", "label"),
        channels: Sequence[str] | None = None,
        files: str | FileKind = "nifti",
        geometry_key: str | None = None,
        allow_missing_keys: bool = False,
        reference: str | None = None,
        notes_key: str | None = None,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        if len(self.keys) > 2:
            raise ValueError(
                f"keys are {self.keys}, expected that of the image, or of the image and the label map"
            )
        if isinstance(files, str) and files not in FILES:
            raise ValueError(f"files is {files!r}, expected one of {', '.join(FILES)}, or a kind of files")
        self.files = FILES[files] if isinstance(files, str) else files
        self.channels = None if channels is None else tuple(channels)
        self.geometry_key, self.notes_key = geometry_key, notes_key
        if reference is not None and self.channels is not None and reference not in self.channels:
            raise ValueError(f"reference is {reference!r}, expected one of {', '.join(self.channels)}")
        self.reference = reference

    def __call__(self, data: Mapping[Any, Any]) -> dict[Any, Any]:
        """Read; other keys stay as they are."""
        done = dict(data)
        given = data.get("case")
        if isinstance(given, Case):
            case, channels = given, self.channels or tuple(given.images)
        else:
            case = self._listed(data)
            channels = self.channels or tuple(case.images)
        image_key, *rest = self.keys
        try:
            grid = CaseGrid(self.files, self.reference)
            stored = read_channels(case, channels, grid)
            truth = read_mask(case, grid) if rest else None
        except DataError as error:
            raise error if case.id else _unnamed(error) from error
        done[image_key] = _tensor(_joined(stored), stored, case.id)
        if truth is not None:
            values = truth.data.astype(_WIDER.get(str(truth.data.dtype), truth.data.dtype), copy=False)
            done[rest[0]] = _tensor(values[None], [truth], case.id)
        elif rest and not self.allow_missing_keys:
            raise RefusedError(
                f"{f'case {case.id} has' if case.id else 'there is'} no label map, where one was expected under "
                f"'{rest[0]}'",
                "Give one, load the image alone (keys='image'), or set allow_missing_keys.",
            )
        if case.id:
            done["case"] = case.id
        if self.geometry_key is not None:
            done[self.geometry_key] = stored[0].geometry
        if self.notes_key is not None:
            done[self.notes_key] = notes_of(stored)
        return done

    def _listed(self, data: Mapping[Any, Any]) -> Case:
        """The case that a row of a data list stands for."""
        image_key, *rest = self.keys
        if image_key not in data:
            raise RefusedError(
                f"there is neither a case nor anything under '{image_key}'", "Give one of them."
            )
        truth: Any = (data.get(rest[0]) if rest else None) or ()
        one = _is_path(truth)
        return Case(
            id=str(data.get("case") or ""),
            group="",
            images=self._named(data[image_key]),
            mask=Path(fspath(truth)) if one else None,
            objects=() if one else tuple(Path(fspath(each)) for each in truth),
        )

    def _named(self, images: Any) -> dict[str, Path]:
        """The channels' paths by their names."""
        if isinstance(images, Mapping):
            return {str(name): Path(fspath(path)) for name, path in images.items()}
        if _is_path(images):
            planes = getattr(self.files, "planes", ())
            return dict.fromkeys(self.channels or planes or ("image",), Path(fspath(images)))
        names = self.channels or [f"image {number}" for number in range(1, len(images) + 1)]
        if len(names) != len(images):
            raise RefusedError(
                f"{len(images)} images are listed for {len(names)} channels",
                "List one for each, in their order.",
            )
        return {name: Path(fspath(path)) for name, path in zip(names, images, strict=True)}


def _is_path(value: Any) -> bool:
    return isinstance(value, str | PathLike)


def _joined(stored: Sequence[StoredImage]) -> NDArray[np.float32]:
    """(C, I, J, K), in the order in memory of the files."""
    return np.stack([each.data for each in stored], dtype=np.float32, casting="unsafe")


def _tensor(array: NDArray[Any], stored: Sequence[StoredImage], name: str) -> MetaTensor:
    grid: Geometry = stored[0].geometry
    meta = {
        MetaKeys.ORIGINAL_AFFINE: grid.affine.copy(),
        MetaKeys.SPATIAL_SHAPE: np.array(grid.shape),
        MetaKeys.SPACE: SpaceKeys.RAS,
        MetaKeys.ORIGINAL_CHANNEL_DIM: 0,
        "notes": "; ".join(notes_of(stored)),
    }
    if name:
        meta["filename_or_obj"] = name  # by which MONAI's SaveImaged names its files: never by the patient's
    if min(array.strides, default=0) < 0:  # truth that was turned is a view, which torch does not take
        array = array.copy()
    return MetaTensor(torch.from_numpy(array), affine=torch.from_numpy(grid.affine.copy()), meta=meta)


def _unnamed(error: DataError) -> DataError:
    """The same without a case, whose name nobody gave."""
    if not error.faults:
        return error
    problems = [(f"{fault.part}: {fault.found}", fault.remedy) for fault in error.faults]
    (first, remedy), *others = problems
    return RefusedError("; ".join([first, *(problem for problem, _ in others)]), remedy)
