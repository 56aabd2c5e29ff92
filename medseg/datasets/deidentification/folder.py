"""A folder without what names a patient: every file is cleaned, or left out with its reason."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from medseg.datasets.deidentification.choice import Choice, Cleaned
from medseg.datasets.deidentification.dicom.known import gather
from medseg.datasets.deidentification.kinds import Kind, Rules, kind_of
from medseg.datasets.deidentification.names import public_place
from medseg.datasets.deidentification.substitutes import Substitutes
from medseg.datasets.key_map import refuse_key_map, write_key_map
from medseg.datasets.sample_mark import Marks, is_mark, sign_files
from medseg.errors import DataError, RunError
from medseg.files.of_systems import is_of_system
from medseg.images.refusal import RefusedError, found_and_remedy
from medseg.places import clear_leftovers, written_whole
from medseg.progress import Progress

REPORT = "deidentification.csv"

#: Files that would have the same public name, as the same instance in several folders, are numbered.
_MOST_ALIKE = 100_000


@dataclass(frozen=True)
class FileReport:
    """What became of one file.

    Attributes:
        number: Its place among all files, in the order of their paths, from 1.
        source: Its path. Private.
        written: What was written, below the new folder; empty if it was left out.
        kind: Such as `DICOM`; empty where it is of none.
        changes: How many parts were removed, emptied, replaced, shifted.
        warnings: What a person must look at.
        reason: Why it was left out, and what to do.
    """

    number: int
    source: Path
    written: str = ""
    kind: str = ""
    changes: Mapping[str, int] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    reason: str = ""


def clean_folder(
    source: Path, out: Path, choice: Choice, key: bytes, progress: Progress, key_map: Path | None = None
) -> tuple[FileReport, ...]:
    """Clean all files of a folder, or one file, into a new folder, which appears when it is whole.

    Those of a generated sample stay marked as such.

    Args:
        source: The folder, or file. Links are not followed.
        out: The new folder; `deidentification.csv` in it lists every file. An empty one may be there.
        choice: Options.
        key: Of pseudonyms, UIDs and shifts of dates: the same key gives the same.
        progress: Shows a bar.
        key_map: A new file for which name became which, readable by its user alone; None writes none.

    Returns:
        One report for each file, and each folder that cannot be looked into, in the order of their paths.

    Raises:
        DataError: There is no such folder, it cannot be looked into, or it holds no file.
        RunError: A place to write to is taken, or lies within `source`.
        NotWrittenError: Something cannot be written.
    """
    _refuse_places(source, out, key_map)
    paths = _paths(source)
    if not paths:
        raise DataError("the folder holds no file: there is nothing to de-identify")
    clear_leftovers(out.absolute().parent, below=out.name)
    rules = _rules(paths, choice, Substitutes(key), progress)
    with written_whole(out) as target:
        target.mkdir()
        found = []
        with progress.bar("de-identifying", len(paths), "files") as bar:
            for number, path in enumerate(sorted(paths), 1):
                if reason := paths[path]:
                    found.append(FileReport(number, path, reason=reason))
                else:
                    found.append(_one(number, path, source, target, rules))
                bar.advance()
        sign_files(target, _made_up(found, target))
        _write_report(target / REPORT, found)
        if key_map is not None:
            rows = ((each.number, each.written, each.source) for each in found)
            write_key_map(key_map, ("number", "file", "source"), rows)
    return tuple(found)


def _made_up(found: Sequence[FileReport], target: Path) -> Iterator[Path]:
    """Files that were written, and whose sources a sample's mark says to be generated."""
    marks = Marks()
    for each in found:
        if each.written and marks.holds(each.source):
            yield target / each.written


def _refuse_places(source: Path, out: Path, key_map: Path | None) -> None:
    if not source.exists():
        raise DataError("there is no such file or folder to de-identify. Check the path")
    if out.exists() and (not out.is_dir() or not all(is_of_system(each.name) for each in out.iterdir())):
        raise RunError(
            f"{out.name} is there already, and nothing is overwritten. Name a new folder, or empty it."
        )
    if out.resolve().is_relative_to(source.resolve()):
        raise RunError("the new folder lies within the one that is read. Name one elsewhere.")
    if key_map is not None:
        refuse_key_map(key_map, out)


