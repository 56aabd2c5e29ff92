"""Cases whose class and source are known, and how well a network, or the source alone, tells of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from medseg.datasets.case import Case
from medseg.errors import DataError
from medseg.learning.features.logistic import fit_logistic
from medseg.learning.features.source import Share, Told, classes_by_source, told
from medseg.learning.inference.features import feature_place, read_features
from medseg.learning.inference.predictor import Predictor
from medseg.steps.features.groupings import class_task, known_groups
from medseg.steps.step import Run, Work

_C = (1e-4, 1e-2, 1.0)


@dataclass(frozen=True)
class Seen:
    """What the network makes of cases: features (N, F), and probabilities of classes (N, K)."""

    features: NDArray[np.float64]
    chances: NDArray[np.float64]


@dataclass(frozen=True)
class SourcedCases:
    """Cases whose class and source are known: training ones, and others to score on.

    Attributes:
        rows: N cases.
        train: (N,) which of them were learned from.
        known: (N,) whether training has the source of each.
        sources: Names of S sources, of training.
        source: (N,) index of each case's, -1 where training has it not.
        classes: Names of K classes.
        truth: (N,) index of each case's class.
    """

    rows: Sequence[Case]
    train: NDArray[np.bool_]
    known: NDArray[np.bool_]
    sources: tuple[str, ...]
    source: NDArray[np.int64]
    classes: tuple[str, ...]
    truth: NDArray[np.int64]

    @property
    def held(self) -> NDArray[np.bool_]:
        """(N,) which are scored on."""
        return self.known & ~self.train

    def source_by(self, features: NDArray[np.float64], folds: int, seed: int) -> Told:
        """How well features tell the source; raises a DataError where that cannot be learned or scored."""
        self._refuse_few()
        groups = [case.group for case, learned in zip(self.rows, self.train, strict=True) if learned]
        model = fit_logistic(
            features[self.train],
            self.source[self.train],
            groups,
            self.sources,
            candidates=_C,
            folds=folds,
            seed=seed,
        )
        chances = model.model.predict_proba(features[self.held][:, model.used])
        return self._told(self.sources, self.source, chances, seed)

    def class_by_source(self, seed: int) -> Told:
        """How well the source alone tells the class."""
        self._refuse_few()
        return self._told(self.classes, self.truth, self._usual()[self.source[self.held]], seed)

    def classes_by(self, chances: NDArray[np.float64], seed: int) -> Told:
        """How well the network tells the class."""
        return self._told(self.classes, self.truth, chances[self.held], seed)

    def shares(self, chances: NDArray[np.float64]) -> tuple[Share, Share]:
        """Of how many it is right: of those with the usual class of their source, and of the others."""
        right = chances.argmax(axis=1) == self.truth
        usual = self._agrees()
        parts = [self.held & usual, self.held & ~usual]
        agreeing, against = (Share(int(right[part].sum()), int(part.sum())) for part in parts)
        return agreeing, against

    def telling(self) -> list[int]:
        """Places of the cases to look at: first those whose class is not the usual one of their source."""
        usual = self._agrees() if self.sources else np.ones(len(self.rows), dtype=bool)
        places = [int(place) for place in np.flatnonzero(self.held)]
        return sorted(places, key=lambda place: (bool(usual[place]), self.rows[place].id))

    def _agrees(self) -> NDArray[np.bool_]:
        found: NDArray[np.bool_] = self._usual().argmax(axis=1)[self.source] == self.truth
        return found

    def _usual(self) -> NDArray[np.float64]:
        return classes_by_source(
            self.source[self.train], self.truth[self.train], (len(self.sources), len(self.classes))
        )

    def _told(self, names: Sequence[str], truth: NDArray[np.int64], chances: NDArray[Any], seed: int) -> Told:
        rows = [case for case, fine in zip(self.rows, self.held, strict=True) if fine]
        return told(
            names, truth[self.held], chances, [case.id for case in rows], [case.group for case in rows], seed
        )

    def _refuse_few(self) -> None:
        if len(self.sources) < 2:
            raise DataError("the training images are of one source, so that there is nothing to tell apart.")
        if len(set(self.source[self.held].tolist())) < 2 or len(set(self.truth[self.held].tolist())) < 2:
            raise DataError(
                "the validation and test images are of one class or one source. Give them larger shares in `split`."
            )


def sourced(work: Work, source: str) -> SourcedCases:
    """The cases for training, validation and test whose source stands in a column."""
    rows = [(role, case) for role in ("train", "val", "test") for case in work.of(role)]
    frame = pd.DataFrame(
        [[case.id, case.group, role] for role, case in rows], columns=["case", "group", "role"]
    )
    known = known_groups(work, frame, source)["source"]
    there = known.notna().to_numpy()
    kept = [case for (_, case), fine in zip(rows, there, strict=True) if fine and case.labels is not None]
    names = {case.id for case in kept}
    listed = frame["case"].isin(names).to_numpy()
    frame, known = frame[listed], known[listed]
    sources = tuple(sorted(set(known[(frame["role"] == "train").to_numpy()])))
    task = class_task(work.predictor, "Audit")
    return SourcedCases(
        kept,
        frame["role"].to_numpy() == "train",
        known.isin(sources).to_numpy(),
        sources,
        known.map({name: index for index, name in enumerate(sources)}).fillna(-1).to_numpy(np.int64),
        task.classes,
        np.array([task.classes.index(label) for case in kept for label in case.labels or ()]),
    )


def seen_by(predictor: Predictor, cases: Sequence[Case], run: Run, name: str) -> Seen:
    """Features and probabilities of cases, averaged over the slices that tell."""
    place, _ = feature_place(predictor.network, predictor.input_shape)
    features, chances = [], []
    with run.progress.bar(f"features, borders {name}", len(cases), "cases") as bar:
        for case in cases:
            prepared = predictor.preparation.apply(predictor.read_image(case))
            slices = prepared.image[prepared.telling]
            features.append(read_features(predictor.network, place, slices, predictor.device).mean(axis=0))
            chances.append(predictor.probabilities(slices).mean(axis=0))
            bar.advance()
    return Seen(np.stack(features).astype(np.float64), np.stack(chances).astype(np.float64))
