"""Who does the work of a command, as its options say."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from medseg.machine.crew.crew import Crew
from medseg.machine.crew.opened import opened
from medseg.pipeline.options import RunOptions
from medseg.places import cache_folder, private_folder
from medseg.progress import Progress


@contextmanager
def working(options: RunOptions, progress: Progress) -> Iterator[Crew]:
    """Give who does the work; within a block of this kind it is the same, and stays until that ends.

    Raises:
        RunError: As `medseg.machine.crew.opened.opened`.
    """
    with opened(
        options.on, options.at_once, progress.say, lambda: private_folder(cache_folder() / "keys")
    ) as crew:
        yield crew
