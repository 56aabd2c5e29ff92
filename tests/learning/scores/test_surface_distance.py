from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from medseg.learning.scores.surface_distance import hausdorff95, surface

SPACINGS = [(1.0, 1.0, 1.0), (0.7, 1.3, 5.0)]


def brute_surface(mask):
    """Look at every voxel and its face neighbours, one by one."""
    points = []
    for place in product(*map(range, mask.shape)):
        if not mask[place]:
            continue
        neighbours = [
            (*place[:axis], place[axis] + step, *place[axis + 1 :])
            for axis in range(mask.ndim)
            for step in (-1, 1)
        ]
        inner = all(
            all(0 <= at < size for at, size in zip(near, mask.shape, strict=True)) and mask[near]
            for near in neighbours
        )
        if not inner:
            points.append(place)
    return np.array(points)


def brute_hausdorff95(truth, predicted, spacing):
    one, other = brute_surface(truth) * spacing, brute_surface(predicted) * spacing
    distances = np.sqrt(((one[:, None] - other[None]) ** 2).sum(axis=-1))
    return max(np.percentile(distances.min(axis=1), 95), np.percentile(distances.min(axis=0), 95))


def two_masks(seed, shape=(12, 11, 9)):
    from scipy.ndimage import gaussian_filter

    random = np.random.default_rng(seed)
    smooth = gaussian_filter(random.normal(size=shape), 1.5)
    masks = smooth > 0.05, smooth + gaussian_filter(random.normal(size=shape), 1.0) > 0.1
    assert all(mask.any() for mask in masks)
    return masks


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("seed", range(4))
def test_it_is_what_brute_force_finds_in_volumes(seed, spacing):
    masks = two_masks(seed)
    assert hausdorff95(*masks, spacing) == pytest.approx(brute_hausdorff95(*masks, spacing), abs=1e-9)


def by_distance_maps(truth, predicted, spacing):
    """Distances read off maps of the distance to each surface."""
    from scipy.ndimage import distance_transform_edt

    one, other = surface(truth), surface(predicted)
    there = distance_transform_edt(~other, sampling=spacing)[one]
    back = distance_transform_edt(~one, sampling=spacing)[other]
    return max(np.percentile(there, 95), np.percentile(back, 95))


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("seed", range(8))
def test_of_many_voxels_those_at_the_percentile_are_found_by_cells(seed, spacing, monkeypatch):
    monkeypatch.setattr("medseg.learning.scores.surface_distance._FEW", 0)
    random = np.random.default_rng(seed)
    truth, noise = np.zeros((29, 33, 18), dtype=bool), random.random((29, 33, 18)) < 0.02 * (seed + 1)
    place = [int(random.integers(1, length - 5)) for length in truth.shape]
    truth[tuple(slice(at, at + 4) for at in place)] = True
    for masks in ((truth, noise), two_masks(seed, shape=(29, 33, 18)), (truth, truth | noise)):
        expected = by_distance_maps(*masks, spacing)
        assert hausdorff95(*masks, spacing) == pytest.approx(expected, abs=1e-9)


def test_cells_are_squares_in_slices(monkeypatch):
    monkeypatch.setattr("medseg.learning.scores.surface_distance._FEW", 0)
    masks = two_masks(5, shape=(80, 70))
    assert hausdorff95(*masks, (0.5, 2.0)) == pytest.approx(by_distance_maps(*masks, (0.5, 2.0)), abs=1e-9)


def test_it_is_what_brute_force_finds_in_slices():
    masks = two_masks(5, shape=(20, 15))
    assert hausdorff95(*masks, (0.5, 2.0)) == pytest.approx(brute_hausdorff95(*masks, (0.5, 2.0)), abs=1e-9)


@pytest.mark.filterwarnings("ignore:.*always_return_as_numpy:FutureWarning")  # MONAI warns about itself
@pytest.mark.parametrize("seed", range(3))
def test_it_agrees_with_monai_on_an_anisotropic_grid(seed):
    import torch
    from monai.metrics import compute_hausdorff_distance

    truth, predicted = two_masks(seed)
    spacing = (0.9, 1.4, 5.0)
    one_hot = [torch.from_numpy(mask)[None, None].float() for mask in (predicted, truth)]
    monai = compute_hausdorff_distance(*one_hot, include_background=True, percentile=95, spacing=spacing)
    assert hausdorff95(truth, predicted, spacing) == pytest.approx(float(monai), rel=1e-5)


