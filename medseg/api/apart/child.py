"""The process of a run that was sent: `python -m medseg.api.apart.child ANSWER`, with the task on standard input."""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
import time
import traceback
from importlib import import_module
from pathlib import Path

from medseg.api.apart.task import Apart, Defect
from medseg.errors import MedsegError
from medseg.machine.crew.sent import Done

_LOOK = 1.0  # seconds between looks for the file that tells it to end
_GRACE = 60.0  # seconds from being told to being ended


def main() -> int:
    """Do the task, and write what came of it."""
    stream = sys.stdin.buffer
    task: Apart = pickle.loads(stream.read(int.from_bytes(stream.read(8), "big")))  # noqa: S301 - of our parent
    # Shells have what runs in the background ignore interrupts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    told = threading.Event()
    for watch in (_when_parent_ends, _when_told):
        threading.Thread(target=watch, args=(task, told), daemon=True, name="told-to-end").start()
    answer = _answered(task)
    beside = Path(f"{sys.argv[1]}.part")
    beside.write_bytes(pickle.dumps(answer))
    beside.replace(sys.argv[1])
    return 0


def _answered(task: Apart) -> Done | Defect:
    try:
        function = getattr(import_module(task.module), task.function)
        return Done(function(**task.arguments))
    except MedsegError as error:
        return Done(error=error)
    except Exception:  # noqa: BLE001 - whoever asked raises it, as a defect of ours
        return Defect(traceback.format_exc())


def _when_parent_ends(task: Apart, told: threading.Event) -> None:
    del task
    sys.stdin.buffer.read()
    _end(told)


def _when_told(task: Apart, told: threading.Event) -> None:
    while not task.stop.exists():
        time.sleep(_LOOK)
    _end(told)


def _end(told: threading.Event) -> None:
    """As Ctrl-C does: what was done is kept. Whoever does not heed it is ended."""
    if not told.is_set():
        told.set()
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(_GRACE)
        os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
