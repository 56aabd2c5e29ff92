"""Numbers that definitions give to steps, tasks and networks."""

from __future__ import annotations

import sys

import pytest

from medseg.errors import DefinitionError
from medseg.learning.settings import is_number
from medseg.learning.tasks.binary_mask import BinaryMask


@pytest.mark.parametrize("value", [0, -1, 0.5, 10**308, -sys.float_info.max])
def test_what_a_float_can_hold_is_a_number(value: float) -> None:
    assert is_number(value)


@pytest.mark.parametrize("value", [True, None, "1", [1], float("nan"), float("inf"), 10**400, -(10**400)])
def test_what_no_float_can_hold_is_none(value: object) -> None:
    assert not is_number(value)


@pytest.mark.parametrize("name", ["threshold", "cross_entropy", "dice"])
def test_a_mask_takes_no_number_that_is_none(name: str) -> None:
    with pytest.raises(DefinitionError, match=rf"task\.{name} is"):
        BinaryMask(**{name: 10**400})
