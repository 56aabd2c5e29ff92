"""Which scores are computed: those of ours that a definition names, and those that it adds."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from medseg.errors import DefinitionError
from medseg.learning.scores.added.case_score import CaseScore, as_score, computed
from medseg.learning.scores.added.cases import LabelCase, MaskCase

USUAL = "default"
"""In a list of scores: all that are computed where none is named."""


def chosen_scores(
    given: Sequence[Any] | None, usual: Sequence[str], known: Sequence[str]
) -> tuple[tuple[str, ...], tuple[CaseScore, ...]]:
    """Part what a definition lists into ours, by name, and those that it adds.

    Args:
        given: Names, `default` for the usual ones, and scores; None for the usual ones alone.
        usual: Names of those that are computed where none is named.
        known: Names of all of ours that can be computed here.

    Raises:
        DefinitionError: No such list, an unknown name, no score, or two of one name.
    """
    if given is None:
        return tuple(usual), ()
    if not isinstance(given, list | tuple) or not given:
        raise DefinitionError(f"scores is {given!r}, expected a list of names and objects")
    ours: list[str] = []
    added: list[CaseScore] = []
    for each in given:
        if isinstance(each, str):
            _refuse_unknown(each, known)
            ours += usual if each == USUAL else [each]
        else:
            added.append(as_score(each))
    names = [score.name for score in added]
    twice = sorted({name for name in names if names.count(name) > 1 or name in known})
    if twice:
        raise DefinitionError(f"scores has two that are called {twice[0]!r}; give each a name of its own")
    return tuple(dict.fromkeys(ours)), tuple(added)


def headlines(
    given: Sequence[Any] | None, usual: Sequence[str], added: Sequence[CaseScore]
) -> frozenset[str]:
    """The scores that a tracker shows: a few of the usual ones, or all that a definition lists; tables have the rest.

    Args:
        given: As `chosen_scores` takes it.
        usual: Names of those that are shown where none is named, or `default` is.
        added: What the definition adds.
    """
    named = [each for each in given or (USUAL,) if isinstance(each, str)]
    ours = [name for each in named for name in (usual if each == USUAL else (each,))]
    return frozenset([*ours, *(score.name for score in added)])


def _refuse_unknown(name: str, known: Sequence[str]) -> None:
    if name not in (*known, USUAL):
        near = difflib.get_close_matches(name, [*known, USUAL], n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise DefinitionError(
            f"scores names {name!r}, which is unknown here.{hint} Known are {', '.join(known)}"
        )


def rehearse(scores: Sequence[CaseScore], cases: Sequence[MaskCase | LabelCase]) -> None:
    """Try scores on made-up cases: one that fails costs a second, and not a night.

    Raises:
        DefinitionError: As `computed`.
    """
    for score in scores:
        for case in cases:
            computed(score, case)


def made_up(
    members: Mapping[str, tuple[int, ...]],
    classes: int,
    shape: tuple[int, ...],
    spacing: tuple[float, ...] | None = None,
) -> list[MaskCase]:
    """Cases with all classes, with one alone in the truth or in the prediction, and with one alone in both."""
    some = (np.arange(np.prod(shape)) // 5 % classes).astype(np.uint8).reshape(shape)
    none = np.zeros(shape, dtype=np.uint8)
    chances = np.full(shape, 0.5, dtype=np.float32)
    pairs = {
        "all": (some, np.flip(some)),
        "missed": (some, none),
        "in vain": (none, some),
        "none": (none, none),
    }
    return [
        MaskCase(f"made up ({kind})", members, truth, predicted, spacing, chances)
        for kind, (truth, predicted) in pairs.items()
    ]


def made_up_labels(classes: tuple[str, ...]) -> list[LabelCase]:
    """An image of each class, predicted to be of the first."""
    every = np.eye(len(classes), dtype=bool)
    chances = np.where(every[0], 0.5, 0.5 / max(len(classes) - 1, 1)).astype(np.float32)
    return [
        LabelCase(f"made up ({name})", classes, truth, chances, every[0])
        for name, truth in zip(classes, every, strict=True)
    ]
