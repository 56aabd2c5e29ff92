"""YAML that a person wrote, with other values and its own comments."""

from __future__ import annotations

from collections.abc import Mapping
from io import StringIO
from typing import Any

from medseg.errors import DefinitionError
from medseg.yaml import parse_yaml, to_yaml


def with_comments(text: str, data: Mapping[str, Any]) -> str:
    """A text with the values of some data, and with its comments and its form wherever values are as they were.

    Args:
        text: YAML of a mapping.
        data: Plain data.

    Returns:
        YAML that is read back as the data: without comments where it cannot be had with them.
    """
    from ruamel.yaml import YAML  # noqa: PLC0415 - as in `medseg.yaml`
    from ruamel.yaml.error import YAMLError  # noqa: PLC0415

    plain = parse_yaml(to_yaml(data), "")
    if _is(text, plain):
        return text
    writer: Any = YAML()
    writer.preserve_quotes = True
    writer.width = 118
    writer.indent(mapping=2, sequence=4, offset=2)
    stream = StringIO()
    try:
        document = writer.load(text)
        _merge(document, parse_yaml(text, ""), plain)
        writer.dump(document, stream)
    except (DefinitionError, YAMLError, ValueError, TypeError, AttributeError):
        return to_yaml(data)
    return stream.getvalue() if _is(stream.getvalue(), plain) else to_yaml(data)


def _is(text: str, plain: Any) -> bool:
    try:
        return repr(parse_yaml(text, "")) == repr(plain)  # not ==, for which 1 is 1.0
    except DefinitionError:
        return False


def _merge(there: Any, before: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    """Give a mapping that was read with its comments the keys and values of another; `before` it held these."""
    for key in before.keys() - new.keys():
        del there[key]
    for key, value in new.items():
        old = before.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            _merge(there[key], old, value)
        elif key not in before or repr(old) != repr(value):
            there[key] = _on_one_line(value)


def _on_one_line(value: Any) -> Any:
    """A list of texts and numbers as `[1, 2]`; all else as it is."""
    from ruamel.yaml.comments import CommentedSeq  # noqa: PLC0415

    if not isinstance(value, list) or any(isinstance(each, Mapping | list) for each in value):
        return value
    found = CommentedSeq(value)
    found.fa.set_flow_style()
    return found
