"""Finished runs compared on the same test patients: how much they differ, and how sure that is."""

from __future__ import annotations

import string
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from medseg.errors import RunError
from medseg.learning.scores.paired.differences import Compared, Difference
from medseg.learning.scores.paired.direction import SIGNED, Direction, direction_of
from medseg.learning.scores.paired.significance import DIGITS, holm, least_p
from medseg.pipeline.audit.certificate import leaking_kinds
from medseg.pipeline.audit.standing import ALTERED, altered
from medseg.pipeline.folder import RunFolder
from medseg.pipeline.study.pairing import Pairing, pair
from medseg.pipeline.study.score_tables import Amounts, ScoreTables
from medseg.pipeline.study.tested import Side, Tested
from medseg.text import many, three_decimals

if TYPE_CHECKING:
    from pandas import DataFrame

LEVEL = 0.05
"""Of all tests of one comparison together."""

ALL = "all classes"
"""What is of all classes together, in sentences and figures; in tables its name is empty."""

SEED = 0


@dataclass(frozen=True)
class Row:
    """One score of one class or region, of A and another side.

    Attributes:
        side: Letter of the other.
        score: Its name.
        name: Class or region; empty for all classes together.
        direction: Which way is better.
        found: How much they differ.
        corrected: p after Holm's correction over all rows.
        compared: What was compared.
    """

    side: str
    score: str
    name: str
    direction: Direction
    found: Difference
    corrected: float
    compared: Compared

    @property
    def verdict(self) -> str:
        """`better`, `worse` (of scores of others, `higher`, `lower`), or `no evidence`.

        Better is what the test says, corrected, and the interval too.
        """
        sure = self.corrected < LEVEL and (self.found.low > 0 or self.found.high < 0)
        if not sure:
            return "no evidence"
        return self.direction.better if self.gain > 0 else self.direction.worse

    @property
    def gain(self) -> float:
        """By how much the other side is better than A."""
        return self.direction.sign * self.found.difference

    @property
    def chance(self) -> float:
        """That the other is better: the share of resamples of the patients in which it is."""
        return self.found.larger if self.direction.sign > 0 else 1 - self.found.larger

    @property
    def of_each_patient(self) -> bool:
        """Whether some patient has the score alone."""
        return not np.isnan(self.compared.of_patients()[0]).all()

    def losses(self) -> NDArray[np.float64]:
        """(P,) by how much each patient got worse, less than 0 where better; NaN of those without a score."""
        a, b = self.compared.of_patients()
        lost: NDArray[np.float64] = np.round(self.direction.sign * (a - b), DIGITS)
        return lost


