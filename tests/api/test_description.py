"""The description of a network: layers, sums, memory and picture, against counts by torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medseg.api import describe_pipeline
from medseg.errors import DefinitionError

SMALL = ("slices.size=[32,32]", "network.channels=[4,8]", "network.strides=[2]", "network.num_res_units=1")
CLASSIC = "network={_target_: medseg.learning.networks.ClassicUNet, filters: 1}"
PLAIN = "network={_target_: medseg.learning.networks.EncoderDecoder}"


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.array(image.convert("RGB"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "sets"),
    [
        ("emps", SMALL),
        ("emps", ("slices.size=[32,32]", PLAIN)),
        ("nuclei", ("slices.size=[48,48]", CLASSIC)),
    ],
)
def test_the_rows_add_up_to_all_parameters_and_the_picture_is_written(
    name: str, sets: tuple[str, ...], tmp_path: Path, monai_imported: None
) -> None:
    found = describe_pipeline(name, tmp_path / "network.png", set=sets)
    network = found.resolved.predictor.network
    height, width = found.resolved.definition.slices.size

    assert sum(layer.parameters for layer in found.network.layers) == found.network.parameters
    assert found.network.parameters == sum(p.numel() for p in network.parameters())
    assert found.network.trainable == found.resolved.parameters
    assert found.network.input_shape == (len(found.resolved.definition.channels), height, width)
    assert found.network.output_shape == (1, height, width)
    assert found.network.weights_bytes == sum(
        t.numel() * t.element_size() for t in (*network.parameters(), *network.buffers())
    )
    assert found.picture == tmp_path / "network.png"
    drawn = pixels(found.picture)
    assert min(drawn.shape[:2]) > 150
    assert drawn.std() > 5


@pytest.mark.slow
def test_the_network_of_the_original_has_the_shapes_of_its_strides(
    tmp_path: Path, monai_imported: None
) -> None:
    found = describe_pipeline("emps", tmp_path / "n.png", set=["slices.size=[128,128]", PLAIN])
    shapes = [layer.shape for layer in found.network.layers if layer.kind.startswith(("Same", "Conv"))]

    assert found.network.trainable == 664_961
    assert shapes == [
        *((64, 64, 64), (64, 64, 64), (128, 32, 32), (128, 32, 32)),
        *((128, 32, 32), (128, 64, 64), (64, 64, 64), (64, 128, 128)),
        (1, 128, 128),
    ]


@pytest.mark.slow
def test_larger_batches_and_slices_need_more_memory(tmp_path: Path, monai_imported: None) -> None:
    small, large = (
        describe_pipeline("emps", tmp_path / "n.png", set=[*SMALL[1:], f"slices.size=[{size},{size}]"]).need
        for size in (32, 64)
    )

    assert small.of(1) < small.of(8) < large.of(8)


def test_the_picture_has_the_name_of_the_pipeline_where_none_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, monai_imported: None
) -> None:
    monkeypatch.chdir(tmp_path)
    found = describe_pipeline("emps", set=SMALL)

    assert found.picture == Path("emps_network.png")
    assert [path.name for path in tmp_path.iterdir()] == ["emps_network.png"]


@pytest.mark.slow
def test_volumes_are_described_as_well(tmp_path: Path, tiny: tuple[str, ...], monai_imported: None) -> None:
    found = describe_pipeline("brats2d", tmp_path / "n.png", set=tiny)

    assert found.network.output_shape == (5, 32, 32)
    assert sum(layer.parameters for layer in found.network.layers) == found.resolved.parameters


def test_a_wrong_definition_is_refused_and_nothing_is_drawn(tmp_path: Path, monai_imported: None) -> None:
    with pytest.raises(DefinitionError, match="in_channels"):
        describe_pipeline("emps", tmp_path / "n.png", set=["network.in_channels=3"])
    assert not list(tmp_path.iterdir())
