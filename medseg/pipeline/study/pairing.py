"""The patients whom all compared runs have tested, with the same cases and the same truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from medseg.errors import RunError
from medseg.pipeline.study.score_tables import KINDS, ScoreTables
from medseg.pipeline.study.tested import Side, Tested
from medseg.text import many


@dataclass(frozen=True)
class Pairing:
    """What runs have in common.

    Attributes:
        kind: How their scores stand in tables.
        names: Classes and regions of all of them.
        patients: Of all of them, sorted.
        notes: What they have not in common, as sentences.
        noun: What those are whom `patients` names: patients, or groups of pictures.
    """

    kind: ScoreTables
    names: Sequence[str]
    patients: Sequence[str]
    notes: Sequence[str]
    noun: str


def pair(sides: Sequence[Side], *, on_common: bool = False) -> Pairing:
    """Find what runs have in common.

    Args:
        sides: Two or more.
        on_common: Whether patients and data may differ: those that are the same are then compared.

    Raises:
        RunError: They are of different tasks; or patients or data differ, or nobody is left. Says in what.
    """
    runs = [run for side in sides for run in side.runs]
    kind = _kind(runs)
    names = _names(kind, runs)
    _refuse_other_slices(runs)
    noun = runs[0].groups_are
    differing = [*_data(runs), *_patients(kind, names, runs, noun)]
    shared = _shared(kind, names, runs)
    if not shared:
        raise RunError(
            f"the runs have no test {noun} in common, so that nothing can be paired. Where ids of the data set are "
            "identifying, tables hold pseudonyms, and each machine gives others: score both runs on one machine. "
            "Else give both pipelines the same test part: split.file, or one split.seed."
        )
    if differing and not on_common:
        raise RunError(
            f"the runs were not tested on the same: {'; '.join(differing)}. To compare them on the "
            f"{many(len(shared), noun)} that they share: --on-common. To give runs of other seeds one "
            "test part: --set split.seed=1"
        )
    left_out = [name for run in runs for name in kind.names(run) if name not in names]
    notes = (
        [f"Compared on the {many(len(shared), noun)} that all runs share: {'; '.join(differing)}."]
        if differing
        else []
    )
    if left_out:
        notes.append(f"Not compared, since not all runs have them: {', '.join(dict.fromkeys(left_out))}.")
    return Pairing(kind, names, shared, notes, noun)


def _kind(runs: Sequence[Tested]) -> ScoreTables:
    found = []
    for run in runs:
        kind = next((kind for kind in KINDS if kind.fits(run)), None)
        if kind is None:
            raise RunError(
                f"test.csv of the run {run.name} has neither names of classes nor true classes: an earlier medseg or "
                "a task of another package wrote it. Compare runs of this medseg."
            )
        found.append(kind)
    for kind, run in zip(found, runs, strict=True):
        if kind is not found[0]:
            raise RunError(
                f"the runs are of different tasks: {runs[0].name} gives {found[0].noun}, {run.name} gives "
                f"{kind.noun}. Compare runs of one task."
            )
    return found[0]


def _names(kind: ScoreTables, runs: Sequence[Tested]) -> Sequence[str]:
    each = {run.name: kind.names(run) for run in runs}
    first, names = runs[0].name, each[runs[0].name]
    for run, other in each.items():
        if kind.same_names() and set(other) != set(names):
            raise RunError(
                f"the runs are of different tasks: the classes of {first} are {', '.join(names)}, those of {run} "
                f"{', '.join(other)}. Compare runs that tell the same classes."
            )
    common = [name for name in names if all(name in other for other in each.values())]
    if not common:
        raise RunError(
            "the runs are of different tasks: they have no class and no region in common. Compare runs of one task."
        )
    return common


def _refuse_other_slices(runs: Sequence[Tested]) -> None:
    sliced = [run.by_slice for run in runs]
    if any(sliced) and (not all(sliced) or len({run.state.split_digest for run in runs}) > 1):
        raise RunError(
            "the split of a run is by slice, and other slices of the same patients were tested by another run: there "
            "is nothing to pair. Give both runs one split.seed, or split.by=group."
        )


def _data(runs: Sequence[Tested]) -> list[str]:
    prints = [run.state.data_fingerprint for run in runs]
    unknown = [run.name for run in runs if not run.state.data_fingerprint]
    if unknown:
        return [f"{unknown[0]} does not say which data it had"]
    if len(set(prints)) == 1:
        return []
    other = next(run for run in runs if run.state.data_fingerprint != prints[0])
    both = f"{prints[0][:8]}, {other.state.data_fingerprint[:8]}"
    return [f"the data of {runs[0].name} and {other.name} differ (fingerprints {both})"]


def _tested(kind: ScoreTables, names: Sequence[str], run: Tested) -> dict[str, dict[str, object]]:
    """The cases of each patient, and what they truly show."""
    keys = [column for column in ("case", "name") if column in run.cases]
    if run.cases.duplicated(keys).any():
        raise RunError(
            f"test.csv of the run {run.name} has a case twice: it is damaged. Run the pipeline again."
        )
    truth, found = kind.truth(run, names), dict[str, dict[str, object]]()
    for case, group in run.cases[["case", "group"]].drop_duplicates().itertuples(index=False):
        found.setdefault(str(group), {})[str(case)] = truth.get(case)
    return found


def _patients(kind: ScoreTables, names: Sequence[str], runs: Sequence[Tested], noun: str) -> list[str]:
    """In what the patients of other runs differ from those of the first."""
    first, found = _tested(kind, names, runs[0]), []
    for run in runs[1:]:
        other = _tested(kind, names, run)
        alone = [len(a.keys() - b.keys()) for a, b in ((first, other), (other, first))]
        if any(alone):
            found.append(
                f"{many(alone[0], noun, 'were')} tested by {runs[0].name} alone, {alone[1]} by {run.name} alone"
            )
        both = first.keys() & other.keys()
        cases = sum(first[one].keys() != other[one].keys() for one in both)
        truth = sum(first[one] != other[one] for one in both) - cases
        found += [f"{many(cases, noun, 'have')} other cases in {run.name}"] if cases else []
        found += [f"the truth of {many(truth, noun)} is another in {run.name}"] if truth else []
    return found


def _shared(kind: ScoreTables, names: Sequence[str], runs: Sequence[Tested]) -> list[str]:
    first, *others = (_tested(kind, names, run) for run in runs)
    return sorted(one for one in first if all(one in other and other[one] == first[one] for other in others))
