"""Comparing runs, and keeping what was found as an artifact of those that were compared."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medseg.api.finding import find_run_folder
from medseg.api.folds_found import find_folds
from medseg.api.kept.keeping import track
from medseg.errors import RunError
from medseg.files.inside import refuse_ways_out
from medseg.pipeline.folder import is_plain
from medseg.places import written_whole
from medseg.progress import Progress, Silent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from medseg.pipeline.folder import RunFolder
    from medseg.pipeline.study.comparison import Comparison
    from medseg.pipeline.study.tested import Tested

KEPT = "comparisons"
"""Folder of a run, and of its artifacts, that its comparisons lie in."""

Named = str | Path | Sequence[str | Path]


def compare(
    a: Named,
    b: Named,
    *others: Named,
    on_common: bool = False,
    scores: Sequence[str] = (),
    names: Sequence[str] = (),
) -> Comparison:
    """Compare finished runs on the same test patients: each of the others with A.

    Args:
        a: A run's folder, name or id, or `latest`; several runs of one definition with other seeds in a list, or in
            one text with commas between them.
        b: Likewise.
        others: Likewise.
        on_common: Compare on those patients whom all have tested, where patients or data differ. Default: refuse.
        scores: Names of scores; by default Dice of label maps, and accuracy, Brier score and AUROC of classes.
        names: Classes and regions; by default all.

    Returns:
        `differences()` and `of_patients()` are pandas frames, `sentences()` says the same in words, `notes` what
        keeps it from saying much.

    Raises:
        RunError: There is no such run, or runs cannot be compared; says why.
    """
    from medseg.pipeline.study.comparison import compare as compared  # noqa: PLC0415 - pandas and SciPy

    given = [[run_to_compare(run) for run in each_of(side)] for side in (a, b, *others)]
    return compared(given, on_common=on_common, scores=scores, names=names)


def keep_comparison(found: Comparison, *, progress: Progress | None = None) -> list[Path]:
    """Write a comparison, with its figures, into the folder of each run that A was compared with, and track it there.

    Runs of somebody else are left as they are. Where the tracking server does not answer, it is sent later by
    `medseg runs sync`.

    Args:
        found: The comparison.
        progress: Where it is shown.

    Returns:
        The folders that were written.
    """
    shown, written = progress or Silent(), []
    for side in found.sides[1:]:
        for run in side.runs:
            if run.state.mine:
                written.append(_kept(found, run, shown.say))
            else:
                shown.say(f"{run.name} was made by somebody else: the comparison is not written to it.")
    return written


def to_json(found: Comparison) -> str:
    """A comparison as one JSON object: sides, differences, patients, sentences, notes; what is no number is null."""
    return json.dumps(
        {
            "sides": {side.letter: [run.name for run in side.runs] for side in found.sides},
            "tested_patients": len(found.patients),
            "differences": _plain(found.differences().to_dict("records")),
            "patients": _plain(found.of_patients().to_dict("records")),
            "sentences": list(found.sentences()),
            "notes": list(found.notes),
        },
        indent=1,
        ensure_ascii=False,
        allow_nan=False,
    )


def figures(found: Comparison) -> dict[str, Callable[[], Figure]]:
    """What draws each figure, by a name for its file."""
    from medseg.figures.bland_altman import bland_altman  # noqa: PLC0415 - Matplotlib
    from medseg.figures.paired_dots import paired_dots  # noqa: PLC0415
    from medseg.pipeline.study.comparison import ALL  # noqa: PLC0415

    drawn: dict[str, Callable[[], Figure]] = {}
    for place, (side, score) in enumerate(dict.fromkeys((row.side, row.score) for row in found.rows)):
        rows = [row for row in found.rows if (row.side, row.score) == (side, score) and row.of_each_patient]
        word = score if is_plain(score) else str(place)
        if rows:
            drawn[f"paired_dots_{side}_{word}"] = lambda rows=rows, side=side, score=score: paired_dots(  # type: ignore[misc]
                {row.name or ALL: row.compared.of_patients() for row in rows},
                sides=("A", side),
                larger_is_better=rows[0].direction.sign > 0,
                heading=f"{score} per {found.noun}",
            )
    for side, amounts in found.amounts.items():
        if amounts:
            drawn[f"bland_altman_{side}"] = lambda amounts=amounts, side=side: bland_altman(  # type: ignore[misc]
                {name: (each.truth, (each.a, each.b)) for name, each in amounts.items()},
                sides=("A", side),
                unit=next(iter(amounts.values())).unit,
                heading="Predicted and true amounts",
            )
    return drawn


def each_of(side: Named) -> list[str]:
    """What names the runs of a side."""
    if isinstance(side, str):
        return [part.strip() for part in side.split(",")]
    return [str(side)] if isinstance(side, Path) else [str(run) for run in side]


def run_to_compare(run: str) -> RunFolder:
    """The folder of a run.

    Raises:
        RunError: There is none, or it is a cross-validation.
    """
    if not run:
        raise RunError(
            "the name of a run is missing: join runs of other seeds with single commas, as in A1,A2"
        )
    folds = find_folds(run)
    if folds is not None:
        raise RunError(
            f"{folds.name} is a cross-validation: each of its runs has tested other patients, and they make no one "
            "run. Compare runs, such as the first fold of one with the first fold of another: medseg runs list"
        )
    return find_run_folder(run, holding="scores/test.csv")


def _plain(rows: Sequence[Mapping[Any, Any]]) -> list[dict[str, Any]]:
    def value(each: Any) -> Any:
        return None if isinstance(each, float) and not math.isfinite(each) else each

    return [{str(key): value(each) for key, each in row.items()} for row in rows]


def _called(found: Comparison) -> str:
    """The folder of a comparison: `with-A` of two runs; of more, with digits that tell which they are."""
    first = found.sides[0].runs[0].name
    name = f"with-{first if is_plain(first) else 'A'}"
    sides = [[run.name for run in side.runs] for side in found.sides]
    if [len(side) for side in sides] == [1, 1]:
        return name
    return f"{name}-{hashlib.sha256(json.dumps(sides).encode()).hexdigest()[:6]}"


def _kept(found: Comparison, run: Tested, say: Callable[[str], None]) -> Path:
    from medseg.figures.saving import save_figure  # noqa: PLC0415 - Matplotlib

    folder = run.folder
    refuse_ways_out(folder.path)
    with folder.turn():
        target = folder.path / KEPT / _called(found)
        with written_whole(target) as beside:
            beside.mkdir()
            (beside / "comparison.json").write_text(to_json(found) + "\n", encoding="utf-8")
            found.differences().to_csv(beside / "differences.csv", index=False)
            found.of_patients().to_csv(beside / "patients.csv", index=False)
            lines = [*(side.label for side in found.sides), *found.sentences(), *found.notes]
            (beside / "sentences.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
            for name, draw in figures(found).items():
                save_figure(draw(), beside / f"{name}.png")
        track(folder, run.state, [target], KEPT, "comparison", say)
    return target
