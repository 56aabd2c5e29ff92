"""A case: the images of one examination, with its truth where there is one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Case:
    """The images of one examination.

    Attributes:
        id: Public name, unique in the data set and safe to print and to use as a file name: the data
            set's own id where the manifest says that ids are pseudonyms, else a keyed pseudonym.
        group: Public name of the patient. Splits never put one group in two roles.
        images: Path of each channel, by the channel's name. Private: never printed as such.
        mask: Path of the truth, if there is one. Private.
        label: Class of the whole case, for classification.
        position: Place in the listing, from 1.
        extra: Further columns, such as the grade or the published split.
    """

    id: str
    group: str
    images: Mapping[str, Path]
    mask: Path | None = None
    label: str | None = None
    position: int = 0
    extra: Mapping[str, str] = field(default_factory=dict)

    @property
    def files(self) -> dict[str, Path]:
        """Every file of the case, by its part: the channels' names, and `mask`."""
        return {**self.images, **({"mask": self.mask} if self.mask is not None else {})}
