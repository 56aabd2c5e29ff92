"""What a page is made of: each block names the template that draws it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

_WIDE = 1020  # pixels

MOST_ROWS = 300
"""Rows of a table that are shown, where nothing else is set: nobody reads more, and a page has to be passed on."""


@dataclass(frozen=True)
class Words:
    """A paragraph.

    Attributes:
        text: Plain text.
        manner: `plain`, `loud` for what nobody may overlook, `missing` for what the run does not hold.
    """

    template: ClassVar[str] = "words.html"
    text: str
    manner: str = "plain"


@dataclass(frozen=True)
class Facts:
    """Names with their values.

    Attributes:
        rows: In order; those without a value are left out.
    """

    template: ClassVar[str] = "facts.html"
    rows: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Figure:
    """A number that stands by itself.

    Attributes:
        label: What it is of.
        value: As text.
        beside: Interval and number of patients.
    """

    label: str
    value: str
    beside: str


@dataclass(frozen=True)
class Figures:
    """The few numbers that a reader looks for first."""

    template: ClassVar[str] = "figures.html"
    rows: Sequence[Figure]


@dataclass(frozen=True)
class Table:
    """A table, which scrolls within itself where the page is narrow.

    Attributes:
        caption: What it shows.
        head: Of the columns.
        rows: Cells as text; the first names the row.
        folded: Whether it is shown only when the reader opens it.
        most: Rows that are shown; the title says how many there are.
    """

    template: ClassVar[str] = "table.html"
    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    folded: bool = False
    most: int = MOST_ROWS

    @property
    def shown(self) -> Sequence[Sequence[str]]:
        """The first rows."""
        return self.rows[: self.most]

    @property
    def title(self) -> str:
        """The caption, with the number of rows where not all are shown or the reader has yet to open it."""
        number = len(self.rows)
        if number > self.most:
            return f"{self.caption} (the first {self.most} of {number:,} rows)"
        return f"{self.caption} ({number} rows)" if self.folded else self.caption


@dataclass(frozen=True)
class Picture:
    """A picture within the page.

    Attributes:
        address: A `data:` address that holds the picture.
        width: Pixels.
        height: Pixels.
        words: What it shows, for the caption and for those who cannot see it.
    """

    template: ClassVar[str] = "picture.html"
    address: str
    width: int
    height: int
    words: str

    @property
    def wide(self) -> bool:
        """Whether it is to be moved sideways on a narrow screen, not made so small that nobody sees anything."""
        return self.width > _WIDE


@dataclass(frozen=True)
class Slider:
    """Pictures to look through, one at a time on a screen and all of them on paper.

    Attributes:
        anchor: Begins the names of its places on the page.
        label: What is looked through.
        pictures: In order.
        small: Whether two of them stand beside each other on paper.
    """

    template: ClassVar[str] = "slider.html"
    anchor: str
    label: str
    pictures: Sequence[Picture]
    small: bool = False


@dataclass(frozen=True)
class Legend:
    """Names with their colours.

    Attributes:
        rows: Name and colour, `#rrggbb`.
    """

    template: ClassVar[str] = "legend.html"
    rows: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Dot:
    """A patient on a strip.

    Attributes:
        across: Percent of the width.
        up: Percent of the height, from above.
        words: Who it is, and the score.
    """

    across: float
    up: float
    words: str


@dataclass(frozen=True)
class Strip:
    """The patients' scores of one class or region.

    Attributes:
        name: Of the class or region.
        beside: Mean, interval and number of patients, as text.
        ink: Colour of its dots, `#rrggbb`.
        dots: One for each patient who has the score.
        mean: Percent of the width; None where there is none.
        interval: Its ends, percent of the width; None where there is none.
    """

    name: str
    beside: str
    ink: str
    dots: Sequence[Dot]
    mean: float | None
    interval: tuple[float, float] | None


@dataclass(frozen=True)
class Strips:
    """Every patient as a dot, a strip for each class or region on one axis.

    Attributes:
        caption: What is drawn.
        rows: The strips.
        ticks: Percent of the width, and what is written there.
    """

    template: ClassVar[str] = "strips.html"
    caption: str
    rows: Sequence[Strip]
    ticks: Sequence[tuple[float, str]]


@dataclass(frozen=True)
class Item:
    """An item of a checklist.

    Attributes:
        number: Its number.
        heading: What it asks for.
        said: What the run says of it; empty where authors must.
        open: What authors must add; empty where nothing is left to say.
    """

    number: int
    heading: str
    said: str
    open: str


@dataclass(frozen=True)
class Checklist:
    """Items below their headings, in order."""

    template: ClassVar[str] = "checklist.html"
    parts: Sequence[tuple[str, Sequence[Item]]]


@dataclass(frozen=True)
class Text:
    """A text that keeps its lines, shown only when the reader opens it."""

    template: ClassVar[str] = "text.html"
    caption: str
    text: str


Block = Words | Facts | Figures | Table | Picture | Slider | Legend | Strips | Checklist | Text


@dataclass(frozen=True)
class Section:
    """A part of a chapter.

    Attributes:
        anchor: Its place on the page.
        title: Above it.
        blocks: In order.
    """

    anchor: str
    title: str
    blocks: Sequence[Block] = field(default_factory=tuple)


@dataclass(frozen=True)
class Chapter:
    """All about one run, or what several have in common.

    Attributes:
        anchor: Its place on the page.
        title: Above it.
        beside: Below the title.
        sections: In order.
    """

    anchor: str
    title: str
    beside: str
    sections: Sequence[Section]
