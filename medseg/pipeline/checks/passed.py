"""Trials that passed in this process: a check, a run and its folds build the same definition again and again."""

from __future__ import annotations

import json
import re
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, TypeVar

_MOST = 64  # trials that are remembered

#: Packages whose classes stay the same while a process lives; a notebook may change and import others again.
_STILL = frozenset({"medseg", "monai", "sklearn", "torch"})
_NAMED = re.compile(r'"_target_": "(\w+)')

_PASSED: OrderedDict[str, Any] = OrderedDict()

T = TypeVar("T")


def once(trial: Callable[[], T], of: Any) -> T:
    """Try something, unless the very same passed in this process before.

    Args:
        trial: Raises an error where it does not pass.
        of: All that it depends on, specs of declared objects among it, as plain data.

    Returns:
        What the trial gave, now or before.
    """
    key = json.dumps(of, sort_keys=True)
    if key in _PASSED:
        _PASSED.move_to_end(key)
        return _PASSED[key]
    found = trial()
    if set(_NAMED.findall(key)) <= _STILL:
        _PASSED[key] = found
        while len(_PASSED) > _MOST:
            _PASSED.popitem(last=False)
    return found
