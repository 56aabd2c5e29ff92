"""Who asks an archive: from the environment alone, never from a command or a file of medseg's."""

from __future__ import annotations

import os
from collections.abc import Sequence
from netrc import NetrcParseError

from requests import PreparedRequest
from requests.auth import AuthBase, HTTPBasicAuth
from requests.utils import get_netrc_auth

from medseg.images.dicom.web.address import Address
from medseg.images.refusal import RefusedError

USER, PASSWORD, TOKEN = "MEDSEG_DICOMWEB_USER", "MEDSEG_DICOMWEB_PASSWORD", "MEDSEG_DICOMWEB_TOKEN"

HOW = f"Set {USER} and {PASSWORD}, or {TOKEN}, or name the host in a netrc file (~/.netrc, or the one of NETRC)."
"""What to do where an archive wants to know who asks."""


class _Bearer(AuthBase):
    """A token. Source: RFC 6750, 2.1."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Put it into a request."""
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def from_environment(addresses: Sequence[Address]) -> AuthBase | None:
    """What the environment says; None leaves it to a netrc file, or to nobody.

    Args:
        addresses: Every archive that is asked in one command.

    Raises:
        RefusedError: It says half of what is needed, or would be sent to several archives; or the netrc file that
            is asked in its place cannot be read.
    """
    user, password, token = (os.environ.get(name, "").strip() for name in (USER, PASSWORD, TOKEN))
    if not (user or password or token):
        _refuse_damaged_netrc(addresses)
        return None
    if len({address.origin for address in addresses}) > 1:
        raise RefusedError(
            "the command asks two archives, and the environment has one password: both would get it",
            f"Unset {USER}, {PASSWORD} and {TOKEN}, and name both hosts in a netrc file.",
        )
    if token:
        if user or password:
            raise RefusedError(
                f"the environment has both {TOKEN} and {USER} or {PASSWORD}", "Unset one of the two."
            )
        if not token.isascii() or not token.isprintable() or " " in token:
            raise RefusedError(
                f"{TOKEN} holds blanks or letters that no token has",
                "Set it to the token alone, without `Bearer`.",
            )
        return _Bearer(token)
    if not (user and password):
        missing = PASSWORD if user else USER
        raise RefusedError(f"{missing} is not set, and its other half is", "Set both, or none.")
    return HTTPBasicAuth(user.encode(), password.encode())


def _refuse_damaged_netrc(addresses: Sequence[Address]) -> None:
    """Refuse a netrc file that requests would pass over silently; nothing that it holds is repeated."""
    for address in addresses:
        try:
            get_netrc_auth(address.url, raise_errors=True)
        except (NetrcParseError, OSError, UnicodeError) as error:
            line = getattr(error, "lineno", None)
            where = f" (line {line})" if line else ""
            raise RefusedError(
                f"the netrc file, which says who asks an archive, cannot be read{where}",
                "Let it hold `machine HOST login NAME password WORD`, readable by this user, or set NETRC to one.",
            ) from None
