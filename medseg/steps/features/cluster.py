"""The step that puts cases into clusters."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA

from medseg.component import Slot
from medseg.datasets.roles import UNLABELLED
from medseg.learning.features.agreement import NOISE, GroupScore, rand_index, silhouette
from medseg.learning.features.learned import Found, learn, refuse_other, standardised
from medseg.learning.features.table import KEYS, fitted, numbers
from medseg.learning.inference.predictor import Predictor
from medseg.places import read_kept, written_whole
from medseg.splits.split import Role
from medseg.steps.features.groupings import (
    CLUSTERS,
    FEATURES,
    REDUCED,
    draw,
    keep_table,
    known_groups,
    place_of,
    record_scores,
    refuse_unknown_source,
    table_of,
)
from medseg.steps.step import Fits, Run, Work

_LOPSIDED = 0.9  # share of the cases in one of several clusters, from which on it is said


class Cluster:
    """Put cases into clusters, learned from training and unlabelled cases alone, and compare them with what is known.

    Clusters are of what the last step `Reduce` gave, if that can be applied to all cases; else of the standardised
    features. What can be applied to cases that it has not seen (KMeans) tells the cluster of validation and test
    cases too, and later steps may go on with it as weak labels. What cannot (DBSCAN) describes training and
    unlabelled cases, and feeds no later step. Validation and test are in no score and no picture.

    Args:
        method: A class of `sklearn.cluster`; when left out, KMeans with as many clusters as there are classes. It
            gets the run's seed as `random_state` where it takes one.
        standardise: Whether features first get a mean of 0 and a standard deviation of 1; what a reduction gave stays
            as it is.
        source: Column of the cases that tells where an image comes from: are clusters classes, or sources?
    """

    declared: ClassVar[Mapping[str, Slot]] = {"method": Slot("sklearn.base.ClusterMixin", ("random_state",))}
    needs: ClassVar[tuple[str, ...]] = (FEATURES,)
    gives: ClassVar[tuple[str, ...]] = ()
    fits: ClassVar[Fits] = {"clusters": ("train", UNLABELLED), "standardisation": ("train", UNLABELLED)}

    def __init__(
        self, method: Callable[..., Any] | None = None, standardise: bool = True, source: str | None = None
    ) -> None:
        if not isinstance(standardise, bool):
            raise ValueError(f"standardise is {standardise!r}, expected true or false")  # noqa: TRY004
        self.method, self.standardise, self.source = method, standardise, source

    @property
    def roles(self) -> tuple[Role, ...]:
        """To learn from; unlabelled cases are there or not."""
        return ("train",)

    def check(self, predictor: Predictor) -> None:
        """Build the method once.

        Raises:
            DefinitionError: It makes no clusters, refuses its settings, or the data set has no such column.
        """
        if self.method is not None:
            refuse_other(self.method(random_state=0), "predict")
        refuse_unknown_source(predictor, self.source)

    def __call__(self, work: Work, run: Run) -> Work:
        """Fit, apply, score and draw."""
        scales = self.standardise and REDUCED not in work.artifacts
        frame = table_of(work, REDUCED, FEATURES).read()
        if self.method is not None:
            estimator = self.method(random_state=run.seed)
        else:
            estimator = KMeans(len(work.predictor.task.classes), n_init=10, random_state=run.seed)
        with run.progress.bar(f"clusters by {type(estimator).__name__}", None):
            found = learn(estimator, frame, ask="predict", standardise=scales)
        for note in found.notes:
            run.progress.say(f"{run.step}: {note}")
        clusters = frame.iloc[found.cases][list(KEYS)].assign(cluster=found.given.astype(np.int64))
        known = known_groups(work, clusters, self.source)
        keep_table(clusters.join(known), run, CLUSTERS)
        with written_whole(run.place / "clustering.json") as target:
            target.write_text(json.dumps({"applies": found.applies}), encoding="utf-8")
        values = standardised(numbers(frame), fitted(frame)) if scales else numbers(frame)
        self._conclude(work, run, found, values[found.cases], clusters, known)
        return self.recall(work, run)

    def recall(self, work: Work, run: Run) -> Work:
        """Point to the table, if later steps may go on with it."""
        if not read_kept(run.place / "clustering.json", dict).get("applies"):
            return work
        return replace(work, artifacts={**work.artifacts, CLUSTERS: place_of(run, CLUSTERS)})

    def _conclude(
        self, work: Work, run: Run, found: Found, values: Any, clusters: pd.DataFrame, known: pd.DataFrame
    ) -> None:
        mine = fitted(clusters)
        groups, known, values = clusters["cluster"][mine], known[mine], values[mine]
        scores = [rand_index(f"ari/{name}", groups, known[name]) for name in known]
        noise = int((groups == NOISE).sum())
        count = groups[groups != NOISE].nunique()
        own = [
            GroupScore("clusters", float(count), len(groups)),
            GroupScore("noise", noise / len(groups), len(groups)),
        ]
        record_scores([*own, *scores, silhouette("silhouette", values, groups)], run, work.epochs)
        self._tabulate(groups, known, run)
        largest = int(groups.value_counts().max())
        if count > 1 and largest > _LOPSIDED * len(groups):
            run.progress.say(
                f"{run.step}: one cluster has {largest} of {len(groups)} cases: the others are odd cases rather than "
                "kinds. Standardised features make odd cases odder: try standardise=false, in Reduce or here.",
                loud=True,
            )
        axes = ("coordinate 1", "coordinate 2")
        if REDUCED not in work.artifacts:
            values = PCA(min(2, *values.shape), random_state=run.seed).fit_transform(values)
            axes = ("principal component 1", "principal component 2")
        drawn = {"cluster": groups.astype(object), **{str(name): known[name] for name in known}}
        what = f"{type(found.estimator).__name__} on training and unlabelled cases"
        draw(values, drawn, axes, what, run)

    def _tabulate(self, clusters: pd.Series, known: pd.DataFrame, run: Run) -> None:
        """How many cases of each class and source are in each cluster."""
        counts = [
            pd.crosstab(clusters, known[name].fillna("not known"))
            .rename_axis(columns=None)
            .add_prefix(f"{name}: ")
            for name in known
        ]
        table = pd.concat([clusters.value_counts(sort=False).sort_index().rename("cases"), *counts], axis=1)
        path = run.place / f"{run.step}_counts.csv"
        with written_whole(path) as target:
            table.rename_axis("cluster").to_csv(target)
        run.recorder.artifact(path, "tables")
