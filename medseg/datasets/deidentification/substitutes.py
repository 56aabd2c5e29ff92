"""What stands in place of identifiers, dates and UIDs: the same for the same, not to be undone without the key."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from datetime import date, timedelta

from medseg.datasets.pseudonym import pseudonym

#: Dates move by one to this many days into the past.
_MOST_DAYS = 3650

#: Of the UIDs that are made of 128 bits. Source: DICOM PS3.5, annex B.2.
_ROOT = "2.25."


@dataclass(frozen=True)
class Substitutes:
    """Substitutes by one key.

    Attributes:
        key: 32 bytes; see `medseg.datasets.pseudonym`.
    """

    key: bytes

    def patient(self, identifier: str) -> str:
        """The public name of a patient: the one that runs show too."""
        return pseudonym("patient", identifier, self.key)

    def uid(self, uid: str) -> str:
        """A UID in place of another."""
        return _ROOT + str(int.from_bytes(self._digest("uid", uid)[:16]))

    def label(self, kind: str, uid: str) -> str:
        """A name for a folder or file, such as `series-0f3a91c27b`."""
        return f"{kind}-{self._digest(kind, uid).hex()[:10]}"

    def days(self, patient: str) -> int:
        """By how many days the dates of a patient move; negative."""
        return -1 - int.from_bytes(self._digest("days", patient)[:8]) % _MOST_DAYS

    def _digest(self, kind: str, text: str) -> bytes:
        return hmac.new(self.key, f"{kind}\0{text}".encode(errors="surrogatepass"), hashlib.sha256).digest()


def shifted(text: str, days: int) -> str:
    """A date, or a date with a time, of DICOM moved by days.

    Args:
        text: `YYYYMMDD`, `YYYY.MM.DD`, or one of both with a time behind it, which stays.
        days: How far.

    Raises:
        ValueError: It is no whole date.
        OverflowError: It would lie before the year 1.
    """
    plain = text.strip().replace(".", "", 2) if text.strip()[4:5] == "." else text.strip()
    if len(plain) < 8 or not plain[:8].isascii() or not plain[:8].isdigit():
        raise ValueError("no whole date")
    moved = date(int(plain[:4]), int(plain[4:6]), int(plain[6:8])) + timedelta(days)
    rest = plain[8:]
    if rest.strip("0123456789.+-"):
        raise ValueError("no time")
    return f"{moved:%Y%m%d}".rjust(8, "0") + rest
