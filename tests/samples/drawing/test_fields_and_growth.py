import numpy as np
import pytest
from scipy.interpolate import BSpline, RegularGridInterpolator
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra

from medseg.samples.brain.contrast import _scan
from medseg.samples.brain.sequences import draw
from medseg.samples.brain.tumour import _STEP, _level_of, _spread
from medseg.samples.drawing.fields import blend, enlarge, interpolate, smooth_field


def test_blending_agrees_with_scipy_splines():
    rng = np.random.default_rng(0)
    coefficients = rng.standard_normal((6, 7, 8)).astype(np.float32)
    shape, spacing = (10, 13, 17), 4.0
    expected = coefficients.astype(np.float64)
    for axis, length in enumerate(shape):
        knots = np.arange(-3, coefficients.shape[axis] + 1)  # uniform; coefficient 1 peaks at 0
        spline = BSpline(knots, np.moveaxis(expected, axis, 0), 3)
        expected = np.moveaxis(spline(np.arange(length) / spacing), 0, axis)
    np.testing.assert_allclose(blend(coefficients, shape, spacing), expected, atol=1e-5)


def test_enlarging_keeps_a_ramp_off_its_ends():
    i, j, k = np.indices((9, 8, 7), dtype=np.float32)
    fine = enlarge(i + 2 * j - k, (25, 22, 19), 3)
    x, y, z = np.indices((25, 22, 19)) / 3
    middle = (slice(4, -8),) * 3
    np.testing.assert_allclose(fine[middle], (x + 2 * y - z)[middle], atol=1e-4)


def test_interpolation_agrees_with_scipy_for_both_maps():
    rng = np.random.default_rng(5)
    volume = (rng.random((5, 6, 7)) + 1j * rng.random((5, 6, 7))).astype(np.complex64)
    points = (rng.random((3, 500)) * np.array([[6], [7], [8]]) - 1).astype(np.float32)  # some outside
    within = np.clip(points, 0, np.array([[4], [5], [6]])).T
    for part in (np.real, np.imag):
        expected = RegularGridInterpolator([np.arange(n) for n in volume.shape], part(volume))(within)
        np.testing.assert_allclose(part(interpolate(volume, points)), expected, atol=1e-5)


@pytest.mark.parametrize("spacing", [5, 13])
def test_fields_have_deviation_one_and_follow_their_generator(spacing):
    shape = (90, 80, 100)
    field = smooth_field(np.random.default_rng(1), shape, spacing)
    assert field.shape == shape
    assert field.dtype == np.float32
    assert field.std() == pytest.approx(1, abs=0.15)
    np.testing.assert_array_equal(field, smooth_field(np.random.default_rng(1), shape, spacing))
    assert (field != smooth_field(np.random.default_rng(2), shape, spacing)).any()


def test_spreading_finds_the_cheapest_paths():
    rng = np.random.default_rng(2)
    shape = (7, 6, 8)
    cost = np.exp(rng.normal(0, 1, shape)).astype(np.float32)
    start = np.zeros(shape, bool)
    start[1, 2, 3] = start[5, 5, 0] = True
    points = np.argwhere(np.ones(shape, bool))
    gaps = points[:, None] - points[None]
    one, other = np.nonzero(np.abs(gaps).max(-1) == 1)
    lengths = _STEP * np.linalg.norm(gaps[one, other], axis=1)
    flat = cost.ravel().astype(np.float64)
    graph = coo_array((lengths * (flat[one] + flat[other]) / 2, (one, other)), shape=(len(points),) * 2)
    expected = dijkstra(graph.tocsr(), indices=np.flatnonzero(start.ravel()), min_only=True)
    np.testing.assert_allclose(_spread(cost, start).ravel(), expected, rtol=1e-5)


def test_a_level_holds_the_number_of_voxels_asked_for():
    level = np.random.default_rng(3).permutation(1000).reshape(10, 10, 10).astype(np.float32)
    allowed = level % 2 == 0
    assert (level[allowed] < _level_of(level, allowed, 123)).sum() == 123
    assert _level_of(level, allowed, 600) == 998


def test_noise_is_rician():
    recipe = draw(1, 1)
    rng = np.random.default_rng(4)
    flat = np.ones(200_000, np.float32)
    dark = _scan(0 * flat, recipe, flat, 30_000 / recipe.noise / 10, rng) * recipe.noise / 3000
    assert dark.mean() == pytest.approx(
        recipe.noise * np.sqrt(np.pi / 2), rel=0.01
    )  # Rayleigh without signal
    bright = _scan(flat, recipe, flat, 10_000.0, rng) / 10_000
    assert bright.std() == pytest.approx(recipe.noise, rel=0.02)
