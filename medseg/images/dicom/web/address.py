"""Where an archive is: `dicomweb:URL`, with the root of its DICOMweb services."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

from medseg.images.refusal import RefusedError

PREFIX = "dicomweb:"
"""How the address of an archive begins, where a folder may stand as well."""

_PORTS = {"http": 80, "https": 443}
_AS = "Write it as dicomweb:https://HOST:PORT/PATH, with the root of its services, such as dicomweb:https://pacs/dicom-web."

Origin = tuple[str, str, int]
"""Scheme, host and port of a URL: who is asked."""


@dataclass(frozen=True)
class Address:
    """The root of the services of an archive.

    Attributes:
        url: Without a slash at its end, and without a user or password: it may be shown.
    """

    url: str

    @classmethod
    def of(cls, text: str) -> Address:
        """Read an address.

        Raises:
            RefusedError: It is none, or names a user or password; what was given is not repeated.
        """
        url = text.removeprefix(PREFIX)
        if not text.startswith(PREFIX) or not url.isascii() or not url.isprintable() or " " in url:
            raise RefusedError("the address of an archive does not begin with dicomweb:http", _AS)
        try:
            parts = urlsplit(url)
            origin = origin_of(url)
        except ValueError:
            raise RefusedError("the address of an archive is no URL with a host", _AS) from None
        if "@" in parts.netloc:
            raise RefusedError(
                "the address of an archive holds a user or password, which other users of this machine could read",
                "Take it out; set MEDSEG_DICOMWEB_USER and MEDSEG_DICOMWEB_PASSWORD, or use a netrc file.",
            )
        if origin[0] not in _PORTS or not origin[1]:
            raise RefusedError("the address of an archive is none of http or https with a host", _AS)
        if parts.query or parts.fragment or "?" in url or "#" in url:
            raise RefusedError("the address of an archive holds a question or fragment (`?`, `#`)", _AS)
        return cls(url.rstrip("/"))

    @property
    def origin(self) -> Origin:
        """Who is asked."""
        return origin_of(self.url)

    @property
    def is_open(self) -> bool:
        """Whether what is sent there can be read on its way: HTTP to another machine."""
        scheme, host, _ = self.origin
        try:
            near = ipaddress.ip_address(host).is_loopback
        except ValueError:
            near = host == "localhost"
        return scheme == "http" and not near


def origin_of(url: str) -> Origin:
    """Scheme, host and port of a URL.

    Raises:
        ValueError: Its port or host is none.
    """
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0)
