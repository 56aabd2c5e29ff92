"""The workers of a cluster: `dask.distributed` deals tasks out to them, and knows which of them are lost."""

from __future__ import annotations

import os
import pickle
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any, TypeVar

from medseg.errors import DataError, Fault, MedsegError, RunError
from medseg.machine.crew.crew import NOTHING, Needs, Usually
from medseg.machine.crew.sent import Done, Guarded, Refused, Sent, done_there, versions

Task = TypeVar("Task")
Result = TypeVar("Result")

WAIT = "MEDSEG_WAIT_FOR_WORKERS"
"""Environment variable: for how many seconds a command waits while there is no worker at all."""

_WAIT = 600.0
_COUNTED = 1.0  # seconds for which the number of workers is believed
_LOOK = 5.0  # seconds between looks at a cluster from which nothing comes


def patience() -> float:
    """For how many seconds a command waits while there is no worker.

    Raises:
        RunError: The environment says no number of seconds.
    """
    said = os.environ.get(WAIT, "")
    try:
        seconds = float(said or _WAIT)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise RunError(f"{WAIT} is {said!r}, expected seconds, more than 0. Set it, or leave it out.")
    return seconds


@dataclass(frozen=True)
class _Asked:
    """What is sent, how many tasks a worker has at a time, and how they are told to end."""

    guarded: Guarded
    each: int
    stop: Callable[[], object]


class Cluster:
    """The workers of a scheduler.

    Args:
        client: Of dask.distributed, connected.
        called: What the scheduler is called in messages.
        awake: Lets there be workers, where they are ours to start; raises RunError where they cannot be.
        asleep: Sends them away.
    """

    def __init__(
        self,
        client: Any,
        called: str,
        *,
        awake: Callable[[], object] = lambda: None,
        asleep: Callable[[], object] = lambda: None,
    ) -> None:
        self._client, self._called = client, called
        self._looked = self._seen = time.monotonic()
        self._counted = self._looked - 2 * _COUNTED, 0
        self._awake, self._asleep, self._patience = awake, asleep, patience()

    @property
    def at_once(self) -> int:
        """Threads of all workers that were there a moment ago, at least 1."""
        now = time.monotonic()
        if now - self._counted[0] > _COUNTED:
            workers = self._client.scheduler_info(n_workers=-1)["workers"].values()
            self._counted = now, sum(each["nthreads"] for each in workers)
        return max(1, self._counted[1])

    def share(self, cores: int) -> None:
        """Who started the workers has said it: dask gives each one thread, if nobody says OMP_NUM_THREADS."""
        del cores

    def rest(self) -> None:
        """Send workers away that we started; the next tasks start them again."""
        self._asleep()

    def results(
        self,
        tasks: Iterable[Task],
        do: Callable[[Task], Result],
        lost: Callable[[Task], Result],
        *,
        usually: Usually = "processes",
        fewest: int = 2,
        needs: Needs = NOTHING,
        ahead: bool = True,
        stop: Callable[[], object] = lambda: None,
    ) -> Iterator[tuple[Task, Result]]:
        """See `Crew`. A task that was with a worker when that was lost is done once more, with nothing beside it."""
        del usually, fewest
        waiting = iter(tasks)
        first = next(waiting, None)
        if first is None:
            return
        self._awake()
        self._looked = self._seen = time.monotonic()
        with _guarded(do, needs) as guarded:
            asked = _Asked(guarded, 2 if ahead else 1, stop)
            begun: list[Task] = []
            yield from self._together(chain([first], waiting), asked, begun)
            for task in begun:
                again: list[Task] = []
                yield from self._together(iter([task]), asked, again)
                yield from ((each, lost(each)) for each in again)

    def _together(
        self, waiting: Iterator[Task], asked: _Asked, begun: list[Task]
    ) -> Iterator[tuple[Task, Any]]:
        """Do tasks as they are given; `begun` gets those whose worker was lost."""
        # An extra that not everyone has. Its executor is not used: a future of it never ends where a result was made,
        # and its worker and the one that makes it again are lost before it is fetched.
        from distributed import KilledWorker  # noqa: PLC0415

        running: dict[Any, Task] = {}
        try:
            while True:
                for task in islice(waiting, max(0, asked.each * self.at_once - len(running))):
                    sent = partial(done_there, asked.guarded)
                    running[self._client.submit(sent, pickle.dumps(task), pure=False)] = task
                if not running:
                    return
                for future, found in self._ended(running):
                    task = running.pop(future)
                    if isinstance(found, KilledWorker):
                        begun.append(task)
                    else:
                        yield task, _taken(found)
        except BaseException:
            asked.stop()
            raise
        finally:
            with suppress(Exception):  # a scheduler that is gone has cancelled them
                self._client.cancel(list(running))

    def _ended(self, running: Iterable[Any]) -> list[tuple[Any, Any]]:
        """Futures that have ended, a while at most after there is one, with what they gave, or that killed workers.

        Raises:
            RunError: The scheduler is gone, there was no worker for too long, or workers lack a package.
        """
        from distributed import KilledWorker, wait  # noqa: PLC0415 - as above
        from distributed.client import CancelledError  # noqa: PLC0415

        found = []
        try:
            ended: Iterable[Any] = ()
            with suppress(TimeoutError), self._client.as_current():
                ended = wait(list(running), timeout=_LOOK, return_when="FIRST_COMPLETED").done
            self._look()
            for future in ended:
                with suppress(TimeoutError):  # its worker was lost meanwhile, and it is made again
                    try:
                        found.append((future, future.result(timeout=_LOOK)))
                    except KilledWorker as error:
                        found.append((future, error))
        except CancelledError as error:
            raise self._gone() from error
        except ModuleNotFoundError as error:
            raise _without_medseg(error) from error
        return found

    def _look(self) -> None:
        """Look whether there are workers, once in a while, so that none waits for ever for a cluster without.

        Raises:
            RunError: The scheduler is gone, or there was no worker for too long.
        """
        if self._client.status != "running":
            raise self._gone()
        now = time.monotonic()
        if now - self._looked < _LOOK:
            return
        self._looked = now
        self._awake()
        if self._client.scheduler_info(n_workers=-1)["workers"]:
            self._seen = now
        elif now - self._seen > self._patience:
            raise RunError(
                f"{self._called} has had no worker for {now - self._seen:.0f} s. Start workers, or look into its "
                f"queue; set {WAIT} to wait longer. What was done so far is kept."
            )

    def _gone(self) -> RunError:
        return RunError(
            f"{self._called} does not answer any more. Start it again, and give the command again: what was done so "
            "far is kept."
        )


