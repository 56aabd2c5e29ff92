from __future__ import annotations

from pathlib import Path

import pytest

from medseg.recorder import DataInput, NoRecord
from medseg.tracking.fan_out import FanOut


class Spy(NoRecord):
    def __init__(self, name: str, heard: list[tuple[object, ...]], fails: bool = False) -> None:
        self.name, self.heard, self.fails = name, heard, fails

    def params(self, values: object) -> None:
        self.heard.append((self.name, "params", values))

    def tags(self, values: object) -> None:
        self.heard.append((self.name, "tags", values))

    def metrics(self, values: object, step: int) -> None:
        self.heard.append((self.name, "metrics", values, step))

    def data(self, inputs: object) -> None:
        self.heard.append((self.name, "data", inputs))

    def artifact(self, path: Path, folder: str = "") -> None:
        self.heard.append((self.name, "artifact", path, folder))

    def table(self, path: Path) -> None:
        self.heard.append((self.name, "table", path))

    def model(self, folder: Path) -> None:
        self.heard.append((self.name, "model", folder))

    def close(self, status: str) -> None:
        self.heard.append((self.name, "close", status))
        if self.fails:
            raise OSError("no space")


def test_all_hear_all_in_order() -> None:
    heard: list[tuple[object, ...]] = []
    both = FanOut([Spy("folder", heard), Spy("server", heard)])
    inputs = [DataInput("d", "x", "train", {})]
    both.params({"a": 1})
    both.tags({"b": "2"})
    both.metrics({"c": 3.0}, 4)
    both.data(inputs)
    both.artifact(Path("e"), "f")
    both.table(Path("t"))
    both.model(Path("g"))
    both.close("FAILED")
    said = [
        ("params", {"a": 1}),
        ("tags", {"b": "2"}),
        ("metrics", {"c": 3.0}, 4),
        ("data", inputs),
        ("artifact", Path("e"), "f"),
        ("table", Path("t")),
        ("model", Path("g")),
        ("close", "FAILED"),
    ]
    assert heard == [(who, *what) for what in said for who in ("folder", "server")]


def test_one_that_fails_to_close_keeps_no_other_open() -> None:
    heard: list[tuple[object, ...]] = []
    both = FanOut([Spy("folder", heard, fails=True), Spy("server", heard)])
    with pytest.raises(OSError, match="no space"):
        both.close("FINISHED")
    assert heard == [("folder", "close", "FINISHED"), ("server", "close", "FINISHED")]
