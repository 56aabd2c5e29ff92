"""Finding runs of this folder, and marking those whose process is gone."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from medseg.errors import RunError
from medseg.pipeline.folder import RUNS, RunFolder, all_runs, gone


def unfinished() -> RunFolder:
    """The latest run of this folder that was killed or has failed.

    Raises:
        RunError: There is none.
    """
    for folder, state in all_runs():
        if state.status in ("KILLED", "FAILED"):
            return folder
    raise RunError(f"no unfinished run in {RUNS}/ of this folder. Name one: medseg pipeline resume RUN")


def find_run_folder(run: str, *, holding: str = "run.json") -> RunFolder:
    """The folder of a run on this machine.

    Args:
        run: A run's folder, the name of a run, `latest`, or an MLflow run id or unique prefix.
        holding: What the latest run's folder must hold, such as `model`.

    Raises:
        RunError: There is none, or several.
    """
    given = Path(run)
    if (given / "run.json").is_file():
        return RunFolder(given)
    known = list(all_runs())
    fit_for_use = [(f, s) for f, s in known if (f.path / holding).exists()]
    if run == "latest" and fit_for_use:
        return max(fit_for_use, key=lambda pair: pair[1].name.rsplit("-", 3)[1:])[0]
    exact = [f for f, s in known if run in (s.name, s.tracked)]
    fitting = exact or [f for f, s in known if run and (s.tracked.startswith(run) or s.name.startswith(run))]
    if len(fitting) == 1:
        return fitting[0]
    if len(fitting) > 1:
        named = ", ".join(folder.path.name for folder in fitting[:5])
        raise RunError(f"{run!r} may be {named}. Give more of the name or id.")
    names = ", ".join(state.name for _, state in known[:5]) or "none"
    raise RunError(f"no run {run!r} in {RUNS}/ of this folder. Latest runs here: {names}.")


def mark_gone() -> list[str]:
    """Mark runs of this folder KILLED that say RUNNING though their process is gone; their names."""
    found = gone()
    if not found:
        return []
    from medseg.tracking.mlflow.runs import mark_killed  # noqa: PLC0415

    for folder, state in found:
        folder.write(replace(state, status="KILLED"))
        if state.tracked:
            mark_killed(_with_credentials(state.tracking_uri), state.tracked)
    return [state.name for _, state in found]


def _with_credentials(uri: str) -> str:
    """The address as the environment gives it, where that is the same server: ours are kept without passwords."""
    from medseg.tracking.mlflow.address import masked  # noqa: PLC0415

    given = os.environ.get("MLFLOW_TRACKING_URI", "")
    return given if given and masked(given) == uri else uri
