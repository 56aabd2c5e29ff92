"""How the training went: curves with their verdict, pictures of validation cases, the threshold that was searched."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from medseg.api.reporting.blocks import Block, Facts, Picture, Slider, Table, Words
from medseg.api.reporting.kept import Kept
from medseg.api.reporting.pictures import Album
from medseg.datasets.case import safe_name

_MOST_CUTS = 50  # regions whose thresholds are listed
_SHOWN = 6  # validated epochs to look through
_EPOCH = re.compile(r"_validation_(\d{4,9})\.png")


def training_blocks(kept: Kept, album: Album, anchor: str) -> Sequence[Block]:
    """Of each training: verdict, best epoch, curves, and validation cases at several epochs."""
    found: list[Block] = []
    for number, run in enumerate(kept.runs, start=1):
        of = f"Fold {number}, " if kept.folds else ""
        for step, verdict in _verdicts(run):
            rows = [
                (f"{of}{step}: verdict", verdict["text"]),
                ("What to do next", verdict["next_step"]),
                ("Learning rate", verdict.get("courses", "")),
                ("Weights that were kept", _best(run, step)),
            ]
            found.append(Facts(rows))
            words = f"{of}{step}: losses, validation scores and learning rate by epoch"
            found += _there([album.kept(run.folder, f"figures/{step}_learning_curves.png", words)])
            if not kept.folds:
                found += _validated(run, step, album, anchor)
    return found or [
        Words("There are no learning curves: no training of this run came to its end.", "missing")
    ]


def threshold_blocks(kept: Kept, album: Album) -> Sequence[Block]:
    """The threshold of each search, with the score that each threshold has on the validation cases."""
    found: list[Block] = []
    for number, run in enumerate(kept.runs, start=1):
        of = f"Fold {number}: " if kept.folds else ""
        for step in run.definition.steps if run.definition is not None else ():
            cuts = _cuts(run.json(f"steps/{step}/threshold.json", dict) or {})
            for name, value in cuts.items():
                role = f"{step}.role{f'.{name}' if name else ''}"
                how = (
                    "not searched, since the validation cases did not allow it"
                    if run.tags.get(role, "val").startswith("none")
                    else "searched on the validation cases"
                )
                what = f"{of}Threshold{f' of {name}' if name else ''}"
                found.append(Facts([(what, f"{value:.4g}, {how}; no test case was looked at")]))
                ending = f"_{safe_name(name)}" if name else ""
                words = (
                    f"{of}the score of each threshold{f' of {name}' if name else ''}, on the validation cases"
                )
                found += _there([album.kept(run.folder, f"figures/{step}_curve{ending}.png", words)])
    return found


def _cuts(kept: Mapping[str, Any]) -> dict[str, float]:
    """Thresholds by the names of regions, without a name where there is one; what is none of them is left out."""
    given = kept.get("thresholds", {"": kept.get("threshold")})
    return {
        str(name): float(value)
        for name, value in (list(given.items())[:_MOST_CUTS] if isinstance(given, Mapping) else ())
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
    }


def verdict_text(kept: Kept) -> str:
    """What the learning curves of all trainings say, in a word or two each."""
    kinds = [verdict.get("kind", "") for run in kept.runs for _, verdict in _verdicts(run)]
    return ", ".join(dict.fromkeys(filter(None, kinds)))


def fold_table(kept: Kept) -> Sequence[Table]:
    """The runs of the folds."""
    if not kept.folds:
        return []
    rows = [
        [str(number), run.name, run.ended.lower(), verdict_text(run) or "-"]
        for number, run in enumerate(kept.folds, start=1)
    ]
    return [Table("Runs of the folds", ["fold", "run", "ended", "learning curves"], rows)]


def _verdicts(run: Kept) -> Iterator[tuple[str, dict[str, str]]]:
    for step in run.definition.steps if run.definition is not None else ():
        found = run.json(f"steps/{step}/verdict.json", dict)
        if found and {"text", "next_step"} <= found.keys():
            yield step, {str(key): str(value) for key, value in found.items()}


def _best(run: Kept, step: str) -> str:
    epoch, by = run.tags.get(f"{step}.best_epoch", ""), run.tags.get(f"{step}.best_by", "")
    return f"those of epoch {epoch}, the best by {by} of the validation cases" if epoch and by else ""


def _validated(run: Kept, step: str, album: Album, anchor: str) -> Sequence[Block]:
    """Some of the epochs, the first and the last among them."""
    place = run.folder / "figures"
    names = (
        sorted(each.name for each in place.glob(f"{step}_validation_*.png"))
        if place.is_dir() and not place.is_symlink()
        else []
    )
    names = [name for name in names if _EPOCH.fullmatch(name.removeprefix(step))]
    if not names:
        return []
    some = np.unique(np.linspace(0, len(names) - 1, min(_SHOWN, len(names))).round().astype(int))
    pictures = [
        album.kept(run.folder, f"figures/{name}", f"{step}: validation cases after epoch {_epoch(name)}")
        for name in (names[each] for each in some)
    ]
    shown = _there(pictures)
    return [Slider(f"{anchor}-{step}", "Validation cases while it learned", shown)] if shown else []


def _epoch(name: str) -> int:
    return int(name.rpartition("_")[2].removesuffix(".png"))


def _there(pictures: Sequence[Picture | None]) -> list[Picture]:
    return [each for each in pictures if each is not None]