def test_the_surface_is_the_mask_less_its_erosion():
    from scipy.ndimage import binary_erosion

    mask, _ = two_masks(6)
    before = mask.copy()
    assert np.array_equal(surface(mask), mask ^ binary_erosion(mask))
    assert np.array_equal(mask, before)


def test_it_is_symmetric_and_grows_with_the_spacing():
    truth, predicted = two_masks(7)
    there = hausdorff95(truth, predicted, (1, 2, 3))
    assert there == hausdorff95(predicted, truth, (1, 2, 3))
    assert hausdorff95(truth, predicted, (2, 4, 6)) == pytest.approx(2 * there)


def test_it_overlooks_a_stray_voxel_far_away_but_not_a_shift():
    truth = np.zeros((30, 30, 30), bool)
    truth[5:15, 5:15, 5:15] = True
    stray = truth.copy()
    stray[29, 29, 29] = True
    assert hausdorff95(truth, stray, (1, 1, 1)) == 0
    assert hausdorff95(truth, np.roll(truth, 3, axis=2), (1, 1, 4)) == 12


def test_two_empty_masks_have_no_distance_and_one_has_the_diagonal_of_the_volume():
    none = np.zeros((240, 240, 155), bool)
    some = none.copy()
    some[3, 4, 5] = True
    assert np.isnan(hausdorff95(none, none, (1, 1, 1)))
    assert hausdorff95(none, some, (1, 1, 1)) == pytest.approx(373.1287, abs=1e-4)  # as BraTS has it
    assert hausdorff95(some, none, (1, 1, 2)) == pytest.approx(np.sqrt(240**2 + 240**2 + 310**2))


@pytest.mark.parametrize(("shape", "spacing"), [((3, 3), (1, 1)), ((3, 4), (1, 1, 1))])
def test_masks_on_different_grids_are_refused(shape, spacing):
    with pytest.raises(ValueError, match="one grid"):
        hausdorff95(np.ones((3, 4), bool), np.ones(shape, bool), spacing)


def disc_and(*, island=False, moved=(0, 0)):
    """A disc, and the same disc moved, or with a far island beside it."""
    rows, columns = np.mgrid[:80, :90]
    truth = (rows - 35) ** 2 + (columns - 35) ** 2 < 14**2
    predicted = np.roll(truth, moved, axis=(0, 1))
    if island:
        predicted[72:78, 80:86] = True
    return truth, predicted


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*always_return_as_numpy:FutureWarning")  # MONAI warns about itself
@pytest.mark.parametrize("masks", [disc_and(island=True), disc_and(moved=(4, 5)), disc_and(moved=(-21, 0))])
@pytest.mark.parametrize("axis", range(3))
def test_a_volume_of_one_slice_is_measured_as_that_slice(masks, axis):
    import torch
    from monai.metrics import compute_hausdorff_distance

    plane = (0.8, 1.5)
    truth, predicted = (np.expand_dims(mask, axis) for mask in masks)
    one_hot = [torch.from_numpy(mask)[None, None].float() for mask in reversed(masks)]
    monai = compute_hausdorff_distance(*one_hot, include_background=True, percentile=95, spacing=plane)

    found = hausdorff95(truth, predicted, np.insert(plane, axis, 5.0))

    assert found == pytest.approx(float(monai), rel=1e-5)
    assert found == pytest.approx(brute_hausdorff95(*masks, plane), abs=1e-9)


@pytest.mark.slow
def test_a_mask_in_one_slice_of_many_is_all_surface():
    """Here the slices above and below are known, and the mask is not in them."""
    truth, predicted = (np.zeros((80, 90, 3), bool) for _ in range(2))
    truth[..., 1], predicted[..., 1] = disc_and(moved=(4, 5))
    expected = brute_hausdorff95(truth, predicted, (1, 1, 5))
    assert hausdorff95(truth, predicted, (1, 1, 5)) == pytest.approx(expected, abs=1e-9)


def test_lines_and_single_voxels_have_distances():
    line = np.zeros((1, 9, 1), bool)
    line[0, 2:5] = True
    moved = np.roll(line, 3, axis=1)  # ends at 2 and 4, and at 5 and 7: 3 and 1 voxels apart
    assert hausdorff95(line, moved, (1, 1.5, 5)) == pytest.approx(1.5 * np.percentile([1, 3], 95))
    assert hausdorff95(np.ones((1, 1, 1)), np.ones((1, 1, 1)), (1, 1, 5)) == 0
