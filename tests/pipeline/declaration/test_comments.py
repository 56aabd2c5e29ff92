"""YAML with other values keeps the comments that a person wrote."""

from __future__ import annotations

from typing import Any

import pytest

from medseg.pipeline.declaration.comments import with_comments
from medseg.yaml import parse_yaml

TEXT = """# what this is
name: mine
slices:
  size: [48, 64]   # as large as the organ
  keep: all
# how it learns
steps:
  fit: {epochs: 3, rate: 1.0}  # a start
"""


def changed(**values: Any) -> dict[str, Any]:
    return {**parse_yaml(TEXT, ""), **values}


def test_without_a_change_the_text_is_as_it_was() -> None:
    assert with_comments(TEXT, changed()) == TEXT


@pytest.mark.parametrize(
    "data",
    [
        changed(steps={"fit": {"epochs": 3, "rate": 2.0}}),
        changed(steps={"fit": {"epochs": True, "rate": 1}}),
        changed(slices={"size": [32, 32], "keep": {"contains": "tumour"}}),
        changed(more=[1, "2", None, {"a": []}]),
        {key: value for key, value in changed().items() if key != "name"},
    ],
)
def test_what_is_written_has_the_values_and_the_other_comments(data: dict[str, Any]) -> None:
    written = with_comments(TEXT, data)

    assert repr(parse_yaml(written, "")) == repr({key: data[key] for key in parse_yaml(written, "")})
    assert parse_yaml(written, "").keys() == data.keys()
    assert "# how it learns" in written
    assert "# as large as the organ" in written or data["slices"]["size"] == [32, 32]


def test_what_cannot_be_had_with_comments_is_written_without() -> None:
    assert parse_yaml(with_comments("a: *b\n", {"a": 1}), "") == {"a": 1}
