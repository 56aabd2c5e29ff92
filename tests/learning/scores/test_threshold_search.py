from __future__ import annotations

from math import fsum

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medseg.errors import DataError
from medseg.learning.scores.counts import COUNT_SCORES
from medseg.learning.scores.probability_counts import ProbabilityCounts
from medseg.learning.scores.threshold_search import search

levels = [0.0, 0.1, 0.25, 0.4, 0.45, 0.5, 0.55, 0.75, 0.9, 1.0]
groups_of_pixels = st.lists(
    st.lists(st.tuples(st.sampled_from(levels), st.booleans()), min_size=1, max_size=12),
    min_size=1,
    max_size=5,
)


def arrays(pairs):
    return np.array([p for p, _ in pairs], dtype=np.float32), np.array([t for _, t in pairs], dtype=bool)


def counted(groups):
    return {f"g{index}": ProbabilityCounts.of(*group) for index, group in enumerate(groups)}


def random_groups(groups=6, size=200, seed=0):
    rng = np.random.default_rng(seed)
    found = []
    for index in range(groups):
        truth = rng.random(size) < 0.05 + 0.1 * index
        found.append((np.clip(rng.normal(0.3 + 0.3 * truth, 0.2), 0, 1).astype(np.float32), truth))
    return found


def at(groups, threshold, score, over):
    """The score by its definition, pixel by pixel."""
    if over == "pooled":
        groups = [tuple(np.concatenate(parts) for parts in zip(*groups, strict=True))]
    values = []
    for p, truth in groups:
        y = p >= threshold
        cells = (y & truth).sum(), (y & ~truth).sum(), (~y & truth).sum(), (~y & ~truth).sum()
        values.append(float(COUNT_SCORES[score](*cells)))
    defined = [value for value in values if not np.isnan(value)]
    return fsum(defined) / len(defined) if defined else np.nan


@pytest.mark.slow
@pytest.mark.parametrize("score", COUNT_SCORES)
@pytest.mark.parametrize("over", ["pooled", "groups"])
def test_nothing_is_better_than_the_best(score, over):
    groups = random_groups(size=60)
    found = search(counted(groups), score=score, over=over)
    every = np.unique(np.concatenate([p for p, _ in groups]))
    best = np.nanmax([at(groups, t, score, over) for t in every])
    assert found.value == pytest.approx(best, abs=1e-14) or found.value > best
    assert found.value == pytest.approx(at(groups, found.threshold, score, over), abs=1e-14)
    assert found.value_at_half == pytest.approx(at(groups, 0.5, score, over), abs=1e-14, nan_ok=True)


@pytest.mark.slow
@settings(max_examples=80, deadline=None)
@given(groups_of_pixels, st.sampled_from(sorted(COUNT_SCORES)), st.sampled_from(["pooled", "groups"]))
def test_the_search_is_that_by_brute_force_with_its_ties(parts, score, over):
    groups = [arrays(part) for part in parts]
    truth = np.concatenate([truth for _, truth in groups])
    candidates = sorted({*np.concatenate([p for p, _ in groups]).tolist(), 1.0})
    values = np.array([at(groups, t, score, over) for t in candidates])
    if truth.all() or not truth.any() or np.isnan(values).all():
        with pytest.raises(DataError):
            search(counted(groups), score=score, over=over)
        return
    found = search(counted(groups), score=score, over=over)
    assert found.value == pytest.approx(np.nanmax(values), abs=1e-14)
    tied = [t for t, v in zip(candidates, values, strict=True) if v >= np.nanmax(values) - 1e-13]
    if at(groups, 0.5, score, over) >= np.nanmax(values) - 1e-13:
        tied.append(0.5)
    assert abs(found.threshold - 0.5) == min(abs(t - 0.5) for t in tied)
    # in exactly the same way from the groups in another order
    again = search(counted(groups[::-1]), score=score, over=over)
    assert (repr(again), repr(again.fine)) == (repr(found), repr(found.fine))


