"""A case: the images of one examination, with its truth where there is one."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_NAMED = 5  # of several cases, named one by one


@dataclass(frozen=True)
class Case:
    """The images of one examination.

    Attributes:
        id: Public name, unique in the data set and safe to print and to use as a file name: the data
            set's own id where the manifest says that ids are pseudonyms, else a keyed pseudonym.
        group: Public name of the patient. Splits never put one group in two roles.
        images: Path of each channel, by the channel's name. Private: never printed as such.
        mask: Path of the truth, if there is one. Private.
        objects: Paths of the truth where each object has a file of its own; in place of `mask`. Private.
        labels: Classes of the whole image: one, or any number where a data set has several at once, () if none
            of them is there. None: they are not known, or the truth is a label map.
        position: Place in the listing, from 1.
        extra: Further columns, such as the grade or the published split.
        unlabelled: Whether the truth would be classes of the whole image, and nobody has told them.
    """

    id: str
    group: str
    images: Mapping[str, Path]
    mask: Path | None = None
    labels: tuple[str, ...] | None = None
    position: int = 0
    extra: Mapping[str, str] = field(default_factory=dict)
    objects: tuple[Path, ...] = ()
    unlabelled: bool = False

    @property
    def files(self) -> dict[str, Path]:
        """Every file of the case, by its part: the channels' names, and `mask` or `mask 1`, `mask 2`, ..."""
        objects = {f"mask {number}": path for number, path in enumerate(self.objects, start=1)}
        return {**self.images, **({"mask": self.mask} if self.mask is not None else {}), **objects}

    @property
    def has_truth(self) -> bool:
        """Whether a label map belongs to it; the classes of a whole image are `labels`."""
        return self.mask is not None or bool(self.objects)

    @property
    def is_whole(self) -> bool:
        """Whether its truth are classes of the whole image, be they known or not."""
        return self.labels is not None or self.unlabelled


def labelled(cases: Iterable[Case]) -> list[Case]:
    """Cases but for images without a label, in their order."""
    return [case for case in cases if not case.unlabelled]


def folders_of(cases: Iterable[Case]) -> tuple[Path, ...]:
    """The folder that all files of cases lie in, somewhere below it; none where there are no files.

    Those of several disks, as Windows has them, have none in common: then each folder with files is given.
    """
    folders = {path.absolute().parent for case in cases for path in case.files.values()}
    if not folders:
        return ()
    try:
        return (Path(os.path.commonpath(folders)),)
    except ValueError:
        return tuple(sorted(folders))


def cases_text(ids: Sequence[str]) -> str:
    """How many cases, and the public ids of the first few."""
    more = f" and {len(ids) - _NAMED} more" if len(ids) > _NAMED else ""
    return f"{len(ids)} case{'' if len(ids) == 1 else 's'} ({', '.join(ids[:_NAMED])}{more})"


def safe_name(raw: str) -> str:
    """An id as the name of a file on every system: what some system forbids there becomes `_`."""
    return re.sub(r'[<>:"/\\|?*\x00-\x1f\x7f]', "_", raw).rstrip(". ") or "_"
