"""Keeping with a run what is made of it after its end, on its tracking server too."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from medseg.api.finding import own_address
from medseg.errors import RunError, TrackingError
from medseg.pipeline.folder import RunFolder, State


def track(
    folder: RunFolder,
    state: State,
    files: Sequence[Path],
    below: str,
    noun: str,
    say: Callable[[str], None],
    tags: Mapping[str, str] | None = None,
) -> None:
    """Send files of a run that has ended; where its server does not answer, they wait for `medseg runs sync`.

    Args:
        folder: Of the run, which is this user's.
        state: Of the run.
        files: Files or folders that lie in it.
        below: Folder of the run's artifacts that they go to.
        noun: What they are, in words.
        say: Called where they could not be sent.
        tags: What the run is found by from now on.
    """
    from medseg.tracking.mlflow.address import default_uri  # noqa: PLC0415
    from medseg.tracking.mlflow.calls import tags_call  # noqa: PLC0415
    from medseg.tracking.mlflow.ending import file_call, send_more, send_more_later  # noqa: PLC0415

    if not state.tracked:
        return
    calls = [file_call(folder.path, path, below) for path in files] + ([tags_call(tags)] if tags else [])
    try:
        uri = default_uri(
            own_address(
                state.name, state.tracking_uri, folder.path, own=state.options.own_store, tracked=True
            )
        )
        unsent = send_more(uri, state.tracked, folder.path, calls, say)
    except TrackingError as error:
        send_more_later(folder.path, calls, say)
        unsent = str(error).rstrip(".")
    except RunError as error:  # its MLflow run was deleted
        say(f"The {noun} is not tracked: {error}")
        return
    if unsent:
        say(f"The {noun} is not tracked yet: {unsent}. Send it later: medseg runs sync {state.name}")
