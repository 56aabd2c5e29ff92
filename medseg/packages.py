"""Which packages a declaration needs beyond those that are allowed, and how a command allows them."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from typing import Any

from medseg.allowed import Allowed


def further_packages(declared: Any, allowed: Allowed) -> list[str]:
    """Modules that a declaration names and that are not allowed, sorted; what can be no module is left out.

    Args:
        declared: Plain data with specs (`{_target_: ...}`) anywhere within.
        allowed: What may be named already.
    """
    modules = {target.rpartition(".")[0] for target in _targets(declared)}
    return sorted(each for each in modules if _is_module(each) and not allowed.covers(each))


def allowing(packages: Iterable[str]) -> str:
    """The words that allow packages on a command line, each with a space before it; empty for none."""
    return "".join(f" --allow {shlex.quote(each)}" for each in packages)


def _targets(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        target = value.get("_target_")
        if isinstance(target, str):
            yield target
        value = list(value.values())
    if isinstance(value, list | tuple):
        for each in value:
            yield from _targets(each)


def _is_module(name: str) -> bool:
    return all(part.isidentifier() for part in name.split("."))
