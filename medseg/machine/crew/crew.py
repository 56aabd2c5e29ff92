"""The seam between a command and whoever does its tasks: tasks go in, results come out as they end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Literal, Protocol, TypeVar

from medseg.machine.crew.sent import Sent
from medseg.machine.workers import results

Task = TypeVar("Task")
Result = TypeVar("Result")

Usually = Literal["processes", "threads", "in turn"]
"""How tasks are done on this machine where nobody says how."""


@dataclass(frozen=True)
class Needs:
    """What a worker must find where it is; one that does not is refused before it does anything.

    Attributes:
        read: Folders of files that tasks read.
        write: The folder that results are written to, which every worker must see as this process does.
        packages: Packages that declared objects come from.
    """

    read: tuple[Path, ...] = ()
    write: Path | None = None
    packages: tuple[str, ...] = ()


NOTHING = Needs()
"""Nothing that a worker must find."""


class Crew(Protocol):
    """Who does the tasks of a command."""

    @property
    def at_once(self) -> int:
        """How many tasks are done at a time, at least 1."""

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
        """What comes of each task, as they end. What has not begun when the caller stops asking is dropped.

        Args:
            tasks: Each is pickled, if it is done elsewhere. They are asked for as there is somebody to do them.
            do: Does one; a function of a module, or a `partial` of one. It is pickled likewise.
            lost: What is given of a task whose process ended twice, once alone.
            usually: How they are done on this machine where nobody says how.
            fewest: Fewer tasks are done in this process, where nobody says how.
            needs: What a worker elsewhere must find.
            ahead: Whether a worker gets its next task before it has done the one before.
            stop: Called where tasks are left that have begun, such as by Ctrl-C: tells them to end.

        Raises:
            MedsegError: What `do` raises, whoever does it; or workers cannot be used, which says why.
        """

    def share(self, cores: int) -> int | None:
        """Threads for the arithmetic of each of several processes; None where the workers are set up for that.

        Args:
            cores: Of this machine.
        """

    def rest(self) -> None:
        """Nothing is asked for a while: what others could use meanwhile is given back."""


@dataclass(frozen=True)
class Here:
    """This machine.

    Attributes:
        jobs: Tasks at a time, at least 1.
        said: Whether the caller asked for processes, rather than for what usually serves best.
    """

    jobs: int = 1
    said: bool = field(default=False)

    @property
    def at_once(self) -> int:
        """As many as there are jobs."""
        return self.jobs

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
        """See `Crew`."""
        del needs, ahead
        way = "processes" if self.said and usually == "in turn" else usually
        if way == "threads":
            yield from _by_threads(self.jobs, iter(tasks), do, stop)
            return
        known = list(tasks)
        if way == "in turn" or self.jobs <= 1 or len(known) < fewest:
            yield from ((task, do(task)) for task in known)
        else:
            # what does it may be a whole model: it is pickled once, and each process unpickles it once
            yield from results(self.jobs, known, Sent.of(do) if usually == "in turn" else do, lost)

    def share(self, cores: int) -> int | None:
        """The cores, shared out; None where tasks are done one after the other."""
        return max(1, cores // self.jobs) if self.said else None

    def rest(self) -> None:
        """There is nobody to be sent away."""


def _by_threads(
    jobs: int, tasks: Iterator[Task], do: Callable[[Task], Result], stop: Callable[[], object]
) -> Iterator[tuple[Task, Result]]:
    running: dict[Future[Result], Task] = {}
    with ThreadPoolExecutor(jobs, thread_name_prefix="tasks") as pool:
        try:
            while True:
                for task in islice(tasks, jobs - len(running)):
                    running[pool.submit(do, task)] = task
                if not running:
                    return
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    yield running.pop(future), future.result()
        except BaseException:
            # Ctrl-C or no space: what has begun is finished or cleaned up, the rest is not begun.
            stop()
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def in_order(found: Iterable[tuple[Task, Result]], tasks: Sequence[Task]) -> Iterator[tuple[Task, Result]]:
    """What came of tasks in the order of these; what comes early waits for those before it."""
    places = {id(task): place for place, task in enumerate(tasks)}
    early: dict[int, tuple[Task, Result]] = {}
    shown = 0
    for task, result in found:
        early[places[id(task)]] = task, result
        while shown in early:
            yield early.pop(shown)
            shown += 1


def crew_of(jobs: int | Crew) -> Crew:
    """Who does the tasks, where a number of processes may be given instead."""
    return Here(jobs) if isinstance(jobs, int) else jobs
