"""Label maps, scored volume by volume on the grid of their files, by classes and regions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from medseg.datasets.case import Case
from medseg.datasets.reading.volume import Volume
from medseg.errors import DataError, DefinitionError
from medseg.figures.classes.confusion import confusion_figure
from medseg.figures.slices.slice_grid import SliceView, slice_grid
from medseg.figures.slices.slice_sheet import SliceSheet, sheet_of
from medseg.geometry.axes import AXES
from medseg.learning.inference.predictor import Predictor
from medseg.learning.scores.added.choice import chosen_scores, headlines, made_up, rehearse
from medseg.learning.scores.added.slice_statistics import SliceTable
from medseg.learning.scores.counts import COUNT_SCORES, confusions
from medseg.learning.scores.intervals import case_means, summarise
from medseg.learning.scores.tables import matrix_table, metrics_of
from medseg.learning.scores.volumes import IN_MM, VOLUME_SCORES, VolumeScorer
from medseg.learning.tasks.task import MaskTask, mask_task
from medseg.steps.evaluation.added_bars import added_bars, patient_bars
from medseg.steps.evaluation.evaluation import Drawn, Figures, Mine
from medseg.steps.evaluation.pooled import Part, Pooled, joined, summed
from medseg.steps.evaluation.slice_counts import ENDING, KEY, SliceCounts
from medseg.steps.evaluation.worst import Ranked, looked_through, worst_patients
from medseg.steps.pictures import (
    best_median_worst,
    dice_text,
    fullest,
    ras_spacing,
    selected,
    shown_channels,
    validation_picture,
)

if TYPE_CHECKING:
    from pandas import DataFrame

MEAN = "mean"
"""What the mean over the names of `task.select` is called among names."""


def slice_tables(given: Sequence[Any], task: MaskTask) -> tuple[SliceTable, ...]:
    """What a definition lists as tables of slices.

    Raises:
        DefinitionError: One is none, does not suit the classes, or two have one name.
    """
    given_names = (
        [getattr(each, "name", None) for each in given] if isinstance(given, list | tuple) else [None]
    )
    names = [name for name in given_names if isinstance(name, str) and name.isidentifier()]
    if len(names) < len(given_names):
        raise DefinitionError(
            f"tables is {given!r}, expected a list of objects such as medseg.learning.SliceStatistics"
        )
    twice = {name for name in names if names.count(name) > 1}
    taken = {"summary", "confusion", ENDING.removeprefix("_")} | twice
    if clash := sorted(taken & set(names)):
        raise DefinitionError(
            f"tables has one that is called {clash[0]!r}, which is taken; give it another name"
        )
    for each in given:
        each.check(task.classes, task.regions)
    return tuple(given)


@dataclass(frozen=True)
class _Cut:
    """A volume as slices, with those that are of the role."""

    image: NDArray[Any]  # (S, C, H, W)
    truth: NDArray[Any]  # (S, H, W), and so is what is predicted
    predicted: NDArray[np.uint8]
    spacing: tuple[float, float]  # of rows and columns, mm
    own: NDArray[np.intp]


class VolumeEvaluation:
    """Scores every volume on its own grid, all slices included.

    The truth is that of the files, not of the slice store: what padding, cropping or a spatial transform
    loses is lost in the scores too. By slice, a volume has slices in several roles: those of this one are scored
    plane by plane.

    Args:
        predictor: The model.
        distances: Whether to compute HD95, which takes a second or so a volume.
        scores: Names of ours, and objects: see docs/scores.md.
        tables: Objects that make a table of all slices together, such as `medseg.learning.SliceStatistics`.

    Raises:
        ValueError: A setting is no such setting.
        DefinitionError: The task gives no label maps.
    """

    noun = "cases"
    validation_picture = staticmethod(validation_picture)

    def __init__(
        self,
        predictor: Predictor,
        *,
        distances: bool = True,
        scores: Sequence[Any] | None = None,
        tables: Sequence[SliceTable] = (),
    ) -> None:
        if not isinstance(distances, bool):
            raise ValueError(f"distances is {distances!r}, expected true or false")  # noqa: TRY004
        self._predictor, self._task = predictor, mask_task(predictor.task)
        self._axis = AXES[predictor.preparation.rule.axis]
        self._distances, files = distances, predictor.preparation.files
        # of pixels that nobody knows the size of there is nothing in mm or mL
        usual = [score for score in VOLUME_SCORES if files.measured or score not in IN_MM]
        ours, self._added = chosen_scores(scores, usual, list(dict.fromkeys([*usual, *COUNT_SCORES])))
        self._headlines = headlines(scores, ("dice",), self._added)
        self._own: dict[
            str, NDArray[np.intp]
        ] = {}  # split by slice, the places of a case that are of the role
        self._scorer = VolumeScorer(self._task.classes, self._task.regions, ours, self._added)
        self._slices_counted = SliceCounts(slice_tables(tables, self._task), self._task)
        shape = (24, 24, 1) if files.flat else (24, 24, 24)
        rehearse(self._added, made_up(self._scorer.members, len(self._task.classes), shape, (1.0, 1.0, 1.0)))

    def asked(self, case: Case, mine: Mine | None) -> tuple[Any, ...] | None:
        """Predict and score one volume; None where none of its slices counts."""
        volume, truth, predicted = self._predicted(case)
        grid = volume.geometry
        planes = [self._axis.cut(labels) for labels in (truth, grid.to_ras(predicted))]
        kept = np.array([mine is None or mine(place) for place in range(len(planes[0]))])
        if mine is None:
            size, pair = grid.spacing, (grid.from_ras(truth), predicted)
        else:
            if not kept.any():
                return None
            size, pair = self._axis.seen(ras_spacing(volume)), (planes[0][kept], planes[1][kept])
        counted = None
        if self._slices_counted:
            matrices = confusions(planes[0][kept], planes[1][kept], len(self._task.classes))
            counted = case.id, np.flatnonzero(kept), matrices
        distances = self._distances and mine is None
        scored = self._scorer.scored(
            case.id, case.group, *pair, size, voxel_volume=grid.voxel_volume, distances=distances
        )
        return scored, counted, None if mine is None else np.flatnonzero(kept)

    def keep(self, answer: tuple[Any, ...] | None) -> None:
        """Take its scores into the tables."""
        if answer is None:
            return
        scored, counted, own = answer
        self._scorer.keep(scored)
        if own is not None:
            self._own[scored.case] = own
        if counted is not None:
            self._slices_counted.add(*counted)

    def notes(self) -> Sequence[str]:
        """Nothing."""
        return ()

    def tables(self, seed: int) -> Mapping[str, DataFrame]:
        """Of each volume and name, over patients, and voxels by true and predicted class."""
        frame = self._scorer.frame()
        summary = self._summary(frame, seed)
        matrix = matrix_table(self._scorer.matrix, self._task.classes)
        return {"": frame, "_summary": summary, "_confusion": matrix, **self._slices_counted.tables()}

    @property
    def parts(self) -> Sequence[str]:
        """Scores, confusion, and the counts of slices where tables are made of them."""
        return ("", "_confusion", *((ENDING,) if self._slices_counted else ()))

    def pooled(self, parts: Sequence[Part], seed: int) -> Pooled:
        """Every volume with its scores, over all patients, all voxels by true and predicted class, all slices."""
        frame = joined(parts, "", ("case", "name"))
        order = {name: place for place, name in enumerate(self._scorer.members)}
        frame = frame.assign(place=frame["name"].map(order)).sort_values(["case", "place"], ignore_index=True)
        frame = frame.drop(columns="place")
        summary, matrix = self._summary(frame, seed), summed(parts, self._task.classes)
        tables = {"": frame, "_summary": summary, "_confusion": matrix_table(matrix, self._task.classes)}
        if self._slices_counted:
            tables |= self._slices_counted.pooled(joined(parts, ENDING, KEY))
        return Pooled(tables, self._scores_drawn(summary, frame, matrix, "all folds"))

    def _summary(self, frame: DataFrame, seed: int) -> DataFrame:
        """Of each name and score, and of the mean Dice by which the best weights are chosen."""
        scores = [*self._scorer.scores, *(score.name for score in self._added)]
        summary = summarise(frame, scores, seed=seed)
        if "dice" not in scores or MEAN in self._scorer.members:
            return summary
        means = case_means(frame, self._task.select, "dice")
        from pandas import concat  # noqa: PLC0415 - as above

        return concat([summary, summarise(means.assign(name=MEAN), ["dice"], seed=seed)], ignore_index=True)

    def metrics(self, tables: Mapping[str, DataFrame], role: str) -> dict[str, float]:
        """`<role>/<score>/<name>`, `<role>/dice/mean` over `task.select`, and `<role>/<table>/...` of slices."""
        found = metrics_of(tables["_summary"], role, self._headlines)
        return {**found, **self._slices_counted.metrics(tables, role)}

    def figures(
        self, summary: DataFrame, cases: Mapping[str, Case], role: str, say: Callable[[str], None]
    ) -> Mapping[str, Callable[[], Drawn]]:
        """Confusion, Dice by name, slices of the best, median and worst patient, and through the worst few."""
        del say
        drawn = self._scores_drawn(summary, self._scorer.frame(), self._scorer.matrix, role)
        worst = {
            f"worst_{place}": partial(self._through, cases[ranked.case], ranked)
            for place, ranked in enumerate(
                worst_patients(self._scorer.dice(self._task.select), "dice"), start=1
            )
        }
        return {**drawn, "slices": lambda: self._slices(cases, role), **worst}

    def _scores_drawn(
        self, summary: DataFrame, frame: DataFrame, matrix: NDArray[np.int64], role: str
    ) -> Figures:
        figures: dict[str, Callable[[], Figure]] = {
            "confusion": lambda: confusion_figure(matrix, self._task.classes)
        }
        if "dice" in self._scorer.scores:
            means = case_means(frame, self._task.select, "dice").assign(name=MEAN)
            figures["dice"] = lambda: patient_bars(summary, "dice", (frame, means), role)
        return {**figures, **added_bars(self._added, summary, frame, role)}

    def _predicted(self, case: Case) -> tuple[Volume, NDArray[np.uint8], NDArray[np.uint8]]:
        """A volume, its truth (RAS), and what is predicted (on its own grid)."""
        volume = self._predictor.read(case)
        if volume.label is None:
            raise DataError("a case has no truth to be scored against. Add its mask, or leave the case out.")
        return volume, volume.label, self._predictor.predict_volume(volume).labels

    def _slices(self, cases: Mapping[str, Case], role: str) -> Figure:
        means = self._scorer.dice(self._task.select).set_index("case")["dice"]
        known = means.dropna()  # as the mean over patients leaves out who has none of the classes
        scores = {
            str(case): float(dice) for case, dice in (known if len(known) else means.fillna(1.0)).items()
        }
        views = []
        for name, kind in best_median_worst(scores).items():
            case = self._cut(cases[name])
            place = int(case.own[fullest(case.truth[case.own])])
            where = f", slice {place}" if len(case.truth) > 1 else ""
            title = f"{kind}: {name}{where}, {dice_text(scores[name], case.truth, self._task)}"
            channels = shown_channels(self._predictor, case.image[place])
            views.append(SliceView(title, channels, case.truth[place], case.predicted[place], case.spacing))
        return slice_grid(views, self._task.classes, heading=f"{role} patients")

    def _through(self, case: Case, ranked: Ranked) -> SliceSheet:
        """The slices of a case that are looked through."""
        cut = self._cut(case)
        places = looked_through(cut.truth, cut.predicted, selected(self._task), cut.own)
        shown = [next(iter(shown_channels(self._predictor, cut.image[place]).items())) for place in places]
        images = np.stack([image for _, image in shown])
        classes = self._task.classes
        picture = sheet_of(images, cut.truth[places], cut.predicted[places], len(classes), cut.spacing)
        about = {
            "case": ranked.case,
            "group": ranked.group,
            "dice": ranked.score,
            "slices": [int(place) for place in places],
            "of": len(cut.truth),
            "plane": self._predictor.preparation.rule.axis if len(cut.truth) > 1 else "",
            "channel": shown[0][0],
            "classes": list(classes),
        }
        return SliceSheet(picture, about)

    def _cut(self, case: Case) -> _Cut:
        volume, label, labels = self._predicted(case)
        truth, predicted = (self._axis.cut(each) for each in (label, volume.geometry.to_ras(labels)))
        rows, columns = self._axis.seen(ras_spacing(volume))[1:]
        own = self._own.get(case.id, np.arange(len(truth)))
        return _Cut(self._axis.cut(volume.image), truth, predicted, (rows, columns), own)
