"""Whether a run that was made again is the same: to the bit, or how far apart."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from medseg.files.durable import checksum
from medseg.learning.scores.tables import read_scores
from medseg.places import written_whole

_WEIGHTS = "model/weights.safetensors"
FILE = "reproduction.json"
"""File of the run that was made again."""


@dataclass(frozen=True)
class Reproduction:
    """A run, and the same made again.

    Attributes:
        run: Name of the run.
        again: Name of the run that was made again.
        identical: Whether weights and all tables of scores are the same to the bit.
        weights: Largest difference of a weight; None where they have other names or shapes.
        tables: Largest difference of a number in each table of scores, by its name; None where the tables have other
            rows, columns or texts.
        other: What was not as when the run was made, and may be why, as `what: then, now`.
    """

    run: str
    again: str
    identical: bool
    weights: float | None
    tables: Mapping[str, float | None]
    other: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        """In one clause, for a tag."""
        if self.identical:
            return "identical to the bit"
        scores = [value for value in self.tables.values() if value is not None]
        if self.weights is None or len(scores) < len(self.tables):
            return "different"
        return f"apart by {self.weights:.3g} in a weight, by {max(scores, default=0.0):.3g} in a score"

    def text(self) -> str:
        """Some lines that say it."""
        lines = [f"{self.again} is made as {self.run} was: {self.verdict}."]
        lines += [f"  {name}: {_apart(value)}" for name, value in self.tables.items() if not self.identical]
        lines += [f"Other than then: {each}." for each in self.other]
        return "\n".join(lines)

    def write(self, folder: Path) -> Path:
        """Write it into the folder of the run that was made again."""
        path = folder / FILE
        with written_whole(path) as target:
            text = json.dumps(asdict(self) | {"verdict": self.verdict}, indent=1, ensure_ascii=False)
            target.write_text(f"{text}\n", encoding="utf-8")
        return path


def reproduction(first: Path, again: Path, other: tuple[str, ...] = ()) -> Reproduction:
    """Compare weights and tables of scores of two runs.

    Args:
        first: Folder of the run.
        again: Folder of that which was made again.
        other: What was not as when the run was made.
    """
    names = sorted({path.name for run in (first, again) for path in (run / "scores").glob("*.csv")})
    tables = {
        name.removesuffix(".csv"): _tables_apart(first / "scores" / name, again / "scores" / name)
        for name in names
    }
    files = [_WEIGHTS, *(f"scores/{name}" for name in names)]
    same = all(_same_bytes(first / name, again / name) for name in files)
    weights = _weights_apart(first / _WEIGHTS, again / _WEIGHTS)
    return Reproduction(first.name, again.name, same, weights, tables, other)


def other_versions(then: Mapping[str, Any], now: Mapping[str, str]) -> Iterator[str]:
    """Versions that differ, as `what: then, now`; those that the run did not note are passed over.

    Args:
        then: Tags of the run.
        now: As of `medseg.pipeline.about.versions`.
    """
    for name, version in now.items():
        if name in then and then[name] != version:
            yield f"{name.removeprefix('version.')}: {then[name]} then, {version} now"


def _same_bytes(one: Path, other: Path) -> bool:
    return one.is_file() and other.is_file() and checksum(one) == checksum(other)


def _weights_apart(one: Path, other: Path) -> float | None:
    from safetensors.numpy import load_file  # noqa: PLC0415 - only where models are compared

    first, second = load_file(one), load_file(other)
    if first.keys() != second.keys() or any(first[name].shape != second[name].shape for name in first):
        return None
    found = [np.abs(first[name].astype(np.float64) - second[name].astype(np.float64)) for name in first]
    return float(max((each.max() for each in found if each.size), default=0.0))


def _tables_apart(one: Path, other: Path) -> float | None:
    if not one.is_file() or not other.is_file():
        return None
    first, second = read_scores(one), read_scores(other)
    if list(first.columns) != list(second.columns) or len(first) != len(second):
        return None
    numbers = list(first.select_dtypes("number").columns)
    texts = [name for name in first.columns if name not in numbers]
    if not first[texts].equals(second[texts]) or not first[numbers].isna().equals(second[numbers].isna()):
        return None
    apart = np.abs(first[numbers].to_numpy(np.float64) - second[numbers].to_numpy(np.float64))
    return float(np.nanmax(apart)) if np.isfinite(apart).any() else 0.0


def _apart(value: float | None) -> str:
    return "other rows, columns or texts" if value is None else f"apart by {value:.3g} at most"
