"""Which cases a saved model has learned from or was chosen by, as far as the runs that it comes from lie here."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medseg.datasets.case import Case
from medseg.datasets.roles import UNUSED
from medseg.errors import DataError, ModelError
from medseg.files.regular import open_text, read_json
from medseg.pipeline.folder import RUNS, is_plain

TAG = "model.learned_from"
"""Tag of a run that scores a model of which not all is known: what is not."""


@dataclass(frozen=True)
class Learned:
    """What a model has learned from.

    Attributes:
        cases: Public names of the cases for training or validation.
        patients: Public names of their patients.
        unknown: Runs, or digests of weights, that the model comes from and whose cases are not known here.
    """

    cases: frozenset[str]
    patients: frozenset[str]
    unknown: tuple[str, ...] = ()

    def among(self, cases: Sequence[Case]) -> int:
        """How many of the cases, or their patients, are among them."""
        return sum(case.id in self.cases or case.group in self.patients for case in cases)

    @property
    def gap(self) -> str:
        """What is not known, as a clause; empty where all is known."""
        return f"not known of {', '.join(self.unknown)}" if self.unknown else ""


def learned_by(folder: Path) -> Learned:
    """Follow a model to the run that it is of, and to the runs whose models that run, or an ensemble, was made from.

    Args:
        folder: Of the saved model; beside it lies what its run, or the tracking store, holds of it.

    Raises:
        DataError: The run that the folder lies in has a damaged or no split.
    """
    own = _known(folder)
    cases, patients, unknown = set(own.cases), set(own.patients), []
    waiting, met = list(own.unknown), set()
    while waiting:
        name = waiting.pop(0)
        if name in met:
            continue
        met.add(name)
        place = _run_called(name, folder)
        try:
            found = None if place is None else _known(place / "model")
        except DataError:
            found = None
        if found is None:
            unknown.append(name)
            continue
        cases |= found.cases
        patients |= found.patients
        waiting += found.unknown
    return Learned(frozenset(cases), frozenset(patients), tuple(unknown))


def learned_in(steps: Mapping[str, object], cases: Sequence[Case]) -> Iterator[tuple[str, int]]:
    """Steps that begin with a saved model which knows some of the cases, and how many of them.

    A model whose run is not known here, or is damaged, is passed over.
    """
    for name, step in steps.items():
        path = Path(str(getattr(step, "weights", "")))
        folder = path if path.is_dir() else path.parent
        if (folder / "model.json").is_file():
            with suppress(DataError):
                if count := learned_by(folder).among(cases):
                    yield name, count


def _known(folder: Path) -> Learned:
    """What lies beside a model; `unknown` are all other runs that it names."""
    home = folder.parent
    is_run = (home / "run.json").is_file()
    origins = _runs_of(folder)
    if not is_run and not (home / "split.json").is_file():
        return Learned(frozenset(), frozenset(), origins or ("a model that names no run",))
    try:
        tags = _read(home / "tags.json")
        own = {home.name, tags.get("medseg.run"), _read(home / "run.json").get("name")}
        cases = frozenset(_cases(read_json(home / "split.json")))
        table = home / "slices.csv"
        whole = is_run or table.is_file()
        patients = frozenset(_patients(table, cases) if whole else ())
    except (OSError, ValueError, LookupError, TypeError, AttributeError, csv.Error) as error:
        raise DataError(
            "split.json, slices.csv, tags.json or run.json of the run is missing or damaged: it is not known which "
            "cases the model has learned from. Resume that run, or name a copy of its model folder."
        ) from error
    others = [name for name in (*origins, *_begun_from(tags)) if name not in own]
    return Learned(cases, patients, tuple(others) if whole else (*others, "the patients of its run"))


def _read(path: Path) -> Mapping[str, Any]:
    found = read_json(path) if path.is_file() else {}
    if not isinstance(found, dict):
        raise TypeError(f"{path.name} is no mapping")
    return found


def _cases(split: Mapping[str, Any]) -> Iterator[str]:
    """Those that are not for testing alone; of a split by slice, all."""
    if split.get("by") == "slice":
        yield from map(str, split["cases"])
        return
    for role, names in split.items():
        if role not in ("by", "test", UNUSED):
            yield from map(str, names)


def _patients(table: Path, cases: frozenset[str]) -> Iterator[str]:
    with open_text(table) as file:
        rows = csv.DictReader(file)
        if not {"case", "group"} <= set(rows.fieldnames or ()):
            raise ValueError(f"{table.name} lacks a column")
        yield from (row["group"] for row in rows if row["case"] in cases)


def _runs_of(folder: Path) -> tuple[str, ...]:
    """The runs that a model says it is of: of an ensemble several."""
    from medseg.learning.inference.saved_model import described_in  # noqa: PLC0415  # imports torch

    try:
        about = described_in(folder).get("about", {})
    except ModelError:  # of a run whose model is gone: what the run noted is left
        return ()
    return tuple(_named(str(about.get("run", "")) if isinstance(about, dict) else ""))


def _begun_from(tags: Mapping[str, Any]) -> Iterator[str]:
    """The runs whose models a run was made from, by what its steps noted; the digest where a model names none."""
    for key, digest in tags.items():
        step, _, what = key.rpartition(".")
        if what == "weights" and digest != _OF_THE_NETWORK:
            yield from _named(str(tags.get(f"{step}.run") or digest))


def _named(runs: str) -> Iterator[str]:
    """Each of several, if it is the name of a run: a stranger's model may name a patient there."""
    for name in filter(None, runs.split(", ")):
        yield name if is_plain(name) else "a run without a proper name"


_OF_THE_NETWORK = "own"  # weights that a network brings, which a step notes


def _run_called(name: str, folder: Path) -> Path | None:
    """The folder of a run, beside the one that the model lies in or in the working folder."""
    if not is_plain(name):
        return None
    places = (below / name for below in (folder.absolute().parent.parent, RUNS))
    return next((place for place in places if (place / "run.json").is_file()), None)
