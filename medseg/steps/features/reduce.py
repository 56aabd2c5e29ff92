"""The step that reduces features to a few numbers a case."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA

from medseg.component import Slot
from medseg.datasets.roles import UNLABELLED
from medseg.learning.features.agreement import GroupScore, silhouette
from medseg.learning.features.learned import Found, learn, refuse_other
from medseg.learning.features.table import fitted, number_table, numbers
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

_COMPONENTS = 50


class Reduce:
    """Reduce features to a few coordinates, learned from training and unlabelled cases alone.

    What can be applied to cases that it has not seen (PCA, UMAP) is applied to validation and test, and later steps
    may go on with it. What cannot (t-SNE) is a picture of training and unlabelled cases, and feeds no later step.
    Validation and test are in no score and no picture.

    Args:
        method: A class of `sklearn.decomposition` or `sklearn.manifold`, or `umap.UMAP`; PCA when left out. It gets
            the run's seed as `random_state` where it takes one.
        components: Of PCA: how many, 50 or as many as there are; or the share of the variance that they hold, above
            0 and below 1.
        standardise: Whether features first get a mean of 0 and a standard deviation of 1.
        source: Column of the cases that tells where an image comes from: is it what sets cases apart?
    """

    declared: ClassVar[Mapping[str, Slot]] = {"method": Slot("sklearn.base.BaseEstimator", ("random_state",))}
    needs: ClassVar[tuple[str, ...]] = (FEATURES,)
    gives: ClassVar[tuple[str, ...]] = ()
    fits: ClassVar[Fits] = {"coordinates": ("train", UNLABELLED), "standardisation": ("train", UNLABELLED)}

    def __init__(
        self,
        method: Callable[..., Any] | None = None,
        components: float | None = None,
        standardise: bool = True,
        source: str | None = None,
    ) -> None:
        if method is not None and components is not None:
            raise ValueError(
                "components is of PCA, which is taken without method: set it in method, or leave it out"
            )
        number = isinstance(components, int | float) and not isinstance(components, bool)
        if components is not None and not (number and (0 < components < 1 or components in range(1, 10_001))):
            raise ValueError(
                f"components is {components!r}, expected a whole number from 1 on, or a share between 0 and 1"
            )
        if not isinstance(standardise, bool):
            raise ValueError(f"standardise is {standardise!r}, expected true or false")  # noqa: TRY004
        self.method, self.components, self.standardise, self.source = method, components, standardise, source

    @property
    def roles(self) -> tuple[Role, ...]:
        """To learn from; unlabelled cases are there or not."""
        return ("train",)

    def check(self, predictor: Predictor) -> None:
        """Build the method once.

        Raises:
            DefinitionError: It reduces nothing, refuses its settings, or the data set has no such column.
        """
        if self.method is not None:
            refuse_other(self.method(random_state=0), "transform")
        refuse_unknown_source(predictor, self.source)

    def __call__(self, work: Work, run: Run) -> Work:
        """Fit, apply, score and draw."""
        frame = table_of(work, FEATURES).read()
        estimator = self._estimator(frame, run)
        with run.progress.bar(f"reducing by {type(estimator).__name__}", None):
            found = learn(estimator, frame, ask="transform", standardise=self.standardise)
        for note in found.notes:
            run.progress.say(f"{run.step}: {note}")
        names = [f"x{number + 1}" for number in range(found.given.shape[1])]
        reduced = number_table(frame.iloc[found.cases], found.given, names)
        keep_table(reduced, run, REDUCED)
        with written_whole(run.place / "reduction.json") as target:
            target.write_text(json.dumps({"applies": found.applies}), encoding="utf-8")
        self._conclude(work, run, found, reduced)
        return self.recall(work, run)

    def recall(self, work: Work, run: Run) -> Work:
        """Point to the table, if later steps may go on with it."""
        if not read_kept(run.place / "reduction.json", dict).get("applies"):
            return work
        return replace(work, artifacts={**work.artifacts, REDUCED: place_of(run, REDUCED)})

    def _estimator(self, frame: pd.DataFrame, run: Run) -> Any:
        if self.method is not None:
            return self.method(random_state=run.seed)
        most = min(int(fitted(frame).sum()), numbers(frame).shape[1])
        expected = self.components or _COMPONENTS
        if expected > most:
            run.progress.say(
                f"{run.step}: {most} components in place of {expected}, since there are no more."
            )
        return PCA(expected if expected < 1 else int(min(expected, most)), random_state=run.seed)

    def _conclude(self, work: Work, run: Run, found: Found, reduced: pd.DataFrame) -> None:
        mine = reduced[fitted(reduced)]
        known, points = known_groups(work, mine, self.source), numbers(mine)
        scores = [silhouette(f"silhouette/{name}", points, known[name]) for name in known]
        record_scores([*_own_scores(found, len(mine)), *scores], run, work.epochs)
        groups = {str(name): known[name] for name in known}
        clusters = work.artifacts.get(CLUSTERS)
        if clusters is not None:
            by_case = table_of(work, CLUSTERS).read().set_index(["case", "role"])["cluster"]
            keys = pd.MultiIndex.from_frame(mine[["case", "role"]])
            groups = {
                "cluster": pd.Series(by_case.reindex(keys).to_numpy(), dtype=object, index=mine.index),
                **groups,
            }
        name = type(found.estimator).__name__
        axes = (f"{name} 1{_share(found, 0)}", f"{name} 2{_share(found, 1)}")
        draw(points, groups, axes, f"{name} of training and unlabelled cases", run)


def _own_scores(found: Found, cases: int) -> list[GroupScore]:
    """What the method itself says of what it found."""
    scores = [GroupScore("components", float(found.given.shape[1]), cases)]
    shares = getattr(found.estimator, "explained_variance_ratio_", None)
    if shares is not None:
        scores.append(GroupScore("explained_variance", float(np.sum(shares)), cases))
    divergence = getattr(found.estimator, "kl_divergence_", None)
    return scores if divergence is None else [*scores, GroupScore("kl_divergence", float(divergence), cases)]


def _share(found: Found, place: int) -> str:
    shares = getattr(found.estimator, "explained_variance_ratio_", ())
    return f" ({shares[place]:.0%} of the variance)" if place < len(shares) else ""
