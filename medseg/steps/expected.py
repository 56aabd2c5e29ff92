"""What a training was expected to take, and how far off that was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from medseg.learning.settings import is_number
from medseg.learning.training.checkpoint import Standing
from medseg.steps.step import Run


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
        memory = "" if taken is None else f", and {_share(taken / 2**30, self.gib)} {self.gib:.3g} GiB"
        return (
            f"{_share(minutes, self.minutes)} {self.minutes:.3g} minutes{memory} that the definition expects"
        )


def _share(found: float, expected: float) -> str:
    return f"{found / expected:.0%} of the"


def _took(minutes: float) -> str:
    count, unit = (f"{minutes:.1f}", "minute") if minutes >= 1 else (f"{60 * minutes:.2g}", "second")
    return f"{count} {unit}{'' if count == '1' else 's'}"


def account(run: Run, standing: Standing, taken: int | None, expected: Expected | None) -> None:
    """Say what a training took, and how far off that is from what was expected.

    Args:
        run: Of the step.
        standing: Of the training as it ended.
        taken: Bytes of memory, where they are known.
        expected: What its definition says, if anything.
    """
    minutes = sum(row.get("seconds", 0.0) for row in standing.history) / 60
    off = "" if expected is None else f": {expected.against(minutes, taken)}"
    memory = "" if taken is None else f" and {taken / 2**30:.3g} GiB of memory"
    run.progress.say(f"The training took {_took(minutes)}{memory}{off}.")
    run.recorder.tags({f"{run.step}.minutes": f"{minutes:.2f}"})
    if taken is not None:
        run.recorder.tags({f"{run.step}.memory.taken_bytes": str(taken)})
