"""How one name or number is spelled in different places: without accents, with letters written out, without zeros."""

from __future__ import annotations

import re
import unicodedata

#: Letters that no accent explains, or that are written out where an alphabet lacks them.
_WRITTEN_OUT = str.maketrans(
    {
        "ä": "ae",
        "ö": "oe",
        "ü": "ue",
        "å": "aa",
        "æ": "ae",
        "œ": "oe",
        "ø": "oe",
        "ð": "d",
        "þ": "th",
    }
)
_BARE = str.maketrans({"æ": "a", "œ": "o", "ø": "o", "ð": "d", "þ": "th", "đ": "d", "ł": "l", "ı": "i"})


def spellings(text: str) -> frozenset[str]:
    """The text in small letters, as it is, without accents, and written out: `müller`, `muller`, `mueller`."""
    small = unicodedata.normalize("NFC", text).casefold()
    return frozenset((small, _bare(small), _bare(small.translate(_WRITTEN_OUT))))


def parts_of(text: str, shortest: int) -> frozenset[str]:
    """The words of a name or number, in all their spellings, and the numbers within them without leading zeros.

    Args:
        text: Such as `Müller^Anna` or `KH-0012345`.
        shortest: Letters or digits that a part has at least; others are left out.
    """
    words = {word for spelled in spellings(text) for word in re.split(r"[\W_]+", spelled)}
    numbers = {digits.lstrip("0") for word in words for digits in re.findall(r"\d+", word)}
    return frozenset(part for part in words | numbers if len(part) >= shortest)


def _bare(text: str) -> str:
    """Without accents, and with the nearest letters of the Latin alphabet."""
    apart = unicodedata.normalize("NFKD", text.translate(_BARE))
    return "".join(letter for letter in apart if not unicodedata.combining(letter))
