"""Layers for napari: where voxels lie, what is shown, in which colours."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from medseg.api.viewing.layers import Layer, layers_of
from medseg.api.viewing.seen import Seen
from medseg.geometry.axes import AXES, AxisName
from medseg.geometry.grid import Geometry, PixelGrid
from medseg.images.dicom.writing.segments import Segment

SHAPE = (3, 4, 5)
#: Stored right to left, inferior to superior and posterior to anterior, with voxels of three sizes.
AFFINE = np.array([[-0.5, 0, 0, 9.0], [0, 0, 2.0, -4.0], [0, 1.5, 0, 30.0], [0, 0, 0, 1.0]])
SEGMENTS = (Segment(2, "oedema"), Segment(3, "core", colour=(1, 2, 3)))


def seen(axis: AxisName = "axial") -> Seen:
    """Two channels whose values are the place of their voxel in the file."""
    grid = Geometry(SHAPE, AFFINE)
    stored = np.arange(60, dtype=np.float32).reshape(SHAPE)
    images = np.stack([grid.to_ras(stored), grid.to_ras(stored) + 100])
    truth = np.where(images[0] > 40, 2, 0).astype(np.uint16)
    maps = {"truth": truth, "prediction": np.where(images[0] > 50, 3, truth).astype(np.uint16)}
    return Seen("a", ("t2", "t1"), images, grid, axis, flat=False, segments=SEGMENTS, maps=maps)


def named(layers: tuple[Layer, ...]) -> dict[str, Layer]:
    return {layer.name: layer for layer in layers}


@pytest.mark.parametrize("axis", AXES)
def test_every_voxel_lies_where_the_file_says(axis: AxisName) -> None:
    layer = named(layers_of(seen(axis)))["t2"]
    for index in product(*map(range, layer.data.shape)):
        stored = np.unravel_index(int(layer.data[index]), SHAPE)
        assert np.allclose((layer.affine @ [*index, 1])[:3], (AFFINE @ [*stored, 1])[:3])
    assert np.allclose(layer.scale, np.linalg.norm(layer.affine[:3, :3], axis=0))


def test_the_first_channel_is_on_top_and_maps_lie_over_it() -> None:
    layers = layers_of(seen())
    assert [layer.name for layer in layers] == ["t1", "t2", "truth", "prediction"]
    assert [layer.visible for layer in layers] == [False, True, True, True]
    assert [layer.kind for layer in layers] == ["image", "image", "labels", "labels"]
    low, high = layers[1].window or (0, 0)
    assert 0 <= low < high <= 59


def test_maps_have_the_names_and_colours_of_the_manifest() -> None:
    layers = named(layers_of(seen()))
    for name, outlined in (("truth", True), ("prediction", False)):
        assert layers[name].names == {2: "oedema", 3: "core"}
        assert layers[name].colours[3] == (1, 2, 3)
        assert layers[name].colours[2] == SEGMENTS[0].shown(1)
        assert layers[name].outlined is outlined
    agree = (layers["t2"].data > 50) == (layers["prediction"].data == 3)
    assert agree.all()


def picture() -> Seen:
    """A colour picture of 2 rows and 3 columns."""
    grid = PixelGrid.of(2, 3)
    rows = np.arange(18, dtype=np.float32).reshape(3, 2, 3) * 10  # channel, row, column
    images = np.stack([grid.to_ras(channel.T[:, :, None]) for channel in rows])
    maps = {"prediction": np.zeros(images.shape[1:], np.uint16)}
    return Seen("p", ("red", "green", "blue"), images, grid, "axial", flat=True, segments=SEGMENTS, maps=maps)


def test_a_colour_picture_is_one_layer_the_right_way_up() -> None:
    first, over = layers_of(picture())
    assert first.data.shape == (2, 3, 3)
    assert np.array_equal(first.data[..., 0], np.arange(6).reshape(2, 3) * 10)
    assert first.window is None
    assert over.data.shape == (2, 3)
    assert over.scale == (1.0, 1.0)


def test_a_grey_picture_keeps_its_intensities() -> None:
    grey = replace(picture(), channels=("grey",), images=picture().images[:1])
    first, _ = layers_of(grey)
    assert first.data.shape == (2, 3)
    assert first.window is not None


IN_NAPARI = """
import sys
import numpy as np
from napari.components import ViewerModel
sys.path.insert(0, sys.argv[1])
from medseg.api.viewing.layers import layers_of
from medseg.api.viewing.window import add_layers
from test_layers import picture, seen
for each in (seen("coronal"), picture()):
    viewer, layers = ViewerModel(), layers_of(each)
    add_layers(viewer, layers)
    assert [layer.name for layer in viewer.layers] == [layer.name for layer in layers]
    for made, layer in zip(viewer.layers, layers, strict=True):
        assert np.allclose(made.scale, layer.scale), made.scale
        assert made.visible == layer.visible
        assert np.array_equal(made.data, layer.data)
        if layer.kind == "labels":
            for value, colour in layer.colours.items():
                assert np.allclose(made.get_color(value)[:3], np.array(colour) / 255, atol=1 / 255)
            assert made.contour == int(layer.outlined)
            assert dict(zip(made.features["index"], made.features["class"])) == {0: "", **layer.names}
        elif layer.window:
            assert np.allclose(made.contrast_limits, layer.window)
        else:
            assert made.rgb
print("shown")
"""


@pytest.mark.slow
@pytest.mark.skipif(find_spec("napari") is None, reason="napari is not installed: it is an extra, and large")
def test_napari_takes_them() -> None:
    """Its model of a viewer, which needs no display; in a process of its own, since its imports warn."""
    command = [sys.executable, "-c", IN_NAPARI, str(Path(__file__).parent)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert ran.stdout.strip().endswith("shown"), ran.stderr[-2000:]
