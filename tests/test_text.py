"""Texts as they are compared, and as a terminal may be given them."""

from __future__ import annotations

import re
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, Field, ValidationError

from medseg.text import as_names, brief, many, plain, printable, short_name, three_decimals


def test_lines_tabs_and_letters_of_all_languages_stay():
    text = "Größe:\t3 mm\n脳腫瘍, é"
    assert printable(text) == text


@pytest.mark.parametrize("steering", ["\x1b[2J", "\x1b]0;title\x07", "\r", "\x9b31m", "\x00"])
def test_what_steers_a_terminal_is_escaped(steering):
    shown = printable(f"run {steering} ended")
    assert not any(ord(each) < 32 or 127 <= ord(each) < 160 for each in shown)
    assert shown.startswith("run \\x") or "\\" in shown


@pytest.mark.parametrize("turning", "\u202a\u202b\u202d\u202e\u202c\u2066\u2067\u2068\u2069", ids=ascii)
def test_what_turns_the_direction_of_a_line_is_escaped(turning):
    assert printable(f"run {turning}ended") == f"run {ascii(turning)[1:-1]}ended"


class Everything(BaseModel, strict=True):
    """A field of each kind that definitions and manifests have."""

    whole: int = 0
    number: float = 0
    share: Annotated[float, Field(ge=0, lt=1)] = 0
    more: Annotated[int, Field(gt=0, le=9)] = 1
    text: Annotated[str, Field(min_length=1, pattern="^a")] = "a"
    flag: bool = False
    pair: tuple[int, int] = (0, 0)
    names: Annotated[tuple[str, ...], Field(min_length=1, max_length=2)] = ("a",)
    some: list[str] = []
    several: set[str] = set()
    by_name: dict[str, int] = {}
    one_of: Literal["a", "b"] = "a"
    none: None = None
    within: Everything | None = None


WRONG = ["x", "", 1.5, -1, 10, True, None, [], ["a", 1, 2], {}, {"a": "b"}, {"z": 1}]


@pytest.mark.parametrize("field", Everything.model_fields)
def test_no_word_of_pydantic_reaches_a_user(field):
    complained = 0
    for value in WRONG:
        try:
            Everything.model_validate({field: value})
        except ValidationError as error:
            for each in error.errors():
                said = plain(each["msg"])
                complained += 1
                assert said.startswith("expected "), (said, each["msg"])
                assert not re.search(r"valid|Input|Tuple|dict|bool|str\b|instance|after", said), said
    assert complained


def test_what_a_validator_of_ours_says_stays():
    assert plain("Value error, expected one channel or more") == "expected one channel or more"
    assert plain("Field required") == "is missing: add it"


@pytest.mark.parametrize(
    ("count", "noun", "told"),
    [(1, "case", "1 case"), (0, "case", "0 cases"), (1, "study", "1 study"), (3, "study", "3 studies")],
)
def test_a_number_and_its_noun_agree(count: int, noun: str, told: str) -> None:
    assert many(count, noun) == told


@pytest.mark.parametrize(
    ("count", "verb", "told"),
    [
        (0, "are", "0 cases are"),
        (1, "are", "1 case is"),
        (2, "were", "2 cases were"),
        (1, "lie", "1 case lies"),
    ],
)
def test_a_verb_agrees_with_its_number(count: int, verb: str, told: str) -> None:
    assert many(count, "case", verb) == told


def test_a_text_is_no_list_of_its_letters() -> None:
    assert as_names("kidney") == ("kidney",)
    assert as_names(["kidney", "liver"]) == ("kidney", "liver")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.000"),
        (0.0126, "0.013"),
        (-0.0005, "-0.001"),
        (0.00034, "0.00034"),
        (-1.24e-5, "-1.2e-05"),
        (-1e-17, "0.000"),
    ],
)
def test_a_difference_of_scores_is_told_where_three_decimals_would_make_it_nothing(
    value: float, text: str
) -> None:
    assert three_decimals(value) == text


def test_long_texts_are_cut_and_long_names_still_differ():
    assert (brief("a" * 80), brief("a" * 81)) == ("a" * 80, "a" * 80 + "...")
    assert short_name("a" * 128) == "a" * 128
    one, other = short_name("a" * 200), short_name("a" * 201)
    assert one != other
    assert len(one) == len(other) < 80
