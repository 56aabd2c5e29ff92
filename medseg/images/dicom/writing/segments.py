"""What a segment of a DICOM segmentation is: a value of the mask with its name, meaning and colour."""

from __future__ import annotations

from dataclasses import dataclass

Colour = tuple[int, int, int]
"""Red, green and blue, 0 to 255."""


@dataclass(frozen=True)
class Code:
    """A coded concept.

    Attributes:
        value: Such as `108369006`.
        scheme: Such as `SCT` for SNOMED CT.
        meaning: In words, at most 64 letters.
    """

    value: str
    scheme: str
    meaning: str


TISSUE = Code("85756007", "SCT", "Tissue")
"""What a segment is where nobody says more. Source: DICOM PS3.16, CID 7150."""

#: Colours of segments that have none, which people with any kind of sight tell apart. Source: Okabe and Ito, 2008.
_COLOURS: tuple[Colour, ...] = (
    *((230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66)),
    *((0, 114, 178), (213, 94, 0), (204, 121, 167)),
)


@dataclass(frozen=True)
class Segment:
    """One class of a mask.

    Attributes:
        value: In the mask; never 0, which is background.
        label: What a viewer shows, at most 64 letters.
        category: What kind of thing it is.
        type: What it is.
        colour: How a viewer shows it; None takes the next one of a fixed row.
    """

    value: int
    label: str
    category: Code = TISSUE
    type: Code = TISSUE
    colour: Colour | None = None

    def shown(self, number: int) -> Colour:
        """Its colour, or that of its number among the segments, from 1."""
        return self.colour or _COLOURS[(number - 1) % len(_COLOURS)]


@dataclass(frozen=True)
class Algorithm:
    """What made a segmentation.

    Attributes:
        name: Of the model, at most 64 letters.
        version: The fingerprint of the model, at most 64 letters.
        software: The release of medseg.
    """

    name: str
    version: str
    software: str
