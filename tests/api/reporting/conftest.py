"""Pages of runs, read as a browser would."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

#: Elements that load, run or send something, and those that HTML closes by itself.
ACTIVE = {
    "script",
    "iframe",
    "object",
    "embed",
    "form",
    "input",
    "button",
    "video",
    "audio",
    "base",
    "source",
}
VOID = {"meta", "link", "img", "br"}


class Page(HTMLParser):
    """What a page holds: elements with their attributes, texts, and the addresses it names."""

    def __init__(self, path: Path) -> None:
        super().__init__(convert_charrefs=True)
        self.raw = path.read_text(encoding="utf-8")
        self.elements: list[tuple[str, dict[str, str]]] = []
        self._inside: list[str] = []
        self._texts: list[tuple[str, str]] = []
        self.feed(self.raw)
        self.close()
        assert self._inside == [], "every element is closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self._inside.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._inside.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self._texts.append((self._inside[-1] if self._inside else "", data.strip()))

    def all_of(self, tag: str) -> Sequence[str]:
        """Texts of elements of a kind."""
        return [text for name, text in self._texts if name == tag and text]

    @property
    def words(self) -> str:
        """All text that a reader sees."""
        return " ".join(" ".join(text.split()) for name, text in self._texts if name != "style" and text)

    @property
    def pictures(self) -> Sequence[bytes]:
        """The files within the page."""
        found = [attrs["src"] for tag, attrs in self.elements if tag == "img"]
        assert all(address.startswith("data:image/png;base64,") for address in found)
        return [base64.b64decode(address.partition(",")[2], validate=True) for address in found]

    def assert_alone(self) -> None:
        """It names nothing outside itself, runs nothing, and forbids all else."""
        assert not [tag for tag, _ in self.elements if tag in ACTIVE]
        for tag, attrs in self.elements:
            for name, value in attrs.items():
                assert not name.startswith("on"), (tag, name)
                assert name not in {"srcset", "action", "formaction", "poster", "data", "style"}, (tag, name)
                if name in {"src", "href", "xlink:href"}:
                    assert value.startswith(("data:", "#")), (tag, value)
        anchors = {attrs["id"] for _, attrs in self.elements if "id" in attrs}
        links = {attrs["href"][1:] for tag, attrs in self.elements if tag == "a"}
        assert links <= anchors
        (style,) = re.findall(r"<style>(.*?)</style>", self.raw, re.DOTALL)
        assert not re.search(r"url\(|@import", style)
        digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
        (policy,) = [
            a["content"] for _, a in self.elements if a.get("http-equiv") == "Content-Security-Policy"
        ]
        assert policy.split("; ") == [
            "default-src 'none'",
            "img-src data:",
            f"style-src 'sha256-{digest}'",
            "base-uri 'none'",
            "form-action 'none'",
        ]


def table(gain: float = 0.0, names: Sequence[str] = ("oedema", "core")) -> pd.DataFrame:
    """Scores of eight patients."""
    return pd.DataFrame(
        [
            {"case": f"c{n}", "group": f"p{n}", "name": name, "dice": 0.5 + n / 50 + gain}
            for n in range(8)
            for name in names
        ]
    )


def summary(frame: pd.DataFrame) -> pd.DataFrame:
    """Its means, with an interval."""
    rows = frame.groupby("name", sort=False)["dice"].agg(["mean", "min", "max", "count"]).reset_index()
    rows = rows.rename(columns={"min": "low", "max": "high", "count": "patients"})
    return rows.assign(score="dice")[["name", "score", "mean", "low", "high", "patients"]]


@pytest.fixture
def tables():
    """Give tables of a test part, as `made_run` takes them."""

    def make(gain: float = 0.0, names: Sequence[str] = ("oedema", "core")) -> dict[str, pd.DataFrame]:
        frame = table(gain, names)
        return {"": frame, "_summary": summary(frame)}

    return make


@pytest.fixture
def page():
    """Read a page, and look that it names nothing outside itself."""

    def read(path: Path) -> Page:
        found = Page(path)
        found.assert_alone()
        return found

    return read
