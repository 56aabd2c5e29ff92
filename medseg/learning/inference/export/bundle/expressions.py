"""Words of a model that MONAI would run as a program."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from medseg.errors import ModelError

_SIGNS = ("$", "@", "%")  # of an expression, a reference and a part of another file


def refuse_expressions(parts: Mapping[str, Any]) -> None:
    """Refuse a model with a text that a configuration of MONAI would evaluate, or with a key that steers how it does.

    Args:
        parts: By name, all that the files of a bundle take from the model: mappings, lists, texts and numbers.

    Raises:
        ModelError: There is one; names the part.
    """
    for name, part in parts.items():
        for found in _live(part):
            raise ModelError(
                f"{name} of the model holds {found[:40]!r}, which MONAI would run as a program. No bundle is "
                "written of it; as ONNX it can be: --to onnx"
            )


def _live(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        if value.startswith(_SIGNS):
            yield value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if str(key).startswith(("_", *_SIGNS)) and key != "_target_":
                yield str(key)
            yield from _live(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _live(item)
