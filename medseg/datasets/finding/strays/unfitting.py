"""Files whose names fit no pattern of a layout, not even nearly."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from medseg.datasets.finding.strays.near_misses import Seen
from medseg.datasets.finding.walk import Walk, is_bare_image, without_ending
from medseg.datasets.manifest.slips import may_be_image


def unfitting(
    walk: Walk, others: Sequence[tuple[str, Path]], seen: Sequence[Seen]
) -> tuple[list[str], list[str]]:
    """Names that fit nothing: of files of the kind, and of others that are images.

    Those are images by their ending, or by their content if they have none and lie in the folder of a case. What
    lies beside an image under its name is none of them: the preview of a volume, or the voxels of a header.

    Args:
        walk: Through the files.
        others: Files that no pattern fits, by their path below the folder above the data set's.
        seen: Files that a pattern fits.
    """
    unfit = [name for name, _ in others if name.lower().endswith(walk.suffixes)]
    stems = {without_ending(each.relative, walk.suffixes) for each in seen}
    folders = {each.path.parent for each in seen}
    alike = [
        name
        for name, path in others
        if (may_be_image(name) or (path.parent in folders and is_bare_image(path)))
        and not name.lower().endswith(walk.suffixes)
        and not walk.counts(name)
        and stems.isdisjoint(_stems(name))
    ]
    return unfit, alike


def _stems(name: str) -> Iterator[str]:
    """A path without one of its endings, without two, and so on."""
    folder, slash, last = name.rpartition("/")
    while "." in last:
        last = last.rpartition(".")[0]
        yield f"{folder}{slash}{last}"
