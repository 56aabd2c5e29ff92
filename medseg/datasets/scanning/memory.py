"""What was seen in files before, so that those that did not change are not read again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from medseg.datasets.case import Case
from medseg.datasets.pseudonym import secret_key
from medseg.datasets.scanning.seen import Seen
from medseg.files.content import stamp_of
from medseg.files.regular import read_json
from medseg.images.formats import FileKind
from medseg.places import private_folder, written_whole

#: Raised whenever what is seen changes its meaning.
_VERSION = 3


class Memory:
    """One small file a case, whose name is a keyed digest of paths, sizes and times: it names nobody."""

    def __init__(self, folder: Path, files: FileKind) -> None:
        self._folder = private_folder(folder)
        self._meaning = f"look {_VERSION} {json.dumps(files.meaning(), sort_keys=True)}"
        self._key = secret_key()

    def stamp(self, case: Case, channels: Sequence[str]) -> str | None:
        """Name of what is remembered of a case as its files are now; None where one cannot be read."""
        try:
            stamps = [(part, str(path.absolute()), stamp_of(path)) for part, path in case.files.items()]
        except OSError:
            return None
        raw = f"{self._meaning} {list(channels)} {stamps}".encode("utf-8", "surrogateescape")
        return hashlib.blake2b(raw, digest_size=20, key=self._key).hexdigest()

    def recall(self, stamp: str) -> Seen | None:
        """What was seen; None if there is nothing to be trusted."""
        try:
            return _seen(read_json(self._folder / f"{stamp}.json"))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def keep(self, stamp: str, seen: Seen) -> None:
        """Remember it, unless files could not be used: they may be mended without a trace in size and time."""
        if not seen.problem:
            with written_whole(self._folder / f"{stamp}.json") as beside:
                beside.write_text(json.dumps(asdict(seen)), encoding="utf-8")


def _seen(stored: dict[str, Any]) -> Seen:
    labels = stored["labels"]
    return Seen(
        **{
            **stored,
            "shape": tuple(stored["shape"]),
            "spacing": tuple(stored["spacing"]),
            "window": None if stored["window"] is None else tuple(stored["window"]),
            "labels": None if labels is None else {int(value): int(count) for value, count in labels.items()},
            "fitting": tuple(stored["fitting"]),
            "foreground": {name: tuple(values) for name, values in stored["foreground"].items()},
        }
    )
