"""What no reader foresees at one case: a fault of that case, so that the others are not lost."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from medseg.datasets.case import Case
from medseg.errors import DataError, Fault, MedsegError

_PACKAGE = Path(__file__).parents[2]


@contextmanager
def one_case(case: Case, *, writes: bool = False) -> Iterator[None]:
    """Turn what goes wrong at one case, and nobody foresees, into a fault of it.

    Args:
        case: Which.
        writes: Whether files are written within: an `OSError` is left as it is then, since a full disk is no fault of
            the case.

    Raises:
        DataError: Of what is no `MedsegError`; holds one fault.
    """
    try:
        yield
    except MedsegError:
        raise
    except Exception as error:
        if writes and isinstance(error, OSError):
            raise
        fault = unforeseen(case, error)
        raise DataError(fault.text(), [fault]) from error


def unforeseen(case: Case, error: Exception) -> Fault:
    """A fault that names the kind of an error and where it arose, and nothing that it says of the data."""
    kind, path = type(error).__name__, next(iter(case.files.values()), None)
    if _lacks_memory(error):
        problem = f"the case does not fit into memory ({kind})"
        remedy = (
            "Store it smaller or cut, use a machine with more memory or fewer jobs, or leave the case out."
        )
    else:
        problem = f"the case could not be used: {kind} in {_place(error)}, which is unforeseen"
        remedy = "Leave the case out, and report this line as a defect of medseg."
    return Fault(case.id, case.position, "", problem, remedy, path)


def ended(case: Case) -> Fault:
    """A fault of a case whose process ended twice, once beside others and once alone."""
    problem = "the process that read the case ended twice: for want of memory, or since a library crashed"
    remedy = "Use fewer jobs (--jobs, in a script jobs=), store the case smaller or cut, or leave it out."
    return Fault(case.id, case.position, "", problem, remedy, next(iter(case.files.values()), None))


def _lacks_memory(error: Exception) -> bool:
    # torch has an error of its own for devices, and none for the main memory.
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError)
        and (type(error).__name__ == "OutOfMemoryError" or "can't allocate memory" in str(error))
    )


def _place(error: Exception) -> str:
    """File and line of the innermost code of this package that an error passed; it names no data."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).is_relative_to(_PACKAGE)]
    if not own:
        return "a library"
    return f"{Path(own[-1].filename).relative_to(_PACKAGE).as_posix()}, line {own[-1].lineno}"
