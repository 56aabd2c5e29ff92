"""Target spacing, axis, size and depth follow stated rules."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from medseg.pipeline.drafting.budget import Pace, batch_size, course, epochs, widths
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


@given(
    slices=st.integers(2, 200_000),
    trained=st.floats(1e-4, 2.0),
    minutes=st.floats(0.5, 600.0),
    batch=st.sampled_from([2, 8, 32]),
)
def test_a_training_fills_the_minutes_and_does_not_exceed_them(
    slices: int, trained: float, minutes: float, batch: int
) -> None:
    validated = max(slices // 5, 1)
    pace = Pace(trained, trained / 3, 1.0)

    found = course(pace, minutes, slices=slices, validated=validated, batch=batch)

    each = slices if found.slices is None else found.slices
    epoch = (each * trained + validated * trained / 3) / 60
    assert found.minutes is not None
    assert found.minutes <= minutes or found.epochs == 1
    assert found.steps == found.epochs * -(-each // batch)
    longest = found.epochs == 1000 or found.steps + found.steps // found.epochs > 30_000
    assert longest or found.minutes + 2 * epoch > 0.8 * minutes


def test_an_epoch_of_many_slices_holds_a_part_of_them_so_that_ten_epochs_fit() -> None:
    found = course(Pace(0.1, 0.01, 1.0), 10, slices=50_000, validated=500, batch=8)

    assert found.slices is not None
    assert found.slices % 8 == 0
    assert 10 <= found.epochs <= 11
    assert found.minutes == pytest.approx(9.5, abs=0.5)


def test_few_slices_are_all_of_an_epoch_and_validated_less_often_where_that_takes_long() -> None:
    quick = course(Pace(0.1, 0.001, 1.0), 10, slices=100, validated=20, batch=8)
    slow = course(Pace(0.1, 0.1, 1.0), 10, slices=100, validated=100, batch=8)

    assert (quick.slices, quick.validate_every) == (None, 1)
    assert slow.validate_every == 10
