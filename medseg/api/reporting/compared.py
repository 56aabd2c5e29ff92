"""Runs beside one another: their scores, and what a comparison patient by patient says of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile
from typing import TYPE_CHECKING, Any

import numpy as np

from medseg.api.kept.comparing import KEPT, Named, figures
from medseg.api.kept.grouping import Refused, compared_together, letter
from medseg.api.reporting.blocks import Block, Facts, Picture, Table, Words
from medseg.api.reporting.kept import Kept
from medseg.api.reporting.pictures import Album
from medseg.api.reporting.scores import difference, head, interval, number, summary_of
from medseg.pipeline.folder import is_plain
from medseg.pipeline.study.tested import titled
from medseg.text import agreed, many

if TYPE_CHECKING:
    from medseg.pipeline.study.comparison import Comparison

_MOST = 20  # comparisons that a run keeps; pictures of each
_LONGEST = 1000  # characters of a sentence that is shown
_FIGURES: Mapping[str, str] = {
    "paired_dots": "Scores one by one, under A and under the other side",
    "bland_altman": "Predicted and true amounts one by one, under A and under the other side",
}


def compared_blocks(
    given: Sequence[Named], sides: Sequence[Sequence[Kept]], album: Album, *, on_common: bool
) -> Sequence[Block]:
    """Scores side by side; where there are two sides or more, each compared with the first.

    Args:
        given: What names the runs of each side.
        sides: Those runs.
        album: Of the page.
        on_common: Compare on the patients that all runs share, where patients or data differ.
    """
    beside = _beside(sides)
    if len(sides) < 2:
        return beside
    found, refused = compared_together(given, on_common=on_common)
    if not found and len(sides) == 2:
        why = _public(refused[0].reason, sides)
        return [*beside, Words(f"They are not compared one by one: {why}", "missing")]
    named = Facts(
        [(letter(place), ", ".join(titled(run.state) for run in side)) for place, side in enumerate(sides)]
    )
    not_compared = [Words(_why_not(each, sides), "missing") for each in refused]
    first: list[Block] = [named, *not_compared]
    for places, comparison in found:
        if places[0] != 0:
            first += [Words("Compared with one another, with letters of their own:"), _letters(comparison)]
        first += _found(comparison)
    return [*first, *beside, *(picture for _, each in found for picture in _drawn(each, album))]


def _why_not(refused: Refused, sides: Sequence[Sequence[Kept]]) -> str:
    names = " and ".join(letter(place) for place in refused.places)
    are = agreed("are", len(refused.places))
    return f"{names} {are} not compared with {letter(refused.other)}: {_public(refused.reason, sides)}"


def _letters(found: Comparison) -> Facts:
    return Facts([(side.letter, ", ".join(titled(run.state) for run in side.runs)) for side in found.sides])


def kept_blocks(kept: Kept, album: Album) -> Sequence[Block]:
    """The comparisons that were kept with a run, as they were when they were made."""
    found: list[Block] = []
    place = kept.folder / KEPT
    for each in sorted(place.iterdir())[:_MOST] if place.is_dir() and not place.is_symlink() else ():
        known = kept.json(f"{KEPT}/{each.name}/comparison.json", dict)
        if known is None:
            continue
        sides = known.get("sides") if isinstance(known.get("sides"), dict) else {}
        found.append(
            Facts([(letter, ", ".join(filter(is_plain, _texts(names)))) for letter, names in sides.items()])
        )
        found += [Words(sentence) for sentence in _texts(known.get("sentences"))]
        found += [Words(note) for note in _texts(known.get("notes"))]
        names = sorted(path.name for path in each.glob("*.png"))[:_MOST]
        pictures = [album.kept(kept.folder, f"{KEPT}/{each.name}/{name}", _words(name)) for name in names]
        found += [picture for picture in pictures if picture is not None]
    return found


def _found(found: Comparison) -> Sequence[Block]:
    rows = [
        [
            row["name"] or "all classes",
            f"{difference(row['difference'], row['score'])}\n{interval(row, row['score'], difference)}",
            row["verdict"],
            head(row["score"]),
            number(row["a"], row["score"]),
            number(row["b"], row["score"]),
            "<0.001" if row["p_holm"] < 0.001 else number(row["p_holm"]),
            f"{row['patients_worse']} of {row['patients']}" if each.of_each_patient else "-",
            f"{row['side']} and A",
        ]
        for each, row in zip(found.rows, found.differences().to_dict("records"), strict=True)
    ]
    # What matters first: a telephone shows two or three columns, and the others beside them.
    columns = ["class or region", "difference [95 % interval]", "verdict", "score", "A", "other"]
    columns += ["p (Holm)", "worse", "sides"]
    sentences = [Words(sentence) for sentence in found.sentences()]
    notes = [Words(note, "loud" if note.partition(":")[0].isupper() else "plain") for note in found.notes]
    table = Table(
        f"On {many(len(found.patients), found.noun)}, one by one: the other side less A", columns, rows
    )
    return [*sentences, *notes, table]


def _drawn(found: Comparison, album: Album) -> Sequence[Picture]:
    pictures = [album.drawn(draw, _words(name)) for name, draw in figures(found).items()]
    return [picture for picture in pictures if picture is not None]


def _beside(sides: Sequence[Sequence[Kept]]) -> Sequence[Block]:
    """The first score of every class or region, a column for each run, and the spread over seeds."""
    runs = [run for side in sides for run in side]
    summaries = {run.name: summary for run in runs if (summary := summary_of(run)) is not None}
    if len(summaries) < 2:
        return []
    first = next(iter(summaries.values()))
    scores = [score for score in ("accuracy", "balanced_accuracy", "auroc") if score in first.scores]
    asked = (
        [("", score) for score in scores]
        if first.of_images
        else [(name, first.first) for name in first.names]
    )
    several = [place for place, side in enumerate(sides) if len(side) > 1]
    columns = ["class or region", "score", *(shown for name, shown in _heads(sides) if name in summaries)]
    columns += [f"{letter(place)}: mean, spread over seeds" for place in several]
    rows = []
    for name, score in asked:
        cells = [summary.text(name, score) for summary in summaries.values()]
        cells += [
            _spread([summaries[run.name] for run in sides[place] if run.name in summaries], name, score)
            for place in several
        ]
        rows.append([name or "all classes", head(score), *cells])
    return [Table("Scores side by side: mean [95 % interval]", columns, rows)]


def _heads(sides: Sequence[Sequence[Kept]]) -> Iterator[tuple[str, str]]:
    """The name of each run, and what heads its column: a letter, as above the table, since names are long."""
    for place, side in enumerate(sides):
        for order, run in enumerate(side, start=1):
            several = str(order) if len(side) > 1 else ""
            yield run.name, f"{letter(place)}{several}" if len(sides) > 1 else run.title


def _spread(summaries: Sequence[Any], name: str, score: str) -> str:
    rows = [summary.row(name, score) for summary in summaries]
    values = [float(row["mean"]) for row in rows if row is not None and np.isfinite(row["mean"])]
    if len(values) < 2:
        return "-"
    return f"{number(float(np.mean(values)), score)} ± {difference(float(np.std(values, ddof=1)), score)}"


def _public(text: str, sides: Sequence[Sequence[Kept]]) -> str:
    """A message with the names of runs in place of those of their folders, without commands, which hold places."""
    sentences = re.split(r"(?<=[.:]) ", text)
    text = " ".join(takewhile(lambda each: "medseg " not in each, sentences)).removesuffix(":")
    for run in (run for side in sides for run in side):
        text = text.replace(run.folder.resolve().name, run.name)
    return text


def _texts(found: object) -> Sequence[str]:
    return [each[:_LONGEST] for each in found if isinstance(each, str)] if isinstance(found, list) else []


def _words(name: str) -> str:
    """What a figure of a comparison shows, by its name."""
    return next((words for begin, words in _FIGURES.items() if name.startswith(begin)), "Of the comparison")
