"""What a sweep varies: a setting of a definition, and the values that it may have."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from medseg.errors import DefinitionError, RunError
from medseg.yaml import parse_yaml

_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_RANGE = re.compile(rf"\s*(log:)?\s*({_NUMBER})\s*\.\.\s*({_NUMBER})\s*")
_FEW = 20  # whole numbers of a range that are values of their own
_OPEN, _CLOSE = "[{", "]}"
_EXPECTED = "expected PATH=VALUE,VALUE,... or PATH=LOW..HIGH, with log: before LOW for steps by factors"


class Suggests(Protocol):
    """What chooses values, as `optuna.Trial` does."""

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """One of several."""

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        """A whole number of a range, ends included."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        """A number of a range, ends included."""


class Varied(Protocol):
    """A setting with the values that it may have."""

    @property
    def path(self) -> str:
        """Dotted, such as `steps.fit.optimiser.lr`."""

    @property
    def ends(self) -> Sequence[str]:
        """Values, as YAML, with which a definition has to be right for all to be."""

    @property
    def count(self) -> int | None:
        """How many values there are; None for a range."""

    def chosen(self, trial: Suggests) -> str:
        """The value of one trial, as YAML."""

    def kept(self, value: object) -> str:
        """The same, of a value that a journal has kept.

        Raises:
            RunError: It is none that the setting may have.
        """


@dataclass(frozen=True)
class Choice:
    """A setting with some values.

    Attributes:
        path: Dotted, such as `steps.fit.optimiser.lr`.
        values: As YAML; two or more, or one.
    """

    path: str
    values: tuple[str, ...]

    @property
    def ends(self) -> Sequence[str]:
        """All of them."""
        return self.values

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.values)

    def chosen(self, trial: Suggests) -> str:
        """One of them."""
        return self.kept(trial.suggest_categorical(self.path, self.values))

    def kept(self, value: object) -> str:
        """One of them."""
        if value not in self.values:
            raise _not_kept(self.path, value)
        return str(value)


@dataclass(frozen=True)
class Between:
    """A setting with a number of a range.

    Attributes:
        path: Dotted.
        low: Least value.
        high: Largest value.
        log: Whether steps are factors, as for learning rates.
        whole: Whether it is a whole number, as where both ends are.
    """

    path: str
    low: float
    high: float
    log: bool = False
    whole: bool = False

    @property
    def ends(self) -> Sequence[str]:
        """Least and largest value."""
        return [self._written(self.low), self._written(self.high)]

    @property
    def count(self) -> None:
        """Not limited."""
        return

    def chosen(self, trial: Suggests) -> str:
        """A number of it."""
        if self.whole:
            return self.kept(trial.suggest_int(self.path, int(self.low), int(self.high), log=self.log))
        return self.kept(trial.suggest_float(self.path, self.low, self.high, log=self.log))

    def kept(self, value: object) -> str:
        """A number of the range."""
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not self.low <= value <= self.high
        ):
            raise _not_kept(self.path, value)
        if self.whole:
            return self._written(value)
        short = float(f"{value:.4g}")  # four digits are told apart by no training, and can be read
        return self._written(min(max(short, self.low), self.high))

    def _written(self, value: float) -> str:
        return str(int(value)) if self.whole else repr(float(value))


def _not_kept(path: str, value: object) -> RunError:
    return RunError(
        f"trials.log of the sweep is damaged: {path} has the value {value!r}, which it was not to have. Remove "
        "trials.log and go on: runs that have ended are taken as they are."
    )


def varied(text: str) -> Varied:
    """Read what is given with `--vary`.

    Args:
        text: `PATH=V1,V2`, with values as YAML, or `PATH=LOW..HIGH`, or `PATH=log:LOW..HIGH`.

    Raises:
        DefinitionError: It is neither, names a value twice, or the range is empty or, in steps by factors, not of
            positive numbers.
    """
    path, equals, rest = (part.strip() for part in text.partition("="))
    if not equals or not path or not rest:
        raise DefinitionError(f"--vary {text}: {_EXPECTED}.")
    found = _RANGE.fullmatch(rest)
    if found is None:
        return _choice(path, rest, text)
    log, low, high = found[1] is not None, float(found[2]), float(found[3])
    if low >= high or (log and low <= 0):
        wrong = "the first number is not below the second" if low >= high else "with log: numbers are above 0"
        raise DefinitionError(f"--vary {text}: {wrong}.")
    whole = all(re.fullmatch(r"[+-]?\d+", each) for each in (found[2], found[3]))
    if whole and not log and high - low < _FEW:  # each is tried once, and none again and again
        return Choice(path, tuple(str(value) for value in range(int(low), int(high) + 1)))
    return Between(path, low, high, log, whole)


def _choice(path: str, rest: str, text: str) -> Choice:
    values = [each.strip() for each in _apart(rest)]
    if not all(values):
        raise DefinitionError(f"--vary {text}: a value is empty; {_EXPECTED}.")
    read = [repr(parse_yaml(each, f"--vary {path}")) for each in values]
    if len({*read}) < len(read):
        raise DefinitionError(f"--vary {text}: the same value stands twice.")
    return Choice(path, tuple(values))


def _apart(rest: str) -> list[str]:
    """Values between commas, but for those within brackets."""
    parts, depth = [""], 0
    for letter in rest:
        depth += (letter in _OPEN) - (letter in _CLOSE)
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return parts


def refuse_unlike(given: Sequence[Varied], fixed: Sequence[str]) -> None:
    """Refuse a setting that is varied twice, or set and varied.

    Args:
        given: What is varied.
        fixed: `path=value` strings of the same definition.

    Raises:
        DefinitionError: There is one.
    """
    paths = [each.path for each in given]
    twice = next((path for path in paths if paths.count(path) > 1), None)
    if twice:
        raise DefinitionError(f"--vary {twice} was given twice. Give all its values in one.")
    both = next((path for path in paths if path in {each.partition("=")[0].strip() for each in fixed}), None)
    if both:
        raise DefinitionError(f"{both} is set and varied. Leave out --set or --vary of it.")
