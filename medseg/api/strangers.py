"""Going on with what somebody else made: what its files say counts once the caller says it too.

Of one's own runs this holds for packages alone: a command allows them, never a file.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medseg.component import SHIPPED
from medseg.errors import MedsegError, RunError
from medseg.named import find_manifest
from medseg.packages import allowing, further_packages
from medseg.pipeline.declaration.definition import PipelineDefinition
from medseg.pipeline.folder import DECLARATION, TRACKED, RunFolder, State
from medseg.pipeline.options import RunOptions


@dataclass(frozen=True)
class Given:
    """What the caller of a command that goes on says himself.

    Attributes:
        data: Folder of the data.
        tracking_uri: Of MLflow; `MLFLOW_TRACKING_URI` where it is left out.
        allow: Packages that declared objects may come from.
        device: Where to go on; None for where it began.
        jobs: Cases that are read at a time; None for as many as before.
        on: Where the work is done; empty for this machine, whatever was said before.
        take_over: Go on even if a process of another machine may work on it.
        set: `path=value` strings that change the definition.
    """

    data: Path | None = None
    tracking_uri: str | None = None
    allow: Sequence[str] = ()
    device: str | None = None
    jobs: int | None = None
    on: str = ""
    take_over: bool = False
    set: Sequence[str] = ()

    @classmethod
    def of(cls, data: str | Path | None, allow: Sequence[str], **others: Any) -> Given:
        """What a script says, whose data may be a text.

        Raises:
            DefinitionError: A value is none that it can have.
        """
        given = cls(None if data is None else Path(data), allow=tuple(allow), **others)
        given.over(RunOptions.of())
        return given

    def over(self, kept: RunOptions) -> RunOptions:
        """What counts now, of what was kept."""
        return kept.but(allow=self.allow, device=self.device, jobs=self.jobs, on=self.on)

    @property
    def address(self) -> str | None:
        """The address that somebody who may say so has named."""
        return self.tracking_uri or os.environ.get("MLFLOW_TRACKING_URI") or None

    @property
    def root(self) -> str | None:
        """The whole path of the data."""
        return None if self.data is None else str(self.data.resolve())


def refuse_changed_declaration(folder: RunFolder, state: State) -> None:
    """Compare definition and manifest with those that the run began with.

    Raises:
        RunError: One of them has changed, or is gone.
    """
    now = folder.declaration()
    for name, before in state.declared.items():
        if now.get(name) != before:
            what = _changed(folder.path / name) if name in now else "is gone"
            raise RunError(
                f"{name} of the run {state.name} {what}, so that it cannot end as it would have. "
                f"{_put_back(folder, name, before)}{_anew(folder, state)}"
            )


def _changed(path: Path) -> str:
    """What is to be said of a file that is not as it was: a crash is no edit."""
    content = path.read_bytes()
    if not content:
        return "is empty, as a crash or a full disk leaves it"
    return "holds NUL bytes, as a power cut leaves it" if b"\0" in content else "has changed since it began"


def _put_back(folder: RunFolder, name: str, before: str) -> str:
    """How to put back a file of the declaration: the run has made a copy of its definition."""
    copy = folder.path / TRACKED / name
    if copy.is_file() and not copy.is_symlink() and folder.digest(copy) == before:
        there = shlex.quote(copy.as_posix()), shlex.quote((folder.path / name).as_posix())
        return f"Put it back as it was, from the copy that the run has made: cp {' '.join(there)}"
    return "Put it back as it was"


def _anew(folder: RunFolder, state: State) -> str:
    """How to begin a new run of what the folder says, where that can be read; else of what it was begun with."""
    for place in (folder.path / DECLARATION[0], folder.path / TRACKED / DECLARATION[0]):
        try:
            definition = PipelineDefinition.from_yaml(place)
            find_manifest(definition.manifest, place)
        except MedsegError:
            continue
        what = "the folder says now" if place.parent == folder.path else "it was begun with, but for paths"
        data = " --data FOLDER" if state.data is not None else ""
        return (
            f"; or begin a new run of what {what}: medseg pipeline run {shlex.quote(place.as_posix())}{data}"
        )
    return ", or start the pipeline again."


def built(definition: Mapping[str, Any], manifest: Mapping[str, Any], *, generated: bool) -> list[Any]:
    """What of a declaration is built when a run goes on: of a sample what generates it, if it is generated."""
    parts: list[Any] = [value for name, value in definition.items() if name != "sample"]
    parts.append(manifest.get("layout"))
    return [*parts, manifest.get("sample")] if generated else parts


def refuse_unvouched(
    noun: str, name: str, given: Given, *, mine: bool, data: bool, declared: Sequence[Any] = ()
) -> None:
    """Refuse to go on until the caller gives all that must not be taken from files.

    Args:
        noun: What it is.
        name: What names it on the command line.
        given: What the caller gives.
        mine: Whether this user made it; data and address then count as they were kept.
        data: Whether it needs a folder of data.
        declared: What is built for it, as `built` gives it.

    Raises:
        RunError: Something is missing; gives the command that goes on.
    """
    packages = further_packages(list(declared), SHIPPED.also(*given.allow))
    lacks = not mine and ((data and given.data is None) or given.address is None)
    if not packages and not lacks:
        return
    words = " --data FOLDER" if given.data is not None or (data and not mine) else ""
    if given.tracking_uri is not None or (not mine and given.address is None):
        words += " --tracking-uri ADDRESS"
    command = f"medseg pipeline resume {name}{words}{allowing([*given.allow, *packages])}"
    if lacks:
        raise RunError(
            f"the {noun} {name} was made by somebody else, or by an earlier medseg, or its file was edited: what it "
            f"says of data, tracking and packages does not count. If you trust it, say it yourself: {command}\n"
            "sqlite:///mlflow.db is the address of mlflow.db in this folder."
        )
    raise RunError(
        f"the {noun} {name} needs classes of {', '.join(packages)}. Packages are allowed by the command or "
        f"MEDSEG_ALLOW alone, whatever was allowed when it began. If you trust them: {command}"
    )
