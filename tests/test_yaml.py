"""Strict YAML: what is read, what is refused and where, and that writing loses nothing."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from medseg.errors import DefinitionError
from medseg.yaml import DEEPEST, LARGEST_BYTES, parse_yaml, read_yaml, to_yaml, write_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("3.0e-4", 3.0e-4),
        ("-.5", -0.5),
        ("5.", 5.0),
        ("-17", -17),
        ("0x1f", 31),
        ("0o17", 15),
        (".inf", math.inf),
        ("-.INF", -math.inf),
        ("true", True),
        ("False", False),
        ("~", None),
        ("null", None),
        ("on", "on"),
        ("no", "no"),
        ("y", "y"),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("2020-01-01", "2020-01-01"),
        ("=", "="),
        ("'1e-3'", "1e-3"),
        ('"true"', "true"),
        ("BraTS19_007", "BraTS19_007"),
    ],
)
def test_a_plain_word_means_what_yaml_1_2_says(text: str, value: object) -> None:
    met = parse_yaml(f"key: {text}", "test")["key"]

    assert met == value
    assert type(met) is type(value)


def test_not_a_number_is_read() -> None:
    assert math.isnan(parse_yaml(".nan", "test"))


def test_the_keys_on_and_4_stay_what_they_are_and_in_order() -> None:
    data = parse_yaml("on: 1\nyes: 2\n4: enhancing\n0: outside\n", "test")

    assert list(data.items()) == [("on", 1), ("yes", 2), (4, "enhancing"), (0, "outside")]


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ("a: 1\nb: 2\na: 3\n", "line 3, column 1", "'a' is there twice"),
        ("a: {x: 1, x: 2}", "line 1, column 11", "'x' is there twice"),
        ("a: 1\n'a': 2\n", "line 2, column 1", "'a' is there twice"),
        ("a: &x 1\nb: *x\n", "line 1, column 4", "anchor &x"),
        ("b: *x\n", "line 1, column 4", "reference *x"),
        ("a: 1\n<<: {b: 2}\n", "line 2, column 1", "merge keys"),
        ("_target_: !!python/object:os.system x\n", "line 1, column 11", "tag"),
        ("a: !!python/object/apply:os.system ['id']\n", "line 1, column 4", "tag"),
        ("a: !!str 1\n", "line 1, column 4", "tag"),
        ("a: ! 1\n", "line 1, column 4", "tag"),
        ("!!set {a, b}\n", "line 1, column 1", "tag"),
        ("%YAML 1.1\n---\na: on\n", "line 2, column 1", "directives"),
        ("%TAG ! tag:x,2000:\n---\na: 1\n", "line 2, column 1", "directives"),
        ("a: 1\n---\nb: 2\n", "line 2, column 1", "second document"),
        ("", "line 1, column 1", "empty"),
        ("# only a comment\n", "line 2, column 1", "empty"),
        ("a: [1, 2\nb: 3", "line 2", "not YAML"),
        ("a:\n\t- 1\n", "line 2, column 1", "not YAML"),
        ("a: b: c\n", "line 1", "not YAML"),
        ("a: 007\n", "line 1, column 4", "'007' in quotes, or 7"),
        ("a: 1e999\n", "line 1, column 4", "too large"),
        ("a: 1" + "0" * 400, "line 1, column 4", "00... is too large for a number"),
        ("a: 0x" + "f" * 5000, "line 1, column 4", "ff... is too large for a number"),
        ("a: " + "9" * 5000, "line 1, column 4", "too many digits"),
        ("true: 1\n", "line 1, column 1", "the key is true or false"),
        ("1.5: 1\n", "line 1, column 1", "the key is a number"),
        (": 1\n", "line 1, column 1", "the key is empty"),
        ("{a: 1}: 2\n", "line 1, column 1", "no key"),
        ("a: " + "[" * 10_000, f"line 1, column {DEEPEST + 3}", "nested deeper"),
        ("a: \x00\n", "t.yaml", "not YAML"),
    ],
)
def test_what_is_refused_is_refused_with_its_place(text: str, place: str, said: str) -> None:
    with pytest.raises(DefinitionError) as error:
        parse_yaml(text, "t.yaml")

    assert str(error.value).startswith("t.yaml")
    assert place in str(error.value)
    assert said in str(error.value)


def test_a_file_is_read_with_or_without_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes("\N{BYTE ORDER MARK}name: œdème\r\n".encode())

    assert read_yaml(path) == {"name": "œdème"}


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"- a\n- b\n", "the top level is a list"),
        (b"word\n", "the top level is a text"),
        (b"4: a\n", "the top level has the key 4"),
        (b"a: 1\nb: \xff\xfe\n", "line 2: is not UTF-8"),
        (b"a: '" + b"x" * LARGEST_BYTES + b"'", "is larger than 250 kB"),
    ],
)
def test_a_file_that_is_no_mapping_in_utf8_of_a_sane_size_is_refused(
    tmp_path: Path, raw: bytes, said: str
) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(raw)

    with pytest.raises(DefinitionError, match=said):
        read_yaml(path)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.yaml", tmp_path):
        with pytest.raises(DefinitionError, match="cannot be read"):
            read_yaml(path)


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(st.characters(codec="utf-8"))
)
DATA = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(min_size=1, max_size=5) | st.integers(), inner, max_size=3)
    ),
    max_leaves=8,
)


@pytest.mark.slow
@given(DATA)
@example({"a": ["1e-3", "on", "null", "~", "", ".5", "+.5", "0o7", "007", "1e999", "<<", "9" * 5000, "- x"]})
@example({"<<": 1, "true": 2, "1": 3, 1: 4, "a: b": 5, "# c": "\n x\n\n"})
@example("\u2028 é\u0085\ufeff\U0001f600\x00\x07")
@example({"k": ["?P<x>", "? a", "?"], "?": ":a", ":a": "?"})
@example({"k": ["\x85", "a\u2028b", "\ufeff", "\x00", "\x7f", "a \x85" * 40]})
def test_what_is_written_is_read_back_equal(data: object) -> None:
    back = parse_yaml(to_yaml(data), "test")

    assert repr(back) == repr(data)


@pytest.mark.slow
@given(st.text(st.sampled_from("?:-,[]{}#&*!|>'\"%@` ax\n\r\t\x00\x07\x85\xa0\u2028\u2029\ufeff\U0001f600")))
def test_any_text_is_read_back_wherever_it_stands(text: str) -> None:
    for data in (text, [text], {"k": [text]}, {text: text}, {"k": {text: [text, {text: 1}]}}):
        assert parse_yaml(to_yaml(data), "test") == data


def test_writing_repeats_what_is_shared_and_makes_lists_of_tuples(tmp_path: Path) -> None:
    shared = {"lr": 1e-5}
    write_yaml({"z": shared, "a": shared, "size": (240, 240)}, tmp_path / "a.yaml")

    assert (tmp_path / "a.yaml").read_bytes() == b"z: {lr: 1e-05}\na: {lr: 1e-05}\nsize: [240, 240]\n"
    assert list(read_yaml(tmp_path / "a.yaml")) == ["z", "a", "size"]


def test_writing_refuses_what_yaml_cannot_hold() -> None:
    with pytest.raises(TypeError, match=r"PosixPath|WindowsPath"):
        to_yaml({"path": Path("x")})


def test_what_is_read_again_is_as_it_was_written_whatever_became_of_it_before() -> None:
    first = parse_yaml("a: {b: [1, 2]}", "test")
    first["a"]["b"].append(3)

    assert parse_yaml("a: {b: [1, 2]}", "test") == {"a": {"b": [1, 2]}}


def test_importing_costs_no_yaml_library() -> None:
    code = "import sys, medseg.yaml; assert 'ruamel.yaml' not in sys.modules"

    subprocess.run([sys.executable, "-c", code], check=True)
