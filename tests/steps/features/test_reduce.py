from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA
from sklearn.metrics import silhouette_score
from sklearn.preprocessing import StandardScaler

from medseg.component import build
from medseg.errors import DataError, DefinitionError
from medseg.steps.features.groupings import known_groups
from medseg.steps.features.reduce import Reduce

TSNE = {"_target_": "sklearn.manifold.TSNE", "perplexity": 5}


def frame_of(run):
    return pd.read_parquet(run.place / f"{run.step}_reduced.parquet")


def points(frame):
    return frame.drop(columns=["case", "group", "role"]).to_numpy()


def mine(frame):
    return frame["role"].isin(["train", "unlabelled"]).to_numpy()


def metrics(heard):
    return {name: value for _, values in heard.numbers for name, value in values.items()}


def labels_of(work, frame):
    return [work.cases[case].labels for case in frame["case"]]


def test_pca_is_learned_from_training_and_unlabelled_cases_and_applied_to_all(
    embedded, make_run, take, heard
):
    run = make_run("reduce")
    work = take(embedded, run, "Reduce", components=3, source="scanner")
    features, frame = embedded.artifacts["features"].read(), frame_of(run)
    values = points(features).astype(float)
    scaler = StandardScaler().fit(values[mine(features)])
    model = PCA(3, random_state=5).fit(scaler.transform(values[mine(features)]))
    np.testing.assert_allclose(points(frame), model.transform(scaler.transform(values)), rtol=1e-4, atol=1e-5)
    pd.testing.assert_frame_equal(frame[["case", "group", "role"]], features[["case", "group", "role"]])
    assert list(frame.columns[3:]) == ["x1", "x2", "x3"]
    pd.testing.assert_frame_equal(work.artifacts["reduced"].read(), frame)
    found = metrics(heard)
    assert found["reduce/components"] == 3
    assert found["reduce/explained_variance"] == pytest.approx(
        model.explained_variance_ratio_.sum(), rel=1e-5
    )


def test_its_scores_are_those_of_scikit_learn_from_the_saved_file(embedded, make_run, take, heard):
    run = make_run("reduce")
    take(embedded, run, "Reduce", components=3, source="scanner")
    frame = frame_of(run)
    known = frame[frame["role"] == "train"]
    label = [labels[0] for labels in labels_of(embedded, known)]
    whole = frame[mine(frame)]
    scanner = [embedded.cases[case].extra["scanner"] for case in whole["case"]]
    found = metrics(heard)
    assert found["reduce/silhouette/label"] == pytest.approx(silhouette_score(points(known), label), abs=1e-6)
    assert found["reduce/silhouette/source"] == pytest.approx(
        silhouette_score(points(whole), scanner), abs=1e-6
    )
    table = pd.read_csv(run.place / "reduce_scores.csv").set_index("name")
    assert table.loc["silhouette/label", "cases"] == 16
    assert table["value"].to_dict() == pytest.approx(
        {name.removeprefix("reduce/"): v for name, v in found.items()}
    )
    assert set(heard.artifacts) >= {
        "tables/reduce_reduced.parquet",
        "tables/reduce_scores.csv",
        "figures/reduce_scatter.png",
    }


def test_what_cannot_be_applied_feeds_no_later_step(embedded, make_run, take, heard):
    run = make_run("map")
    work = take(embedded, run, "Reduce", method=TSNE)
    assert set(frame_of(run)["role"]) == {"train", "unlabelled"}
    assert set(work.artifacts) == set(Reduce(lambda: None).recall(embedded, run).artifacts) == {"features"}
    assert metrics(heard)["map/kl_divergence"] >= 0


def test_the_seed_of_the_run_makes_it_the_same_again(embedded, make_run, take):
    files = []
    for folder in ("one", "two"):
        run = make_run("map", folder=folder)
        run.place.mkdir(parents=True)
        take(embedded, run, "Reduce", method=TSNE)
        files.append((run.place / "map_reduced.parquet").read_bytes())
    assert files[0] == files[1]


def test_a_share_of_the_variance_is_reached_with_as_few_as_can_be(embedded, make_run, take, heard):
    take(embedded, make_run("reduce"), "Reduce", components=0.9)
    found = metrics(heard)
    assert found["reduce/explained_variance"] >= 0.9
    assert found["reduce/components"] < 12


