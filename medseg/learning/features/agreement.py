"""How well groups of cases agree with what is known of them, and how far apart they lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import adjusted_rand_score, silhouette_score

NOISE = -1
"""What scikit-learn calls the cluster of cases that belong to none."""


@dataclass(frozen=True)
class GroupScore:
    """A score, or why there is none.

    Attributes:
        name: Such as `ari/label`.
        value: None where it is not defined.
        cases: How many it is of.
        why: Why it is not defined; empty where it is.
    """

    name: str
    value: float | None
    cases: int
    why: str = ""

    def text(self) -> str:
        """In words."""
        return f"{self.name} {self.why if self.value is None else format(self.value, '.4g')}"


def rand_index(name: str, clusters: Sequence[Any] | pd.Series, known: pd.Series) -> GroupScore:
    """The adjusted Rand index of clusters and known groups, over the cases whose group is known.

    It is 1 where they are the same, and about 0 where they have nothing to do with each other (Hubert and Arabie,
    "Comparing partitions", Journal of Classification 2, 1985). Noise counts as a cluster.

    Args:
        name: Of the score.
        clusters: (N,) cluster of each case.
        known: (N,) group of each case; missing where it is not known.
    """
    there = known.notna().to_numpy()
    groups, found = known[there].astype(str).to_numpy(), np.asarray(clusters)[there]
    if len(set(groups)) < 2:
        return GroupScore(name, None, len(groups), f"is not defined: {_too_few(groups)}")
    return GroupScore(name, float(adjusted_rand_score(groups, found)), len(groups))


def silhouette(name: str, values: NDArray[Any], groups: Sequence[Any] | pd.Series) -> GroupScore:
    """The mean silhouette over cases in groups: how much nearer a case is to its group than to the next one.

    In [-1, 1] (Rousseeuw, Journal of Computational and Applied Mathematics 20, 1987), by Euclidean distances.
    Cases whose group is not known, or that are noise, are left out.

    Args:
        name: Of the score.
        values: (N, D) coordinates.
        groups: (N,) of each case.
    """
    given = pd.Series(list(groups), dtype=object)
    there = (given.notna() & (given != NOISE)).to_numpy()
    held = given[there].astype(str).to_numpy()
    count = len(set(held))
    if not 2 <= count < len(held):
        why = "each case is a group of its own" if count == len(held) > 1 else _too_few(held)
        return GroupScore(name, None, len(held), f"is not defined: {why}")
    return GroupScore(name, float(silhouette_score(values[there], held)), len(held))


def _too_few(held: NDArray[Any]) -> str:
    return f"all {len(held)} cases are in one group" if len(held) else "no case is in a group"
