"""What can be compared of tables of scores: of label maps a score of each patient, of classes of images ranks too."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from medseg.class_names import BETWEEN
from medseg.learning.scores.counts import COUNT_SCORES
from medseg.learning.scores.intervals import by_patient
from medseg.learning.scores.paired.differences import Compared, OfPatients, OfRanks
from medseg.learning.scores.pictures import AMOUNTS, PICTURE_SCORES
from medseg.learning.scores.volumes import VOLUME_SCORES, VOLUMES
from medseg.learning.tasks.exclusive import OneClass
from medseg.learning.tasks.multilabel import AnyClasses
from medseg.pipeline.study.tested import Tested

if TYPE_CHECKING:
    from pandas import DataFrame

Floats = NDArray[np.float64]
Patients = Sequence[str]

_CHANCE = "probability_"


@dataclass(frozen=True)
class Amounts:
    """How much there is of a class or region, of each patient: mean over runs, and over the patient's cases.

    Attributes:
        unit: mL or pixels.
        truth: (P,) in the truth.
        a: (P,) as A predicts it.
        b: (P,) as B does.
    """

    unit: str
    truth: Floats
    a: Floats
    b: Floats


class ScoreTables(Protocol):
    """How the scores of one kind of task stand in the tables of runs."""

    @property
    def noun(self) -> str:
        """What they are of."""

    @property
    def known(self) -> Sequence[str]:
        """Scores of ours, of which it is known which way is better."""

    @property
    def usual(self) -> Sequence[str]:
        """Scores that are compared where none is named."""

    def fits(self, run: Tested) -> bool:
        """Whether the tables of a run are such."""

    def names(self, run: Tested) -> Sequence[str]:
        """Classes and regions, in the order of the table."""

    def same_names(self) -> bool:
        """Whether runs must have all names in common, since scores depend on the other classes too."""

    def scores(self, run: Tested) -> Sequence[str]:
        """Scores that it has."""

    def truth(self, run: Tested, names: Sequence[str]) -> Mapping[str, object]:
        """What each case truly shows, as far as the table tells: by case, equal where the truth is."""

    def compared(
        self, a: Sequence[Tested], b: Sequence[Tested], names: Sequence[str], score: str, patients: Patients
    ) -> Mapping[str, Compared]:
        """A score of two sides on the same patients, by class or region; empty text for all classes together.

        Args:
            a: Runs of A, all of which test these patients.
            b: Of B.
            names: Classes and regions.
            score: One of `scores`.
            patients: Sorted.
        """

    def amounts(
        self, a: Sequence[Tested], b: Sequence[Tested], names: Sequence[str], patients: Patients
    ) -> Mapping[str, Amounts]:
        """How much there is of each class or region; empty where tables do not tell."""


class MaskTables:
    """A row a case and name, as `VolumeEvaluation` and `ForegroundEvaluation` write them."""

    noun = "label maps"
    known = tuple(dict.fromkeys((*VOLUME_SCORES, *PICTURE_SCORES, *COUNT_SCORES)))
    usual = ("dice",)

    def fits(self, run: Tested) -> bool:
        """Its rows have names."""
        return "name" in run.cases

    def names(self, run: Tested) -> Sequence[str]:
        """Of classes, then regions."""
        return tuple(dict.fromkeys(run.cases["name"]))

    def same_names(self) -> bool:
        """No: a region is scored by itself."""
        return False

    def scores(self, run: Tested) -> Sequence[str]:
        """All columns of numbers but amounts."""
        left_out = {"case", "group", "name", "images", *VOLUMES[:2], *AMOUNTS}
        return tuple(column for column in run.cases.columns if column not in left_out)

    def truth(self, run: Tested, names: Sequence[str]) -> Mapping[str, object]:
        """The true amounts of each name."""
        columns = [c for c in (VOLUMES[0], AMOUNTS[0], AMOUNTS[2]) if c in run.cases]
        found: dict[str, dict[str, tuple[float, ...]]] = {}
        rows = run.cases[run.cases["name"].isin(list(names))]
        for row in rows[["case", "name", *columns]].itertuples(index=False):
            # six digits: the same sum of voxels in mL may differ in the last of sixteen
            found.setdefault(row[0], {})[row[1]] = tuple(float(f"{value:.6g}") for value in row[2:])
        return found

    def compared(
        self, a: Sequence[Tested], b: Sequence[Tested], names: Sequence[str], score: str, patients: Patients
    ) -> Mapping[str, Compared]:
        """Of each patient; of pictures that of all its pixels together."""
        return {
            name: OfPatients(*(_stacked(side, _patients_table, name, score, patients) for side in (a, b)))
            for name in names
        }

    def amounts(
        self, a: Sequence[Tested], b: Sequence[Tested], names: Sequence[str], patients: Patients
    ) -> Mapping[str, Amounts]:
        """Volumes in mL, or areas in pixels."""
        for unit, truth, predicted in (("mL", *VOLUMES[:2]), ("pixels", *AMOUNTS[:2])):
            if all({truth, predicted} <= set(run.cases.columns) for run in (*a, *b)):
                return {
                    name: Amounts(
                        unit,
                        _stacked(a, _cases_table, name, truth, patients).mean(axis=0),
                        *(
                            _stacked(side, _cases_table, name, predicted, patients).mean(axis=0)
                            for side in (a, b)
                        ),
                    )
                    for name in names
                }
        return {}


class LabelTables:
    """A row an image, as `LabelEvaluation` writes them."""

    noun = "classes of images"
    usual = ("accuracy", "brier", "auroc")
    known = (*usual, "recall", "log_loss")

    def fits(self, run: Tested) -> bool:
        """Its rows have a true class."""
        return {"truth", "predicted", "correct"} <= set(run.cases.columns)

    def names(self, run: Tested) -> Sequence[str]:
        """Of classes, as their probabilities stand in the table."""
        columns = (column for column in run.cases.columns if column.startswith(_CHANCE))
        return tuple(column.removeprefix(_CHANCE) for column in columns)

    def same_names(self) -> bool:
        """Yes: with more classes there is more to be wrong about."""
        return True

    def scores(self, run: Tested) -> Sequence[str]:
        """Those that follow from the table."""
        del run
        return self.known

    def truth(self, run: Tested, names: Sequence[str]) -> Mapping[str, object]:
        """The classes of each image."""
        del names
        return dict(zip(run.cases["case"], run.cases["truth"], strict=True))

    def compared(
        self, a: Sequence[Tested], b: Sequence[Tested], names: Sequence[str], score: str, patients: Patients
    ) -> Mapping[str, Compared]:
        """Hits, errors and recall of each patient's images; ranks of all images."""
        if score == "auroc":
            return self._ranked(a, b, names, patients)
        of = names if score == "recall" else ("",)
        return {
            name: OfPatients(*(_stacked(side, self._rows, name, score, patients) for side in (a, b)))
            for name in of
        }

    def amounts(
        self, a: Sequence[Tested], b: Sequence[Tested], names: Sequence[str], patients: Patients
    ) -> Mapping[str, Amounts]:
        """None."""
        del a, b, names, patients
        return {}

    def _ranked(
        self, a: Sequence[Tested], b: Sequence[Tested], names: Sequence[str], patients: Patients
    ) -> Mapping[str, Compared]:
        """Of each class; of two that exclude each other of the second, for the first has the same."""
        exclusive = a[0].tables.get("_confusion") is not None
        frames = [[self._kept(run, patients) for run in side] for side in (a, b)]
        place = {patient: number for number, patient in enumerate(patients)}
        groups = np.array([place[group] for group in frames[0][0]["group"]], dtype=np.intp)
        found: dict[str, Compared] = {}
        for name in names[1:] if exclusive and len(self.names(a[0])) == 2 and len(names) == 2 else names:
            a_says, b_says = (
                np.stack([frame[_CHANCE + name].to_numpy(dtype=float) for frame in side]) for side in frames
            )
            found[name] = OfRanks(a_says, b_says, _has(frames[0][0], "truth", name), groups)
        return found

    def _kept(self, run: Tested, patients: Patients) -> DataFrame:
        rows = run.cases[run.cases["group"].isin(list(patients))]
        return rows.sort_values("case", kind="stable", ignore_index=True)

    def _rows(self, run: Tested, name: str, score: str) -> DataFrame:
        """One row an image: group, and the score."""
        rows = run.cases
        if score == "accuracy":
            return rows[["group"]].assign(accuracy=rows["correct"].astype(float))
        if score == "recall":
            hits = np.where(_has(rows, "truth", name), _has(rows, "predicted", name), np.nan)
            return rows[["group"]].assign(recall=hits)
        names = self.names(run)
        truth = np.stack([_has(rows, "truth", each) for each in names], axis=1)
        chances = rows[[_CHANCE + each for each in names]].to_numpy(dtype=np.float32)
        decision = AnyClasses() if run.tables.get("_confusion") is None else OneClass()
        return rows[["group"]].assign(**{score: decision.per_case(truth, chances)[score]})


KINDS: Sequence[ScoreTables] = (MaskTables(), LabelTables())


def _has(rows: DataFrame, column: str, name: str) -> NDArray[np.bool_]:
    """(N,) whether each image has a class in a column of names."""
    return np.array([name in str(cell).split(BETWEEN) for cell in rows[column]], dtype=bool)


def _patients_table(run: Tested, name: str, score: str) -> DataFrame:
    """The table that has a patient's score: that of groups, where there is one."""
    groups = run.tables.get("_groups")
    rows = run.cases if groups is None or score not in groups else groups
    return rows[rows["name"] == name]


def _cases_table(run: Tested, name: str, score: str) -> DataFrame:
    del score
    return run.cases[run.cases["name"] == name]


def _stacked(
    side: Sequence[Tested],
    rows: Callable[[Tested, str, str], DataFrame],
    name: str,
    score: str,
    patients: Patients,
) -> Floats:
    """(S, P) a score of each run and patient; NaN where a patient has none."""
    values = [by_patient(rows(run, name, score), [score])[score].reindex(list(patients)) for run in side]
    return np.stack([each.to_numpy(dtype=float) for each in values])
