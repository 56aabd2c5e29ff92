"""What is said of the number of processes that train."""

from __future__ import annotations

from medseg.learning.training.checkpoint import Standing
from medseg.text import many


def ranks_note(standing: Standing, world: int) -> str:
    """What it means that a training goes on in another number of processes; empty where it does not."""
    if not standing.epoch or standing.ranks == world:
        return ""
    return (
        f"Until epoch {standing.epoch} {many(standing.ranks, 'rank')} trained, and from now on {world}: batches are "
        "the same, but sums are rounded in another order, and what the network draws itself (dropout) differs. The "
        "result is close to that of an uninterrupted training, and not the same bits."
    )