def test_more_components_than_there_are_become_as_many_and_it_is_said(embedded, make_run, take, heard):
    take(embedded, make_run("reduce"), "Reduce")
    assert metrics(heard)["reduce/components"] == 12
    assert "reduce: 12 components in place of 50, since there are no more." in heard.said


def test_the_picture_shows_clusters_labels_and_sources_and_no_case_of_validation_or_test(
    embedded, make_run, take, monkeypatch
):
    drawn = []
    monkeypatch.setattr(
        "medseg.steps.features.groupings.scatter",
        lambda at, groups, **_: drawn.append((at, groups)) or Blank(),
    )
    monkeypatch.setattr("medseg.steps.features.groupings.save_figure", lambda _, path: path.parents[1])
    work = take(embedded, make_run("reduce"), "Reduce", components=3, source="scanner")
    work = take(work, make_run("cluster"), "Cluster", source="scanner")
    take(work, make_run("map"), "Reduce", method=TSNE, source="scanner")
    assert [list(groups) for _, groups in drawn] == [
        ["label", "source"],
        ["cluster", "label", "source"],
        ["cluster", "label", "source"],
    ]
    for at, groups in drawn:
        assert at.shape == (20, 2)
        assert groups["label"].notna().sum() == 16
        assert groups["source"].notna().sum() == 20
    assert list(drawn[1][1]["cluster"]) == list(drawn[2][1]["cluster"])


class Blank:
    """In place of a figure."""


def test_sources_have_no_names_where_ids_are_identifying(embedded, make_run, take, monkeypatch):
    manifest = embedded.predictor.manifest.model_copy(update={"ids": "identifying"})
    work = replace(embedded, predictor=replace(embedded.predictor, manifest=manifest))
    frame = embedded.artifacts["features"].read()
    plain, hidden = known_groups(embedded, frame, "scanner"), known_groups(work, frame, "scanner")
    assert hidden["source"].tolist() == plain["source"].map({"a": "source 1", "b": "source 2"}).tolist()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"method": {"_target_": "sklearn.cluster.DBSCAN"}}, "DBSCAN is no reduction"),
        (
            {"method": {"_target_": "sklearn.decomposition.PCA", "n_components": -3}},
            "PCA refuses its settings",
        ),
        ({"method": {"_target_": "sklearn.decomposition.PCA"}, "components": 5}, "components is of PCA"),
        ({"method": {"_target_": "torch.nn.ReLU"}}, "which this place takes"),
        ({"components": 0}, "components is 0"),
        ({"components": 1.5}, "components is 1.5"),
        ({"standardise": "yes"}, "standardise is 'yes'"),
        ({"source": "hospital"}, r"source is 'hospital', .* are \['scanner', 'role'\]"),
    ],
)
def test_settings_that_cannot_be_are_refused_before_anything_runs(make_feature_work, given, said):
    with pytest.raises(DefinitionError, match=said):
        build({"_target_": "medseg.steps.Reduce", **given}, at="steps.reduce", kind=Reduce).check(
            make_feature_work().predictor
        )


def test_features_that_are_not_there_are_refused(make_feature_work, make_run, take):
    with pytest.raises(DefinitionError, match=r"no features yet. Put a step .*Embed"):
        take(make_feature_work(), make_run("reduce"), "Reduce")


def test_a_column_without_a_value_is_refused(embedded, make_run, take):
    cases = {name: replace(case, extra={"scanner": ""}) for name, case in embedded.cases.items()}
    with pytest.raises(DataError, match="no case has a value in the column 'scanner'"):
        take(replace(embedded, cases=cases), make_run("reduce"), "Reduce", source="scanner")


def test_it_works_without_unlabelled_cases(make_feature_work, make_run, take):
    work = make_feature_work(lambda case: "train" if case.position % 3 else "val")
    work = take(work, make_run("embed"), "Embed")
    run = make_run("reduce")
    take(work, run, "Reduce", components=2)
    assert set(frame_of(run)["role"]) == {"train", "val"}
    assert json.loads((run.place / "reduction.json").read_text()) == {"applies": True}
