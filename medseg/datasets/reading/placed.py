"""Bringing the parts of a case to one grid: in one order of axes, or resampled where a definition asks for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from medseg.datasets.case import Case
from medseg.datasets.manifest.patterns import MASK
from medseg.files.many import files_of, together
from medseg.geometry.grid import Geometry, StoredImage
from medseg.geometry.placing import on_grid, other_grid_message, same_places
from medseg.geometry.resampling import coverage, resampled
from medseg.images.formats import FileKind
from medseg.images.refusal import RefusedError

#: A channel that covers less of the reference than this shows another place, or the reference is the wrong one.
FEWEST = 0.25

_SET = "set slices.align=reference in the definition, which resamples channels onto the grid of the first of them"


@dataclass
class CaseGrid:
    """The grid of a case, that of the first channel that is placed, and what becomes of parts that lie elsewhere.

    Attributes:
        files: The kind of the case's files.
        reference: The channel onto whose grid the others are resampled; None where other grids are refused.
        found: Where the channels lie that were placed so far, as stored.
    """

    files: FileKind
    reference: str | None = None
    found: dict[str, Geometry] = field(default_factory=dict)

    def order(self, channels: Sequence[str]) -> list[str]:
        """Channels in the order in which they are placed: that onto whose grid others are resampled comes first."""
        return sorted(channels, key=lambda channel: channel != self.reference)

    def drawn(self, case: Case) -> Path | None:
        """The label map of a case; what is drawn on slices, on those of the channel onto whose grid others go."""
        if case.mask is None or self.reference is None or self.reference not in case.images:
            return case.mask
        drawn, *slices = files_of(case.mask)
        return together([drawn, *files_of(case.images[self.reference])]) if slices else case.mask

    def placed(self, part: str, stored: StoredImage, *, read: bool = True) -> StoredImage:
        """A part of the case on its grid, with notes of what was done to it.

        Args:
            part: A channel, or the label map, which is never resampled.
            stored: What its file holds.
            read: Whether its voxels count; else what would have to be resampled stays as stored.

        Raises:
            RefusedError: It lies on another grid.
        """
        if part != MASK:
            self.found.setdefault(part, stored.geometry)
        first = next(iter(self.found), None)
        if first is None:
            return stored
        grid = self.found[first]
        if (turned := on_grid(stored, grid)) is not None:
            return turned
        if self.reference is None or part == MASK:
            whose = "the first channel" if self.reference is None else f"the channel {first}"
            raise RefusedError(other_grid_message(stored.geometry, grid, whose), self._remedy(part, stored))
        note = _reach(stored.geometry, grid, first)
        brought = resampled(stored, grid) if read else stored
        return replace(brought, notes=(*stored.notes, note))

    def _remedy(self, part: str, stored: StoredImage) -> str:
        """What to do about a part on another grid."""
        otherwise = "bring the files to one grid, or leave the case out"
        if not self.files.measured or self.files.flat:
            return f"{otherwise[0].upper()}{otherwise[1:]}."
        if part != MASK:
            return f"{_SET[0].upper()}{_SET[1:]}; or {otherwise}."
        fitting = [name for name, grid in self.found.items() if same_places(stored.geometry, grid)]
        if fitting:
            return (
                f"Set 'slices.align={{reference: {fitting[0]}}}' in the definition: the label map lies on "
                f"the grid of that channel, and is never resampled. Or {otherwise}."
            )
        return f"Label maps are never resampled: {otherwise}."


def _reach(found: Geometry, grid: Geometry, reference: str) -> str:
    """How much of the reference's grid another covers, as a note.

    Raises:
        RefusedError: Too little, or their frames of reference differ, so that nothing is known.
    """
    if found.frame and grid.frame and found.frame != grid.frame:
        raise RefusedError(
            f"it lies in another frame of reference than the channel {reference}: where it lies on its grid is not "
            "known",
            "Register it to that channel and export it in its frame of reference, or leave the case out.",
        )
    share = coverage(found, grid)
    if share < FEWEST:
        raise RefusedError(
            f"it covers {share:.0%} of the grid of the channel {reference}, and at least {FEWEST:.0%} is needed to "
            "resample it",
            "Set slices.align to the channel that shows least, such as 'slices.align={reference: CHANNEL}' in the "
            "definition, or leave the case out.",
        )
    part = "all" if share > 0.995 else f"{int(share * 10) * 10} to {int(share * 10) * 10 + 10} %"
    return f"resampled onto the grid of the channel {reference}, of which it covers {part}"
