from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import adjusted_rand_score, silhouette_score

from medseg.learning.features.agreement import rand_index, silhouette

KNOWN = pd.Series(["a", "b", None, "a", "b", "c"], dtype=object)
CLUSTERS = [0, 1, 1, -1, 1, 2]
POINTS = np.random.default_rng(0).normal(size=(6, 3))


def test_agreement_is_scikit_learns_over_the_cases_that_are_known():
    found = rand_index("ari/label", CLUSTERS, KNOWN)
    assert found.value == pytest.approx(adjusted_rand_score(["a", "b", "a", "b", "c"], [0, 1, -1, 1, 2]))
    assert (found.name, found.cases) == ("ari/label", 5)


def test_the_silhouette_is_scikit_learns_over_the_cases_in_groups():
    there = [0, 1, 2, 4, 5]
    found = silhouette("silhouette", POINTS, CLUSTERS)
    assert found.value == pytest.approx(silhouette_score(POINTS[there], np.array(CLUSTERS)[there]))
    assert found.cases == 5
    named = silhouette("silhouette/label", POINTS, KNOWN)
    there = [0, 1, 3, 4, 5]
    assert named.value == pytest.approx(silhouette_score(POINTS[there], KNOWN[there].tolist()))


@pytest.mark.parametrize(
    ("known", "why"),
    [
        ([None] * 6, "no case is in a group"),
        (["a"] * 6, "all 6 cases are in one group"),
        (["a", None, None, None, None, "a"], "all 2 cases are in one group"),
    ],
)
def test_an_agreement_with_one_group_or_none_is_not_defined_and_says_why(known, why):
    found = rand_index("ari/source", CLUSTERS, pd.Series(known, dtype=object))
    assert found.value is None
    assert found.text() == f"ari/source is not defined: {why}"


@pytest.mark.parametrize(
    ("groups", "why"),
    [
        ([-1] * 6, "no case is in a group"),
        ([0] * 6, "all 6 cases are in one group"),
        ([0, 0, 0, 0, 0, -1], "all 5 cases are in one group"),
        ([0, 1, 2, 3, 4, 5], "each case is a group of its own"),
    ],
)
def test_a_silhouette_of_one_cluster_or_of_noise_is_not_defined_and_says_why(groups, why):
    found = silhouette("silhouette", POINTS, groups)
    assert found.value is None
    assert found.why == f"is not defined: {why}"
