"""What a sweep varies is read from one string, and every value that it gives can be set."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medseg.errors import DefinitionError, RunError
from medseg.pipeline.study.varied import Between, Choice, refuse_unlike, varied
from medseg.yaml import parse_yaml


class Chooses:
    """Suggests a share of each range, and the last of several."""

    def __init__(self, share: float = 0.5) -> None:
        self.share = share

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        return choices[-1]

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        return round(low + self.share * (high - low))

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        return low + self.share * (high - low)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("network.norm=batch,instance", ("batch", "instance")),
        ("network.strides=[2, 2],[2,4]", ("[2, 2]", "[2,4]")),
        (
            "steps.fit.optimiser={_target_: a.B, lr: 1},{_target_: a.C, lr: 2}",
            ("{_target_: a.B, lr: 1}", "{_target_: a.C, lr: 2}"),
        ),
        ("steps.fit.patience = null, 5", ("null", "5")),
        ("seed=3", ("3",)),
        ("loading.batch_size=4..6", ("4", "5", "6")),
    ],
)
def test_values_between_commas_are_those_of_a_choice(text: str, values: tuple[str, ...]) -> None:
    found = varied(text)

    assert found == Choice(text.partition("=")[0].strip(), values)
    assert (found.count, list(found.ends)) == (len(values), list(values))
    assert found.chosen(Chooses()) == values[-1]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a.lr=1e-4..1e-2", Between("a.lr", 1e-4, 1e-2)),
        ("a.lr=log:1e-4..1e-2", Between("a.lr", 1e-4, 1e-2, log=True)),
        ("a.epochs=5..200", Between("a.epochs", 5, 200, whole=True)),
        ("a.x=-1.5..2", Between("a.x", -1.5, 2)),
    ],
)
def test_two_numbers_are_the_ends_of_a_range(text: str, found: Between) -> None:
    assert varied(text) == found
    assert found.count is None


@given(st.floats(0, 1), st.sampled_from(["a=1e-4..1e-2", "a=log:0.00012345..3", "a=5..200", "a=-7.5..-7.4"]))
def test_what_is_chosen_lies_in_the_range_and_reads_back_as_a_number(share: float, text: str) -> None:
    between = varied(text)
    assert isinstance(between, Between)
    value = parse_yaml(between.chosen(Chooses(share)), "here")

    assert between.low <= value <= between.high
    assert isinstance(value, int if between.whole else float)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("steps.fit.epochs", "expected PATH=VALUE,VALUE"),
        ("=1,2", "expected PATH=VALUE,VALUE"),
        ("a=", "expected PATH=VALUE,VALUE"),
        ("a=1,,2", "a value is empty"),
        ("a=1,1.0,1", "stands twice"),
        ("a=2..1", "is not below"),
        ("a=log:0..1", "above 0"),
        ("a=[1,2", "a"),
    ],
)
def test_what_cannot_be_read_is_refused(text: str, said: str) -> None:
    with pytest.raises(DefinitionError, match=said):
        varied(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a=1,2", "3"),
        ("a=1,2", 1),
        ("a=0.1..0.2", 0.3),
        ("a=0.1..0.2", "0.15"),
        ("a=0.1..0.2", None),
        ("a=1..99", True),
    ],
)
def test_a_value_that_the_journal_was_not_to_have_is_refused(text: str, value: object) -> None:
    with pytest.raises(RunError, match=r"trials\.log of the sweep is damaged.*Remove"):
        varied(text).kept(value)


def test_a_setting_is_varied_once_and_not_set_beside() -> None:
    one = varied("a.b=1,2")
    refuse_unlike([one, varied("a.c=1,2")], ["a.d=3"])
    with pytest.raises(DefinitionError, match="was given twice"):
        refuse_unlike([one, one], [])
    with pytest.raises(DefinitionError, match="is set and varied"):
        refuse_unlike([one], ["a.b = 3"])
