"""Exit codes and messages: 0 done, 2 the user can mend it, 1 a defect of ours, 130 interrupted."""

from __future__ import annotations

import errno
import os
import re
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import typer
from rich.console import Console

from medseg.cli.display import print_line
from medseg.errors import DataError, Fault, MedsegError
from medseg.machine.ranks.place import refuse_ranks
from medseg.places import FULL, NotWrittenError

MEND, DEFECT, INTERRUPTED = 2, 1, 130
_SHOWN_FAULTS = 100
_PLACE = re.compile(r'  File "[^"]+\.py", line \d+, in [\w<>]+')


@contextmanager
def guarded(
    console: Console,
    *,
    show_paths: bool | None = None,
    hint: Callable[[], str] = str,
    by_ranks: bool = False,
) -> Iterator[None]:
    """Turn what goes wrong into a message and an exit code; no known problem shows a traceback.

    Args:
        console: Of errors.
        show_paths: Whether faults may name paths; None where the command reads no data that may be of patients.
        hint: Says what to do after an interruption; asked when there was one.
        by_ranks: Whether several processes that torchrun started do it together.
    """
    try:
        with _terminated_like_ctrl_c():
            if not by_ranks:
                refuse_ranks()
            yield
    except DataError as error:
        print_line(console, f"Error: {_headline(error)}", "bold red")
        print_faults(console, error.faults, show_paths=bool(show_paths) or error.show_paths)
        raise typer.Exit(MEND) from None
    except MedsegError as error:
        print_line(console, f"Error: {error}", "bold red")
        raise typer.Exit(MEND) from None
    except KeyboardInterrupt as error:  # what was being done may say what became of it
        said = " ".join(filter(None, ("Interrupted.", *map(str, error.args), hint())))
        print_line(console, said, "bold yellow")
        raise typer.Exit(INTERRUPTED) from None
    except (typer.Exit, typer.Abort):
        raise
    except BrokenPipeError:
        if _read_to_the_end(sys.stdout):
            raise typer.Exit(DEFECT) from None  # a process of ours died, not the reader of what we print
        raise typer.Exit(0) from None
    except OSError as error:
        # A full disk, a folder that may not be written: reading of data has errors of its own.
        message = _system_message(error, show_paths=bool(show_paths))
        print_line(console, f"Error: {message}", "bold red")
        raise typer.Exit(MEND) from None
    except Exception as error:  # noqa: BLE001  # a defect: the user gets a sentence, and we get the traceback
        hidden = show_paths is False
        place = _kept_traceback(error, texts=not hidden)
        about = (
            "without the texts of errors, which may name patients: --show-paths keeps these"
            if hidden
            else "they may name your files, so look at them before you send them"
        )
        print_line(
            console,
            f"This is a defect of medseg ({type(error).__name__}). The details are in {place}; {about}.",
            "bold red",
        )
        raise typer.Exit(DEFECT) from None


_REMEDIES = {
    **dict.fromkeys(FULL, "Free some space; nothing that was written before is lost"),
    **dict.fromkeys(
        (errno.EACCES, errno.EPERM, errno.EROFS), "Give this user the right, or choose another place"
    ),
    **dict.fromkeys(
        (errno.EEXIST, errno.ENOTDIR), "A file is in the way of a folder: choose another place, or move it"
    ),
    **dict.fromkeys(
        (errno.EISDIR, errno.ENOTEMPTY), "A folder is in the way of a file: choose another place, or move it"
    ),
    errno.ENAMETOOLONG: "Give a shorter name",
}


def _system_message(error: OSError, *, show_paths: bool) -> str:
    reason = error.strerror or str(error)
    remedy = _REMEDIES.get(error.errno or 0, "Check the places that were named, and their rights")
    if isinstance(error, NotWrittenError):
        return f"{error.filename} cannot be written: {reason}. {remedy}."
    named = f" ({error.filename})" if show_paths and error.filename else ""
    return f"a file or folder cannot be read or written: {reason}{named}. {remedy}."


def _read_to_the_end(stream: TextIO) -> bool:
    """Whether somebody still reads what is printed; `medseg ... | head` stops reading."""
    try:
        stream.flush()
    except (OSError, ValueError):
        os.dup2(
            os.open(os.devnull, os.O_WRONLY), stream.fileno()
        )  # else the interpreter complains as it ends
        return False
    return True


def _headline(error: DataError) -> str:
    """The message without the faults that it tells line by line, for their list follows."""
    listed = {fault.text() for fault in error.faults}
    lines = [line for line in str(error).splitlines() if line not in listed]
    return "\n".join(lines) or "the data cannot be used:"


def print_faults(console: Console, faults: Sequence[Fault], *, show_paths: bool) -> None:
    """One line a fault."""
    for fault in faults[:_SHOWN_FAULTS]:
        print_line(console, f"  - {fault.text(show_path=show_paths)}")
    if len(faults) > _SHOWN_FAULTS:
        print_line(console, f"  - and {len(faults) - _SHOWN_FAULTS} more")
    if faults and not show_paths and any(fault.path is not None for fault in faults):
        print_line(
            console, "  Paths are not shown, since they may identify patients: --show-paths shows them."
        )


def _kept_traceback(error: Exception, *, texts: bool) -> Path:
    """Where in the code it came from, and its texts only where these may be kept: they quote paths and values."""
    told = "".join(traceback.format_exception(error) if texts else _places_alone(error))
    handle, name = tempfile.mkstemp(prefix="medseg-defect-", suffix=".txt")
    with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(told)
    return Path(name)


def _places_alone(error: BaseException) -> Iterator[str]:
    """The kinds of an error and of those behind it, with lines of code; first what came first."""
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if before is not None:
        yield from _places_alone(before)
    yield "Traceback (most recent call last):\n"
    yield from traceback.format_tb(error.__traceback__)
    if type(error).__name__ == "_RemoteTraceback":  # what happened in another process comes as one text
        yield from (f"{line}\n" for line in str(error).splitlines() if _PLACE.fullmatch(line))
    yield f"{type(error).__name__}\n"


@contextmanager
def _terminated_like_ctrl_c() -> Iterator[None]:
    """Let a polite `kill` end a run as Ctrl-C does: checkpointed, marked, resumable."""
    if threading.current_thread() is not threading.main_thread():  # where no handler can be set
        yield
        return

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