@dataclass(frozen=True)
class Comparison:
    """Runs that were compared on the same test patients.

    Attributes:
        sides: The first, A, is what the others are compared with.
        patients: On whom, sorted.
        rows: Each score and class or region of each other side.
        notes: What keeps this from saying much, as sentences.
        amounts: How much there is of each class or region, by the letter of the other side and name.
        noun: What those are whom `patients` names: patients, or groups of pictures.
    """

    sides: Sequence[Side]
    patients: Sequence[str]
    rows: Sequence[Row]
    notes: Sequence[str]
    amounts: Mapping[str, Mapping[str, Amounts]]
    noun: str = "patient"

    def differences(self) -> DataFrame:
        """A row each score and name of each side but A.

        Returns:
            side, score, name, a, b (means over runs and patients), difference (b - a), low, high (95 %, over
            patients), p, p_holm, test, chance_better, patients, left_out, patients_better, patients_worse,
            patient_std, a_seeds, b_seeds, a_seed_std, b_seed_std, verdict.
        """
        from pandas import DataFrame  # noqa: PLC0415 - half a second

        seeds = {side.letter: len(side.runs) for side in self.sides}
        columns = [field.name for field in fields(Difference)]
        rows = []
        for row in self.rows:
            losses = row.losses()
            rows.append(
                {
                    "side": row.side,
                    "score": row.score,
                    "name": row.name,
                    **asdict(row.found),
                    "p_holm": row.corrected,
                    "chance_better": row.chance,
                    "patients_better": int((losses < 0).sum()),
                    "patients_worse": int((losses > 0).sum()),
                    "a_seeds": seeds["A"],
                    "b_seeds": seeds[row.side],
                    "verdict": row.verdict,
                }
            )
        order = ["side", "score", "name", *columns[:6], "p_holm", "test", "chance_better", *columns[8:10]]
        order += [
            "patients_better",
            "patients_worse",
            "patient_std",
            "a_seeds",
            "b_seeds",
            *columns[11:],
            "verdict",
        ]
        return DataFrame(rows, columns=order)

    def of_patients(self) -> DataFrame:
        """A row each patient, score and name of each side but A: side, score, name, group, a, b, difference, worse.

        `worse` says whether the patient got worse. Scores that no patient has alone, such as AUROC, are not in it.
        """
        import pandas as pd  # noqa: PLC0415 - half a second

        columns = ["side", "score", "name", "group", "a", "b", "difference", "worse"]
        parts = []
        for row in self.rows:
            a, b = row.compared.of_patients()
            values = {
                "group": list(self.patients),
                "a": a,
                "b": b,
                "difference": b - a,
                "worse": row.losses() > 0,
            }
            part = pd.DataFrame({"side": row.side, "score": row.score, "name": row.name, **values})
            parts.append(part[~np.isnan(a)])
        return pd.concat(
            [pd.DataFrame(columns=columns), *[part for part in parts if len(part)]], ignore_index=True
        )

    def sentences(self) -> Sequence[str]:
        """What was found in plain words, a sentence each score of each side."""
        groups = dict.fromkeys((row.side, row.score) for row in self.rows)
        return [
            _sentence([row for row in self.rows if (row.side, row.score) == group], *group)
            for group in groups
        ]


def compare(
    given: Sequence[Sequence[RunFolder]],
    *,
    on_common: bool = False,
    scores: Sequence[str] = (),
    names: Sequence[str] = (),
    letters: Sequence[str] = string.ascii_uppercase,
) -> Comparison:
    """Compare runs on the same test patients.

    Args:
        given: Runs of each side, which differ in the seed alone; all other sides are compared with the first.
        on_common: Compare on those patients whom all have in common, where patients or data differ.
        scores: Names of scores; by default the usual ones of the task.
        names: Classes and regions; by default all.
        letters: Of the sides, where these are some of more; that of the first is A.

    Raises:
        RunError: Runs cannot be compared; says why.
    """
    if len(given) < 2:
        raise RunError("a comparison needs two runs or more: medseg runs compare A B")
    if len(given) > len(string.ascii_uppercase):
        raise RunError(f"{len(given)} sides are too many to compare at once; expected 26 or fewer")
    sides = [
        Side.of(letter, [Tested.of(folder) for folder in folders])
        for letter, folders in zip(letters, given, strict=False)
    ]
    _refuse_twice(sides)
    found = pair(sides, on_common=on_common)
    wished = _scores(found.kind, [run for side in sides for run in side.runs], scores)
    of = _wished_names(found, names)
    rows = list(_rows(found, sides, wished, of))
    corrected = holm([found.p for *_, found, _ in rows])
    held = [Row(*row[:-1], float(p), row[-1]) for row, p in zip(rows, corrected, strict=True)]
    amounts = {
        side.letter: found.kind.amounts(sides[0].runs, side.runs, of, found.patients) for side in sides[1:]
    }
    notes = [*found.notes, *_notes(sides, held, found.noun)]
    return Comparison(sides, found.patients, held, notes, amounts, found.noun)


def _rows(
    found: Pairing, sides: Sequence[Side], scores: Sequence[str], names: Sequence[str]
) -> Iterator[tuple[str, str, str, Direction, Difference, Compared]]:
    for side in sides[1:]:
        for score in scores:
            direction = direction_of(score, found.kind.known)
            pairs = found.kind.compared(sides[0].runs, side.runs, names, score, found.patients)
            for name, compared in pairs.items():
                yield side.letter, score, name, direction, compared.difference(SEED), compared


def _refuse_twice(sides: Sequence[Side]) -> None:
    seen: dict[object, str] = {}
    for side in sides:
        for run in side.runs:
            before = seen.setdefault(run.folder.path.resolve(), side.letter)
            if before != side.letter:
                raise RunError(
                    f"the run {run.name} is {before} and {side.letter}: it cannot be compared with itself."
                )


