"""Drawing a role for each slice by itself, so that slices of one patient are in several: this leaks."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence

from medseg.datasets.roles import UNUSED, Role
from medseg.splits.counts import shares_of
from medseg.splits.rule import SplitRule
from medseg.splits.ways import UnsharedError
from medseg.text import many

Place = tuple[str, int]
"""Public id of a case, and the position of a slice in it."""

_ORDER: tuple[Role, ...] = ("test", "val", "train")


def uniform(seed: int, place: Place) -> float:
    """A number in [0, 1) that depends on seed and place alone, on every machine: 53 bits of BLAKE2b."""
    case, position = place
    digest = hashlib.blake2b(f"{seed}\0{case}\0{position}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) / 2.0**53


def role_at(drawn: float, ratios: Mapping[Role, float]) -> Role:
    """The role of what was drawn: test has the lowest numbers, then validation, then training.

    Args:
        drawn: As `uniform` gives it.
        ratios: Of test and validation; of training too where it does not get all the others.
    """
    end = 0.0
    for role in _ORDER:
        end += ratios.get(role, 1.0 if role == "train" else 0.0)
        if drawn < end:
            return role
    return UNUSED


def ratios_of_counts(
    counts: Mapping[Role, int], ratios: Mapping[Role, float], seed: int, places: Iterable[Place]
) -> dict[Role, float]:
    """The ratios by which exactly as many slices as are asked for get each role, or their share of what there is.

    Args:
        counts: By role, where it is given by count.
        ratios: By role, where it is given by ratio.
        seed: Of the draw.
        places: All slices.

    Raises:
        DataError: Nothing is left to train on.
    """
    drawn = sorted(uniform(seed, place) for place in places)
    shares = shares_of(counts, ratios, len(drawn), "slice")
    ends, done = [0.0], 0.0
    for role in _ORDER:
        done += shares.get(role, 0.0)
        taken = round(done * len(drawn))
        inside = 0 < taken < len(drawn)  # between two numbers, so that no rounding of sums matters
        ends.append((drawn[taken - 1] + drawn[taken]) / 2 if inside else float(taken > 0))
    found = {role: ends[i + 1] - ends[i] for i, role in enumerate(_ORDER)}
    return found if UNUSED in shares else {role: each for role, each in found.items() if role != "train"}


def refuse_bare(role_of: Callable[[str, int], Role], rule: SplitRule, places: Sequence[Place]) -> None:
    """Refuse a split by slice that gives a role which it asks for no slice at all, whatever is kept of them.

    Args:
        role_of: The role of a slice, by its case and position.
        rule: What the split was made by.
        places: All slices.

    Raises:
        UnsharedError: It does.
    """
    drawn = {role_of(*place) for place in places}
    asked: tuple[Role, ...] = ("train", "val", "test")
    bare = [role for role in asked if role not in drawn and (role == "train" or getattr(rule, role))]
    if bare:
        raise UnsharedError(
            f"of {many(len(places), 'slice')}, split gives {' and '.join(bare)} none", "Add data", slices=True
        )
