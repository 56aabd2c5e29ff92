"""The folder of a cross-validation: what was asked for, so that it can go on after an interruption."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from medseg.errors import RunError
from medseg.pipeline.folder import RunFolder, State, all_runs
from medseg.places import written_whole

FOLDS = Path("medseg-folds")
"""Where cross-validations are kept, below the working folder."""

PART_OF = "part_of"
"""Option of a run that is one fold: name of its cross-validation, and which fold."""

_FILE = "folds.json"


@dataclass(frozen=True)
class CrossValidation:
    """What was asked for. Stays on this machine: it holds the path of the data.

    Attributes:
        name: Of the folder, and of the run above the folds.
        pipeline: Name of the definition, or path of its file.
        data: Folder of the data; None where they are generated.
        folds: How many.
        set: `path=value` strings that change the definition.
        options: What was said on the command line, needed for folds that have not begun.
        definition: The definition when it began, without what tells one fold from the others.
        tracking_uri: Where it is tracked, without credentials.
        run_id: Of the run above the folds; empty as long as it has not ended.
    """

    name: str
    pipeline: str
    data: str | None
    folds: int
    set: tuple[str, ...]
    options: Mapping[str, Any]
    definition: Mapping[str, Any]
    tracking_uri: str
    run_id: str = ""

    @property
    def folder(self) -> Path:
        """Where its tables and figures lie."""
        return (FOLDS / self.name).absolute()

    def write(self) -> CrossValidation:
        """Keep it.

        Raises:
            RunError: It cannot be kept here.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with written_whole(self.folder / _FILE) as target:
                target.write_text(json.dumps(asdict(self), indent=1), encoding="utf-8")
        except OSError as error:
            raise RunError(
                f"no folder for folds can be made here ({error.strerror}): medseg writes to {FOLDS}/ of the "
                "working folder. Change to a folder where you may write."
            ) from error
        return self

    @classmethod
    def read(cls, folder: Path) -> CrossValidation:
        """Read what was kept.

        Raises:
            RunError: This is no cross-validation, or its file is damaged.
        """
        try:
            known = json.loads((folder / _FILE).read_text(encoding="utf-8"))
            return _sound(cls(**{**known, "set": tuple(known["set"])}))
        except FileNotFoundError:
            raise RunError(f"{folder.name} is no cross-validation: it has no {_FILE}") from None
        except OSError as error:
            raise RunError(f"{_FILE} of {folder.name} cannot be read: {error.strerror}.") from error
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise RunError(f"{_FILE} of {folder.name} is damaged. Start the folds again.") from error

    def run_of(self, fold: int) -> tuple[RunFolder, State] | None:
        """The run of one fold in this working folder, if it has begun."""
        mine = {"name": self.name, "fold": fold}
        return next((pair for pair in all_runs() if pair[1].options.get(PART_OF) == mine), None)

    def option_of(self, fold: int) -> Mapping[str, Any]:
        """What the run of a fold keeps, so that `run_of` finds it."""
        return {PART_OF: {"name": self.name, "fold": fold}}


def _sound(found: CrossValidation) -> CrossValidation:
    """What was read, if everything in it is of its kind: anybody may have edited the file."""
    texts = (found.name, found.pipeline, found.tracking_uri, found.run_id, found.data or "", *found.set)
    fine = (
        all(isinstance(text, str) for text in texts)
        and type(found.folds) is int
        and found.folds > 1
        and isinstance(found.options, dict)
        and isinstance(found.definition, dict)
    )
    if not fine:
        raise TypeError("a value of another kind")
    return found


def all_cross_validations() -> Iterator[CrossValidation]:
    """Every cross-validation of this folder, latest first; what is none, or damaged, is passed over."""
    found = FOLDS.glob(f"*/{_FILE}")
    for path in sorted(found, key=lambda each: each.stat().st_mtime, reverse=True):
        try:
            yield CrossValidation.read(path.parent)
        except RunError:
            continue
