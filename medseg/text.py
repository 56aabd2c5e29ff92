"""Names and texts as they are compared."""

from __future__ import annotations

import unicodedata


def printable(text: str) -> str:
    """The text as a terminal may be given it: what would steer the terminal is escaped; lines and tabs stay.

    Names and texts of files that others wrote may hold such characters.
    """
    steering = {each for each in text if unicodedata.category(each) == "Cc" and each not in "\n\t"}
    return text.translate({ord(each): ascii(each)[1:-1] for each in steering})


def composed(text: str) -> str:
    """The text in Unicode's composed form (NFC), in which names are compared.

    What is no Unicode, as in names of files from an older system, is escaped, so that it can be written down.
    """
    return unicodedata.normalize("NFC", text.encode(errors="backslashreplace").decode())
