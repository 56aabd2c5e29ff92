"""The page as HTML: one file that asks nothing of any other, with every text from a run escaped."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from datetime import date
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

import medseg
from medseg.api.reporting.blocks import Chapter
from medseg.learning.inference.model_card import RESEARCH_ONLY
from medseg.text import printable

_PLACE = "medseg.api.reporting"


def html_of(title: str, chapters: Sequence[Chapter], today: date) -> str:
    """Write the page.

    Its policy lets a browser load nothing but the pictures that lie in it, and runs no script; it has none.

    Args:
        title: Of the page.
        chapters: In order.
        today: Written below the title.
    """
    environment = Environment(
        loader=PackageLoader(_PLACE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    style = environment.get_template("page.css").render()
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode("ascii")
    policy = (
        f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    return environment.get_template("page.html").render(
        title=title,
        chapters=chapters,
        today=today.isoformat(),
        policy=policy,
        version=medseg.__version__,
        research_only=RESEARCH_ONLY,
    )


def _shown(value: Any) -> Any:
    """A text without what would turn or hide the text around it, and without halves of characters."""
    if isinstance(value, str):
        return printable(value.encode(errors="backslashreplace").decode())
    return value
