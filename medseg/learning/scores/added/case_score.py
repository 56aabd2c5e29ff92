"""Scores that a definition adds to ours: computed case by case, summarised over patients as ours are."""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import isfinite
from typing import Any, Protocol

import numpy as np

from medseg.errors import DefinitionError
from medseg.learning.scores.added.cases import LabelCase, MaskCase
from medseg.learning.scores.counts import COUNT_SCORES

_NAME = re.compile(r"[A-Za-z]\w*")
_NUMBERS = (int, float, np.integer, np.floating)


class CaseScore(Protocol):
    """A score that is computed of each case by itself.

    A class of this form in a package that is allowed is named in `scores` of the step `Evaluate`, or as `best_by` of
    `Fit`. Larger is better, unless an attribute `larger_is_better` is False.
    """

    @property
    def name(self) -> str:
        """What it is called in tables, figures and keys: letters, digits and `_`."""

    def __call__(self, case: Any, /) -> Mapping[str, float]:
        """Score a `MaskCase` or a `LabelCase`.

        Returns:
            A finite number by name, of `case.names`. A name of which the case says nothing is left out, and the case
            is left out of its mean.
        """


class OfCounts:
    """One of our scores of counts, of each name of a case."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, case: MaskCase, /) -> Mapping[str, float]:
        """The score by name, where it is defined."""
        found = {name: float(COUNT_SCORES[self.name](*case.counts(name))) for name in case.names}
        return {name: value for name, value in found.items() if not np.isnan(value)}


def as_score(given: Any) -> CaseScore:
    """What a definition gives for a score.

    Raises:
        DefinitionError: It is none.
    """
    name = getattr(given, "name", None)
    if not callable(given) or not isinstance(name, str) or not _NAME.fullmatch(name):
        raise DefinitionError(
            f"{type(given).__name__} is no score; expected a class with a `name` (letters, digits and _) that is "
            "called with a case and gives numbers by name: see docs/scores.md"
        )
    score: CaseScore = given
    return score


def computed(score: CaseScore, case: MaskCase | LabelCase) -> dict[str, float]:
    """Score a case, and refuse what is no score of it.

    Raises:
        DefinitionError: The score raises, or gives anything but finite numbers by the names of the case.
    """
    who = f"the score {score.name} ({type(score).__name__})"
    try:
        found = score(case)
    except Exception as error:  # a class of somebody else may raise anything
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DefinitionError(f"{who} failed at the case {case.case}: {reason}") from error
    if not isinstance(found, Mapping):
        raise DefinitionError(
            f"{who} gave {type(found).__name__} for the case {case.case}; expected numbers by name, such as "
            f"{{{case.names[-1]!r}: 0.5}}"
        )
    for name, value in found.items():
        number = isinstance(value, _NUMBERS) and not isinstance(value, bool)
        if name not in case.names or not number or not isfinite(value):
            raise DefinitionError(
                f"{who} gave {value!r} as {name!r} for the case {case.case}; expected a finite number for some of "
                f"{list(case.names)}: leave a name out where the case says nothing of it"
            )
    return {str(name): float(value) for name, value in found.items()}
