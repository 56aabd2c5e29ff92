"""Strict YAML: what people write is read as they see it, or refused with its line.

Reading follows the core schema of YAML 1.2.2 (section 10.3), with less: no repeated keys, no tags, no
anchors, aliases or merge keys, no directives, one document. So `on` and `no` are words, `1e-3` is a number,
and every value stands where it is used. Reading never builds anything but dicts, lists, strings, numbers,
booleans and None. ruamel.yaml splits the text into events; this module gives them their meaning, so that
each fault has a line and a column.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from functools import lru_cache
from io import StringIO
from pathlib import Path
from typing import Any, NoReturn

from medseg.errors import DefinitionError
from medseg.files.regular import open_regular

LARGEST_BYTES = 250_000
"""A definition is a page of text; more is a mistake, and costs minutes to parse."""

DEEPEST = 40
"""Levels of nesting; keeps a file of ten thousand brackets from exhausting the stack."""

_WORDS: Mapping[str, bool | None] = {
    **dict.fromkeys(["", "~", "null", "Null", "NULL"]),
    **dict.fromkeys(["true", "True", "TRUE"], True),
    **dict.fromkeys(["false", "False", "FALSE"], False),
}
_WHOLE = re.compile(r"[-+]?[0-9]+")
_PADDED = re.compile(r"[-+]?0[0-9]+")
_OCTAL = re.compile(r"0o[0-7]+")
_HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_SPECIAL = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_WIDTH = 110
_LONGEST = 40  # characters of a number in a message


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a file whose top level is a mapping with text keys.

    Raises:
        DefinitionError: The file cannot be read, is over `LARGEST_BYTES`, is no UTF-8 text, or is not strict
            YAML as this module defines it; names file, line and column.
    """
    source = str(path)
    try:
        with open_regular(path) as handle:
            raw = handle.read(LARGEST_BYTES + 1)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise DefinitionError(
            f"{source}: cannot be read: {reason}. Check the name and the rights."
        ) from error
    if len(raw) > LARGEST_BYTES:
        raise DefinitionError(_too_large(source))
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise DefinitionError(f"{source}, line {line}: is not UTF-8 text. Save the file as UTF-8.") from error
    data = parse_yaml(text, source)
    if not isinstance(data, dict):
        raise DefinitionError(
            f"{source}: the top level is {_kind(data)}; expected a mapping, lines such as `name: brats2d`."
        )
    for key in data:
        if not isinstance(key, str):
            raise DefinitionError(f"{source}: the top level has the key {key!r}; expected a word.")
    return data


def parse_yaml(text: str, source: str) -> Any:
    """Parse one YAML document of any type.

    Args:
        text: The document.
        source: What to call it in errors: a file's name, or where the text was given.

    Returns:
        Dicts (keys are strings or whole numbers, in the order written), lists, strings, ints, floats, bools
        and None.

    Raises:
        DefinitionError: It is not strict YAML as this module defines it.
    """
    return deepcopy(_parsed(text, source))


@lru_cache(maxsize=64)
def _parsed(text: str, source: str) -> Any:
    """What `parse_yaml` gives a copy of: a run asks for the same definition and manifest several times."""
    from ruamel.yaml import YAML  # noqa: PLC0415  costs 0.1 s, which `medseg --help` need not pay
    from ruamel.yaml.error import MarkedYAMLError, YAMLError  # noqa: PLC0415

    if len(text.encode("utf-8", "surrogatepass")) > LARGEST_BYTES:
        raise DefinitionError(_too_large(source))
    try:
        return _Reader(YAML(typ="safe", pure=True).parse(StringIO(text)), source).document()
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{source}, line {mark.line + 1}, column {mark.column + 1}" if mark else source
        problem = " ".join(str(part) for part in (error.context, error.problem) if part)
        raise DefinitionError(
            f"{where}: is not YAML: {problem}. Check indentation, brackets and quotes."
        ) from error
    except YAMLError as error:
        problem = " ".join(str(error).split())
        raise DefinitionError(f"{source}: is not YAML: {problem}. Remove what no editor shows.") from error


def to_yaml(data: Any) -> str:
    """Write plain data as YAML that `parse_yaml` reads back equal, in the order of the keys.

    Tuples are written as lists.

    Raises:
        TypeError: Something in it is no mapping, list, tuple, string, number, boolean or None.
    """
    plain = _plain(data)
    written = _dumped(plain, _quotes, _WIDTH)
    try:
        alike = repr(parse_yaml(written, "")) == repr(plain)  # not ==, for which 1 is 1.0 and nan is not nan
    except DefinitionError:
        alike = False
    # The library takes some texts for plain that its own reader does not, and folds some long ones wrongly.
    return written if alike else _dumped(plain, lambda _: '"', sys.maxsize)


def _dumped(plain: Any, quotes: Callable[[str], str | None], width: int) -> str:
    from ruamel.yaml import YAML  # noqa: PLC0415
    from ruamel.yaml.representer import SafeRepresenter  # noqa: PLC0415

    class Representer(SafeRepresenter):
        def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
            return True  # the reader refuses references

    def text(representer: SafeRepresenter, value: str) -> Any:
        return representer.represent_scalar("tag:yaml.org,2002:str", value, style=quotes(value))

    Representer.add_representer(str, text)
    writer: Any = YAML(typ="safe", pure=True)
    writer.Representer = Representer
    writer.default_flow_style = None  # the innermost lists and mappings on one line
    writer.sort_base_mapping_type_on_output = False
    writer.allow_unicode = True
    writer.width = width
    stream = StringIO()
    writer.dump(plain, stream)
    return stream.getvalue().removesuffix("...\n")


