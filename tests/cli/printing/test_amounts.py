"""Amounts are short, and small ones do not become nothing."""

from __future__ import annotations

import pytest

from medseg.cli.printing.amounts import bytes_text, measure_text, time_text
from medseg.text import two_decimals


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0.00"),
        (3.456, "3.46"),
        (-12.0, "-12.00"),
        (0.05, "0.05"),
        (0.00034, "0.00034"),
        (-3.4e-7, "-3.4e-07"),
    ],
)
def test_a_length_that_two_decimals_hide_has_two_digits(value: float, text: str) -> None:
    assert two_decimals(value) == text


@pytest.mark.parametrize(
    ("value", "name", "text"),
    [
        (22.64, "tumour_ml", "22.6"),
        (0.5, "tumour_ml", "0.500"),
        (0.0, "tumour_ml", "0.000"),
        (5.125e-06, "tumour_ml", "5.125e-06"),
        (5.125e-06, "probability_yes", "0.000"),
        (3, "objects", "3"),
        ("yes", "class", "yes"),
    ],
)
def test_volumes_of_micrometre_voxels_are_told(value: float | str, name: str, text: str) -> None:
    assert measure_text(value, name) == text


def test_bytes_and_seconds_have_their_units() -> None:
    assert (bytes_text(3 * 2**29), bytes_text(2**20)) == ("1.50 GiB", "1.0 MiB")
    assert (time_text(119), time_text(120)) == ("119 s", "2 min")
