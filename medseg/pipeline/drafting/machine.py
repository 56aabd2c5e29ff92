"""What a plan depends on beside the data: the machine, the time, and how large a training may be."""

from __future__ import annotations

from dataclasses import dataclass

from medseg.pipeline.drafting.budget import Pace


@dataclass(frozen=True)
class Scale:
    """How large a training is.

    Attributes:
        base: Features of the network's first level, of masks.
        part: Of the batch that would fit.
        side: Of the side of slices of volumes, whose pixels are then larger, and of pictures that have a class.
    """

    base: int
    part: float = 1.0
    side: float = 1.0


@dataclass(frozen=True)
class Machine:
    """What a plan depends on beside the data.

    Attributes:
        gpu: Whether there is one.
    """

    gpu: bool = False

    @property
    def minutes(self) -> float:
        """What a training may take, if nobody says."""
        return 30.0 if self.gpu else 10.0

    def why(self, base: int) -> str:
        """Why a network has so many features first, in words."""
        if base < self.scales[0].base:
            return f"{self.scales[0].base} first would leave too few steps in the time"
        return "a GPU is here" if self.gpu else "no GPU is here; 32 on one"

    @property
    def units(self) -> int:
        """Residual units of a U-Net's level.

        Source: own trials on ACDC without a GPU, of five to seven minutes on one core at 128 x 128 pixels in batches
        of 8: plain convolutions gave a mean Dice of 0.81, one unit 0.78 in a fifth more time; two units and batches
        of 16 at 192 x 192 were further behind.
        """
        return 2 if self.gpu else 0

    @property
    def largest_batch(self) -> int:
        """Slices of masks a step: on a CPU a slice takes as long in any batch, and more steps learn more."""
        return 32 if self.gpu else 8

    @property
    def scales(self) -> tuple[Scale, ...]:
        """From the largest network to the smallest; each costs about half of the one before."""
        widest = (Scale(32),) if self.gpu else ()
        smallest = (Scale(16, part=0.5, side=0.5), Scale(8, side=0.5), Scale(8, part=0.5, side=0.5))
        return (*widest, Scale(16), Scale(16, side=0.67), Scale(16, side=0.5), *smallest)


@dataclass(frozen=True)
class Time:
    """What a training may take, and at which pace it goes."""

    minutes: float
    pace: Pace
