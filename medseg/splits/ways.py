"""Ways out of a split that cannot be made: other rules, of which only those that work with the cases are offered."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from medseg.errors import DataError, Fault
from medseg.splits.rule import DEFAULT_RATIO, SplitRule

Values = Mapping[str, Any]
"""Keys of `split` and what they are set to; None takes one out."""


@dataclass(frozen=True)
class Way:
    """Another rule.

    Attributes:
        words: What it does, in front of the options.
        candidates: Changes of the rule: the first that works is offered.
    """

    words: str
    candidates: tuple[Values, ...]

    def text(self, values: Values) -> str:
        """What is offered."""
        changes = (f"--set split.{key}={_shown(value)}" for key, value in values.items())
        return f"{self.words}: {' '.join(changes)}"


class UnsharedError(DataError):
    """Cases that cannot be shared out by a rule, with other rules that may."""

    def __init__(
        self,
        problem: str,
        do: str,
        ways: Sequence[Way] = (),
        faults: Sequence[Fault] = (),
        *,
        slices: bool = False,
    ) -> None:
        """Take what is wrong, what mends it without another rule, and other rules.

        Args:
            problem: A clause.
            do: A sentence without its end.
            ways: Further ones, none of which is offered before it is tried.
            faults: By case.
            slices: Whether to share out slices is one.
        """
        super().__init__(f"{problem}. {do}", faults)
        self._ways, self._slices = tuple(ways), slices

    def tried(self, rule: SplitRule, slices: int, works: Callable[[SplitRule], bool]) -> DataError:
        """The same as it is told to the user, with the other rules that work.

        Args:
            rule: By which they cannot be shared out.
            slices: How many slices there are.
            works: Whether they can by another; it may raise a DataError where not.
        """
        ways = (*self._ways, *([by_slice(rule, slices)] if self._slices else []))
        return DataError("; ".join([str(self), *offered(rule, ways, works)]), self.faults)


def offered(rule: SplitRule, ways: Sequence[Way], works: Callable[[SplitRule], bool]) -> list[str]:
    """What is offered of some ways: of each the first change that works, if there is one."""
    found: list[str] = []
    for way in ways:
        fitting = (values for values in way.candidates if _fits(rule, values, works))
        found += [way.text(values) for values in fitting][:1]
    return found


def _fits(rule: SplitRule, values: Values, works: Callable[[SplitRule], bool]) -> bool:
    try:
        return works(changed(rule, values))
    except (DataError, ValidationError):
        return False


def changed(rule: SplitRule, values: Values) -> SplitRule:
    """The rule with other values, as `--set` gives it.

    Raises:
        ValidationError: They contradict the others.
    """
    return SplitRule.model_validate({**rule.model_dump(), **values})


def by_slice(rule: SplitRule, slices: int) -> Way:
    """To share out slices in place of patients: by ratio, or where these leave a role empty, by count.

    Args:
        rule: Of patients.
        slices: How many there are.
    """
    without = {key: None for key in ("stratify", "column", "folds", "fold") if getattr(rule, key) is not None}
    chosen = [role for role, share in (("val", rule.val), ("test", rule.test)) if isinstance(share, dict)]
    held = {
        role: max(1, round(DEFAULT_RATIO * rule.train)) if rule.train else DEFAULT_RATIO for role in chosen
    }
    asked = [role for role in ("val", "test") if role in held or getattr(rule, role)]
    few = dict.fromkeys(asked, max(1, round(DEFAULT_RATIO * slices)))
    counted = {"by": "slice", **without, "train": max(1, slices - sum(few.values())), **few}
    shares = {"by": "slice", **without, **held}
    both = dict.fromkeys(
        ("val", "test"), DEFAULT_RATIO
    )  # where steps need a role that this rule leaves empty
    words = "or share out slices, which leaks, so that scores are too good"
    return Way(words, (shares, counted, {"by": "slice", **without, **both}))


def filling(rule: SplitRule, roles: Sequence[str], slices: int) -> Way:
    """To give roles somebody whom a rule gives nobody: a share, or a count of so many slices or patients."""
    few = dict.fromkeys(roles, max(1, round(DEFAULT_RATIO * slices)))
    share = max(1, round(DEFAULT_RATIO * rule.train)) if rule.train else DEFAULT_RATIO
    shares = () if "train" in roles else (dict.fromkeys(roles, share),)
    counted = [{**by_slice(rule, slices).candidates[1], **few}] if rule.by == "slice" else []
    words = "or give it some" if len(roles) == 1 else f"or give {' and '.join(roles)} some"
    return Way(words, (*shares, *counted))


def without_column(key: str) -> Way:
    """To go on without the column that `key` of `split` names."""
    if key in ("val", "test"):
        return Way(f"or draw {DEFAULT_RATIO:.0%} of the patients", ({key: DEFAULT_RATIO},))
    return Way("or go on without it", ({key: None},))


BY_RATIO = Way("to draw all by ratio instead", ({"column": None},))


def _shown(value: Any) -> str:
    return "null" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
