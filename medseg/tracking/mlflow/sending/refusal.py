"""What a tracking server means by refusing: never, not with this login, or not now."""

from __future__ import annotations

import re
from http import HTTPStatus

# What a server says when it understood and will not: to send it again would block all that comes after.
_REFUSALS = frozenset({
    "ALREADY_EXISTS", "BAD_REQUEST", "FEATURE_DISABLED", "INVALID_PARAMETER_VALUE", "NOT_FOUND", "NOT_IMPLEMENTED",
    "RESOURCE_ALREADY_EXISTS", "RESOURCE_DOES_NOT_EXIST",
})  # fmt: skip
# What it says of a login: another token, or another right, lets the same call pass.
LOGIN = frozenset({"CUSTOMER_UNAUTHORIZED", "PERMISSION_DENIED", "UNAUTHENTICATED"})
# MLflow calls most of these a bad request, whatever is wrong with the database.
_OUTAGES = frozenset({"DatabaseError", "InterfaceError", "InternalError", "OperationalError"})


def is_refusal(error: Exception) -> bool:
    """Whether the same call would be refused again: what was sent is wrong, and not the server or the way to it."""
    if type(error.__cause__).__name__ in _OUTAGES:
        return False
    code = code_of(error)
    if code:
        return code in _REFUSALS
    # A file that is gone will not come back; any other trouble with files or sockets may pass.
    return isinstance(error, FileNotFoundError) or not isinstance(error, OSError)


def code_of(error: Exception) -> str:
    """What MLflow calls an error; of files it passes on the answer of the HTTP layer."""
    if _status(error) in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return "UNAUTHENTICATED"
    return getattr(error, "error_code", None) or ""


def is_too_large(error: Exception) -> bool:
    """Whether a server, or a proxy before it, takes no file of that size."""
    return _status(error) == HTTPStatus.REQUEST_ENTITY_TOO_LARGE


def failure(error: Exception) -> int | None:
    """The status by which a server said that it failed, 500 and above, at once or at each of several tries."""
    status = _status(error)
    if status is None:  # the tries are made below MLflow, which keeps what it was told as text alone
        tries = re.search(r"too many (5\d\d) error responses", str(error))
        status = int(tries[1]) if tries else None
    return status if status is not None and status >= HTTPStatus.INTERNAL_SERVER_ERROR else None


def _status(error: Exception) -> int | None:
    return getattr(getattr(error, "response", None), "status_code", None)
