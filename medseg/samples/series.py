"""Writing the missing cases of a generated data set, in one process or several."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import as_completed
from contextlib import contextmanager

from medseg.errors import DataError
from medseg.machine.workers import pool
from medseg.progress import Progress


@contextmanager
def _done(make: Callable[[int], object], numbers: list[int], jobs: int) -> Iterator[Iterable[object]]:
    """Give an iterable that yields once for each finished case; on failure nothing new is started."""
    if jobs == 1 or len(numbers) < 2:
        yield (make(number) for number in numbers)
        return
    with pool(min(jobs, len(numbers)), "that generates cases") as workers:
        yield (
            future.result() for future in as_completed([workers.submit(make, number) for number in numbers])
        )


def write_missing(
    make: Callable[[int], object],
    there: Callable[[int], bool],
    label: str,
    *,
    cases: int,
    seed: int,
    progress: Progress,
    jobs: int,
) -> None:
    """Make those of the cases 1 to `cases` that are not there yet.

    Args:
        make: Writes a case by its number, whole or not at all; can be pickled.
        there: Says whether a case is there.
        label: Of the bar, as "generating nuclei".
        cases: How many, at least 1.
        seed: Of the data set, 0 or more; only checked here.
        progress: Shows the cases done.
        jobs: Processes, at least 1.

    Raises:
        DataError: A number is out of range, or a process ended unexpectedly.
    """
    if cases < 1 or jobs < 1 or seed < 0:
        raise DataError(
            f"Asked for {cases} generated cases with seed {seed} in {jobs} processes. Cases and "
            "processes must be 1 or more, the seed 0 or more."
        )
    missing = [number for number in range(1, cases + 1) if not there(number)]
    with progress.bar(label, cases, "cases") as bar:
        bar.advance(cases - len(missing))
        with _done(make, missing, jobs) as done:
            for _ in done:
                bar.advance()
