from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score, silhouette_score
from sklearn.preprocessing import StandardScaler

from medseg.component import build
from medseg.errors import DataError, DefinitionError
from medseg.steps.features.cluster import Cluster


@pytest.fixture
def reduced(embedded, make_run, take, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("medseg.steps.features.reduce.draw", lambda *_: None)
        return take(embedded, make_run("reduce"), "Reduce", components=3)


@pytest.fixture
def undrawn(monkeypatch):
    """Leave pictures out where tables are looked at."""
    monkeypatch.setattr("medseg.steps.features.cluster.draw", lambda *_: None)


def frame_of(run):
    return pd.read_parquet(run.place / f"{run.step}_clusters.parquet")


def points(frame):
    return frame.drop(columns=["case", "group", "role"]).to_numpy()


def mine(frame):
    return frame["role"].isin(["train", "unlabelled"]).to_numpy()


def metrics(heard, step="cluster"):
    found = {name: value for _, values in heard.numbers for name, value in values.items()}
    return {name.removeprefix(f"{step}/"): each for name, each in found.items() if name.startswith(step)}


def test_clusters_are_learned_from_training_and_unlabelled_cases_and_told_of_all(
    reduced, make_run, take, undrawn
):
    run = make_run("cluster")
    work = take(reduced, run, "Cluster")
    given, frame = reduced.artifacts["reduced"].read(), frame_of(run)
    model = KMeans(2, n_init=10, random_state=5).fit(points(given)[mine(given)].astype(float))
    assert frame["cluster"].tolist() == model.predict(points(given).astype(float)).tolist()
    assert frame["case"].tolist() == given["case"].tolist()
    assert frame[frame["role"] == "unlabelled"]["label"].isna().all()
    pd.testing.assert_frame_equal(work.artifacts["clusters"].read(), frame)


def test_scores_are_those_of_scikit_learn_from_the_saved_files(reduced, make_run, take, heard, undrawn):
    run = make_run("cluster")
    take(
        reduced,
        run,
        "Cluster",
        source="scanner",
        method={"_target_": "sklearn.cluster.KMeans", "n_clusters": 3},
    )
    frame, at = frame_of(run), points(reduced.artifacts["reduced"].read())
    train, whole = frame[frame["role"] == "train"], frame[mine(frame)]
    found = metrics(heard)
    assert found == pytest.approx(
        {
            "clusters": 3,
            "noise": 0,
            "ari/label": adjusted_rand_score(train["label"], train["cluster"]),
            "ari/source": adjusted_rand_score(whole["source"], whole["cluster"]),
            "silhouette": silhouette_score(at[mine(frame)], whole["cluster"]),
        },
        abs=1e-6,
    )
    counts = pd.read_csv(run.place / "cluster_counts.csv", index_col="cluster")
    assert counts["cases"].sum() == len(whole)
    expected = pd.crosstab(whole["cluster"], whole["source"])
    np.testing.assert_array_equal(counts[["source: a", "source: b"]], expected)
    assert counts["label: not known"].sum() == 4


def test_without_a_reduction_clusters_are_of_the_standardised_features(embedded, make_run, take, heard):
    run = make_run("cluster")
    take(embedded, run, "Cluster")
    features, frame = embedded.artifacts["features"].read(), frame_of(run)
    values = points(features).astype(float)
    scaled = StandardScaler().fit(values[mine(features)]).transform(values)
    model = KMeans(2, n_init=10, random_state=5).fit(scaled[mine(features)])
    assert frame["cluster"].tolist() == model.predict(scaled).tolist()
    assert metrics(heard)["silhouette"] == pytest.approx(
        silhouette_score(scaled[mine(frame)], frame["cluster"][mine(frame)]), abs=1e-6
    )
    assert set(heard.artifacts) >= {
        "tables/cluster_clusters.parquet",
        "tables/cluster_scores.csv",
        "tables/cluster_counts.csv",
        "figures/cluster_scatter.png",
    }


def test_what_cannot_be_applied_describes_and_feeds_no_later_step(reduced, make_run, take, undrawn):
    run = make_run("cluster")
    method = {"_target_": "sklearn.cluster.AgglomerativeClustering", "n_clusters": 2}
    work = take(reduced, run, "Cluster", method=method)
    assert set(frame_of(run)["role"]) == {"train", "unlabelled"}
    assert "clusters" not in work.artifacts
    assert "clusters" not in Cluster().recall(reduced, run).artifacts


def test_recalling_gives_the_same_table(reduced, make_run, take, undrawn):
    run = make_run("cluster")
    work = take(reduced, run, "Cluster")
    assert Cluster().recall(reduced, run).artifacts["clusters"] == work.artifacts["clusters"]


def test_only_noise_is_said_and_gives_no_silhouette(reduced, make_run, take, heard):
    run = make_run("cluster")
    take(
        reduced,
        run,
        "Cluster",
        method={"_target_": "sklearn.cluster.DBSCAN", "eps": 1.0e-6},
        source="scanner",
    )
    assert set(frame_of(run)["cluster"]) == {-1}
    found = metrics(heard)
    assert found["noise"] == 1
    assert found["clusters"] == found["ari/label"] == 0
    assert "silhouette" not in found
    assert "cluster: silhouette is not defined: no case is in a group." in heard.said
    table = pd.read_csv(run.place / "cluster_scores.csv").set_index("name")
    assert table.loc["silhouette", "note"] == "is not defined: no case is in a group"


def test_one_cluster_is_said_and_gives_no_silhouette(reduced, make_run, take, heard, undrawn):
    take(
        reduced,
        make_run("cluster"),
        "Cluster",
        method={"_target_": "sklearn.cluster.KMeans", "n_clusters": 1},
    )
    assert "silhouette" not in metrics(heard)
    assert "cluster: silhouette is not defined: all 20 cases are in one group." in heard.said


def test_clusters_of_odd_cases_are_said(reduced, make_run, take, heard, undrawn):
    table = reduced.artifacts["reduced"]
    frame = table.read()
    frame.loc[0, "x1"] = 1e3  # of a training case
    frame.to_parquet(table.path)
    take(reduced, make_run("cluster"), "Cluster")
    assert any("one cluster has 19 of 20 cases" in text for text in heard.said)


def test_features_are_left_as_they_are_where_asked(embedded, make_run, take, undrawn):
    run = make_run("cluster")
    take(embedded, run, "Cluster", standardise=False)
    features, frame = embedded.artifacts["features"].read(), frame_of(run)
    values = points(features).astype(float)
    model = KMeans(2, n_init=10, random_state=5).fit(values[mine(features)])
    assert frame["cluster"].tolist() == model.predict(values).tolist()


def test_more_clusters_than_cases_are_refused(reduced, make_run, take):
    with pytest.raises(DataError, match=r"KMeans cannot be fitted on 20 cases of 3 numbers: n_samples=20"):
        take(
            reduced,
            make_run("cluster"),
            "Cluster",
            method={"_target_": "sklearn.cluster.KMeans", "n_clusters": 21},
        )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"method": {"_target_": "sklearn.decomposition.PCA"}}, "which this place takes"),
        ({"method": {"_target_": "sklearn.cluster.FeatureAgglomeration"}}, "is no clustering of cases"),
        ({"method": {"_target_": "sklearn.cluster.KMeans", "n_clusters": 0}}, "KMeans refuses its settings"),
        ({"method": {"_target_": "sklearn.cluster.KMean"}}, "Did you mean 'KMeans'"),
        ({"source": "hospital"}, "source is 'hospital'"),
        ({"standardise": 1}, "standardise is 1"),
    ],
)
def test_settings_that_cannot_be_are_refused_before_anything_runs(make_feature_work, given, said):
    with pytest.raises(DefinitionError, match=said):
        build({"_target_": "medseg.steps.Cluster", **given}, at="steps.cluster", kind=Cluster).check(
            make_feature_work().predictor
        )
