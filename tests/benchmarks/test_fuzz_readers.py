"""What the fuzzer calls, without the fuzzer, which few have: a target that always fails finds nothing."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

FUZZ = runpy.run_path(str(Path(__file__).resolve().parents[2] / "benchmarks" / "fuzz_readers.py"))


@pytest.mark.parametrize("target", FUZZ["TARGETS"])
def test_a_target_takes_what_is_sound(target: str, tmp_path: Path) -> None:
    read = FUZZ["TARGETS"][target][0](tmp_path)
    inputs = list(FUZZ["_sound_inputs"](target))

    for data in inputs:
        read(data)

    assert inputs
