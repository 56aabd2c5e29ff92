"""The commands that a run prints for what comes next: complete, so that they work as they stand."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

from medseg.machine.ranks.place import place_here
from medseg.packages import allowing

if TYPE_CHECKING:
    from medseg.api.result import RunResult


def named(result: RunResult) -> str:
    """How a run is named on the command line: by its folder, where that is none of the working folder's runs."""
    from medseg.pipeline.folder import RUNS  # noqa: PLC0415  # reads processes

    here = (RUNS / result.name).absolute() == result.folder
    return result.name if here else shlex.quote(str(result.folder))


def going_on(allow: Sequence[str] = ()) -> str:
    """What goes on with what this process has begun here and not ended.

    Args:
        allow: Packages that the command allowed, and must allow again.
    """
    from medseg.pipeline.folder import State, all_runs  # noqa: PLC0415
    from medseg.pipeline.process import this_process  # noqa: PLC0415
    from medseg.pipeline.study.cross_validation import (  # noqa: PLC0415  # reads processes
        CrossValidation,
        all_cross_validations,
    )

    if not place_here().first:
        return "Rank 0 says how to go on."
    me = this_process()
    begun: list[CrossValidation | State] = [*all_cross_validations(), *(state for _, state in all_runs())]
    mine = next((each for each in begun if each.process == me and each.status != "FINISHED"), None)
    if mine is None:
        return "Nothing was begun."
    part = mine.part_of if isinstance(mine, State) else None
    name = part.whole if part is not None and part.of_sweep else mine.name
    started = "" if place_here().world == 1 else ", started by torchrun as before"
    return f"Go on with: medseg pipeline resume {name}{allowing(allow)}{started}"


def predict_line(result: RunResult) -> str:
    """What asks the model of a run, with the packages that its parts come from."""
    return f"medseg predict {named(result)} INPUT -o OUT{allowing(result.allow)}"


def compare_line(uri: str) -> str:
    """What shows the runs of a tracking store.

    Args:
        uri: Its address without user and password, which are never kept.
    """
    from medseg.tracking.mlflow.address import default_uri, masked  # noqa: PLC0415  # reads the environment

    if uri.startswith(("http://", "https://", "databricks")):
        return f"open {uri}"
    if masked(default_uri(None)) == uri:
        return "medseg ui"
    if masked(uri) != uri or "***" in uri:
        return f"medseg ui --tracking-uri ADDRESS, the whole address of {uri}"
    return f"medseg ui --tracking-uri {shlex.quote(uri)}"
