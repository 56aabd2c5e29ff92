"""What is known of an object that could not be stored as it should: whether an archive has it, and what to do."""

from __future__ import annotations

import requests
import urllib3

from medseg.errors import DataError
from medseg.images.dicom.web.complaint import chain
from medseg.images.dicom.web.stored import ChangedError, NotStoredError
from medseg.images.refusal import RefusedError, found_and_remedy

MAY_BE_THERE = "It may be in the archive: store it again, which changes nothing if it is."
"""Of one whose answer was lost, or that was being stored as the command was ended."""

_NOT_THERE = "It is not in the archive."
_CHANGED = "A changed one is in the archive: have it removed there, and store it again."
_TIMED_OUT = 408

#: Nothing was sent: there was no connection, or not to the archive.
_NEVER_SENT = (
    urllib3.exceptions.NewConnectionError,
    urllib3.exceptions.ConnectTimeoutError,
    requests.exceptions.ConnectTimeout,
    requests.exceptions.ProxyError,
)


def may_be_taken(error: Exception) -> bool:
    """Whether an archive may have taken what it was sent, by what sending it raised.

    It may have where it has an error of its own (a status of 500 and more), is silent, or breaks off.
    """
    if isinstance(error, DataError):  # what it led astray was not sent on
        return False
    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(error, requests.HTTPError) and status is not None:
        return bool(status >= 500 or status == _TIMED_OUT)
    return not any(isinstance(each, _NEVER_SENT) for each in chain(error))


def with_standing(error: DataError, *, taken: bool) -> RefusedError:
    """A refusal whose remedy begins with whether the object is in the archive.

    Args:
        error: What kept it from being stored.
        taken: Whether the archive may have taken it by then.
    """
    found, remedy = found_and_remedy(error, "")
    if isinstance(error, ChangedError):
        known = _CHANGED
    else:
        known = MAY_BE_THERE if taken and not isinstance(error, NotStoredError) else _NOT_THERE
    return RefusedError(found, f"{known} {remedy}".strip())