def _scores(kind: ScoreTables, runs: Sequence[Tested], wished: Sequence[str]) -> Sequence[str]:
    common = [score for score in kind.scores(runs[0]) if all(score in kind.scores(run) for run in runs)]
    common = [score for score in common if score not in SIGNED]
    usual = [score for score in kind.usual if score in common]
    for score in wished:
        if score in SIGNED:
            raise RunError(
                f"{score} is best at 0, and neither more nor less is better. Compare {SIGNED[score]}."
            )
        if score not in common:
            raise RunError(f"not all runs have the score {score!r}. All have: {', '.join(common) or 'none'}.")
    found = list(dict.fromkeys(wished)) or usual or common[:1]
    if not found:
        raise RunError(
            "the runs have no score in common. Compare runs whose step Evaluate computes the same."
        )
    return found


def _wished_names(found: Pairing, wished: Sequence[str]) -> Sequence[str]:
    for name in wished:
        if name not in found.names:
            raise RunError(
                f"not all runs have a class or region {name!r}. All have: {', '.join(found.names)}."
            )
    return [name for name in found.names if name in wished] if wished else found.names


def _notes(sides: Sequence[Side], rows: Sequence[Row], noun: str) -> Iterator[str]:
    if any(run.state.generated for side in sides for run in side.runs):
        yield "GENERATED DATA: this says nothing about real patients."
    for mixture in dict.fromkeys(run.state.mixture for side in sides for run in side.runs):
        if mixture:
            yield (f"GENERATED CASES: {mixture}, of a sample. This says little about real patients.")
    if any(run.by_slice for side in sides for run in side.runs):
        yield "LEAKING SPLIT: slices of one patient may be in training and in test."
    for run in (run for side in sides for run in side.runs):
        if kinds := leaking_kinds(run.folder.path):
            yield f"LEAK: {run.name} leaks ({kinds}), as its certificate says (audit.txt). Its scores are too good."
        if altered(run.folder):
            yield f"CERTIFICATE ALTERED: {run.name}, {ALTERED}. Look again: medseg runs audit {run.folder.called}"
    single = [side.letter for side in sides if len(side.runs) == 1]
    if single:
        yield (
            f"One run of {' and '.join(single)}: interval and test are over {noun}s, for these very runs. Another "
            "seed may give another difference; runs of other seeds are joined with commas."
        )
    least = min((least_p(row.found.patients) for row in rows), default=1.0) * len(rows)
    lone = all(len(side.runs) == 1 for side in sides)  # of more, there are more ways to swap
    if all(lone or row.found.test.startswith("Wilcoxon") for row in rows) and least >= LEVEL:
        most = max((row.found.patients for row in rows), default=0)
        yield (
            f"{many(most, noun, 'are')} too few for {many(len(rows), 'test')}: not even if all of them differ "
            "in one direction could a difference be shown."
        )
    for row in rows:
        if row.found.left_out:
            yield (
                f"{row.score} of {row.name or ALL}, A and {row.side}: {many(row.found.left_out, noun, 'are')} "
                "left out, since the score is defined in some of the runs alone, as where one predicts what is not "
                "there."
            )


def _sentence(rows: Sequence[Row], side: str, score: str) -> str:
    by_verdict: dict[str, list[Row]] = {}
    for row in rows:
        by_verdict.setdefault(row.verdict, []).append(row)
    better, worse = rows[0].direction.better, rows[0].direction.worse
    parts = [
        f"{side} is {verdict} on {_listed([_by(row) for row in by_verdict[verdict]])}"
        for verdict in (better, worse)
        if verdict in by_verdict
    ]
    rest = [row.name or ALL for row in by_verdict.get("no evidence", ())]
    if rest:
        parts.append(f"no evidence{'' if parts else f' that A and {side} differ'} for {_listed(rest)}")
    return f"{score}: {'; '.join(parts)}."


def _by(row: Row) -> str:
    low, high = sorted((abs(row.found.low), abs(row.found.high)))
    between = f"[{three_decimals(low)}, {three_decimals(high)}]"
    return f"{row.name or ALL} by {three_decimals(abs(row.found.difference))} {between}"


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
