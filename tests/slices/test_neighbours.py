"""2.5D: a network sees the slices on either side of each slice, and answers for the slice itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from medseg.api import check_pipeline
from medseg.datasets.reading.volume import Volume
from medseg.errors import DefinitionError
from medseg.geometry.axes import AXES, AxisName
from medseg.geometry.grid import Geometry
from medseg.images.refusal import RefusedError
from medseg.slices.preparation import Preparation, PreparedVolume
from medseg.slices.rule import SliceRule
from medseg.slices.store.fingerprint import make_recipe
from medseg.transforms import StackNeighboursd

SHAPE, CHANNELS = (7, 9, 5), ("t1", "t2")
ROTATED = [{"_target_": "monai.transforms.Rotate90d", "keys": ["image", "label"], "spatial_axes": [0, 1]}]


def volume() -> Volume:
    random = np.random.default_rng(4)
    label = random.integers(0, 3, SHAPE, dtype=np.uint8)
    grid = Geometry(SHAPE, np.diag([-1.0, -1.0, 2.0, 1.0]))
    return Volume(random.random((len(CHANNELS), *SHAPE), dtype=np.float32) + 1, label, grid)


def prepared(neighbours: int, axis: AxisName = "axial", **more: object) -> PreparedVolume:
    rule = SliceRule.model_validate({"axis": axis, "size": [12, 12], "neighbours": neighbours, **more})
    return Preparation(CHANNELS, rule).apply(volume())


def by_hand(alone: NDArray[np.float32], neighbours: int) -> NDArray[np.float32]:
    """(S, C, H, W) with the slices on either side, taken one by one."""
    count, beside = len(alone), []
    for place in range(count):
        seen = [alone[place]]
        for distance in range(1, neighbours + 1):
            seen += [alone[max(place - distance, 0)], alone[min(place + distance, count - 1)]]
        beside.append(np.concatenate(seen))
    return np.stack(beside)


@pytest.mark.parametrize("axis", list(AXES))
@pytest.mark.parametrize("neighbours", [1, 2, 7])
def test_each_slice_comes_with_those_on_either_side_and_the_ends_repeat(
    axis: AxisName, neighbours: int
) -> None:
    alone, beside = prepared(0, axis), prepared(neighbours, axis)

    np.testing.assert_array_equal(beside.image, by_hand(alone.image, neighbours))
    assert beside.label is not None
    assert alone.label is not None
    np.testing.assert_array_equal(beside.label, alone.label)
    np.testing.assert_array_equal(beside.content, alone.content)


@pytest.mark.parametrize(
    "more", [{"fit": "resize"}, {"pad": "edge"}, {"transforms": ROTATED}, {"spacing": [0.7, 1.3]}]
)
def test_neighbours_are_brought_to_size_as_the_slice_is(more: dict[str, object]) -> None:
    alone, beside = prepared(0, **more), prepared(1, **more)

    np.testing.assert_allclose(beside.image, by_hand(alone.image, 1), atol=1e-6)


def test_a_tile_comes_with_the_same_tile_of_the_slices_on_either_side() -> None:
    tiled = {"fit": "tile", "size": [6, 6], "overlap": 0.0}
    alone, beside = prepared(0, **tiled), prepared(1, **tiled)
    tiles = len(alone.image) // SHAPE[2]
    assert tiles > 1

    by_slice = alone.image.reshape(SHAPE[2], tiles, *alone.image.shape[1:])
    expected = np.stack([by_hand(by_slice[:, tile], 1) for tile in range(tiles)], axis=1)
    np.testing.assert_array_equal(beside.image, expected.reshape(beside.image.shape))


@pytest.mark.parametrize("more", [{}, {"fit": "tile", "size": [6, 6]}, {"transforms": ROTATED}])
def test_maps_go_back_to_the_grid_of_the_file_as_without_neighbours(more: dict[str, object]) -> None:
    beside = prepared(2, **more)
    assert beside.label is not None

    back = beside.restore(beside.label[None], nearest=True)
    given = volume()
    assert given.label is not None
    np.testing.assert_array_equal(back[0], given.geometry.from_ras(given.label))


def test_inputs_are_named_in_the_order_of_the_channels() -> None:
    rule = SliceRule(size=(8, 8), neighbours=2)

    assert rule.inputs(CHANNELS) == (
        *("t1", "t2"),
        *("t1-1", "t2-1", "t1+1", "t2+1"),
        *("t1-2", "t2-2", "t1+2", "t2+2"),
    )
    assert len(rule.inputs(CHANNELS)) == prepared(2).image.shape[1]
    assert SliceRule(size=(8, 8)).inputs(CHANNELS) == CHANNELS


def test_stores_of_before_there_were_neighbours_are_used_still() -> None:
    def fingerprint(**more: int) -> str:
        return make_recipe(CHANNELS, SliceRule(size=(8, 8), **more), None, regions={}, seed=0).fingerprint  # type: ignore[arg-type]

    assert fingerprint(neighbours=0) == fingerprint()
    assert len({fingerprint(neighbours=each) for each in range(3)}) == 3


def test_the_network_of_a_definition_takes_the_neighbours_too() -> None:
    resolved = check_pipeline("acdc", set=["slices.neighbours=1"])

    assert resolved.predictor.input_shape[0] == 3 * len(resolved.definition.channels)
    with pytest.raises(DefinitionError, match=r"Set network\.in_channels to 3"):
        check_pipeline("acdc", set=["slices.neighbours=1", "network.in_channels=1"])


@pytest.mark.parametrize("name", ["emps", "radiology_cnn"])
def test_pictures_have_no_neighbours(name: str) -> None:
    with pytest.raises(DefinitionError, match=r"slices\.neighbours is 1, and .* no slices on either side"):
        check_pipeline(name, set=["slices.neighbours=1"])


def test_pictures_are_cut_along_no_other_axis() -> None:
    with pytest.raises(
        DefinitionError, match=r"slices\.axis is sagittal, and the slices of .* are the pictures"
    ):
        check_pipeline("emps", set=["slices.axis=sagittal"])


def test_the_transform_takes_plain_tensors_and_refuses_what_has_no_slices() -> None:
    plain = torch.arange(6.0).reshape(1, 3, 1, 2)
    stacked = StackNeighboursd("image")({"image": plain})["image"]
    assert stacked[:, :, 0, 0].tolist() == [[0, 2, 4], [0, 0, 2], [2, 4, 4]]
    with pytest.raises(RefusedError, match="CutSlicesd"):
        StackNeighboursd("image")({"image": plain[0]})
    with pytest.raises(ValueError, match="1 or more"):
        StackNeighboursd("image", neighbours=0)
    assert StackNeighboursd("image", allow_missing_keys=True)({}) == {}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType")  # MLflow's own
def test_a_model_with_neighbours_predicts_alike_by_both_engines_and_is_served_by_their_names(
    tmp_path: Path,
) -> None:
    from mlflow.pyfunc import load_model

    from medseg.learning.inference.export.engine import engine_named
    from medseg.learning.inference.predictor import Predictor
    from medseg.tracking.mlflow.model import save_model

    sets = ["slices.neighbours=1", "slices.size=[16,16]", "network.channels=[4,8]", "network.strides=[2]"]
    made = check_pipeline("acdc", set=sets).predictor
    made.save(tmp_path / "model")
    loaded = Predictor.load(tmp_path / "model")
    assert "each with 1 slice on either side" in (tmp_path / "model" / "README.md").read_text()
    slices = np.random.default_rng(0).random((4, 3, 16, 16), dtype=np.float32)
    expected = made.probabilities(slices)
    np.testing.assert_array_equal(loaded.probabilities(slices), expected)
    by_onnx = engine_named("onnx").computing(loaded).probabilities(slices)
    np.testing.assert_allclose(by_onnx, expected, atol=1e-5)
    save_model(tmp_path / "model", tmp_path / "served")
    named = {"cine": slices[:, 0], "cine-1": slices[:, 1], "cine+1": slices[:, 2]}
    served = load_model(str(tmp_path / "served")).predict(named)
    np.testing.assert_allclose(np.stack(list(served.values()), axis=1), expected, atol=1e-6)
