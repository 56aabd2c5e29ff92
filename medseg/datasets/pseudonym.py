"""Public names for cases whose own ids would identify a person.

A name is `case-` or `patient-` and ten hexadecimal digits of HMAC-SHA256 (RFC 2104, FIPS 180-4) of the id,
keyed with 32 random bytes that never leave this machine: without the key nobody can try names against it,
and with it the same patient has the same name in every run. Another machine gives other names.
"""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path
from typing import Literal

from medseg.errors import DataError
from medseg.files.keys import damage, key_at
from medseg.places import config_folder

_DIGITS = 10


def pseudonym(kind: Literal["case", "patient"], identifier: str, key: bytes) -> str:
    """The public name of a case or patient, such as `case-0f3a91c27b`."""
    # A file's name need not be Unicode: Python then holds halves of characters in its place.
    named = f"{kind}\0{identifier}".encode(errors="surrogatepass")
    digest = hmac.new(key, named, hashlib.sha256).hexdigest()
    return f"{kind}-{digest[:_DIGITS]}"


def secret_key(folder: Path | None = None) -> bytes:
    """This machine's key; made at the first call, readable by its user alone.

    Args:
        folder: Where it lies; by default the user's configuration folder.

    Raises:
        DataError: It can be neither read nor made, or is damaged.
    """
    path = (config_folder() if folder is None else folder) / "pseudonym.key"
    try:
        key = key_at(path)
    except OSError as error:
        raise DataError(
            f"the key of pseudonyms cannot be read or made: {error.strerror}. Set MEDSEG_CONFIG to a folder "
            "that this user may write to; ids of this data set are identifying and are never shown"
        ) from error
    if wrong := damage(key):
        raise DataError(
            f"the key of pseudonyms ('pseudonym.key' in the configuration folder) {wrong}: put back the right one, "
            "or remove it, which gives every case a new name"
        )
    return key
