"""What checks found before, so that unchanged files are not read again.

One small JSON file a case, named by a digest of its paths; within it a stamp of size and times of every
file. No path, id or name of a patient is stored: those of the present listing are put back when it is read.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from medseg.datasets.case import Case
from medseg.datasets.checks.case_facts import CaseFacts, ChannelFacts
from medseg.datasets.manifest.manifest import Manifest
from medseg.datasets.pseudonym import secret_key
from medseg.errors import Fault
from medseg.files.content import Content, stamp_of
from medseg.files.many import files_of
from medseg.files.regular import read_json
from medseg.places import private_folder, written_whole

#: Raised whenever facts, or the rules behind faults, change their meaning.
_VERSION = 9


@dataclass(frozen=True)
class Memory:
    """Facts of cases, by their files.

    Attributes:
        folder: Where they lie; made when the first is kept.
        meaning: Digest of all else that facts depend on.
        secret: Keys the file names where paths would identify a person, so that they cannot be guessed.
        private: Whether nobody else may look into the folder.
    """

    folder: Path
    meaning: str
    secret: bytes = b""
    private: bool = False

    @classmethod
    def of(
        cls, folder: Path, manifest: Manifest, channels: Sequence[str], reference: str | None = None
    ) -> Memory:
        """The memory for one manifest, choice of channels and what becomes of other grids (see `examine`)."""
        private = manifest.ids == "identifying"
        secret = secret_key() if private else b""
        onto = "" if reference is None else f" onto {reference}"
        return cls(folder, f"{_VERSION} {manifest.fingerprint()} {list(channels)}{onto}", secret, private)

    def stamp(self, case: Case) -> str | None:
        """Digest of the stamp of every file (`stamp_of`); None where one cannot be read now."""
        stamps = []
        for path in case.files.values():
            try:
                stamps.append(stamp_of(path))
            except OSError:
                return None
            if not all(os.access(each, os.R_OK) for each in files_of(path)):
                return None  # rights may come from elsewhere, without a trace in the file
        return self._digest(repr(stamps))

    def recall(self, case: Case, stamp: str | None) -> CaseFacts | None:
        """Facts of a case whose files are as they were; None if there are none to be trusted."""
        try:
            stored = read_json(self._path(case))
            if stamp is None or stored["stamp"] != stamp:
                return None
            return _facts(stored["facts"], case)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None  # absent, or damaged: the files are read again, and this one is replaced

    def keep(self, case: Case, stamp: str | None, facts: CaseFacts) -> None:
        """Remember facts, unless an unforeseen error is all there is.

        Args:
            case: Whose facts.
            stamp: Taken before its files were read.
            facts: What they hold.
        """
        if stamp is None or facts.unexpected:
            return
        if self.private:
            private_folder(self.folder)
        with written_whole(self._path(case)) as beside:
            beside.write_text(json.dumps({"stamp": stamp, "facts": _plain(facts)}), encoding="utf-8")

    def _path(self, case: Case) -> Path:
        places = [(part, str(path.absolute())) for part, path in sorted(case.files.items())]
        # Whether the image as a whole has classes, on which its facts depend, no file of its own tells.
        meaning = f"{self.meaning}{' classes' if case.is_whole else ''}"
        return self.folder / f"{self._digest(f'{meaning} {places}')}.json"

    def _digest(self, text: str) -> str:
        raw = text.encode("utf-8", "surrogateescape")
        return hashlib.blake2b(raw, digest_size=20, key=self.secret).hexdigest()


def _plain(facts: CaseFacts) -> dict[str, Any]:
    stored = asdict(replace(facts, faults=()))
    del stored["case"], stored["group"], stored["classes"], stored["unexpected"]
    stored["faults"] = [[fault.part, fault.found, fault.remedy] for fault in facts.faults]
    return stored


def _facts(stored: dict[str, Any], case: Case) -> CaseFacts:
    channels = {
        name: ChannelFacts(**{**facts, "affine": _tuple(facts["affine"])})
        for name, facts in stored["channels"].items()
    }
    labels = stored["labels"]
    faults = [
        Fault(case.id, case.position, part, problem, remedy, case.files.get(part))
        for part, problem, remedy in stored["faults"]
    ]
    return CaseFacts(
        case.id,
        case.group,
        shape=_tuple(stored["shape"]),
        spacing=_tuple(stored["spacing"]),
        orientation=stored["orientation"],
        affine=_tuple(stored["affine"]),
        channels=channels,
        labels=None if labels is None else {int(value): count for value, count in labels.items()},
        mask_digest=stored["mask_digest"],
        classes=case.labels,
        likeness=stored["likeness"],
        contents={
            part: Content(tuple(found["stamp"]), found["digest"])
            for part, found in stored["contents"].items()
        },
        made_up=tuple(stored["made_up"]),
        faults=tuple(faults),
        notes=tuple(stored["notes"]),
        assumed=tuple(stored["assumed"]),
    )


def _tuple(values: list[Any] | None) -> tuple[Any, ...] | None:
    return None if values is None else tuple(values)
