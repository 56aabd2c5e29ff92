"""Doing something once where torchrun has started several processes: the first one does it, the others help it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from medseg.errors import MedsegError
from medseg.machine.ranks.place import Place, place_here

Result = TypeVar("Result")


def across(do: Callable[[], Result], key: Callable[[], bytes]) -> Result:
    """Do it in the first of the processes that torchrun has started, and give all of them what comes of it.

    The others wait meanwhile, and take part in each training of it (`medseg.machine.ranks.ranks.led`). A process by
    itself just does it.

    Args:
        do: What is done; its result is pickled.
        key: Gives the user's key, by which the processes know that a message is of one of them.

    Raises:
        RunError: They do not find one another or do not fit, or the first failed, which tells why itself.
        MedsegError: In the first, whatever `do` raises.
    """
    place = place_here()
    return do() if place.world == 1 else _led(place, do, key)


def _led(place: Place, do: Callable[[], Result], key: Callable[[], bytes]) -> Result:
    from medseg.machine.ranks.connected import Connected  # noqa: PLC0415 - imports torch
    from medseg.machine.ranks.meeting import Meeting  # noqa: PLC0415
    from medseg.machine.ranks.ranks import ALONE, leading  # noqa: PLC0415
    from medseg.machine.ranks.seal import Seal  # noqa: PLC0415

    if leading.get() is not ALONE:  # within something that it does across them already
        return do()
    ranks = Connected(Meeting.join(place, Seal(key())))
    if not place.first:
        result: Result = ranks.follow()
        return result
    before = leading.set(ranks)
    failure = "it was interrupted or killed."
    result_of = None
    try:
        done = result_of = do()
    except MedsegError as error:
        failure = str(error)
        raise
    except Exception as error:
        failure = f"{type(error).__name__}."
        raise
    else:
        failure = ""
        return done
    finally:
        leading.reset(before)
        ranks.meeting.end(result_of, failure)
