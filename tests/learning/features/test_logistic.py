from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from medseg.errors import DataError
from medseg.learning.features.logistic import CANDIDATES, fit_logistic

FEW = (1e-3, 0.1, 10.0)


def draw(classes=2, cases=60, seed=0):
    """Noisy features, patients of three cases each, and classes by patient."""
    random = np.random.default_rng(seed)
    groups = np.arange(cases) // 3
    truth = groups % classes
    features = random.normal(truth[:, None] * [1.0, 0, 0, 0.5, 0], [1, 1, 5, 2, 0.1], (cases, 5)) + 3
    return features, truth, [f"p{group}" for group in groups]


def names(classes):
    return [f"class {index}" for index in range(classes)]


def probabilities(found, features):
    """Of the coefficients alone."""
    logits = (features - found.mean) / found.scale @ found.coefficients.T + found.intercepts
    chances = np.exp(logits - logits.max(axis=1, keepdims=True))
    return chances / chances.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("classes", [2, 3])
def test_it_is_what_a_grid_search_of_scikit_learn_finds(classes):
    features, truth, groups = draw(classes)
    found = fit_logistic(features, truth, groups, names(classes), candidates=FEW, folds=4, seed=3)
    search = GridSearchCV(
        make_pipeline(StandardScaler(), LogisticRegression(max_iter=10_000)),
        {"logisticregression__C": FEW},
        scoring="neg_log_loss",
        cv=StratifiedGroupKFold(4, shuffle=True, random_state=3),
    ).fit(features, truth, groups=groups)
    assert found.strength == search.best_params_["logisticregression__C"]
    np.testing.assert_allclose(found.curve["log_loss"], -search.cv_results_["mean_test_score"])
    assert found.best["log_loss"] == pytest.approx(-search.best_score_)
    np.testing.assert_allclose(probabilities(found, features), search.predict_proba(features), atol=1e-12)
    np.testing.assert_allclose(found.coefficients.sum(axis=0), 0, atol=1e-6)


def test_no_patient_is_in_two_folds(monkeypatch):
    features, truth, groups = draw()
    seen = []
    whole = StratifiedGroupKFold.split

    def watched(self, *given):
        for pair in whole(self, *given):
            seen.append(pair)
            yield pair

    monkeypatch.setattr(StratifiedGroupKFold, "split", watched)
    fit_logistic(features, truth, groups, names(2), candidates=[1.0], folds=5)
    assert len(seen) == 5
    assert not any({groups[i] for i in train} & {groups[i] for i in test} for train, test in seen)


def test_weights_of_classes_count_in_fits_and_in_the_log_loss():
    features, truth, groups = draw()
    found = fit_logistic(features, truth, groups, names(2), candidates=[1.0], folds=3, weights=[1.0, 4.0])
    model = make_pipeline(
        StandardScaler(), LogisticRegression(C=1.0, class_weight={0: 1.0, 1: 4.0}, max_iter=10_000)
    )
    losses = []
    for train, test in StratifiedGroupKFold(3, shuffle=True, random_state=0).split(features, truth, groups):
        chances = model.fit(features[train], truth[train]).predict_proba(features[test])
        losses.append(log_loss(truth[test], chances, labels=[0, 1], sample_weight=1 + 3 * truth[test]))
    assert found.best["log_loss"] == pytest.approx(np.mean(losses))
    np.testing.assert_allclose(
        probabilities(found, features), model.fit(features, truth).predict_proba(features), atol=1e-12
    )


def test_the_same_seed_gives_the_same_and_each_c_is_counted():
    features, truth, groups = draw()
    tried = []
    both = [
        fit_logistic(features, truth, groups, names(2), folds=3, seed=1, tried=lambda: tried.append(1))
        for _ in range(2)
    ]
    assert both[0].curve.equals(both[1].curve)
    np.testing.assert_array_equal(both[0].coefficients, both[1].coefficients)
    assert len(tried) == 2 * len(CANDIDATES) == 2 * len(both[0].curve)


def test_features_that_hardly_vary_are_left_out():
    features, truth, groups = draw()
    noise = 1e-6 * np.random.default_rng(1).normal(size=(len(features), 1))
    still = np.hstack([features, np.full((len(features), 1), 7.0), 1 + noise, np.zeros((len(features), 1))])
    found, plain = (
        fit_logistic(each, truth, groups, names(2), candidates=FEW, folds=3) for each in (still, features)
    )
    assert found.used.tolist() == [True] * 5 + [False] * 3
    assert not found.coefficients[:, 5:].any()
    np.testing.assert_array_equal(found.coefficients[:, :5], plain.coefficients)


def test_what_is_next_to_nothing_in_training_cannot_decide_another_case():
    features, truth, groups = draw()
    rare = np.zeros((len(features), 1))
    rare[0] = 6e-5  # of one case, as what a network hardly ever shows
    found = fit_logistic(np.hstack([features, rare]), truth, groups, names(2), candidates=FEW, folds=3)
    other = np.r_[features.mean(axis=0), 0.004]
    assert found.used.tolist() == [True] * 5 + [False]
    np.testing.assert_array_equal(
        probabilities(found, other[None]), probabilities(found, np.r_[other[:-1], 0][None])
    )


def test_features_of_which_none_varies_are_refused():
    _, truth, groups = draw()
    with pytest.raises(DataError, match=r"all 4 features are \(nearly\) the same in all 60 training cases"):
        fit_logistic(np.full((60, 4), 2.0), truth, groups, names(2))


@pytest.mark.parametrize(
    ("truth", "groups", "folds", "said"),
    [
        ([0] * 8, "abcdefgh", 2, "no training case has the class 'class 1'"),
        (
            [0, 0, 0, 0, 0, 0, 1, 1],
            "abcdefgh",
            3,
            r"3 folds need 3 patients .* 'class 1' has 2. Set folds to 2, or",
        ),
        ([0, 0, 0, 0, 0, 0, 1, 1], "abcdefgg", 2, "'class 1' has 1. Add patients of it"),
        ([0, 1, 0, 1], "abcd", 5, "'class 0' has 2. Set folds to 2"),
    ],
)
def test_classes_with_too_few_patients_are_refused(truth, groups, folds, said):
    features = np.random.default_rng(0).normal(size=(len(truth), 3))
    with pytest.raises(DataError, match=said):
        fit_logistic(features, np.array(truth), list(groups), names(2), folds=folds)


def test_the_number_of_folds_that_the_refusal_offers_works():
    features, truth = np.random.default_rng(0).normal(size=(8, 3)), np.array([0, 0, 0, 0, 0, 0, 1, 1])
    found = fit_logistic(features, truth, list("abcdefgh"), names(2), candidates=[1.0], folds=2)
    assert len(found.curve) == 1
