"""A value of a draft with the reason for it, and choices written as YAML with the reasons as comments."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from medseg.yaml import to_yaml

TODO = "TODO"
"""How the reason of a choice begins that a person must make."""

_WIDTH = 100


@dataclass(frozen=True)
class Choice:
    """One key of a draft.

    Attributes:
        key: Dotted, such as `slices.axis`.
        value: Plain data.
        why: Its reason, which becomes a comment; empty for none. Holds no name of a case.
    """

    key: str
    value: Any
    why: str = ""


def written(choices: Iterable[Choice]) -> str:
    """Choices as one YAML document, in their order; those of one mapping have to stand together."""
    lines: list[str] = []
    above: tuple[str, ...] = ()
    for choice in choices:
        *homes, key = choice.key.split(".")
        for depth, home in enumerate(homes):
            if tuple(homes[: depth + 1]) != above[: depth + 1]:
                lines += [""] * (depth == 0) + [f"{'  ' * depth}{home}:"]
        above = tuple(homes)
        indent = "  " * len(homes)
        lines += _comment(choice.why, indent)
        lines += [f"{indent}{line}" for line in _line(key, choice.value).splitlines()]
    return "\n".join(lines) + "\n"


def open_questions(choices: Sequence[Choice]) -> list[str]:
    """What a person must decide, without the word itself."""
    return [choice.why.removeprefix(f"{TODO}: ") for choice in choices if choice.why.startswith(TODO)]


def _line(key: str, value: Any) -> str:
    """A key and its value, as they stand in a mapping of lines."""
    if isinstance(value, bool | int):
        return f"{key}: {str(value).lower()}"
    text = to_yaml({key: value}).rstrip()
    return text[1:-1] if text.startswith("{") else text  # a mapping of one plain value is written in braces


def _comment(why: str, indent: str) -> list[str]:
    printable = "".join(each if each.isprintable() else " " for each in why)
    return [f"{indent}# {line}" for line in textwrap.wrap(printable, _WIDTH)]