def write_yaml(data: Mapping[str, Any], path: Path) -> None:
    """Write a mapping as a UTF-8 file; see `to_yaml`."""
    path.write_text(to_yaml(data), encoding="utf-8", newline="\n")


class _Reader:
    """Gives the events of one document their meaning."""

    def __init__(self, events: Iterator[Any], source: str) -> None:
        self.events = events
        self.source = source

    def document(self) -> Any:
        next(self.events)  # start of the stream
        start = next(self.events)
        if _name(start) == "StreamEnd":
            self.refuse(start, "the document is empty; expected `key: value` lines")
        if start.version is not None or start.tags:
            self.refuse(start, "directives such as %YAML and %TAG are not read: remove the line")
        value = self.value(next(self.events), 1)
        next(self.events)  # end of the document
        after = next(self.events)
        if _name(after) != "StreamEnd":
            self.refuse(after, "a second document begins; expected one: remove the `---`")
        return value

    def value(self, event: Any, depth: int) -> Any:
        name = _name(event)
        if name == "Alias":
            self.refuse(event, f"the reference *{event.anchor} is not read: write the value out")
        if event.anchor is not None:
            self.refuse(event, f"the anchor &{event.anchor} is not read: remove it and write values out")
        if event.tag is not None:
            self.refuse(event, f"the tag {event.tag} is not read: remove it. Quotes make a text")
        if depth > DEEPEST:
            self.refuse(event, f"nested deeper than {DEEPEST} levels")
        if name == "MappingStart":
            return self.mapping(depth)
        if name == "SequenceStart":
            return self.sequence(depth)
        return self.scalar(event)

    def mapping(self, depth: int) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        while _name(event := next(self.events)) != "MappingEnd":
            if _name(event) in {"MappingStart", "SequenceStart"}:
                self.refuse(event, "a mapping or list is no key: expected a word")
            key = self.value(event, depth + 1)
            if event.style is None and key == "<<":
                self.refuse(event, "merge keys are not read: write the keys out")
            if not isinstance(key, str | int) or isinstance(key, bool):
                self.refuse(
                    event, f"the key is {_kind(key)}; expected a word or a whole number, or put it in quotes"
                )
            if key in found:
                self.refuse(event, f"the key '{key}' is there twice: keep one")
            found[key] = self.value(next(self.events), depth + 1)
        return found

    def sequence(self, depth: int) -> list[Any]:
        found = []
        while _name(event := next(self.events)) != "SequenceEnd":
            found.append(self.value(event, depth + 1))
        return found

    def scalar(self, event: Any) -> Any:
        text: str = event.value
        if event.style is not None:
            return text
        if _PADDED.fullmatch(text):
            self.refuse(event, f"{text} may be a name or a number: write '{text}' in quotes, or {int(text)}")
        try:
            value = _meaning(text)
        except ValueError:  # Python refuses whole numbers of thousands of digits
            self.refuse(event, "the number has too many digits")
        if isinstance(value, int | float) and _too_large_for_a_float(value) and not _SPECIAL.fullmatch(text):
            shown = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
            self.refuse(event, f"{shown} is too large for a number")
        return value

    def refuse(self, event: Any, problem: str) -> NoReturn:
        mark = event.start_mark
        raise DefinitionError(f"{self.source}, line {mark.line + 1}, column {mark.column + 1}: {problem}.")


def _meaning(text: str) -> Any:
    """What a plain scalar stands for (YAML 1.2.2, core schema)."""
    if text in _WORDS:
        return _WORDS[text]
    if _WHOLE.fullmatch(text):
        return int(text)
    if _OCTAL.fullmatch(text) or _HEXADECIMAL.fullmatch(text):
        return int(text, 0)
    if _FLOAT.fullmatch(text):
        return float(text)
    if _SPECIAL.fullmatch(text):
        return float(text.replace(".", ""))
    return text


def _too_large_for_a_float(value: float) -> bool:
    """Also of whole numbers: whatever computes with one makes a float of it."""
    return not abs(value) <= sys.float_info.max


def _quotes(text: str) -> str | None:
    """Quotes that a text needs; None leaves it to the library, which knows the signs of YAML."""
    if not text.isprintable():
        return '"'  # the only ones that know escapes
    try:
        return None if isinstance(_meaning(text), str) and not text.startswith(("?", ":")) else "'"
    except ValueError:
        return "'"


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {_plain(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if value is None or type(value) in {str, int, float, bool}:
        return value
    raise TypeError(f"YAML holds plain data only; got {type(value).__name__}")


def _name(event: Any) -> str:
    return type(event).__name__.removesuffix("Event")


def _kind(value: Any) -> str:
    names = {dict: "a mapping", list: "a list", str: "a text", bool: "true or false", type(None): "empty"}
    return names.get(type(value), "a number")


def _too_large(source: str) -> str:
    return (
        f"{source}: is larger than {LARGEST_BYTES // 1000} kB; expected a page of text. Is it the right file?"
    )
