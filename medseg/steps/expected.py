"""What a training was expected to take, and how far off that was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from medseg.learning.settings import is_number


@dataclass(frozen=True)
class Expected:
    """What a training should take on the machine that its definition was drafted on.

    Attributes:
        minutes: From its first epoch to its last.
        gib: Memory of a batch and of the network, in GiB.
    """

    minutes: float
    gib: float

    @classmethod
    def of(cls, given: Mapping[str, float] | None) -> Expected | None:
        """The two numbers, checked.

        Raises:
            ValueError: They are none.
        """
        if given is None:
            return None
        numbers = given.values() if isinstance(given, Mapping) else ()
        fine = all(is_number(each) and each > 0 for each in numbers)
        if not isinstance(given, Mapping) or set(given) != {"minutes", "gib"} or not fine:
            raise ValueError(
                f"expected is {given!r}, expected {{minutes: M, gib: G}}, both finite and above 0, or nothing"
            )
        return cls(float(given["minutes"]), float(given["gib"]))

    def against(self, minutes: float, taken: int | None) -> str:
        """A sentence that compares it with what a training took.

        Args:
            minutes: Of the training.
            taken: Bytes, if known.
        """
        memory = "" if taken is None else f", and {_share(taken / 2**30, self.gib)} {self.gib:.2g} GiB"
        return (
            f"{_share(minutes, self.minutes)} {self.minutes:.3g} minutes{memory} that the definition expects"
        )


def _share(found: float, expected: float) -> str:
    return f"{found / expected:.0%} of the"
