from __future__ import annotations

import json

import numpy as np
import pytest

from medseg.datasets.reading.volume import Volume
from medseg.geometry.grid import Geometry
from medseg.learning.inference.training_profile import TrainingProfile, profile_facts, profile_volume
from medseg.testing.cases import BRATS_CHANNELS, brats_affine, brats_case

CHANNELS = BRATS_CHANNELS
SHAPE = (24, 28, 12)


def volume_of(seed, *, change=lambda image: image, affine=None):
    images, _ = brats_case(SHAPE, seed)
    geometry = Geometry(SHAPE, brats_affine(SHAPE) if affine is None else affine)
    stored = np.stack([images[name] for name in CHANNELS]).astype(np.float32)
    inside = stored != 0
    return Volume(np.where(inside, change(stored), 0).astype(np.float32), None, geometry)


@pytest.fixture(scope="module")
def profile():
    return TrainingProfile.of([profile_volume(volume_of(seed), CHANNELS) for seed in range(6)])


def warnings_for(profile, volume):
    return profile.warnings(profile_volume(volume, CHANNELS))


@pytest.mark.parametrize("seed", range(100, 110))
def test_a_case_like_those_of_the_training_gives_no_warning(profile, seed):
    assert warnings_for(profile, volume_of(seed)) == []


def test_the_training_cases_themselves_give_none_even_where_there_is_but_one():
    alone = TrainingProfile.of([profile_volume(volume_of(3), CHANNELS)])
    assert warnings_for(alone, volume_of(3)) == []


def test_percentiles_are_over_what_is_no_background():
    volume = volume_of(1)
    found = profile_volume(volume, CHANNELS).intensities["t1"]
    inside = volume.image[1][volume.image[1] != 0]
    np.testing.assert_allclose((found.p01, found.p50, found.p99), np.percentile(inside, [1, 50, 99]))


@pytest.mark.parametrize("spacing", [(2.0, 1.0, 1.0), (1.0, 0.8, 1.0), (1.0, 1.0, 5.0)])
def test_another_spacing_is_named_with_direction_and_size(profile, spacing):
    affine = brats_affine(SHAPE) @ np.diag([*spacing, 1.0])
    axis = int(np.flatnonzero(np.array(spacing) != 1)[0])
    (found,) = warnings_for(profile, volume_of(1, affine=affine))
    direction = ("right to left", "front to back", "up and down")[axis]
    assert f"spacing {direction} is {spacing[axis]:g} mm; in training 1 to 1 mm" in found


def test_one_grid_whose_axes_are_stored_in_another_order_has_the_same_spacing():
    lps = np.diag([-1.0, -1.0, 5.0, 1.0])
    sal = lps[:, [2, 1, 0, 3]] * [1, -1, 1, 1]

    stored = [volume_of(1, affine=affine).geometry for affine in (lps, sal)]

    assert [geometry.orientation for geometry in stored] == ["LPS", "SAL"]
    profiles = [profile_volume(volume_of(1, affine=affine), CHANNELS) for affine in (lps, sal)]
    assert profiles[0].spacing == profiles[1].spacing == (1.0, 1.0, 5.0)


def test_a_spacing_that_differs_by_rounding_is_none(profile):
    assert (
        warnings_for(profile, volume_of(1, affine=brats_affine(SHAPE) @ np.diag([1.02, 0.97, 1.0, 1.0])))
        == []
    )


def test_another_orientation_is_named(profile):
    (found,) = warnings_for(profile, volume_of(1, affine=np.eye(4)))
    assert "orientation is RAS; in training LPS" in found


@pytest.mark.parametrize(
    "change",
    [
        lambda image: image * 10,
        lambda image: image / 10,
        lambda image: image + 5000,
        lambda image: (image - image[image != 0].mean()) / image[image != 0].std(),
        lambda image: image / image.max(),
    ],
    ids=["tenfold", "a tenth", "shifted", "z-scored", "zero to one"],
)
def test_intensities_of_another_scale_are_named_for_each_channel(profile, change):
    found = warnings_for(profile, volume_of(1, change=change))
    for channel in CHANNELS:
        assert any(text.startswith(f"{channel}: ") for text in found)


def test_only_the_channel_that_is_odd_is_named(profile):
    def change(image):
        changed = image.copy()
        changed[2] *= 10
        return changed

    assert {text.split(":")[0] for text in warnings_for(profile, volume_of(1, change=change))} == {"t1ce"}


def test_swapped_channels_of_another_range_are_noticed(profile):
    found = warnings_for(profile, volume_of(1, change=lambda image: image[::-1] * [[[[4]]], *[[[[1]]]] * 3]))
    assert found


def test_an_empty_volume_is_profiled_and_warned_of(profile):
    empty = Volume(np.zeros((4, *SHAPE), np.float32), None, Geometry(SHAPE, brats_affine(SHAPE)))
    assert len(warnings_for(profile, empty)) >= len(CHANNELS)


def test_a_profile_survives_json(profile):
    assert TrainingProfile.from_dict(json.loads(json.dumps(profile.to_dict()))) == profile


def test_a_profile_holds_ranges_and_no_name(profile):
    assert profile.spacing == ((1.0, 1.0),) * 3
    assert profile.orientations == ("LPS",)
    values = [profile_volume(volume_of(seed), CHANNELS).intensities["flair"].p50 for seed in range(6)]
    assert profile.intensities["flair"]["p50"] == (min(values), max(values))


def test_what_the_check_knows_gives_the_same_profile(tmp_path, profile):
    from pathlib import Path

    from medseg.datasets.checks.check import check
    from medseg.datasets.finding.scan import scan
    from medseg.datasets.manifest.manifest import Manifest
    from medseg.testing.cases import write_brats

    manifest = Manifest.from_yaml(Path(__file__).parents[3] / "data_manifests" / "brats2019.yaml")
    report = check(scan(manifest, write_brats(tmp_path, cases=2)), manifest, CHANNELS)
    for number, facts in enumerate(report.facts, 1):
        found, expected = profile_facts(facts), profile_volume(volume_of(number), CHANNELS)
        assert (found.spacing, found.orientation) == (expected.spacing, expected.orientation)
        for channel in CHANNELS:
            for part in ("p01", "p50", "p99"):
                wanted = getattr(expected.intensities[channel], part)
                assert getattr(found.intensities[channel], part) == pytest.approx(wanted, rel=1e-3)
