"""What others are told of a certificate that a run has kept; somebody else may have written it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from medseg.pipeline.audit.certificate import KINDS, canary_text
from medseg.text import many

_OTHER = "It leaks in a way that this medseg does not know."


@dataclass(frozen=True)
class Told:
    """A certificate in words.

    Attributes:
        leaks: What leaks, as sentences by its kind; kinds that are not known are `other`.
        verdict: What it comes to.
        unseen: What nobody looked at, as sentences.
    """

    leaks: Mapping[str, str]
    verdict: str
    unseen: Sequence[str]

    @classmethod
    def of(cls, content: Mapping[str, Any], *, vouched: bool, changed: bool = False) -> Told:
        """Read a certificate.

        Args:
            content: Of `audit.json`.
            vouched: Whether this user's run wrote it; else none of its texts and numbers is passed on.
            changed: Whether it was changed after it was written; then neither.
        """
        given, unseen = content.get("leaks"), content.get("unseen")
        known = given if isinstance(given, dict) else {}
        leaks = {
            kind if kind in KINDS else "other": str(text)
            if vouched and not changed
            else KINDS.get(kind, _OTHER)
            for kind, text in known.items()
        }
        if changed:
            return cls(
                leaks, "It was changed after it was written, so that what it says counts for nothing.", ()
            )
        if not vouched:
            found = "leaks" if leaks else "names no leak"
            return cls(leaks, f"It {found}; somebody else may have written it.", ())
        found = "There is a leak, as said above." if leaks else "No leak was found in what was looked at."
        texts = [each for each in unseen if isinstance(each, str)] if isinstance(unseen, list) else []
        return cls(leaks, f"{found} {_looked(content)}", texts)


def _looked(content: Mapping[str, Any]) -> str:
    """Images and canary, as far as they were looked at."""
    images, canary = content.get("images"), content.get("canary")
    compared = images.get("cases") if isinstance(images, dict) else None
    said = (
        f"The images of {many(compared, 'case', 'were')} compared."
        if isinstance(compared, int) and compared
        else "Images were not compared."
    )
    try:
        return f"{said} Canary: {canary_text(canary)}." if isinstance(canary, dict) else said
    except (KeyError, TypeError, ValueError):
        return said
