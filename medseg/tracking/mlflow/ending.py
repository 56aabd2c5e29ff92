"""Tells a tracking store of runs whose process is no longer there to do it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from medseg.errors import RunError, TrackingError
from medseg.recorder import Status
from medseg.tracking.mlflow.address import reach, sqlite_path
from medseg.tracking.mlflow.calls import Call
from medseg.tracking.mlflow.sending.outbox import Outbox, leave
from medseg.tracking.mlflow.store import existing_run, open_store


def send_rest(
    uri: str, run_id: str, folder: Path, status: Status, say: Callable[[str], None]
) -> tuple[int, str]:
    """Send what a run that has ended could not tell the store, and how it ended.

    Args:
        uri: Address of the tracking store.
        run_id: The run.
        folder: The run's own folder.
        status: How it ended.
        say: Called with each trouble with the server, one sentence at a time.

    Returns:
        The number of records that still wait; and what of all the store has not had, and why, empty if nothing.

    Raises:
        TrackingError: The store does not answer.
        RunError: The store has no such run, or it was deleted.
    """
    with open_store(uri) as client:
        existing_run(client, run_id)
        outbox = _outbox(client, uri, run_id, folder, say)
        outbox.flush()
        if not outbox.holds("status") and existing_run(client, run_id).info.status != status:
            outbox.put(_ended(status))
        return outbox.waiting, outbox.unsent


def tell_end(
    uri: str, run_id: str, folder: Path, status: Status, say: Callable[[str], None] = lambda _: None
) -> None:
    """Tell the store how a run ended; where it does not answer, that waits with the run's other records.

    Args:
        uri: Address of the tracking store.
        run_id: The run.
        folder: The run's own folder.
        status: How it ended.
        say: Called if an end of what waits is damaged, which is cut off then.
    """
    database = sqlite_path(uri)
    if database is not None and not database.exists():  # to tell must not make an empty store
        return
    try:
        with open_store(uri) as client:
            if existing_run(client, run_id).info.status != status:
                client.set_terminated(run_id, status=status)
    except TrackingError:
        leave(folder, _ended(status), say)
    except RunError:  # the run was deleted there: nothing is left to report to
        return


def send_more(uri: str, run_id: str, folder: Path, calls: Sequence[Call], say: Callable[[str], None]) -> str:
    """Send more of a run that has ended.

    Args:
        uri: Address of the tracking store.
        run_id: The run.
        folder: The run's own folder.
        calls: What is sent: see `file_call` and `medseg.tracking.mlflow.calls`.
        say: Called with each trouble with the server, one sentence at a time.

    Returns:
        What of all the store has not had, and why; empty if nothing.

    Raises:
        TrackingError: The store does not answer.
        RunError: The store has no such run, or it was deleted.
    """
    with open_store(uri) as client:
        existing_run(client, run_id)
        outbox = _outbox(client, uri, run_id, folder, say)
        for call in calls:
            outbox.put(call)
        return outbox.unsent


def send_more_later(folder: Path, calls: Sequence[Call], say: Callable[[str], None]) -> None:
    """Let more of a run wait with its other records, as `send_more` would send it."""
    for call in calls:
        leave(folder, call, say)


def file_call(folder: Path, path: Path, below: str) -> Call:
    """Send a file or folder that lies in the folder of a run.

    Args:
        folder: The run's own folder.
        path: What is sent.
        below: Folder of the run's artifacts that it goes to.
    """
    return Call(
        "artifact", {"path": path.resolve().relative_to(folder.resolve()).as_posix(), "folder": below}
    )


def mark_deleted(uri: str, run_id: str) -> bool:
    """Mark a run as deleted, as MLflow does it: it is hidden, and `mlflow runs restore` brings it back.

    Args:
        uri: Address of the tracking store.
        run_id: The run.

    Returns:
        Whether it was marked; False if the store has no such run, or it was deleted before.

    Raises:
        TrackingError: The store does not answer.
    """
    with open_store(uri) as client:
        try:
            existing_run(client, run_id)
        except RunError:
            return False
        client.delete_run(run_id)
        return True


def _outbox(client: Any, uri: str, run_id: str, folder: Path, say: Callable[[str], None]) -> Outbox:
    root = folder.resolve()
    return Outbox(lambda call: call.send(client, run_id, root), lambda: reach(uri, 2.0), root, say)


def _ended(status: Status) -> Call:
    return Call("status", {"status": status, "time": int(time.time() * 1000)})
