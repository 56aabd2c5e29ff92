"""Trials that passed are not tried again; what failed, or may change meanwhile, is."""

from __future__ import annotations

import pytest

from medseg.pipeline.checks.passed import once


def spec(target: str, **arguments: object) -> dict[str, object]:
    return {"network": {"_target_": target, **arguments}}


def test_what_passed_is_not_tried_again_and_anything_else_is() -> None:
    tried = []
    for size in (3, 3, 4, 3):
        once(lambda: tried.append(1), of=["a test", spec("monai.networks.nets.UNet", size=size)])

    assert len(tried) == 2


def test_what_failed_is_tried_again() -> None:
    def fail() -> None:
        raise ValueError("too large")

    for _ in range(2):
        with pytest.raises(ValueError, match="too large"):
            once(fail, of=["a failing test", spec("torch.nn.Linear")])


@pytest.mark.parametrize("target", ["ward.networks.Own", "monainess.Own"])
def test_classes_from_outside_are_tried_each_time(target: str) -> None:
    tried = []
    nested = {"outer": {**spec("torch.nn.Sequential"), "inner": spec(target)}}
    for _ in range(2):
        once(lambda: tried.append(1), of=[nested])

    assert len(tried) == 2


def test_only_so_many_are_remembered() -> None:
    tried = []
    for number in (0, *range(100), 0):
        once(lambda: tried.append(1), of=["many", number])

    assert len(tried) == 101
