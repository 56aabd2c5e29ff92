"""Messages among the processes of a training, signed: whoever reaches their port may write to it.

torch's store asks for no password, and what is unpickled is run. So nothing is unpickled that was not signed with the
key of the user who trains (HMAC-SHA256: RFC 2104, FIPS 180-4).
"""

from __future__ import annotations

import hashlib
import hmac
import pickle
from typing import Any

from medseg.errors import RunError

_SIZE = hashlib.sha256().digest_size


class Seal:
    """Signs messages, and opens those that are signed with the same key.

    Args:
        key: Of the user who trains.
    """

    def __init__(self, key: bytes) -> None:
        self._key = hmac.new(key, b"medseg ranks", hashlib.sha256).digest()

    def sealed(self, name: str, value: Any) -> bytes:
        """A value, pickled, with the signature before it.

        Args:
            name: What it is: it is opened as that, and as nothing else.
            value: Is pickled.
        """
        data = pickle.dumps(value)
        return self._sign(name, data) + data

    def opened(self, name: str, message: bytes) -> Any:
        """The value of a message that was signed by the same name, with the same key.

        Raises:
            RunError: It was not: nothing of it is unpickled.
        """
        signature, data = message[:_SIZE], message[_SIZE:]
        if not hmac.compare_digest(signature, self._sign(name, data)):
            raise RunError(
                "a message of this training was not signed by the user who trains, and is not read. Another program "
                "writes to MASTER_PORT: keep others away from it. Or a rank has other keys: set MEDSEG_CONFIG to a "
                "folder that all machines share."
            )
        return pickle.loads(data)  # noqa: S301 - signed by this user

    def _sign(self, name: str, data: bytes) -> bytes:
        return hmac.new(self._key, name.encode() + b"\0" + data, hashlib.sha256).digest()
