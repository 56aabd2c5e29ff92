"""Tells a tracking store of runs whose process is no longer there to do it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from medseg.errors import RunError, TrackingError
from medseg.recorder import Status
from medseg.tracking.mlflow.address import reach, sqlite_path
from medseg.tracking.mlflow.calls import Call
from medseg.tracking.mlflow.outbox import Outbox, leave
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
        outbox = Outbox(
            lambda call: call.send(client, run_id, folder.resolve()),
            lambda: reach(uri, 2.0),
            folder.resolve(),
            say,
        )
        outbox.flush()
        if not outbox.holds("status") and existing_run(client, run_id).info.status != status:
            outbox.put(_ended(status))
        return outbox.waiting, outbox.unsent


def tell_end(uri: str, run_id: str, folder: Path, status: Status) -> None:
    """Tell the store how a run ended; where it does not answer, that waits with the run's other records.

    Args:
        uri: Address of the tracking store.
        run_id: The run.
        folder: The run's own folder.
        status: How it ended.
    """
    database = sqlite_path(uri)
    if database is not None and not database.exists():  # to tell must not make an empty store
        return
    try:
        with open_store(uri) as client:
            if existing_run(client, run_id).info.status != status:
                client.set_terminated(run_id, status=status)
    except TrackingError:
        leave(folder, _ended(status))
    except RunError:  # the run was deleted there: nothing is left to report to
        return


def _ended(status: Status) -> Call:
    return Call("status", {"status": status, "time": int(time.time() * 1000)})
