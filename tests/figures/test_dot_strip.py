"""Dots of a strip: one for each patient, none upon another, whatever the order of patients."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from medseg.figures.dot_strip import axis_of, dot_levels

shares = st.lists(st.floats(0, 1), max_size=60)


def test_ratios_stand_between_0_and_1() -> None:
    axis = axis_of([0.2, float("nan"), 1.0])
    assert (axis.low, axis.high) == (0.0, 1.0)
    assert axis.across(0.25) == 0.25


def test_without_a_value_there_is_an_axis() -> None:
    assert axis_of([float("nan")]).high == 1.0


@given(st.lists(st.floats(-1e4, 1e4), min_size=1, max_size=20))
def test_every_value_is_on_the_axis(values) -> None:
    axis = axis_of(values)
    assert all(-1e-9 <= axis.across(value) <= 1 + 1e-9 for value in values)
    assert axis.low < axis.high
    assert (axis.low, axis.high) == (axis.ticks[0], axis.ticks[-1])


@given(shares)
def test_every_dot_is_within_the_strip(across) -> None:
    levels = dot_levels(across)
    assert levels.shape == (len(across),)
    assert (np.abs(levels) <= 1).all()


@given(st.integers(1, 40))
def test_equal_values_have_places_of_their_own(count) -> None:
    assert len(set(dot_levels([0.5] * count))) == count


def test_a_dot_alone_is_in_the_middle() -> None:
    assert dot_levels([0.1, 0.9]).tolist() == [0.0, 0.0]
