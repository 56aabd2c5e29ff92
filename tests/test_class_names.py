from __future__ import annotations

import posixpath
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medseg.class_names import BETWEEN, class_name, joined, key_name, misnamed, ordered, shown

#: As MLflow writes it, for systems other than Windows and for Windows.
KEYS = (re.compile(r"^[/\w.\- :]*$"), re.compile(r"^[/\w.\- ]*$"))


@given(st.text(min_size=1))
def test_every_name_of_a_class_makes_a_key_that_mlflow_takes(text: str) -> None:
    name = class_name(text)
    if any(misnamed([name])):
        return
    for key in (f"test/auroc/{key_name(name)}", f"test/auroc/{key_name(name)}/patients"):
        assert all(rule.match(key) for rule in KEYS)
        assert posixpath.normpath(key) == key
        assert len(key) < 250


@given(st.lists(st.text(st.sampled_from("aä+*_ low/"), min_size=1, max_size=6), max_size=6, unique=True))
def test_names_that_may_be_classes_of_one_data_set_never_share_a_key(texts: list[str]) -> None:
    names = [class_name(text) for text in texts]
    if not any(misnamed(names)):
        assert len({key_name(name) for name in names}) == len(names)


@pytest.mark.parametrize("taken", ["low", "High", "patients", "macro"])
def test_a_class_named_as_what_stands_behind_a_score_has_another_key(taken: str) -> None:
    assert key_name(taken) == f"class {taken}"
    (complaint,) = misnamed([taken, f"class {taken}"])
    assert "cannot be distinguished in the names of scores" in complaint


@pytest.mark.parametrize("name", ["10_x", "2_y", "A", "b", "é", "T1 + c", "яблоко", "it's", "..."])
def test_any_text_that_is_no_path_may_be_a_class(name: str) -> None:
    assert list(misnamed([name, "other"])) == []


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "a\\b", "a\nb", " a", "a ", "e\u0301", "\udcff", "\x85"]
)
def test_paths_control_characters_and_other_forms_are_no_classes(name: str) -> None:
    (complaint,) = misnamed([name, "other"])
    assert "cannot be the name of a class" in complaint
    complaint.encode()  # can be printed


@pytest.mark.slow
@given(st.lists(st.sampled_from("abcd")), st.permutations("abc"))
def test_labels_of_an_image_have_the_order_of_the_classes(labels: list[str], classes: list[str]) -> None:
    found = ordered(labels, classes)
    assert sorted(found) == sorted(set(labels))
    assert [name for name in found if name != "d"] == [name for name in classes if name in labels]


def test_long_lists_of_names_are_cut() -> None:
    assert shown("gfedcba") == "'a', 'b', 'c', 'd', 'e' and 2 more"


@pytest.mark.parametrize("name", ["=cmd|calc", "+", "-1", "@SUM(A1)"])
def test_a_name_that_a_spreadsheet_would_run_is_refused(name):
    assert any("spreadsheet programs" in complaint for complaint in misnamed(["a", name]))


@given(st.lists(st.text(st.sampled_from("a; |,"), min_size=1, max_size=5), max_size=4))
def test_classes_of_one_image_in_a_line_can_be_told_apart(texts: list[str]) -> None:
    names = [name for name in dict.fromkeys(map(class_name, texts)) if not any(misnamed([name]))]
    assert joined(names, "none").split(BETWEEN) == (names or ["none"])