def test_of_two_as_near_to_half_the_lower_is_taken():
    p = np.array([0.25, 0.25, 0.75], np.float32)
    counts = counted([(p, np.array([True, False, True]))])
    # accuracy: 2/3 at 0.25 and 2/3 at 0.75; 0.5 does the same as 0.75
    assert search(counts, score="accuracy").threshold == 0.5
    p = np.array([0.25, 0.45, 0.45, 0.75, 0.75], np.float32)
    found = search(counted([(p, np.array([False, False, False, True, True]))]), score="recall")
    assert found.threshold == 0.5
    p = np.array([0.25, 0.25, 0.5, 0.75], np.float32)
    found = search(counted([(p, np.array([True, False, False, True]))]), score="f1")
    assert (found.threshold, found.value) == (0.25, pytest.approx(2 / 3))  # at 0.25 and at 0.75


def test_the_threshold_is_a_float32_that_separates_exactly():
    ((p, truth),) = random_groups(1, 500)
    found = search(counted([(p, truth)]), score="dice")
    assert isinstance(found.threshold, float)
    assert float(np.float32(found.threshold)) == found.threshold
    predicted = p >= found.threshold
    assert 2 * (predicted & truth).sum() / (predicted.sum() + truth.sum()) == found.value


def test_half_is_kept_where_it_is_as_good_as_the_best():
    p = np.array([0.2, 0.9], np.float32)
    found = search(counted([(p, np.array([False, True]))]))
    assert (found.threshold, found.value, found.value_at_half) == (0.5, 1.0, 1.0)


def test_no_foreground_at_all_may_be_best():
    p = np.array([0.8, 0.7, 0.6, 0.1], np.float32)
    found = search(counted([(p, np.array([False, False, False, True]))]), score="accuracy")
    assert (found.threshold, found.value) == (1.0, 0.75)


def test_nothing_coarse_or_fine_beats_the_best():
    groups = random_groups()
    for over in ("pooled", "groups"):
        found = search(counted(groups), score="f1", over=over)
        assert [t for t, _ in found.coarse] == pytest.approx(np.arange(11) / 10)
        for t, value in found.coarse:
            assert value == pytest.approx(at(groups, t, "f1", over), nan_ok=True)
            assert not value > found.value
        t, values = found.curve(60)
        assert (t[0], t[-1]) == (0, 1)
        assert (np.diff(t) > 0).all()
        assert 50 < t.size <= 62
        assert values[t == found.threshold] == found.value == values.max()
        assert values == pytest.approx([at(groups, one, "f1", over) for one in t], nan_ok=True)


@pytest.mark.slow
def test_means_over_very_many_groups_do_not_drift():
    groups = random_groups(300, 30, seed=4)
    found = search(counted(groups), score="precision", over="groups")
    assert found.groups == 300
    best = np.nanmax(
        [
            at(groups, t, "precision", "groups")
            for t in np.unique(np.concatenate([p for p, _ in groups]))[-25:]
        ]
    )
    assert found.value >= best - 1e-15
    for t, value in found.coarse:
        assert value == pytest.approx(at(groups, t, "precision", "groups"), abs=2.3e-16, nan_ok=True)


def test_pooled_and_groups_differ_where_groups_do():
    groups = random_groups()
    pooled, mean = (search(counted(groups), over=over) for over in ("pooled", "groups"))
    assert pooled.value != mean.value
    assert mean.value >= at(groups, pooled.threshold, "f1", "groups")


def test_an_unknown_score_is_refused_with_the_names_of_all():
    with pytest.raises(ValueError, match=r"f2.*f1, dice, iou.*mcc"):
        search(counted(random_groups()), score="f2")
    with pytest.raises(ValueError, match="pooled"):
        search(counted(random_groups()), over="images")


@pytest.mark.parametrize("present", [True, False])
def test_one_class_alone_is_refused(present):
    p = np.array([0.2, 0.7], np.float32)
    with pytest.raises(DataError, match="background" if present else "foreground"):
        search(counted([(p, np.full(2, present))]))
    with pytest.raises(DataError, match="no foreground"):
        search({})


def test_a_score_that_no_group_defines_is_refused():
    p = np.array([0.2, 0.7], np.float32)
    groups = [(p, np.ones(2, bool)), (p, np.zeros(2, bool))]
    with pytest.raises(DataError, match=r"youden.*undefined"):
        search(counted(groups), score="youden", over="groups")
    assert search(counted(groups), score="youden").value == 0
