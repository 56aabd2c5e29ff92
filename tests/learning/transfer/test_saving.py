"""A file that the system refuses is told as such, whichever library writes it."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from medseg.learning.transfer.saving import save_state, save_weights

resource = pytest.importorskip("resource")  # of POSIX


@pytest.mark.parametrize("save", [save_weights, save_state])
@pytest.mark.parametrize("count", [10, 500_000])  # what is written at the end, and meanwhile
def test_what_the_system_refuses_is_an_error_of_the_system(
    save: Callable[[Any, Path], None], count: int, tmp_path: Path
) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60, before[1]))
    try:
        with pytest.raises(OSError, match="File too large") as told:
            save({"a": torch.zeros(count)}, tmp_path / "a")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert told.value.errno == errno.EFBIG
    assert told.value.filename == str(tmp_path / "a")


def test_what_is_no_fault_of_the_system_stays_as_it_is(tmp_path: Path) -> None:
    tied = torch.zeros(4)
    with pytest.raises(RuntimeError, match="share memory"):
        save_weights({"a": tied, "b": tied}, tmp_path / "a")
