"""Scores of label maps after each epoch: light, without intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from medseg.datasets.unannotated import UNANNOTATED
from medseg.errors import DefinitionError
from medseg.learning.scores.added.case_score import CaseScore, OfCounts, as_score, computed
from medseg.learning.scores.added.cases import MaskCase
from medseg.learning.scores.counts import COUNT_SCORES, counts_of, dice

_Batch = tuple[list[str], torch.Tensor, NDArray[np.uint8] | None]
"""The case of each slice, its counts, and its true and predicted label map where a score is added."""


class TaskOfMasks(Protocol):
    """What is expected of a task here."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the K classes."""

    @property
    def regions(self) -> Mapping[str, tuple[int, ...]]:
        """Unions of classes that are scored as one, by name."""

    @property
    def select(self) -> tuple[str, ...]:
        """Names whose mean score chooses the best weights."""

    def decode(self, logits: torch.Tensor) -> torch.Tensor:
        """Logits (B, K, H, W) to class indices (B, H, W)."""


class DiceByCase:
    """Dice of every class and region of each case, and what is added.

    One confusion matrix a case, so that a batch costs one bincount; label maps are kept only where a score is added.

    Args:
        task: The task.
        added: Names of `COUNT_SCORES`, or objects: see `CaseScore`.

    Raises:
        DefinitionError: One of them is none.
    """

    def __init__(self, task: TaskOfMasks, added: Sequence[str | CaseScore] = ()) -> None:
        self.task = task
        self._matrices: dict[str, NDArray[np.int64]] = {}
        self._batches: list[_Batch] = []
        self._counted = 0
        unknown = [each for each in added if isinstance(each, str) and each not in COUNT_SCORES]
        if unknown:
            raise DefinitionError(f"no score is called {unknown[0]!r}; known are {', '.join(COUNT_SCORES)}")
        self._added = [OfCounts(each) if isinstance(each, str) else as_score(each) for each in added]
        self._members = {name: (i,) for i, name in enumerate(task.classes)} | dict(task.regions)

    def update(self, cases: Sequence[str], logits: torch.Tensor, label: torch.Tensor) -> None:
        """Take one batch."""
        k = len(self.task.classes)
        decoded = self.task.decode(logits)
        truth = label[:, 0].long()
        # one place more a slice, for what nobody annotated: to leave it out would wait for the device
        pair = torch.where(truth == UNANNOTATED, k * k, truth * k + decoded)
        slots = torch.arange(len(pair), device=pair.device).view(-1, 1, 1) * (k * k + 1)
        counts = torch.bincount((pair + slots).flatten(), minlength=len(pair) * (k * k + 1))
        # left where it is until the end: a copy from the device would wait for it in every batch
        kept = counts.view(-1, k * k + 1)[:, :-1].reshape(-1, k, k)
        maps = None
        if self._added:
            maps = torch.stack([label[:, 0].to(torch.uint8), decoded.to(torch.uint8)], dim=1).cpu().numpy()
        self._batches.append((list(cases), kept, maps))

    def parts(self) -> list[_Batch]:
        """Of each batch its cases, (B, K, K) pixels by true and predicted class, and maps where a score is added."""
        return [(cases, counts.cpu(), maps) for cases, counts, maps in self._batches]

    def take(self, parts: Sequence[_Batch]) -> None:
        """Have seen these batches, and no others."""
        self._batches, self._counted, self._matrices = list(parts), 0, {}

    @property
    def matrices(self) -> Mapping[str, NDArray[np.int64]]:
        """Of each case, (K, K) pixels by true and by predicted class."""
        waiting, self._counted = self._batches[self._counted :], len(self._batches)
        if waiting:
            matrices = torch.cat([counts for _, counts, _ in waiting]).cpu().numpy()
            cases = [case for batch, *_ in waiting for case in batch]
            for case, matrix in zip(cases, matrices, strict=True):
                self._matrices[case] = self._matrices.get(case, 0) + matrix
        return self._matrices

    def compute(self) -> dict[str, float]:
        """`dice/<name>` for every name that some case has, and their selected mean as `score`, where there is one.

        There is none where no case has anything that is selected, and nothing of it was predicted.

        Of what is added `<score>/<name>` likewise, and the selected mean as `<score>`, where there is one.
        """
        found: dict[str, float] = {}
        for name in (*self.task.classes, *self.task.regions):
            values = [self._dice(matrix, name) for matrix in self.matrices.values()]
            defined = [value for value in values if not np.isnan(value)]
            if defined:
                found[f"dice/{name}"] = float(np.mean(defined))
        selected = [found[f"dice/{name}"] for name in self.task.select if f"dice/{name}" in found]
        found |= {"score": float(np.mean(selected))} if selected else {}
        for score in self._added:
            means = self._means(score)
            found |= {f"{score.name}/{name}": value for name, value in means.items()}
            chosen = [means[name] for name in self.task.select if name in means]
            found |= {score.name: float(np.mean(chosen))} if chosen else {}
        return found

    @property
    def score_name(self) -> str:
        """The mean Dice of what is selected."""
        return f"dice of {', '.join(self.task.select)}"

    def _means(self, score: CaseScore) -> dict[str, float]:
        """The mean of a score over the cases that define it, by name."""
        every: dict[str, list[float]] = {}
        by_case: dict[str, list[NDArray[np.uint8]]] = {}
        for cases, _, both in self._batches:
            for case, pair in zip(cases, () if both is None else both, strict=True):
                by_case.setdefault(case, []).append(pair)
        for case, maps in by_case.items():
            truth, predicted = np.stack(maps, axis=1)
            for name, value in computed(score, MaskCase(case, self._members, truth, predicted)).items():
                every.setdefault(name, []).append(value)
        return {name: float(np.mean(values)) for name, values in every.items()}

    def by_case(self) -> dict[str, float]:
        """Mean Dice over the selected names that a case has; 1 where it rightly has none of them."""
        found = {}
        for case, matrix in self.matrices.items():
            values = np.array([self._dice(matrix, name) for name in self.task.select])
            found[case] = float(np.nanmean(values)) if not np.isnan(values).all() else 1.0
        return found

    def _dice(self, matrix: NDArray[np.int64], name: str) -> float:
        return float(dice(*counts_of(matrix, self._members[name])))
