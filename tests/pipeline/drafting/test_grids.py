"""Target spacing, axis, size and depth follow stated rules."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from medseg.pipeline.drafting.budget import batch_size, epochs, widths
from medseg.pipeline.drafting.grids import cut_axis, divisible, halvings, target_spacing


def rows(*each: tuple[float, float, float]) -> NDArray[np.float64]:
    return np.array(each, dtype=np.float64)


def test_the_target_is_the_median_voxel() -> None:
    spacings = rows((1, 1, 2), (1, 1, 3), (2, 1, 5))

    assert target_spacing(spacings, rows(*[(100, 100, 50)] * 3)).tolist() == [1, 1, 3]


def test_thick_and_few_slices_take_the_tenth_percentile_but_no_finer_than_the_plane() -> None:
    shapes = rows(*[(300, 300, 30)] * 11)
    thick = rows(*[(1, 1, 2.0)] * 2, *[(1, 1, 8.0)] * 9)
    mostly = rows(*[(1, 1, 0.5)] * 2, *[(1, 1, 8.0)] * 9)

    assert target_spacing(thick, shapes)[2] == pytest.approx(2)
    assert target_spacing(mostly, shapes)[2] == pytest.approx(1, abs=1e-4)


def test_thick_slices_that_are_many_keep_the_median() -> None:
    assert target_spacing(rows(*[(1, 1, 8.0)] * 3), rows(*[(300, 300, 200)] * 3))[2] == 8


@pytest.mark.parametrize(
    ("target", "shape", "plane"),
    [
        ((1, 1, 3), (200, 200, 200), "axial"),
        ((3, 1, 1), (30, 200, 200), "sagittal"),
        ((1, 4, 1), (200, 30, 200), "coronal"),
        ((1, 1, 1), (35, 50, 36), "sagittal"),
        ((1, 1, 1), (240, 240, 155), "axial"),
        ((1, 1, 1), (64, 64, 64), "axial"),
        ((3, 1, 1), (64, 64, 1), "axial"),
    ],
)
def test_slices_are_cut_across_the_thickest_axis_else_that_with_the_fewest(
    target: tuple[float, float, float], shape: tuple[float, float, float], plane: str
) -> None:
    assert cut_axis(np.array(target, dtype=float), rows(shape)).plane == plane


@pytest.mark.parametrize(
    ("size", "times"), [((8, 8), 1), ((32, 48), 3), ((64, 64), 4), ((512, 512), 5), ((5, 90), 1)]
)
def test_a_network_halves_until_a_side_has_four_to_seven_pixels_five_times_at_most(
    size: tuple[int, int], times: int
) -> None:
    assert halvings(size) == times


def test_sizes_are_rounded_up() -> None:
    assert divisible((43, 64.0), 8) == [48, 64]


def test_features_double_up_to_512() -> None:
    assert widths(32, 5) == [32, 64, 128, 256, 512, 512]


def test_a_batch_holds_a_twentieth_of_the_slices_and_fits_the_reference() -> None:
    assert batch_size(widths(16, 4), (96, 96), 100) == 4
    assert batch_size(widths(16, 4), (96, 96), 10_000) == 32
    assert batch_size(widths(32, 5), (512, 512), 10_000) == 16
    assert batch_size(widths(16, 4), (96, 96), 3) == 2


def test_a_training_has_about_3000_steps() -> None:
    assert epochs(slices=600, batch=16) == 79
    assert epochs(slices=2, batch=2) == 250
    assert epochs(slices=1_000_000, batch=32) == 5
