"""The scene: attributes that Slicer's sources read, references that lead somewhere, files beside it."""

from __future__ import annotations

from urllib.parse import unquote
from xml.etree import ElementTree as ET

from medseg.images.slicer.scene import SceneSegmentation, SceneVolume, scene

#: Attributes of every node, and of each kind, that `ReadXMLAttributes` of Slicer 5 knows (`Libs/MRML/Core`).
NODE = {"id", "name", "references", "singletonTag"}
KNOWN = {
    "VolumeDisplay": {
        *("colorNodeID", "window", "level", "autoWindowLevel", "applyThreshold", "interpolate", "visibility")
    },
    "VolumeArchetypeStorage": {"fileName", "useCompression", "centerImage", "UseOrientationFromFile"},
    "Volume": set(),
    "SegmentationDisplay": {
        *("visibility", "visibility2D", "Visibility2DFill", "Visibility2DOutline"),
        *("Opacity2DFill", "Opacity2DOutline"),
    },
    "SegmentationStorage": {"fileName", "useCompression"},
    "Segmentation": set(),
    "SliceComposite": {"layoutName", "backgroundVolumeID", "labelOpacity", "linkedControl"},
}
#: The kind of node that each of these roles refers to.
ROLES = {"display": "Display", "storage": "Storage", "referenceImageGeometryRef": "Volume"}


def example() -> ET.Element:
    return ET.fromstring(  # noqa: S314 - ours
        scene(
            [
                SceneVolume("T1 & <T2>", "image_T1 é.nrrd", (-100.0, 300.0)),
                SceneVolume("b", "b.nrrd", (0, 1)),
            ],
            [
                SceneSegmentation("truth", "truth.seg.nrrd", filled=False),
                SceneSegmentation("prediction", "prediction.seg.nrrd", filled=True),
            ],
        )
    )


def test_nodes_have_the_attributes_that_slicer_reads() -> None:
    root = example()
    assert root.tag == "MRML"
    for node in root:
        assert set(node.attrib) - NODE <= KNOWN[node.tag], node.tag
    ids = [node.get("id", "") for node in root]
    assert len(set(ids)) == len(ids)


def test_every_reference_leads_to_a_node_of_its_kind() -> None:
    root = example()
    nodes = {node.get("id"): node for node in root}
    for node in root:
        for part in filter(None, node.get("references", "").split(";")):
            role, target = part.split(":")
            assert nodes[target].tag.endswith(ROLES[role])
        if node.tag in ("Volume", "Segmentation"):
            assert {part.split(":")[0] for part in node.get("references", "").split(";")} >= {
                *("display", "storage")
            }
    backgrounds = {
        node.get("layoutName"): node.get("backgroundVolumeID") for node in root.iter("SliceComposite")
    }
    assert set(backgrounds) == {"Red", "Green", "Yellow"}
    assert {nodes[each].get("name") for each in backgrounds.values()} == {"T1 & <T2>"}


def test_windows_names_and_files_are_those_that_were_given() -> None:
    root = example()
    first = next(root.iter("VolumeDisplay"))
    assert (float(first.get("window", "")), float(first.get("level", ""))) == (400, 100)
    assert first.get("autoWindowLevel") == "0"
    files = [unquote(node.get("fileName", "")) for node in root if node.get("fileName")]
    assert files == ["image_T1 é.nrrd", "b.nrrd", "truth.seg.nrrd", "prediction.seg.nrrd"]
    fills = [node.get("Visibility2DFill") for node in root.iter("SegmentationDisplay")]
    assert fills == ["false", "true"]
