"""Whether this user wrote a file of a run: what anybody may have written counts for nothing by itself.

The signature is HMAC-SHA256 (RFC 2104, FIPS 180-4) of all else that the file holds, keyed with 32 random bytes
of the user's configuration folder. It says nothing of where the folder lies: a run that is moved is still
one's own.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from medseg.errors import RunError
from medseg.files.keys import damage, key_at, read_key
from medseg.places import config_folder

SIGNATURE = "signature"
"""Name of the value that holds it."""

Kind = Literal["run", "folds", "sweep"]


def signed(kind: Kind, content: Mapping[str, Any]) -> str:
    """The signature of a file's content.

    Args:
        kind: What it is of: a signature of one kind says nothing of the other.
        content: All that the file holds; the value `signature` is left out.

    Raises:
        RunError: The key can be neither read nor made, or is damaged.
    """
    return _digest(kind, content, user_key())


def user_key() -> bytes:
    """The key of this user, by which what one wrote is known; made if missing.

    Raises:
        RunError: It can be neither read nor made, or is damaged.
    """
    try:
        key = key_at(_place())
    except OSError as error:
        raise RunError(
            f"the key that marks runs as yours cannot be read or made: {error.strerror}. Set MEDSEG_CONFIG to a "
            "folder that this user may write to."
        ) from error
    return _sound(key)


def refuse_damaged_key() -> None:
    """Refuse a key that nothing can be signed with, before anything is done; one that is missing is made later.

    Raises:
        RunError: It is damaged.
    """
    with suppress(OSError):
        _sound(read_key(_place()))


def is_signed(kind: Kind, content: Mapping[str, Any]) -> bool:
    """Whether a file's content is as this user wrote it. Makes no key, and takes anything for content.

    Raises:
        RunError: The key is damaged, so that nobody can tell.
    """
    try:
        expected = _digest(kind, content, _sound(read_key(_place())))
    except (OSError, RecursionError):  # no key, or values within values a thousand deep
        return False
    return hmac.compare_digest(str(content.get(SIGNATURE)).encode(errors="replace"), expected.encode())


def _sound(key: bytes) -> bytes:
    if wrong := damage(key):
        raise RunError(
            f"the key that marks runs as yours ('{_place().name}' in the configuration folder) {wrong}. Put back a "
            "copy of it, or remove it: a new one is made, and runs until now count as those of somebody else, which "
            "go on with medseg pipeline resume RUN --data FOLDER --tracking-uri ADDRESS."
        )
    return key


def _place() -> Path:
    return config_folder() / "runs.key"


def _digest(kind: Kind, content: Mapping[str, Any], key: bytes) -> str:
    rest = {name: value for name, value in content.items() if name != SIGNATURE}
    text = json.dumps([kind, rest], sort_keys=True)
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
