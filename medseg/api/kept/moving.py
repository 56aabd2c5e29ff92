"""Moving a run to another working folder."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from medseg.api.finding import find_run_folder, mark_gone, own_address
from medseg.errors import TrackingError


def move_run(run: str, folder: str | Path) -> Path:
    """Move a run to `medseg-runs/` of another working folder, also on another disk, and give its new folder.

    Its tracking store stays where it is, with the artifacts beside it, and so do the data: their addresses are kept.

    Args:
        run: As of `resume_pipeline`.
        folder: The other working folder, which exists.

    Raises:
        RunError: There is no such run, a process works on it, or something is in its way.
    """
    from medseg.pipeline.moving import move  # noqa: PLC0415
    from medseg.tracking.mlflow.address import masked  # noqa: PLC0415

    mark_gone()
    found = find_run_folder(run)
    state = found.read()
    address = state.tracking_uri
    with suppress(TrackingError):  # reported when the store is needed
        address = masked(
            own_address(
                state.name,
                state.tracking_uri,
                found.path,
                own=state.options.own_store,
                tracked=bool(state.tracked),
            )
            or address
        )
    return move(found, Path(folder), address).path