def _paths(source: Path) -> dict[Path, str]:
    """All files and links; folders that cannot be looked into, too, with the reason for which they are left out.

    Raises:
        DataError: The folder itself cannot be looked into.
    """
    if not source.is_dir():
        return {source: ""}
    found: dict[Path, str] = {}

    def closed(error: OSError) -> None:
        problem = f"a folder that cannot be looked into: {error.strerror}"
        found[Path(error.filename)] = (
            f"{problem}. Give this user the right to read and enter it, and start again."
        )

    for place, folders, names in os.walk(source, onerror=closed):
        links = [name for name in folders if os.path.islink(Path(place, name))]  # noqa: PTH114 - never raises
        listed = (Path(place, name) for name in (*names, *links) if not is_mark(name))  # a new one is written
        found |= dict.fromkeys(listed, "")
    if source in found:
        raise DataError(found[source])
    return found


def _rules(paths: Mapping[Path, str], choice: Choice, substitutes: Substitutes, progress: Progress) -> Rules:
    """With what DICOM files say of their patients."""
    dicom = [path for path, reason in paths.items() if not reason and _is_dicom(path)]
    with progress.bar("reading names", len(dicom), "files") as bar:
        return Rules(choice, substitutes, gather(dicom, bar))


def _is_dicom(path: Path) -> bool:
    try:
        return not path.is_symlink() and kind_of(path).name == "DICOM"
    except (DataError, OSError):  # it is left out later, with its reason
        return False


def _one(number: int, path: Path, source: Path, target: Path, rules: Rules) -> FileReport:
    kind: Kind | None = None
    try:
        if path.is_symlink():
            raise RefusedError("a link", "Put the file itself there, or leave it out.")
        kind = kind_of(path)
        cleaned = kind.clean(path, rules)
    except Exception as error:  # noqa: BLE001 - one file's fault must not cost the others
        return FileReport(number, path, kind="" if kind is None else kind.name, reason=_reason(error))
    relative = path.relative_to(source) if source.is_dir() else PurePath(path.name)
    written = _written(target, relative, kind, cleaned, rules)
    return FileReport(number, path, written, kind.name, cleaned.changes, cleaned.warnings)


def _reason(error: Exception) -> str:
    """Why a file is left out, and what to do; texts of others may hold what stands in it, and are not shown."""
    if isinstance(error, MemoryError):
        return "it does not fit into memory. Leave it out."
    if isinstance(error, OSError):
        problem = error.strerror or type(error).__name__
        return f"it cannot be read: {problem}. Mend that, or leave it out."
    if isinstance(error, DataError):
        return ". ".join(found_and_remedy(error, "Copy it anew, or leave it out."))
    return f"it cannot be cleaned ({type(error).__name__}). Leave it out."


def _written(target: Path, relative: PurePath, kind: Kind, cleaned: Cleaned, rules: Rules) -> str:
    ending = next((each for each in kind.endings if relative.name.lower().endswith(each)), "")
    place = cleaned.place or public_place(relative, ending, rules.choice.words, rules.substitutes.key)
    folder, name = target.joinpath(*place[:-1]), place[-1]
    free = (f"{name}{more}{kind.ending}" for more in ("", *(f"-{count}" for count in range(2, _MOST_ALIKE))))
    path = next(path for path in (folder / each for each in free) if not path.exists())
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cleaned.content)
    return path.relative_to(target).as_posix()


def _write_report(path: Path, found: list[FileReport]) -> None:
    kinds = ("removed", "emptied", "replaced", "shifted")
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["number", "file", "kind", "outcome", *kinds, "look_at", "reason"])
        for each in found:
            outcome = "left out" if each.reason else "cleaned" if any(each.changes.values()) else "copied"
            counts = [each.changes.get(kind, 0) for kind in kinds]
            rows.writerow(
                [
                    each.number,
                    each.written,
                    each.kind,
                    outcome,
                    *counts,
                    "; ".join(each.warnings),
                    each.reason,
                ]
            )
