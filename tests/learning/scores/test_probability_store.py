from __future__ import annotations

import numpy as np

from medseg.learning.scores.probability_counts import ProbabilityCounts, pack
from medseg.learning.scores.probability_store import ProbabilityStore


def test_an_image_added_after_reading_counts():
    rng = np.random.default_rng(0)
    p, truth = rng.random((2, 50), dtype=np.float32), rng.random((2, 50)) < 0.5
    store = ProbabilityStore()
    for seen in (1, 2):
        store.add("a", pack(p[seen - 1], truth[seen - 1]))
        expected = ProbabilityCounts.of(p[:seen], truth[:seen])
        coarse = expected.coarse()
        for found, wanted in (
            (store.coarse("a"), coarse),
            (store.of_group("a"), expected),
            (store.pooled(), expected),
        ):
            assert np.array_equal(found.values, wanted.values)
            assert np.array_equal(found.positives, wanted.positives)
