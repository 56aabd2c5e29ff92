"""A run as a task: whoever gets it starts a process for it, which has its memory and its GPU to itself."""

from __future__ import annotations

import os
import pickle
import platform
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from medseg.errors import RunError
from medseg.machine.crew.crew import Crew, Needs
from medseg.machine.crew.sent import Done

_OF_ONE_MACHINE = ("sqlite", "file", "")
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Apart:
    """A function of medseg that a process of its own calls.

    Attributes:
        called: What it is called in messages, such as `fold 2`.
        module: Where the function is.
        function: Its name.
        arguments: Of it.
        folder: The working folder.
        uri: Where the run is tracked, with credentials.
        host: The machine that the command was given on.
        stop: A file; once it is there, the run ends as by Ctrl-C.
        threads: Of its arithmetic; None for what the machine says.
        with_folder: Whether modules are looked for in the working folder too, as for the process that asks.
    """

    called: str
    module: str
    function: str
    arguments: Mapping[str, Any] = field(repr=False)
    folder: Path
    uri: str = field(repr=False)
    stop: Path
    host: str = field(default_factory=platform.node)
    threads: int | None = None
    with_folder: bool = False


@dataclass(frozen=True)
class Defect:
    """What nobody foresaw, as a text: the error itself need not exist where it is read."""

    text: str = field(repr=False)


def run_apart(task: Apart) -> Done | Defect | None:
    """Start a process for a run, and wait for it; None where it ended without a word, as one that is killed does."""
    if task.host != platform.node():
        _refuse_unreachable(task.uri)
    flags = [] if task.with_folder else ["-P"]
    shared = {"OMP_NUM_THREADS": str(task.threads)} if task.threads else {}
    environment = {
        **shared,
        **os.environ,
    }  # what the user says of threads counts: other numbers round otherwise
    with tempfile.TemporaryDirectory(prefix="medseg-run-") as place:
        answer = Path(place) / "answer"
        # its standard input stays open as long as this process lives, so that it knows
        with subprocess.Popen(  # noqa: S603 - this very Python, and a module of ours
            [sys.executable, *flags, "-m", "medseg.api.apart.child", str(answer)],
            cwd=task.folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as child:
            stream = child.stdin
            with suppress(BrokenPipeError):
                if stream is not None:
                    content = pickle.dumps(task)
                    stream.write(len(content).to_bytes(8, "big") + content)
                    stream.flush()
            child.wait()
        if not answer.exists():
            return None
        found: Done | Defect = pickle.loads(answer.read_bytes())  # noqa: S301 - by the process that was started
        return found


def _refuse_unreachable(uri: str) -> None:
    """Refuse an address that is another place on each machine.

    Raises:
        RunError: It is a file, or of this machine alone.
    """
    parts = urlsplit(uri)
    of_file = parts.scheme in _OF_ONE_MACHINE
    if of_file or parts.hostname in _LOOPBACK:
        what = (
            "a SQLite file or a folder" if of_file else f"{parts.hostname}, which each machine is for itself"
        )
        raise RunError(
            f"runs are done on another machine ({platform.node()}), and their tracking address is {what}. Name a "
            "server that all of them reach: --tracking-uri http://HOST:PORT (docs/server.md)."
        )


def died(task: Apart) -> None:
    """What is known of a run whose worker was lost: nothing."""
    del task


def all_apart(
    crew: Crew, tasks: Iterator[Apart] | Sequence[Apart], needs: Needs, stop: Path
) -> Iterator[tuple[Apart, Any]]:
    """What each run gives, as they end; one whose process dies is begun again once, where it stands.

    Raises:
        MedsegError: What a run raised: the others are told to end, and can be gone on with.
        RunError: The process of a run died twice.
        RuntimeError: What nobody foresaw.
    """
    again: list[Apart] = []
    how: dict[str, Any] = {"usually": "threads", "fewest": 1, "needs": needs, "ahead": False}
    with _stopping(stop) as tell:
        for task, found in crew.results(tasks, run_apart, died, stop=tell, **how):
            if found is None:
                again.append(task)
            else:
                yield task, _result(task, found)
        for task, found in crew.results(again, run_apart, died, stop=tell, **how):
            if found is None:
                raise RunError(
                    f"the process of {task.called} ended twice: most likely the system stopped it for want of "
                    "memory. Use a smaller loading.batch_size, or workers with more memory, and go on."
                )
            yield task, _result(task, found)


def _result(task: Apart, found: Done | Defect) -> Any:
    if isinstance(found, Defect):
        raise RuntimeError(  # noqa: TRY004 - a defect of ours, told by another process
            f"{task.called}, in a process of its own:\n{found.text}"
        )
    if found.error is not None:
        raise found.error
    return found.result


@contextmanager
def _stopping(stop: Path) -> Iterator[Callable[[], object]]:
    """Give what tells runs to end; whoever has not looked in a minute finds nothing more."""

    def tell() -> None:
        with suppress(OSError):
            stop.touch()

    try:
        yield tell
    except BaseException:
        tell()
        raise


def stop_file(folder: Path) -> Path:
    """A file in the folder of several runs that tells those of this command to end."""
    for old in folder.glob(".stop-*"):
        old.unlink(missing_ok=True)
    return folder / f".stop-{secrets.token_hex(8)}"
