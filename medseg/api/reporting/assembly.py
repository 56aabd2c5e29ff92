"""The page of some runs, put together: a chapter on what they have in common, and one on each."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from medseg.api.finding import find_run_folder
from medseg.api.folds_found import find_folds
from medseg.api.kept.comparing import Named, each_of, run_to_compare
from medseg.api.kept.grouping import letter
from medseg.api.reporting.blocks import Chapter, Section
from medseg.api.reporting.chapter import chapter
from medseg.api.reporting.compared import compared_blocks
from medseg.api.reporting.kept import Kept, kept_folds, kept_run
from medseg.api.reporting.page import html_of
from medseg.api.reporting.pictures import Album
from medseg.errors import RunError
from medseg.pipeline.study.tested import Side, Tested


def found_runs(given: Sequence[Named]) -> Sequence[Sequence[Kept]]:
    """The runs of each side.

    Raises:
        RunError: There is no such run, it still goes on, or its files are damaged; or runs of one side differ in more
            than the seed.
    """
    sides = [each_of(side) for side in given]
    for place, names in enumerate(sides):
        if (
            len(names) > 1
        ):  # runs of one definition with other seeds, or nobody can tell what they have in common
            Side.of(letter(place), [Tested.of(run_to_compare(name)) for name in names])
    return [[_found(name) for name in names] for names in sides]


def html(given: Sequence[Named], sides: Sequence[Sequence[Kept]], today: date, *, on_common: bool) -> str:
    """The page.

    Args:
        given: What names the runs of each side.
        sides: Those runs.
        today: Written below the title.
        on_common: Compare on the patients that all runs share, where patients or data differ.

    Raises:
        RunError: A table of scores is damaged.
    """
    album, runs = Album(), [run for side in sides for run in side]
    chapters = []
    if len(runs) > 1:
        blocks = compared_blocks(given, sides, album, on_common=on_common)
        names = ", ".join(run.name for run in runs)
        chapters.append(
            Chapter("compared", "Compared", names, [Section("compared-1", "On the same test part", blocks)])
        )
    chapters += [chapter(run, album, f"run{place}") for place, run in enumerate(runs, start=1)]
    title = runs[0].title if len(runs) == 1 else f"{len(runs)} runs compared"
    return html_of(title, chapters, today)


def _found(name: str) -> Kept:
    if not name:
        raise RunError(
            "the name of a run is missing: join runs of other seeds with single commas, as in A1,A2"
        )
    folds = find_folds(name)
    return kept_run(find_run_folder(name)) if folds is None else kept_folds(folds)
