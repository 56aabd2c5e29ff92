"""Finding pipelines and manifests by name.

Order: a path that was given; beside the definition (manifests only); the working folder; folders that the
user configured; packages that are installed and offer some; those that came with medseg. The first match
wins.
"""

from __future__ import annotations

import difflib
import importlib.util
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from medseg import places
from medseg.errors import DefinitionError
from medseg.files.regular import open_regular
from medseg.machine.installed import brought, origin

_SUFFIXES = (".yaml", ".yml")
_TOP_KEY = re.compile(rb"^[\"']?(\w+)[\"']?[ \t]*:", re.MULTILINE)
_MOST = 1_000_000  # bytes in which to look for it


@dataclass(frozen=True)
class Kind:
    """A kind of YAML file that is found by name.

    Attributes:
        noun: What one is called.
        folder: Folder of the working folder, of the configuration and of a checkout.
        entry_point_group: Group in which installed packages name a package of theirs that holds such files.
        package: Where an installed medseg holds its own.
        variable: Environment variable with further folders, joined as in PATH.
        mark: Key at the top of every file of this kind and of no file of the other.
    """

    noun: str
    folder: str
    entry_point_group: str
    package: str
    variable: str
    mark: str


PIPELINES = Kind(
    "pipeline", "pipelines", "medseg.pipelines", "medseg._pipelines", "MEDSEG_PIPELINES", "steps"
)
MANIFESTS = Kind(
    "manifest", "data_manifests", "medseg.manifests", "medseg._manifests", "MEDSEG_MANIFESTS", "layout"
)


@dataclass(frozen=True)
class Found:
    """A file that was found.

    Attributes:
        name: Its name without the suffix.
        path: The file.
        origin: Where it was found, in words.
    """

    name: str
    path: Path
    origin: str


def find_pipeline(name_or_path: str) -> Found:
    """The definition with this name, or at this path (anything with a separator, `.yaml` or `.yml`).

    Raises:
        DefinitionError: There is none; lists what was found where, and the nearest name.
    """
    return _find(PIPELINES, name_or_path, None)


def find_manifest(name_or_path: str, near: Path | None = None) -> Found:
    """The manifest with this name, or at this path.

    Args:
        name_or_path: As in `find_pipeline`.
        near: The definition that names it, if it was found by path. Its folder, and the `data_manifests`
            beside that, are then searched first; a relative path starts there before the working folder.

    Raises:
        DefinitionError: There is none; lists what was found where, and the nearest name.
    """
    return _find(MANIFESTS, name_or_path, near)


def all_pipelines() -> list[Found]:
    """Every pipeline that can be named, in the order of search; what an earlier place hides is left out."""
    return _all(PIPELINES, None)


def all_manifests(near: Path | None = None) -> list[Found]:
    """Every manifest that can be named, likewise."""
    return _all(MANIFESTS, near)


def _find(kind: Kind, expected: str, near: Path | None) -> Found:
    if _is_path(expected):
        return _at_path(kind, expected, near)
    every = _all(kind, near)
    for found in every:
        if found.name == expected:
            return found
    close = difflib.get_close_matches(expected, [found.name for found in every], n=1)
    hint = f" Did you mean '{close[0]}'?" if close else ""
    listed = "\n".join(f"  {found.name} ({found.origin})" for found in every) or "  none"
    looked = "\n".join(
        f"  {folder}{'' if folder.is_dir() else ' (absent)'}, {origin}"
        for folder, origin in _folders(kind, near)
    )
    raise DefinitionError(
        f"there is no {kind.noun} '{expected}'.{hint}\nThere are:\n{listed}\nLooked in:\n{looked}\n"
        f"A file elsewhere is given by its path: ./{expected}.yaml"
    )


def _is_path(expected: str) -> bool:
    separators = {os.sep, "/", *([os.altsep] if os.altsep else [])}
    return expected.lower().endswith(_SUFFIXES) or any(each in expected for each in separators)


def _at_path(kind: Kind, expected: str, near: Path | None) -> Found:
    given = Path(expected).expanduser()
    tried = [near.parent / given, given] if near is not None else [given]
    for path in tried:
        if path.is_file():
            return Found(path.stem, path, "the path given")
    raise DefinitionError(
        f"there is no {kind.noun} file at {' or '.join(str(path) for path in tried)}. Check the path, or "
        f"give the name of a {kind.noun} that is installed."
    )


def _all(kind: Kind, near: Path | None) -> list[Found]:
    found: dict[str, Found] = {}
    for folder, place in _folders(kind, near):
        for path in _files(folder):
            if path.stem not in found and not _is_other(kind, path):
                found[path.stem] = Found(path.stem, path, place)
    return list(found.values())


def _is_other(kind: Kind, path: Path) -> bool:
    """Whether a file is of the other kind: definition and manifest may have one name, and lie side by side."""
    (other,) = (each for each in (PIPELINES, MANIFESTS) if each.noun != kind.noun)
    try:
        with open_regular(path) as file:
            marks = {mark.decode() for mark in _TOP_KEY.findall(file.read(_MOST))}
    except OSError:  # reported where the file is asked for by its name
        return False
    return other.mark in marks and kind.mark not in marks


def _files(folder: Path) -> list[Path]:
    try:
        return sorted(
            path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES and path.is_file()
        )
    except (
        OSError
    ):  # absent or closed to this user: the next place may have it, and an unknown name tells both
        return []


def _folders(kind: Kind, near: Path | None) -> Iterator[tuple[Path, str]]:
    """Folders to look in, in order, with what they are called."""
    if near is not None:
        beside = near.absolute().parent
        yield beside.parent / kind.folder, "beside the definition's folder"
        yield beside, "beside the definition"
    yield Path.cwd() / kind.folder, f"{kind.folder} of the working folder"
    yield places.config_folder() / kind.folder, "your configuration"
    for named in os.environ.get(kind.variable, "").split(os.pathsep):
        if named:
            yield Path(named).expanduser(), f"${kind.variable}"
    for point in brought(kind.entry_point_group):
        for folder in _package_folders(point.value):
            yield folder, f"installed with {origin(point)}"
    for folder in _package_folders(kind.package) or _checkout_folder(kind):
        yield folder, "installed with medseg"


def _package_folders(package: str) -> list[Path]:
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return []
    return [Path(folder) for folder in (spec.submodule_search_locations or [])] if spec is not None else []


def _checkout_folder(kind: Kind) -> list[Path]:
    """The folder beside the package: a checkout or an editable install has no `medseg._pipelines`."""
    root = Path(__file__).resolve().parents[1]
    project = root / "pyproject.toml"
    ours = project.is_file() and "medseg" in project.read_text(encoding="utf-8")
    return [root / kind.folder] if ours else []
