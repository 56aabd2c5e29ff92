"""How much each class counts in a loss: in the order of the classes, by name, or by how often it occurs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from medseg.errors import DefinitionError
from medseg.learning.settings import is_number

FREQUENCY = "frequency"

Given = Sequence[float] | Mapping[str, float] | Literal["frequency"] | None
"""As a definition gives them: a number for each class in order, numbers by name (1 for the others), or a word."""

Weights = tuple[float, ...] | Literal["frequency"] | None
"""As a task holds them: in the order of its classes."""


def are_counted(task: object) -> bool:
    """Whether a task weighs classes by how often each occurs in the training part."""
    given = getattr(task, "class_weights", None)
    return isinstance(given, str) and given == FREQUENCY


def weights_of(given: Given, classes: tuple[str, ...]) -> Weights:
    """Weights in the order of the classes; `frequency` and None stay what they are.

    Raises:
        DefinitionError: A name is not that of a class, there are not as many numbers as classes, or they cannot
            weigh: they must be finite, 0 or more, and not all 0.
    """
    if given is None or given == FREQUENCY:
        return given
    if isinstance(given, str) or not isinstance(given, Sequence | Mapping):
        raise DefinitionError(
            f"task.class_weights is {given!r}, expected `{FREQUENCY}`, or a number a class, in order or by name"
        )
    if isinstance(given, Mapping):
        if unknown := [name for name in given if name not in classes]:
            raise DefinitionError(
                f"task.class_weights names {unknown}, expected some of the classes {list(classes)}"
            )
        weights: tuple[Any, ...] = tuple(given.get(name, 1.0) for name in classes)
    else:
        weights = tuple(given)
    if len(weights) != len(classes) or not _can_weigh(weights):
        shown = dict(given) if isinstance(given, Mapping) else list(weights)
        raise DefinitionError(
            f"task.class_weights is {shown}, expected {len(classes)} finite numbers, 0 or more, in the order of "
            f"{list(classes)}, or numbers by name"
        )
    return weights


def inverse_frequency(counts: NDArray[np.int64]) -> tuple[float, ...]:
    """Weights of classes that occur so often: with a mean of 1 over those that occur, 0 for the others."""
    inverse = counts.sum() / np.maximum(counts, 1)
    inverse[counts == 0] = 0.0
    return tuple(float(w) for w in inverse * np.count_nonzero(counts) / inverse.sum())


def _can_weigh(values: tuple[Any, ...]) -> bool:
    return all(is_number(value) and value >= 0 for value in values) and any(values)
