from __future__ import annotations

import numpy as np
import pytest

from medseg.images.whole import whole


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("scale", [1 / 255, 1 / 3, 0.1, 1e-4])
def test_whole_numbers_that_scaling_moved_are_whole(kind, scale):
    labels = np.arange(20)
    stored = np.rint(labels / scale).astype(kind) * kind(scale)
    np.testing.assert_array_equal(whole(stored), labels)
    assert whole(stored).dtype == kind


@pytest.mark.parametrize("odd", [0.5, 0.996, 0.002, np.nan, np.inf, -np.inf])
def test_one_number_that_is_not_nearly_whole_leaves_all_as_they_are(odd):
    stored = np.array([0.0, 0.99999994, 2.0000002, odd])
    np.testing.assert_array_equal(whole(stored), stored)


def test_integers_are_themselves():
    stored = np.arange(4, dtype=np.uint16)
    assert whole(stored) is stored
