"""Every patient as a dot, and the worst of them by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from medseg.api.reporting.blocks import Block, Dot, Strip, Strips, Table, Words
from medseg.api.reporting.kept import Kept
from medseg.api.reporting.scores import Summary, head, number
from medseg.api.reporting.worst.mean import mean_names, of_patients, over
from medseg.errors import RunError
from medseg.figures.dot_strip import Axis, axis_of, dot_levels
from medseg.figures.palette import inks
from medseg.learning.scores.paired.direction import direction_of
from medseg.pipeline.folder import RunFolder
from medseg.pipeline.study.score_tables import KINDS, ScoreTables
from medseg.pipeline.study.tested import Tested

MOST = 3000
"""Patients that are drawn and listed: a page with more is too large to pass on."""

MOST_NAMES = 300
"""Classes and regions that are drawn and listed."""

MOST_DOTS = 100_000
"""Dots of all strips together."""

_WORST = 10
_OF_EACH = {"accuracy": "recall"}  # what each class has where all together have the first

Values = Mapping[str, NDArray[np.float64]]


class Patients:
    """The scores of each patient of a test part.

    Args:
        kept: Of what.

    Raises:
        RunError: The tables are damaged, or of another medseg.
    """

    def __init__(self, kept: Kept) -> None:
        tables = {ending: kept.table(f"test{ending}") for ending in ("", "_groups", "_confusion")}
        there = {ending: table for ending, table in tables.items() if table is not None}
        if "" not in there or not {"case", "group"} <= set(there[""].columns):
            raise RunError("its tables do not say whose the scores are")
        if there[""].empty:
            raise RunError("its table has no rows")
        self.tested = Tested(RunFolder(kept.folder), kept.state, there)
        found = next((kind for kind in KINDS if kind.fits(self.tested)), None)
        if found is None:
            raise RunError("its tables are of another medseg, or of a task of another package")
        self.kind: ScoreTables = found
        self.names = self.kind.names(self.tested)
        if len(self.names) > MOST_NAMES:
            raise RunError(f"{len(self.names):,} classes and regions are too many")
        self.who = sorted(set(self.tested.cases["group"]))
        has = self.kind.scores(self.tested)
        self.score = next((score for score in self.kind.usual if score in has), has[0] if has else "")
        self._over, self._kept = kept.grouped_by, kept
        self._background = "correct" not in self.tested.cases
        try:
            self.values = self._values()
        except (ValueError, TypeError, KeyError, IndexError) as error:
            raise RunError("its tables are damaged") from error

    def blocks(self, summary: Summary | None) -> Sequence[Block]:
        """Strips, the worst, and everybody."""
        if len(self.who) > MOST:
            return [Words(f"{len(self.who)} patients are too many to be drawn one by one.", "missing")]
        if (dots := len(self.who) * len(self.values)) > MOST_DOTS:
            return [Words(f"{dots:,} scores of patients are too many to be drawn one by one.", "missing")]
        return [self._strips(summary), *self._worst(summary), self._everybody()]

    def _values(self) -> Values:
        """(P,) the score of each patient, by class or region; of classes of images those of all together first."""
        if not self.score:
            raise ValueError("there is no score")
        both = [self.tested]
        found = dict(self.kind.compared(both, both, self.names, self.score, self.who))
        if self.score in _OF_EACH:
            found |= self.kind.compared(both, both, self.names, _OF_EACH[self.score], self.who)
        return {name: compared.of_patients()[0] for name, compared in found.items()}

    def _called(self, name: str) -> str:
        return (
            f"{head(_OF_EACH.get(self.score, self.score))}, {name}"
            if name
            else f"{head(self.score)}, all classes"
        )

    def _strips(self, summary: Summary | None) -> Strips:
        axis = axis_of([value for values in self.values.values() for value in values])
        tones = inks(len(self.values) + 1)
        colours = tones if self._background else tones[1:]
        rows = [
            self._strip(name, values, axis, colours[place], summary)
            for place, (name, values) in enumerate(self.values.items())
        ]
        noun = self._over.removesuffix("s")
        band = ", the band its 95 % interval" if any(row.interval for row in rows) else ""
        caption = f"Each dot is a {noun}, the line their mean{band}."
        return Strips(caption, rows, [(100 * axis.across(tick), f"{tick:g}") for tick in axis.ticks])

    def _strip(
        self,
        name: str,
        values: NDArray[np.float64],
        axis: Axis,
        ink: NDArray[np.float64],
        summary: Summary | None,
    ) -> Strip:
        there = [place for place, value in enumerate(values) if isfinite(value)]
        across = [axis.across(float(values[place])) for place in there]
        dots = [
            Dot(
                100 * where, 50 + 38 * level, f"{self.who[place]}: {number(float(values[place]), self.score)}"
            )
            for place, where, level in zip(there, across, dot_levels(across), strict=True)
        ]
        score = _OF_EACH.get(self.score, self.score) if name else self.score
        row = None if summary is None or self.kind.same_names() else summary.row(name, score)
        mean = float(np.mean([values[place] for place in there])) if there else float("nan")
        ends = [float("nan")] * 2 if row is None else [float(row["low"]), float(row["high"])]
        sure = all(isfinite(end) and axis.low <= end <= axis.high for end in ends)
        text = f"mean {number(mean, score)}{f' [{number(ends[0], score)}, {number(ends[1], score)}]' if sure else ''}"
        return Strip(
            self._called(name) if self.kind.same_names() else name,
            f"{text}, {len(there)} {self._over if len(there) != 1 else self._over.removesuffix('s')}",
            "#" + "".join(f"{round(255 * float(tone)):02x}" for tone in ink),
            dots,
            100 * axis.across(mean) if there else None,
            (100 * axis.across(ends[0]), 100 * axis.across(ends[1])) if sure else None,
        )

    def _worst(self, summary: Summary | None) -> Sequence[Block]:
        """The patients with the worst mean: that of the first number of the scores, over the same names."""
        names = [""] if "" in self.values else mean_names(self._kept, self.tested.cases, self.score, summary)
        if not names:
            return [
                Words(
                    "Over which classes the mean is taken is not known: nobody is the worst by it.", "missing"
                )
            ]
        means = (
            self.values[names[0]]
            if len(names) == 1
            else of_patients(self.tested.cases, names, self.score).reindex(self.who).to_numpy(dtype=float)
        )
        sign = direction_of(self.score, self.kind.known).sign
        order = sorted(
            (p for p in range(len(self.who)) if isfinite(means[p])), key=lambda p: (sign * means[p], p)
        )
        mean = (
            f"mean {head(self.score)}"
            if len(names) > 1
            else f"{head(self.score)}{f', {names[0]}' if names[0] else ''}"
        )
        beside = [name for name in self.values if name and [name] != names]
        rows = [
            [self.who[p], number(float(means[p]), self.score)]
            + [number(float(self.values[name][p]), self.score) for name in beside]
            for p in order[:_WORST]
        ]
        noun = self._over.removesuffix("s")
        told = f", by the mean over {over(names)}" if len(names) > 1 else ""
        return [Table(f"The worst first{told}: {len(rows)} of {len(order)}", [noun, mean, *beside], rows)]

    def _everybody(self) -> Table:
        rows = [
            [who, *(number(float(values[place]), self.score) for values in self.values.values())]
            for place, who in enumerate(self.who)
        ]
        noun = self._over.removesuffix("s")
        return Table(
            f"Every {noun}",
            [noun, *(self._called(name) for name in self.values)],
            rows,
            folded=True,
            most=MOST,
        )
