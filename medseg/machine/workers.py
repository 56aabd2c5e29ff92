"""Processes that work beside this one: started from a plain script, a notebook or the command line alike.

They are spawned, not forked: a fork copies locks that threads of the caller hold. But a spawned process of
Python's own imports the program that started it, so that a script whose calls do not stand under
`if __name__ == "__main__":` would start itself again in each. Ours need nothing of that program, for all they are
sent lives in modules, and they leave it alone. And they end when the process that started them does, even if it is
killed: Python's own would wait for work for ever.

Nor do they begin with modules of the working folder, as Python's own do before they are told where the program that
started them looks: whoever works in a folder of somebody else's runs nothing of it.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.connection import wait as wait_for
from multiprocessing.context import SpawnContext, SpawnProcess
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, TypeVar

from medseg.errors import DataError

_starting = threading.RLock()
_SAFE = "PYTHONSAFEPATH"
Task = TypeVar("Task")
Result = TypeVar("Result")


def looks_here() -> bool:
    """Whether this process looks for modules in its working folder."""
    return any(each == "" or Path(each).absolute() == Path.cwd() for each in sys.path)


@contextmanager
def _not_from_here() -> Iterator[None]:
    """Let a Python that starts now, and all that it starts, look for modules where they are installed alone."""
    with _starting:
        before = os.environ.get(_SAFE)
        os.environ[_SAFE] = "1"
        try:
            yield
        finally:
            if before is None:
                del os.environ[_SAFE]
            else:
                os.environ[_SAFE] = before


@contextmanager
def _main_unnamed() -> Iterator[None]:
    """Hide where the program that runs now comes from: what has neither name nor file is not imported again.

    Nothing else is touched, and only while a process starts. Python has no setting for it.
    """
    main = sys.modules["__main__"]
    with _starting:
        kept: dict[str, Any] = {
            name: vars(main)[name] for name in ("__spec__", "__file__") if name in vars(main)
        }
        try:
            vars(main).update(dict.fromkeys(kept))
            yield
        finally:
            vars(main).update(kept)


def _end_with_parent(done: Connection) -> None:
    parent = multiprocessing.parent_process()
    if parent is not None and parent.sentinel in wait_for([parent.sentinel, done]):
        os._exit(1)  # at once: there is nobody left to tell, and files are written whole or not at all


class _Worker(SpawnProcess):
    @staticmethod
    def _Popen(process_obj: BaseProcess) -> Any:  # noqa: N802 - the name that Python calls
        with _main_unnamed(), _not_from_here():
            return SpawnProcess._Popen(process_obj)  # noqa: SLF001

    def run(self) -> None:
        done, say_done = multiprocessing.Pipe(duplex=False)
        watch = threading.Thread(target=_end_with_parent, args=(done,), name="end-with-parent", daemon=True)
        watch.start()
        try:
            super().run()
        finally:
            say_done.close()  # a thread that waits on while the interpreter is taken down may keep it from ending
            watch.join()


class _Context(SpawnContext):
    Process = _Worker


_CONTEXT = _Context()


def context() -> SpawnContext:
    """How processes of medseg are started, for whatever takes a context of `multiprocessing`."""
    if sys.platform != "win32":
        from multiprocessing import resource_tracker  # noqa: PLC0415 - Windows has none

        with _not_from_here():
            resource_tracker.ensure_running()  # a process, too, that Python starts when it is first needed
    return _CONTEXT


@contextmanager
def pool(jobs: int, doing: str) -> Iterator[ProcessPoolExecutor]:
    """Give a pool of `jobs` processes; when the block ends, however it ends, what has not begun is dropped.

    Args:
        jobs: Processes, at least 1.
        doing: What they do, for the message: "that reads images".

    Raises:
        DataError: A process ended unexpectedly: it was killed, or a library crashed.
    """
    try:
        with ProcessPoolExecutor(jobs, mp_context=context()) as found:
            try:
                yield found
            finally:
                found.shutdown(wait=True, cancel_futures=True)
    except BrokenProcessPool as error:
        raise DataError(
            f"a process {doing} ended unexpectedly: most likely the system stopped it for want of memory. {jobs} "
            "worked at once: use fewer (--jobs, in a script jobs=)."
        ) from error


def results(
    jobs: int, tasks: Iterable[Task], do: Callable[[Task], Result], lost: Callable[[Task], Result]
) -> Iterator[tuple[Task, Result]]:
    """What comes of each task, done in processes, as they end.

    Where a process is killed or crashes, which ends its neighbours too, the tasks that had begun are tried once more,
    each in a process of its own: one that ends that as well costs no other.

    Args:
        jobs: Processes, at least 1.
        tasks: What is sent to them.
        do: Does one; it and the tasks are pickled.
        lost: What is given of a task whose process ended twice.
    """
    waiting = deque(tasks)
    while waiting:
        begun: list[Task] = []
        before = len(waiting)
        yield from _together(jobs, waiting, do, begun)
        if len(waiting) == before:  # no process could be started
            begun.append(waiting.popleft())
        for task in begun:
            yield task, _alone(task, do, lost)


def _together(
    jobs: int, waiting: deque[Task], do: Callable[[Task], Result], begun: list[Task]
) -> Iterator[tuple[Task, Result]]:
    """Take tasks from those that wait until none is left, or a process ends: `begun` holds those that had begun."""
    running: dict[Future[Result], Task] = {}
    try:
        with ProcessPoolExecutor(jobs, mp_context=context()) as workers:
            try:
                while waiting or running:
                    while waiting and len(running) < 2 * jobs:
                        running[workers.submit(do, waiting[0])] = waiting[0]
                        waiting.popleft()
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        result = future.result()
                        yield running.pop(future), result
            finally:
                workers.shutdown(wait=True, cancel_futures=True)
    except BrokenProcessPool:
        for future, task in running.items():
            if isinstance(future.exception(), BrokenProcessPool):
                begun.append(task)
            else:
                yield task, future.result()


def _alone(task: Task, do: Callable[[Task], Result], lost: Callable[[Task], Result]) -> Result:
    try:
        with ProcessPoolExecutor(1, mp_context=context()) as worker:
            return worker.submit(do, task).result()
    except BrokenProcessPool:
        return lost(task)
