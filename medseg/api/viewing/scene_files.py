"""A case as files that 3D Slicer opens together."""

from __future__ import annotations

from pathlib import Path

from medseg.api.viewing.seen import Seen
from medseg.datasets.case import safe_name
from medseg.figures.overlay import window_of
from medseg.images.slicer.scene import SceneSegmentation, SceneVolume, scene
from medseg.images.slicer.volume import write_image, write_segmentation
from medseg.places import written_whole

NAME = "scene.mrml"


def write_scene(seen: Seen, folder: Path) -> Path:
    """Write the images, the maps, and the scene that shows them, into one folder.

    The scene refers to files beside it, so that the folder may be moved and passed on. Nothing in it names the data's
    own files or folders.

    Returns:
        The scene.

    Raises:
        NotWrittenError: The folder cannot be written to.
    """
    volumes, segmentations = [], []
    for name, image in zip(seen.channels, seen.images, strict=True):
        file = f"image_{safe_name(name)}.nrrd"
        with written_whole(folder / file) as target:
            write_image(seen.geometry.from_ras(image), seen.geometry, target)
        volumes.append(SceneVolume(name, file, window_of(image)))
    for name, values in seen.maps.items():
        file = f"{name}.seg.nrrd"
        with written_whole(folder / file) as target:
            write_segmentation(seen.geometry.from_ras(values), seen.geometry, seen.segments, target)
        segmentations.append(SceneSegmentation(name, file, filled=name != "truth"))
    with written_whole(folder / NAME) as target:
        target.write_bytes(scene(volumes, segmentations))
    return folder / NAME
