"""A scene of 3D Slicer (MRML): which files are shown together, and how.

Names of nodes and attributes are those that Slicer's sources read (`Libs/MRML/Core`, as of Slicer 5): `Volume`,
`VolumeDisplay`, `VolumeArchetypeStorage`, `Segmentation`, `SegmentationDisplay`, `SegmentationStorage`,
`SliceComposite`. Files are named relative to the scene, and lie beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote
from xml.etree import ElementTree as ET

#: The version that Slicer itself has written into scenes since 4.4.
_VERSION = "Slicer4.4.0"
_GREY = "vtkMRMLColorTableNodeGrey"
_SHOWN = "vtkMRMLScalarVolumeNode1"
_VIEWS = ("Red", "Green", "Yellow")


@dataclass(frozen=True)
class SceneVolume:
    """An image in a scene.

    Attributes:
        name: What it is called.
        file: Its file, beside the scene.
        window: Intensities shown black and white.
    """

    name: str
    file: str
    window: tuple[float, float]


@dataclass(frozen=True)
class SceneSegmentation:
    """A segmentation in a scene.

    Attributes:
        name: What it is called.
        file: Its file, beside the scene: it holds names and colours.
        filled: Whether slices show its areas tinted; else their outlines alone.
    """

    name: str
    file: str
    filled: bool


def scene(volumes: Sequence[SceneVolume], segmentations: Sequence[SceneSegmentation]) -> bytes:
    """The XML of a scene that shows the first image, and all segmentations over it.

    Args:
        volumes: At least one.
        segmentations: Of the same place.
    """
    root = ET.Element("MRML", {"version": _VERSION, "userTags": ""})
    for number, volume in enumerate(volumes, start=1):
        _add_volume(root, volume, number)
    for number, segmentation in enumerate(segmentations, start=1):
        _add_segmentation(root, segmentation, number)
    for view in _VIEWS:
        ET.SubElement(
            root,
            "SliceComposite",
            {
                "id": f"vtkMRMLSliceCompositeNode{view}",
                "name": "SliceComposite",
                "singletonTag": view,
                "layoutName": view,
                "backgroundVolumeID": _SHOWN,
                "labelOpacity": "1",
                "linkedControl": "1",
            },
        )
    ET.indent(root, " ")
    written: bytes = ET.tostring(root, encoding="UTF-8", xml_declaration=True)
    return written


def _add_volume(root: ET.Element, volume: SceneVolume, number: int) -> None:
    low, high = volume.window
    display, storage = f"vtkMRMLScalarVolumeDisplayNode{number}", f"vtkMRMLVolumeArchetypeStorageNode{number}"
    ET.SubElement(
        root,
        "VolumeDisplay",
        {
            "id": display,
            "name": f"{volume.name} display",
            "colorNodeID": _GREY,
            "window": f"{high - low:.9g}",
            "level": f"{(high + low) / 2:.9g}",
            "autoWindowLevel": "0",
            "applyThreshold": "0",
            "interpolate": "1",
            "visibility": "true",
        },
    )
    _add_storage(
        root, "VolumeArchetypeStorage", storage, volume.file, centerImage="0", UseOrientationFromFile="1"
    )
    _add_shown(root, "Volume", f"vtkMRMLScalarVolumeNode{number}", volume.name, display, storage)


def _add_segmentation(root: ET.Element, segmentation: SceneSegmentation, number: int) -> None:
    display, storage = f"vtkMRMLSegmentationDisplayNode{number}", f"vtkMRMLSegmentationStorageNode{number}"
    ET.SubElement(
        root,
        "SegmentationDisplay",
        {
            "id": display,
            "name": f"{segmentation.name} display",
            "visibility": "true",
            "visibility2D": "true",
            "Visibility2DFill": str(segmentation.filled).lower(),
            "Visibility2DOutline": "true",
            "Opacity2DFill": "0.5",
            "Opacity2DOutline": "1",
        },
    )
    _add_storage(root, "SegmentationStorage", storage, segmentation.file)
    called, grid = f"vtkMRMLSegmentationNode{number}", f"referenceImageGeometryRef:{_SHOWN};"
    _add_shown(root, "Segmentation", called, segmentation.name, display, storage, grid)


def _add_storage(root: ET.Element, tag: str, called: str, file: str, **others: str) -> None:
    """Where the voxels are; Slicer reads file names as in addresses, with `%20` for a space."""
    named = {"id": called, "name": tag, "fileName": quote(file), "useCompression": "1", **others}
    ET.SubElement(root, tag, named)


def _add_shown(
    root: ET.Element,
    tag: str,
    called: str,
    name: str,
    display: str,
    storage: str,
    others: str = "",
) -> None:
    references = f"display:{display};storage:{storage};{others}"
    ET.SubElement(root, tag, {"id": called, "name": name, "references": references})
