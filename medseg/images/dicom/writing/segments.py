"""What a segment of a DICOM segmentation is: a value of the mask with its name, meaning and colour."""

from __future__ import annotations

from dataclasses import dataclass

Colour = tuple[int, int, int]
"""Red, green and blue, 0 to 255."""


#: Designators of coding schemes. Source: DICOM PS3.16, table 8-1; those that begin with 99 are anybody's own.
_SCHEMES = "SCT", "DCM", "NCIt", "FMA", "RADLEX", "LN", "UMLS", "UBERON", "NEU", "MSH", "ICDO3", "I10"
_OWN = "99"
_SHORT, _LONG = 16, 64  # letters of SH and LO. Source: DICOM PS3.5, table 6.2-1


@dataclass(frozen=True)
class Code:
    """A coded concept.

    Attributes:
        value: Such as `108369006`, at most 16 letters; of SNOMED CT digits alone.
        scheme: Such as `SCT` for SNOMED CT; one of DICOM PS3.16, table 8-1, or your own that begins with `99`.
        meaning: In words, at most 64 letters.

    Raises:
        ValueError: It is none.
    """

    value: str
    scheme: str
    meaning: str

    def __post_init__(self) -> None:
        for name, most in (("value", _SHORT), ("scheme", _SHORT), ("meaning", _LONG)):
            text = getattr(self, name)
            if not 1 <= len(text) <= most or "\\" in text or text != text.strip() or not text.isprintable():
                raise ValueError(f"'{name}' is {text!r}, expected 1 to {most} letters without a backslash")
        if self.scheme not in _SCHEMES and not self.scheme.startswith(_OWN):
            raise ValueError(
                f"'scheme' is {self.scheme!r}, expected one of {', '.join(_SCHEMES)}, or your own that begins with "
                f"{_OWN}"
            )
        if self.scheme == "SCT" and not (self.value.isascii() and self.value.isdigit()):
            raise ValueError(f"'value' is {self.value!r}, and codes of SNOMED CT (SCT) are digits alone")


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
