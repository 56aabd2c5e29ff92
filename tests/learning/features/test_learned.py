from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator
from sklearn.cluster import DBSCAN, FeatureAgglomeration, KMeans
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.preprocessing import StandardScaler

from medseg.errors import DataError, DefinitionError
from medseg.learning.features.learned import learn, refuse_other

ROLES = ["test", "train", "unlabelled", "val", "train", "train", "unlabelled", "train", "test", "train"]
MINE = np.array([role in ("train", "unlabelled") for role in ROLES])


class Halved(BaseEstimator):
    """A reduction of another library, as UMAP is, which declares no ranges of its settings."""

    def fit_transform(self, values):
        return values[:, :2] / 2


def table(values):
    keys = {"case": [f"c{i}" for i in range(len(values))], "group": "g", "role": ROLES[: len(values)]}
    return pd.concat([pd.DataFrame(keys), pd.DataFrame(values).add_prefix("f")], axis=1)


@pytest.fixture
def values():
    return np.random.default_rng(0).normal([5, 0, 0, 100], [1, 9, 0.1, 30], (10, 4))


@pytest.mark.parametrize("standardise", [True, False])
def test_scaler_and_reduction_are_of_training_and_unlabelled_cases_alone(values, standardise):
    found = learn(PCA(2), table(values), ask="transform", standardise=standardise)
    scaler = StandardScaler(with_mean=standardise, with_std=standardise).fit(values[MINE])
    model = PCA(2).fit(scaler.transform(values[MINE]))
    np.testing.assert_allclose(found.given, model.transform(scaler.transform(values)), atol=1e-9)
    np.testing.assert_array_equal(found.cases, np.arange(10))
    assert found.applies


def test_what_the_other_cases_hold_changes_nothing(values):
    changed = np.where(MINE[:, None], values, 1e6)
    one, other = (learn(KMeans(2, n_init=5, random_state=0), table(each), ask="predict", standardise=True)
                  for each in (values, changed))  # fmt: skip
    np.testing.assert_array_equal(one.estimator.labels_, other.estimator.labels_)
    np.testing.assert_array_equal(one.estimator.cluster_centers_, other.estimator.cluster_centers_)


@pytest.mark.parametrize(
    ("estimator", "ask"), [(TSNE(perplexity=2, random_state=0), "transform"), (DBSCAN(eps=1), "predict")]
)
def test_what_cannot_be_applied_describes_those_cases_only(values, estimator, ask):
    found = learn(estimator, table(values), ask=ask, standardise=True)
    assert not found.applies
    np.testing.assert_array_equal(found.cases, np.flatnonzero(MINE))
    assert len(found.given) == MINE.sum()


def test_what_the_library_warns_of_is_kept_as_a_note(values):
    same = np.repeat(values[:2], 5, axis=0)
    found = learn(KMeans(3, n_init=1, random_state=0), table(same), ask="predict", standardise=False)
    assert any("distinct clusters (2)" in note for note in found.notes)


@pytest.mark.parametrize(
    ("rows", "estimator", "said"),
    [
        (1, PCA(1), "PCA needs two cases or more with the role train or unlabelled, and got 0"),
        (9, TSNE(perplexity=30), r"TSNE cannot be fitted on 6 cases of 4 numbers: perplexity"),
        (9, PCA(5), r"PCA cannot be fitted on 6 cases of 4 numbers: n_components=5"),
    ],
)
def test_too_few_cases_are_refused(values, rows, estimator, said):
    with pytest.raises(DataError, match=said):
        learn(estimator, table(values[:rows]), ask="transform", standardise=True)


def test_features_without_a_difference_are_refused(values):
    with pytest.raises(DataError, match="all 4 numbers are the same in all 7 cases"):
        learn(PCA(1), table(np.where(MINE[:, None], 3.0, values)), ask="transform", standardise=True)


@pytest.mark.parametrize(
    ("estimator", "ask", "said"),
    [
        (KMeans(2), "predict", None),
        (PCA(2), "transform", None),
        (Halved(), "transform", None),
        (StandardScaler(), "predict", "StandardScaler is no clustering of cases"),
        (FeatureAgglomeration(2), "predict", "FeatureAgglomeration is no clustering of cases"),
        (DBSCAN(), "transform", "DBSCAN is no reduction"),
        (KMeans(0), "predict", "KMeans refuses its settings: The 'n_clusters' parameter"),
        (PCA(-1), "transform", "PCA refuses its settings: The 'n_components' parameter"),
    ],
)
def test_what_does_something_else_or_refuses_its_settings_is_refused(estimator, ask, said):
    if said is None:
        refuse_other(estimator, ask)
        return
    with pytest.raises(DefinitionError, match=f"method: {said}"):
        refuse_other(estimator, ask)
