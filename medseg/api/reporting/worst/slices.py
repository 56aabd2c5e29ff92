"""Slices through the worst patients, as a run has kept them: each bare, with the truth and with the prediction."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

from medseg.api.reporting.blocks import Block, Legend, Slider, Words
from medseg.api.reporting.kept import Kept
from medseg.api.reporting.pictures import Album
from medseg.api.reporting.scores import number
from medseg.figures.palette import colours

MOST_PATIENTS = 5
"""Patients of a page: of a cross-validation each fold has kept as many."""

_MOST_SLICES = 20
_MOST_CLASSES = 100
_LONGEST = 200  # characters of a name
_MOST_PLACES = 200_000  # slices of a volume


@dataclass(frozen=True)
class _Sheet:
    """Slices of one case, one below another in a picture.

    Attributes:
        folder: Of the run.
        place: Of the picture in it.
        case: Public id.
        group: Of the patient.
        dice: Mean Dice of the case.
        slices: Their places.
        of: How many slices the case has.
        plane: axial, coronal, sagittal; empty for pictures.
        channel: The channel that is shown.
        classes: Names, in the order of their indices.
    """

    folder: Path
    place: str
    case: str
    group: str
    dice: float
    slices: Sequence[int]
    of: int
    plane: str
    channel: str
    classes: Sequence[str]

    def words(self, slice_: int) -> str:
        """What a slice is."""
        where = f", {self.plane} slice {slice_} (0 to {self.of - 1})" if self.plane else ""
        return f"{self.case}{where}: {self.channel}, truth, prediction"

    @property
    def label(self) -> str:
        """Whose slices these are."""
        who = self.group if self.group == self.case else f"{self.group}, {self.case}"
        return f"{who}: mean Dice {number(self.dice)}"


def worst_blocks(kept: Kept, album: Album, anchor: str) -> Sequence[Block]:
    """A slider for each of the worst patients; what to say where a run of volumes has kept none."""
    order = sorted(_sheets(kept), key=lambda sheet: (sheet.dice, sheet.case))
    sliders: list[Block] = []
    classes: dict[str, str] = {}
    for place, sheet in enumerate(order[:MOST_PATIENTS], start=1):
        words = [sheet.words(each) for each in sheet.slices]
        pictures = album.cut(sheet.folder, sheet.place, words)
        if pictures:
            sliders.append(Slider(f"{anchor}-worst{place}", f"{place}. {sheet.label}", pictures, small=True))
            tints = colours(len(sheet.classes))[1:]
            inks = ["#" + bytes(tint.tolist()).hex() for tint in tints]
            classes |= dict(zip(sheet.classes[1:], inks, strict=True))
    if sliders:
        about = (
            "Slices through the worst patients, the worst first, evenly from where truth or prediction show what is "
            "scored. Of each slice from left to right: the bare channel, the truth, the prediction."
        )
        return [Words(about), Legend(list(classes.items())), *sliders]
    if not order and any((run.folder / f"{run.figures}slices.png").is_file() for run in kept.runs):
        return [
            Words(
                "Slices through the worst patients were not kept: an earlier medseg made this run. One that is run "
                "now keeps them.",
                "missing",
            )
        ]
    return []


def _sheets(kept: Kept) -> Iterator[_Sheet]:
    for run in kept.runs:
        for place in range(1, MOST_PATIENTS + 1):
            begin = f"{run.figures}worst_{place}"
            found = _sheet(run, begin, run.json(f"{begin}.json", dict) or {})
            if found is not None:
                yield found


def _sheet(run: Kept, begin: str, told: Mapping[str, Any]) -> _Sheet | None:
    """A sheet, if everything that is told of it is of its kind: anybody may have edited it."""
    texts = [told.get(key) for key in ("case", "group", "plane", "channel")]
    slices, classes = told.get("slices"), told.get("classes")
    dice, count = told.get("dice"), told.get("of")
    if not all(isinstance(text, str) and len(text) <= _LONGEST for text in texts):
        return None
    if not isinstance(dice, float) or not isfinite(dice) or not _is_place(count):
        return None
    if not isinstance(slices, list) or not 0 < len(slices) <= _MOST_SLICES or not all(map(_is_place, slices)):
        return None
    if not isinstance(classes, list) or not 0 < len(classes) <= _MOST_CLASSES:
        return None
    if not all(isinstance(name, str) and len(name) <= _LONGEST for name in classes):
        return None
    case, group, plane, channel = map(str, texts)
    return _Sheet(
        run.folder, f"{begin}.png", case, group, dice, slices, int(str(count)), plane, channel, classes
    )


def _is_place(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MOST_PLACES
