"""The Medical Segmentation Decathlon: `imagesTr/X.nii.gz`, also 4-D, `labelsTr/X.nii.gz`, `dataset.json`.

Files may be MetaImage or NRRD, too, where several channels are several values in each voxel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from medseg.datasets.scanning.description import Description, described
from medseg.datasets.scanning.folder import ITK, OTHER, VOLUME, Entry, Folder
from medseg.datasets.scanning.layout import Layout
from medseg.datasets.scanning.layouts.training_folders import TEST, one_home, training
from medseg.errors import DataError
from medseg.images.itk.names import MGH, NAME, PAIR
from medseg.images.itk.read import header_of, stored_channels
from medseg.images.nifti.mgh import frames_of, mgh_geometry
from medseg.images.nifti.pair import pair_geometry
from medseg.images.nifti.read import stored_shape


class Decathlon:
    """Images and label maps of one name in `imagesTr` and `labelsTr`."""

    def recognise(self, folder: Folder) -> Layout | None:
        """The layout, if every label map has an image of its name."""
        home = one_home(folder)
        if home is None:
            return None
        images, labels = training(folder, home, "imagesTr"), training(folder, home, "labelsTr")
        masks = {entry.stem for entry in labels}
        if not masks or len(masks & {entry.stem for entry in images}) < 0.5 * len(masks):
            return None
        kind = VOLUME if any(entry.kind == VOLUME for entry in labels) else ITK
        if kind == ITK:
            images, labels = ([each for each in some if each.kind != OTHER] for some in (images, labels))
        if any(entry.kind != kind for entry in (*images, *labels)):
            return None
        said = described(folder, home)
        count, seen = _channels_in(images, masks)
        channels = said.channels if len(said.channels) == count else _numbered(count)
        fields: dict[str, Any] = {
            "channels": list(channels),
            "layout": {
                "images": f"{home and '**/'}imagesTr/{{case}}{_ending(images, kind)}",
                "mask": f"{home and '**/'}labelsTr/{{case}}{_ending(labels, kind)}",
            },
        }
        if kind == ITK:
            fields["format"] = NAME
        if count > 1:
            fields["volumes"] = {"channels": "stacked"}
        return Layout(
            "Medical Segmentation Decathlon",
            "sure" if said.file else "guess",
            (
                "imagesTr and labelsTr hold files of the same names",
                *([f"{said.file} names the channels"] if tuple(channels) == said.channels else []),
                f"a file holds {count} channel{'' if count == 1 else 's'} ({seen})",
            ),
            fields,
            said.about,
            said.meaning,
            _modalities(said, channels),
            tuple(_doubts(said, channels)),
            {f"{home}{name}": words for name, words in TEST.items()},
            (said.file,) if said.file else (),
        )


def _channels_in(images: Sequence[Entry], masks: set[str]) -> tuple[int, str]:
    """How many channels the first readable image with a label map holds, and its shape in words."""
    for entry in images:
        if entry.stem in masks:
            try:
                return _held(entry)
            except DataError:
                continue
    return 1, "no header could be read"


def _held(entry: Entry) -> tuple[int, str]:
    if entry.kind == ITK and entry.name.lower().endswith(MGH):
        count = frames_of(entry.path)
        return count, " x ".join(map(str, (*mgh_geometry(entry.path).shape, count)))
    if entry.kind == ITK and not entry.name.lower().endswith(PAIR):
        shape = header_of(entry.path).sizes
        return stored_channels(entry.path), " x ".join(map(str, shape))
    shape = (pair_geometry(entry.path).shape) if entry.kind == ITK else stored_shape(entry.path)
    return (shape[3] if len(shape) > 3 else 1), " x ".join(map(str, shape))


def _ending(entries: Sequence[Entry], kind: str) -> str:
    """How the pattern of their names ends; several endings leave it open."""
    endings = {entry.ending for entry in entries}
    return ".nii*" if kind == VOLUME else next(iter(endings)) if len(endings) == 1 else ".*"


def _numbered(count: int) -> tuple[str, ...]:
    return ("image",) if count == 1 else tuple(f"channel_{number}" for number in range(count))


def _modalities(said: Description, channels: Sequence[str]) -> Mapping[str, str]:
    return said.modalities if tuple(channels) == said.channels else {}


def _doubts(said: Description, channels: Sequence[str]) -> list[str]:
    if said.problem:
        return [f"{said.problem}: channels and classes have neutral names"]
    if tuple(channels) != said.channels:
        return [
            f"{said.file} names {len(said.channels)} channels where files hold {len(channels)}: names are neutral"
        ]
    return []
