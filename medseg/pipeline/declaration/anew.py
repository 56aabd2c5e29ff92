"""The command that begins a new run of what a run kept, and what of it to change."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from medseg.errors import OtherSettingsError, ShortOfMemoryError
from medseg.packages import allowing

_LOWER = 10  # the rate of a new run is this part of the one that was too high
_RATE = "optimiser.lr"
_MEMORY = "loading."  # what saves memory, of which more may be free another time


def anew(folder: Path, *, data: bool, assignments: Sequence[str] = (), packages: Sequence[str] = ()) -> str:
    """The command that runs the definition of a run again.

    Args:
        folder: Of the run.
        data: Whether its data must be named.
        assignments: `path=value` strings that change the definition.
        packages: Those that it was allowed.
    """
    declared = shlex.quote((folder / "definition.yaml").as_posix())
    sets = "".join(f" --set {shlex.quote(each)}" for each in assignments)
    return f"medseg pipeline run {declared}{sets}{' --data FOLDER' if data else ''}{allowing(packages)}"


def way_on(
    folder: Path, called: str, *, setting: str, whole: str, data: bool, packages: Sequence[str] = ()
) -> str:
    """What brings a run that has not finished to its end, as a sentence: to go on with it, or to begin anew.

    Args:
        folder: Of the run.
        called: What names it on the command line.
        setting: What a new run is to set, as of `needed`; empty where this one can go on.
        whole: The cross-validation or sweep that it is a part of; empty for a run by itself.
        data: Whether data must be named for a new run.
        packages: Those that it was allowed.
    """
    resume = f"medseg pipeline resume {(setting and whole) or called}{allowing(packages)}"
    if not setting:
        return f"Go on with it: {resume}"
    hopeless = would_fail_again(setting)
    first = (
        "Going on would end so again." if hopeless else f"Where more memory is free, go on: {resume}. Else"
    )
    if whole:
        start = "Start" if hopeless else "start"
        return f"{first} {start} {whole} again with other settings, such as --set {setting}."
    begin = "Begin" if hopeless else "begin"
    command = anew(folder, data=data, assignments=[setting], packages=packages)
    return f"{first} {begin} a new run with other settings: {command}"


def would_fail_again(setting: str) -> bool:
    """Whether going on is in vain where a new run is to set this; with more free memory, it is not."""
    return bool(setting) and not setting.startswith(_MEMORY)


def needed(error: BaseException, steps: Mapping[str, Mapping[str, Any]], done: Sequence[str]) -> str:
    """What a new run is to set, as `path=value`, where going on as before would end as it did; else empty.

    Args:
        error: What ended the run.
        steps: Of its definition, in order.
        done: Those that were done.
    """
    if isinstance(error, ShortOfMemoryError):
        return error.setting
    if not isinstance(error, OtherSettingsError):
        return ""
    begun = [name for name in steps if name in done] + [name for name in steps if name not in done][:1]
    learned = [name for name in begun if isinstance(steps[name].get("optimiser"), Mapping)]
    if not learned:  # a model of elsewhere, which no setting of this run has made
        return ""
    if error.setting != _RATE:
        return f"steps.{learned[-1]}.{error.setting}"
    rate = steps[learned[-1]]["optimiser"].get("lr")
    return f"steps.{learned[-1]}.{_RATE}={rate / _LOWER:g}" if isinstance(rate, int | float) else ""
