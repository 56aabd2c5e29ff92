"""Regular expressions that a manifest holds: those of Python's `re`, in bounded time and memory.

`re` may search for ever. So what `re` takes is matched by the package `regex`, which ends a search after a given
time. It would write counted repeats out as it compiles, without a bound: what they come to is counted before.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from medseg.errors import ManifestError

if TYPE_CHECKING:
    import regex

#: Longer ones are refused, as are those that are longer once counted repeats such as `a{9}` are written out.
MOST_CHARACTERS = 1000
MOST_WRITTEN_OUT = 10_000

#: Seconds of computing that the searches of one expression may take beyond `_EACH` a text.
_SPARE = 1.0
_EACH = 0.002

_VERBOSE = re.compile(r"\(\?[a-zA-Z]*x")
_TOKEN = re.compile(
    r"""
      (?P<escape> \\N\{[^}]*\} | \\. )
    | (?P<set>    \[ \^? \]? (?: \\. | [^\]\\] )* \] )
    | (?P<note>   \(\?\# [^)]* \) )
    | (?P<open>   \( )
    | (?P<close>  \) )
    | (?P<count>  \{ (?: \d+ (?: ,\d* )? | ,\d* ) \} )
    | (?P<other>  . )
    """,
    re.VERBOSE | re.DOTALL,
)


@dataclass
class Pattern:
    """A regular expression that was compiled.

    Attributes:
        compiled: By the package `regex`.
        spare: Seconds of computing that it has left; each text adds a little, up to `_SPARE`.
    """

    compiled: regex.Pattern[str]
    spare: float = field(default_factory=lambda: _SPARE, compare=False)

    @property
    def text(self) -> str:
        """The expression, as it is matched."""
        return self.compiled.pattern

    @property
    def groups(self) -> int:
        """Number of groups."""
        return self.compiled.groups

    def search(self, text: str, at: str) -> regex.Match[str] | None:
        """The first place in a text that fits.

        Args:
            text: Any.
            at: Where the expression stands, for errors: manifest and key.

        Raises:
            ManifestError: It takes too long.
        """
        return self._timed("search", text, at)

    def fullmatch(self, text: str, at: str) -> regex.Match[str] | None:
        """The whole text, if it fits; arguments and errors as of `search`."""
        return self._timed("fullmatch", text, at)

    def _timed(self, how: str, text: str, at: str) -> regex.Match[str] | None:
        # `regex` counts the time of the process, so that a machine that is busy with others does not matter.
        begin = time.process_time()
        try:
            found: regex.Match[str] | None = getattr(self.compiled, how)(text, timeout=self.spare)
        except (TimeoutError, MemoryError):
            self.spare = _SPARE
            raise ManifestError(
                f"{at}: the expression takes too long on the name of a file. Write it so that a text fits it in one "
                "way only: without repeats of what is repeated, such as (a+)+, and with few `*`."
            ) from None
        self.spare = min(_SPARE, max(self.spare - (time.process_time() - begin), 0) + _EACH)
        return found


def compiled(text: str) -> Pattern:
    """Compile an expression of any length, without counted repeats, that was made of a pattern of file names."""
    import regex  # noqa: PLC0415 - only where there is such a pattern

    return Pattern(regex.compile(text))


@lru_cache(maxsize=1024)
def pattern(text: str) -> Pattern:
    """Compile a regular expression of Python's `re`.

    Raises:
        ValueError: It is none, or too long or deep; the message says why.
    """
    import regex  # noqa: PLC0415 - only where there is such an expression

    if len(text) > MOST_CHARACTERS:
        raise ValueError(f"it has {len(text)} characters, expected at most {MOST_CHARACTERS}")
    try:
        re.compile(text)
        if _VERBOSE.search(text):
            raise ValueError("the flag x is not read: write it without spaces and remarks")
        return Pattern(regex.compile(_bounded(text)))
    except (re.error, regex.error, OverflowError) as error:
        raise ValueError(str(error)) from error
    except RecursionError:
        raise ValueError("its groups lie too deep within each other") from None


def _bounded(text: str) -> str:
    """The expression as `regex` reads it, unless it is too long once counted repeats are written out."""
    written, sizes, last = [], [0], 0
    for token in _TOKEN.finditer(text):
        kind, piece = token.lastgroup, token.group()
        if kind == "open":
            sizes.append(0)
        elif kind == "close":
            last = sizes.pop()
            sizes[-1] += last
        elif kind == "count":
            times = max(int(number or 1) for number in piece.strip("{}").split(","))
            sizes[-1] += last * (times - 1)
            last *= times
        elif kind != "note":
            last = 1
            sizes[-1] += 1
        if max(sizes[-1], last) > MOST_WRITTEN_OUT:
            raise ValueError(
                f"its counted repeats come to more than {MOST_WRITTEN_OUT} characters: write + or * in their place"
            )
        # What follows means more to `regex` than to `re`: sets within sets, and inexact repeats {e<=1}.
        if kind == "set":
            piece = "[" + re.sub(r"(\\.)|\[", lambda each: each[1] or r"\[", piece[1:])
        written.append(r"\{" if piece == "{" else piece)
    return "".join(written)
