"""Which of several processes this one is, as torchrun says it in the environment; torch is not imported for it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from medseg.errors import RunError

_NEEDED = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
_START = "Start all processes with torchrun --nproc-per-node=N -m medseg pipeline run NAME, which sets them"


@dataclass(frozen=True)
class Place:
    """One process of those that work together.

    Attributes:
        rank: Its number, from 0 on.
        world: How many there are.
        local: Its number among those of this machine.
        beside: How many are on this machine.
    """

    rank: int = 0
    world: int = 1
    local: int = 0
    beside: int = 1

    @property
    def first(self) -> bool:
        """Whether it is the one that checks, records and shows; a process by itself is."""
        return self.rank == 0

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Place:
        """What `RANK`, `WORLD_SIZE`, `LOCAL_RANK` and `LOCAL_WORLD_SIZE` say; without them it is by itself.

        Raises:
            RunError: Some of them are missing, or are no such numbers.
        """
        if not {"RANK", "WORLD_SIZE"} & environment.keys():
            return cls()
        world = _number(environment, "WORLD_SIZE", 1)
        if world == 1:
            return cls()
        missing = [name for name in _NEEDED if not environment.get(name)]
        if missing:
            raise RunError(
                f"WORLD_SIZE says that {world} processes train together, and of the variables that they find one "
                f"another by {', '.join(missing)} is not set. {_START}; or unset WORLD_SIZE to train in one."
            )
        _number(environment, "MASTER_PORT", 1, 2**16)
        local = _number(environment, "LOCAL_RANK", 0) if "LOCAL_RANK" in environment else 0
        beside = _number(environment, "LOCAL_WORLD_SIZE", 1) if "LOCAL_WORLD_SIZE" in environment else 1
        return cls(_number(environment, "RANK", 0, world), world, local, beside)


def place_here() -> Place:
    """Of this process; it raises as `Place.of` does."""
    return Place.of(os.environ)


def refuse_ranks() -> None:
    """Refuse to do in each of several processes what one does: only a training is shared.

    Raises:
        RunError: torchrun has started several.
    """
    place = place_here()
    if place.world > 1:
        raise RunError(
            f"torchrun has started {place.world} processes, and each would do all of this command. Start it without "
            "torchrun, which is for medseg pipeline run and medseg pipeline resume of one run."
        )


def _number(environment: Mapping[str, str], name: str, least: int, below: int = 2**31) -> int:
    given = environment.get(name, "")
    if not (given.isascii() and given.isdigit() and least <= int(given) < below):
        upper = f", below {below}" if below < 2**31 else ""
        raise RunError(
            f"the environment variable {name} is {given!r}, expected a whole number, {least} or more{upper}. "
            f"{_START}."
        )
    return int(given)
