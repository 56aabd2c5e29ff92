"""Names and texts as they are compared."""

from __future__ import annotations

import unicodedata


def composed(text: str) -> str:
    """The text in Unicode's composed form (NFC), in which names are compared.

    What is no Unicode, as in names of files from an older system, is escaped, so that it can be written down.
    """
    return unicodedata.normalize("NFC", text.encode(errors="backslashreplace").decode())
