"""The peak of memory is that of the block, whatever was held before it."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from medseg.machine.peak import PeakMemory

MIB = 2**20


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the peak of a process")
def test_what_a_block_takes_and_gives_back_is_its_peak() -> None:
    np.ones(400 * MIB, dtype=np.uint8).sum()  # higher, and over

    with PeakMemory(torch.device("cpu")) as peak:
        np.ones(100 * MIB, dtype=np.uint8).sum()

    assert peak.taken is not None
    assert 80 * MIB < peak.taken < 200 * MIB


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the peak of a process")
def test_what_was_freed_before_and_is_taken_again_counts() -> None:
    def small_ones() -> None:
        _ = [torch.ones(MIB // 4) for _ in range(100)]  # too small for the system to get them back at once

    small_ones()
    with PeakMemory(torch.device("cpu")) as peak:
        small_ones()

    assert peak.taken is not None
    assert 80 * MIB < peak.taken < 200 * MIB


def test_where_the_system_does_not_tell_nothing_is_known(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setattr("medseg.machine.peak._STATUS", tmp_path / "none" / "status")
    monkeypatch.setattr("medseg.machine.peak._RESET", tmp_path / "none" / "reset")

    with PeakMemory(torch.device("cpu")) as peak:
        pass

    assert peak.taken is None