@contextmanager
def _guarded(do: Callable[[Any], Any], needs: Needs) -> Iterator[Guarded]:
    """A function as it is sent: in a file of the folder that is written to, which shows that workers have that too.

    Raises:
        NotWrittenError: That folder cannot be written by this process either.
    """
    place = None
    if needs.write is not None:
        needs.write.mkdir(parents=True, exist_ok=True)
        place = needs.write / f".medseg-{secrets.token_hex(8)}.task"
    try:
        yield Guarded(
            Sent.of(do, place),
            versions(),
            tuple(folder.absolute() for folder in needs.read),
            needs.write,
            needs.packages,
            os.environ.get("MEDSEG_ALLOW", ""),
        )
    finally:
        if place is not None:
            place.unlink(missing_ok=True)


def _taken(found: Refused | Done) -> Any:
    """What a task gave.

    Raises:
        MedsegError: It raised that, or the worker is not fit.
    """
    if isinstance(found, Done):
        if found.error is not None:
            raise found.error
        return found.result
    problem = f"a worker cannot be used: {found.found}"
    fault = Fault("", 0, "", problem, found.remedy, found.path)
    raise DataError(fault.text(), [fault])


def _without_medseg(error: ModuleNotFoundError) -> MedsegError:
    return RunError(
        f"a worker cannot be used: it has no module {error.name}. Install the same versions there, as with the same "
        "environment or container."
    )


def scheduler_address(text: str) -> tuple[str | None, Path | None]:
    """The address of a scheduler, or the file that says it."""
    return (None, Path(text)) if text.endswith(".json") else (text, None)
