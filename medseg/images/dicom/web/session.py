"""Requests to one archive whose time, size and ways are bounded, whatever it answers."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urljoin

from requests import PreparedRequest, Response, Session
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3.util.retry import Retry

from medseg.images.dicom.web import deadline
from medseg.images.dicom.web.address import Origin, origin_of
from medseg.images.refusal import RefusedError

TIMEOUT_S = (10.0, 60.0)
"""To connect, and between two signs of life."""

MOST_ANSWER = 1 << 26
"""Bytes of an answer that is no images: 20,000 images take 25 MB."""

_PIECE = 1 << 16


class LargeAnswerError(Exception):
    """An answer has more bytes than were asked for."""


class SlowAnswerError(Exception):
    """An answer comes so slowly that it may never end."""


class _Bounded:
    """What an answer is read from, in place of urllib3's."""

    def __init__(self, raw: Any, most: int) -> None:
        self._raw, self._most = raw, most

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)

    def stream(self, amount: int = _PIECE, decode_content: bool | None = None) -> Iterator[bytes]:
        """Give what has come in, at once: waiting for a full piece, nobody would see how slow it is."""
        begun, seen = time.monotonic(), 0
        try:
            with deadline.watched(self._raw.shutdown) as came:
                while piece := self._raw.read1(min(amount, _PIECE), decode_content=decode_content):
                    came()
                    seen += len(piece)
                    if seen > self._most:
                        raise LargeAnswerError
                    if time.monotonic() - begun > deadline.GRACE_S + seen / deadline.SLOWEST:
                        raise SlowAnswerError
                    yield piece
        except BaseException:  # nobody reads on: the connection would be held by nobody
            self._raw.close()
            raise


class _BoundedAdapter(HTTPAdapter):
    """Tries what can be asked twice up to three times; nothing of an answer is read unseen.

    Attributes:
        most: Bytes that an answer may have.
    """

    def __init__(self) -> None:
        self.most = MOST_ANSWER
        retries = Retry(
            total=2,
            read=False,  # after a minute without an answer, the next minute has none either
            redirect=False,
            status_forcelist=(429, 502, 503, 504),
            allowed_methods=frozenset({"GET"}),
            backoff_factor=0.25,
            respect_retry_after_header=False,  # it may say years
            raise_on_status=False,
        )
        super().__init__(max_retries=retries)

    def init_poolmanager(self, *sizes: Any, **how: Any) -> None:
        """As requests does, with connections that end in time."""
        super().init_poolmanager(*sizes, **how)
        deadline.timed(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **how: Any) -> Any:
        """As well to a proxy."""
        return deadline.timed(super().proxy_manager_for(proxy, **how))

    def send(self, request: PreparedRequest, *rest: Any, **how: Any) -> Response:
        """As requests does, with an answer that is bounded."""
        request.headers.pop("Host", None)  # dicomweb-client names it without its port
        if isinstance(
            request.body, bytes
        ):  # at one go, all of it would have to be sent within the first timeout
            request.body = io.BytesIO(request.body)
        response = super().send(request, *rest, **how)
        response.raw = _Bounded(response.raw, self.most)
        return response


class BoundedSession(Session):
    """Certificates are checked, proxies, bundles of certificates and netrc taken from the environment, as usual.

    An answer that leads to another host, port or scheme is not followed: images or a password would go there.
    """

    def __init__(self, origin: Origin, auth: AuthBase | None) -> None:
        super().__init__()
        self._origin = origin
        self._bounds = _BoundedAdapter()
        self.auth = auth
        self.max_redirects = 5
        self.headers["User-Agent"] = "medseg"
        self.headers["Accept-Encoding"] = "identity"
        for scheme in ("http://", "https://"):
            self.mount(scheme, self._bounds)

    def allow(self, most: int) -> None:
        """Let answers have up to so many bytes from now on."""
        self._bounds.most = most

    def get_redirect_target(self, resp: Response) -> str | None:
        """Where an answer leads to.

        Raises:
            RefusedError: To somebody else, or away from what was to be stored.
        """
        target = super().get_redirect_target(resp)
        if target is None:
            return None
        try:
            other = origin_of(urljoin(resp.url, target))
        except ValueError:
            other = None
        if other != self._origin or resp.request.method != "GET":
            resp.close()
            secured = other is not None and (other[0], self._origin[0]) == ("https", "http")
            where = "HTTPS" if secured else "another address"  # whatever it says may name a patient
            raise RefusedError(
                f"the archive leads to {where}, which is not followed: images or a password might go astray",
                "Ask those who keep the archive for the address of its DICOMweb services, and name that.",
            )
        return target
