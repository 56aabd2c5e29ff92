"""What went wrong between medseg and an archive, in a sentence that repeats nothing it said."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Sequence
from http import HTTPStatus

import requests
import urllib3

from medseg.errors import DataError
from medseg.images.dicom.web.credentials import HOW
from medseg.images.dicom.web.multipart import DamagedAnswerError
from medseg.images.dicom.web.session import TIMEOUT_S, LargeAnswerError, SlowAnswerError
from medseg.images.refusal import RefusedError

_LATER = "Try again later, or ask those who keep the archive."
_ROOT = (
    "See whether the address is the root of its DICOMweb services, such as dicomweb:https://pacs/dicom-web."
)
_KEEPERS = "Ask those who keep the archive."

#: By status: what the archive says, and what to do about it.
_STATUS = {
    400: ("does not understand the question", _ROOT),
    401: ("wants to know who asks, or does not know who does", HOW),
    403: ("does not let this user do that", f"{_KEEPERS} Or ask as another: {HOW}"),
    404: ("has nothing there", f"See whether the study is there. {_ROOT}"),
    405: ("does not offer that", _ROOT),
    406: ("does not give images as they are stored", _KEEPERS),
    407: ("is behind a proxy that wants to know who asks", "Name user and password in HTTPS_PROXY."),
    409: ("did not take the segmentation", _KEEPERS),
    413: ("takes no object as large", _KEEPERS),
    415: ("takes no DICOM objects", _ROOT),
}


class BrokenOffError(RefusedError):
    """An answer broke off: it may come whole when it is asked for again."""


def refusal(error: Exception, url: str) -> DataError:
    """What to say of an error.

    Args:
        error: What asking an archive raised.
        url: Of the archive.
    """
    if isinstance(error, DataError):
        return error
    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(error, requests.HTTPError) and status is not None:
        return RefusedError(*_of_status(int(status), url))
    links = list(chain(error))
    for kinds, found, remedy in _KINDS:
        for each in links:
            if isinstance(each, kinds):
                kind = BrokenOffError if remedy is _AGAIN else RefusedError
                return kind(f"the archive {url} {found.format(reason=_reason(links))}", remedy)
    return RefusedError(f"the archive {url} answers otherwise than DICOMweb does", _ROOT)


def _of_status(status: int, url: str) -> tuple[str, str]:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "a status of its own"
    found, remedy = _STATUS.get(status, ("is in trouble", _LATER))
    return f"the archive {url} {found} ({status}, {phrase})", remedy


def chain(error: BaseException) -> Iterator[BaseException]:
    """Give an error and what it came from: requests and urllib3 hold it as an argument or a reason."""
    seen: list[BaseException] = []
    waiting: list[object] = [error]
    while waiting:
        each = waiting.pop(0)
        if isinstance(each, BaseException) and each not in seen and len(seen) < 50:
            seen.append(each)
            waiting += [each.__cause__, each.__context__, getattr(each, "reason", None), *each.args]
    yield from seen


def _reason(links: Sequence[BaseException]) -> str:
    """What the system or the library of certificates calls it: texts of their own, not of the archive."""
    for each in links:
        if isinstance(each, ssl.SSLCertVerificationError):
            return each.verify_message
        if isinstance(each, OSError) and each.strerror:
            return each.strerror
    return type(links[0]).__name__


_AGAIN = "Try again; if it goes on, ask those who keep the archive."
_NO_HOST = "See whether host and port are right, the network is there, and HTTPS_PROXY and NO_PROXY fit."
_BUNDLE = "Ask for the certificate of those who signed it, and set REQUESTS_CA_BUNDLE to its PEM file."

#: The kinds of errors, the first that fits counts; what is wrong, and what to do about it.
_KINDS: tuple[tuple[tuple[type[BaseException], ...], str, str], ...] = (
    ((LargeAnswerError,), "sends more than was asked for, and was cut off", _KEEPERS),
    ((SlowAnswerError,), "answers so slowly that it may never end", _LATER),
    ((MemoryError,), "sends more than fits into memory", _KEEPERS),
    ((ssl.SSLCertVerificationError,), "shows a certificate that is not accepted: {reason}", _BUNDLE),
    (
        (requests.exceptions.SSLError, ssl.SSLError),
        "speaks no HTTPS that this machine accepts",
        f"See whether it is HTTP. {_BUNDLE}",
    ),
    (
        (requests.exceptions.ProxyError,),
        "cannot be reached through the proxy",
        "See whether HTTPS_PROXY, HTTP_PROXY and NO_PROXY fit.",
    ),
    (
        (urllib3.exceptions.NewConnectionError,),
        "cannot be reached: {reason}",
        _NO_HOST,
    ),  # some of these are timeouts to urllib3
    (
        (requests.exceptions.ConnectTimeout, urllib3.exceptions.ConnectTimeoutError),
        f"cannot be reached: nobody answers within {TIMEOUT_S[0]:.0f} s",
        _NO_HOST,
    ),
    (
        (requests.exceptions.ReadTimeout, urllib3.exceptions.ReadTimeoutError, TimeoutError),
        f"was silent for {TIMEOUT_S[1]:.0f} s",
        _LATER,
    ),
    (
        (
            requests.exceptions.ChunkedEncodingError,
            urllib3.exceptions.ProtocolError,
            urllib3.exceptions.IncompleteRead,
            DamagedAnswerError,
        ),
        "broke off in the middle of an answer",
        _AGAIN,
    ),
    ((requests.exceptions.TooManyRedirects,), "leads around in a circle", _ROOT),
    ((requests.exceptions.ConnectionError, ConnectionError), "cannot be reached: {reason}", _NO_HOST),
)
