"""Names and texts as they are compared."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Sequence

#: Of explicit formatting. Source: Unicode Standard Annex 9, table 4.
_TURNS = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})


_NAME = 64
_NOISE = 12  # decimals: what is after them is rounding of sums


def printable(text: str) -> str:
    """The text as a terminal may be given it: what would steer the terminal is escaped; lines and tabs stay.

    Names and texts of files that others wrote may hold such characters.
    """
    steering = {each for each in text if _steers(each) and each not in "\n\t"}
    return text.translate({ord(each): ascii(each)[1:-1] for each in steering})


def _steers(letter: str) -> bool:
    """Whether it is a control character, or turns the direction of what follows."""
    return unicodedata.category(letter) == "Cc" or unicodedata.bidirectional(letter) in _TURNS


def brief(text: str, most: int = 80) -> str:
    """The text as a message shows it: of one that is longer than so many letters its beginning, and `...`."""
    return text if len(text) <= most else f"{text[:most]}..."


def short_name(text: str) -> str:
    """The text as a name of something: of one longer than 128 letters its first 64, and a digest that tells it apart.

    Attributes of DICOM that name a patient or a study have at most 64, but a file may hold megabytes.
    """
    if len(text) <= 2 * _NAME:
        return text
    digest = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
    return f"{text[:_NAME]}...{digest[:10]}"


def two_decimals(value: float) -> str:
    """A length or a volume with two decimals; one that these would make almost nothing, with two digits.

    Voxels may be of micrometres: 0.00034 mm, and not 0.00 mm.
    """
    return _decimals(value, 2)


def three_decimals(value: float) -> str:
    """A difference of scores with three decimals; one that these would make nothing, with two digits: 0.00034."""
    return _decimals(round(value, _NOISE) + 0.0, 3)  # without the sign of what is nothing


def _decimals(value: float, count: int) -> str:
    """So many decimals, or two digits of what half of the last of them is more than."""
    return f"{value:.{count}f}" if value == 0 or abs(value) >= 0.5 * 10**-count else f"{value:.2g}"


def as_names(given: Sequence[str] | str) -> tuple[str, ...]:
    """Names as a tuple; a single one stands for a list of it, where a text would else be a list of its letters."""
    return (given,) if isinstance(given, str) else tuple(given)


def many(count: int, noun: str, verb: str = "") -> str:
    """A number with its noun, such as `1 case` and `2 cases`; of a study `studies`.

    With the verb that goes with several, such as `are`, it is one that agrees: `1 case is` and `2 cases are`.
    """
    several = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    words = f"{count} {noun if count == 1 else several}"
    return f"{words} {agreed(verb, count)}" if verb else words


def agreed(verb: str, count: int) -> str:
    """The verb of several, such as `have`, as it agrees with a number: `has` of 1."""
    return verb if count != 1 else {"are": "is", "have": "has", "were": "was"}.get(verb, f"{verb}s")


def composed(text: str) -> str:
    """The text in Unicode's composed form (NFC), in which names are compared.

    What is no Unicode, as in names of files from an older system, is escaped, so that it can be written down.
    """
    return unicodedata.normalize("NFC", text.encode(errors="backslashreplace").decode())


#: What pydantic says of a value, and the same in plain words: the first that fits counts.
_PLAIN = (
    (r"Value error, (.*)", r"\1"),
    (r"Field required", "is missing: add it"),
    (r"\w+ should have at least (.*?) after validation, not (\d+)", r"expected \1 or more, got \2"),
    (r"\w+ should have at most (.*?) after validation, not (\d+)", r"expected \1 or fewer, got \2"),
    (r"String should have at least 1 character", "expected a text that is not empty"),
    (r"String should match pattern '(.*)'", r"expected a text that fits \1"),
    (r"Input should be a valid integer.*", "expected a whole number"),
    (r"Input should be a valid number.*", "expected a number"),
    (r"Input should be a valid string.*", "expected a text; a number that is a text stands in quotes"),
    (r"Input should be a valid boolean.*", "expected true or false"),
    (r"Input should be a valid (?:list|tuple|set|sequence).*", "expected a list, such as [a, b]"),
    (
        r"Input should be (?:a valid dictionary|an object|a dictionary or an instance of).*",
        "expected a mapping, lines such as `key: value`",
    ),
    (r"Input should be None", "expected null"),
    (r"Input should be greater than or equal to (.*)", r"expected \1 or more"),
    (r"Input should be less than or equal to (.*)", r"expected \1 or less"),
    (r"Input should be greater than (.*)", r"expected more than \1"),
    (r"Input should be (.*)", r"expected \1"),
)


def plain(complaint: str) -> str:
    """A complaint of pydantic in the words of this package's own messages, such as `expected a whole number`."""
    for pattern, words in _PLAIN:
        if re.fullmatch(pattern, complaint, re.DOTALL):
            return re.sub(pattern, words, complaint, count=1, flags=re.DOTALL)
    return complaint
