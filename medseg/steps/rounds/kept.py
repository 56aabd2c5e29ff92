"""What a round of a self-training has made, known again when the step goes on after it was interrupted."""

from __future__ import annotations

import json
from pathlib import Path

from medseg.errors import RunError
from medseg.files.durable import checksum
from medseg.files.inside import own_place
from medseg.files.regular import read_json
from medseg.places import written_whole

PREDICTED = "predicted.parquet"
_MADE = "made.json"
_MODEL = "predictor"


def keep_made(place: Path) -> None:
    """Note the checksums of what a round has made so far: its predictions, and its model once it has one."""
    files = [place / PREDICTED, *sorted(path for path in (place / _MODEL).rglob("*") if path.is_file())]
    made = {path.relative_to(place).as_posix(): checksum(path) for path in files}
    with written_whole(place / _MADE) as target:
        target.write_text(json.dumps(made), encoding="utf-8")


def is_sound(place: Path) -> bool:
    """Whether all that a round has noted is as it made it, and it has noted something."""
    try:
        made = read_json(place / _MADE)
        return (
            isinstance(made, dict)
            and PREDICTED in made
            and all(checksum(own_place(place, name)) == found for name, found in made.items())
        )
    except (OSError, ValueError, RunError):
        return False
