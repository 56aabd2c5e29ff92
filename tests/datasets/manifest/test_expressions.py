"""What a manifest asks to be searched for ends soon, and finds what Python's `re` finds."""

from __future__ import annotations

import re
import time
from contextlib import contextmanager

import pytest

import medseg.images.formats  # noqa: F401 - takes seconds to import, which are none of a search
from medseg.datasets.finding.scan import scan
from medseg.datasets.manifest import expressions as patterns
from medseg.datasets.manifest.expressions import pattern
from medseg.datasets.manifest.manifest import Manifest
from medseg.datasets.manifest.patterns import Layout
from medseg.errors import ManifestError

ENDLESS = "^((?:a|aa)+)$"
NAME = "a" * 120 + "b"


@contextmanager
def soon(seconds=3.0):
    """What it holds takes no longer than this, as the process counts its time."""
    begin = time.process_time()
    yield
    assert time.process_time() - begin < seconds


@pytest.fixture
def briefly(monkeypatch):
    """Less patience than medseg has, so that tests are quick."""
    monkeypatch.setattr(patterns, "_SPARE", 0.1)
    patterns.pattern.cache_clear()
    yield
    patterns.pattern.cache_clear()


def manifest(**changes):
    given = {
        **dict.fromkeys(("about", "source", "licence", "citation", "obtain"), "made"),
        "name": "tiny",
        "ids": "pseudonyms",
        "channels": ["x"],
        "classes": ["ground", "thing"],
        "label_values": {0: "ground", 1: "thing"},
        "layout": {"images": "{case}.nii", "mask": "{case}_m.nii"},
    }
    return Manifest.model_validate({**given, **changes})


@pytest.mark.parametrize(
    ("key", "changes"),
    [
        ("group", {"group": ENDLESS}),
        ("group.pattern", {"group": {"pattern": ENDLESS}}),
        ("columns.site", {"columns": {"site": "((?:a|aa)+)$"}}),
        ("layout.images", {"layout": {"images": "{case}.nii", "case": "(?:a|aa)+"}}),
        (
            "layout.mask",
            {"layout": {"images": "{case}.nii", "mask": "{case}c*b.nii", "case": "(?:a|aa)+"}},
        ),
    ],
)
def test_an_expression_that_takes_too_long_is_an_error_that_names_its_key(tmp_path, briefly, key, changes):
    (tmp_path / f"{NAME}.nii").touch()

    with (
        soon(),
        pytest.raises(ManifestError, match=re.escape(f"manifest 'tiny', '{key}': the expression takes")),
    ):
        scan(manifest(**changes), tmp_path, truth="mask" in key)


def test_the_names_of_files_are_not_in_the_error(tmp_path, briefly):
    (tmp_path / f"{NAME}.nii").touch()

    with pytest.raises(ManifestError) as raised:
        scan(manifest(group=ENDLESS), tmp_path)

    assert "aaab" not in str(raised.value)


@pytest.mark.slow
def test_many_names_that_take_almost_too_long_do_not_add_up():
    slow = pattern("^(?:a|aa)+$")

    def search_all() -> None:
        for _ in range(1000):
            slow.search("a" * 27 + "b", "'group'")

    with soon(), pytest.raises(ManifestError):
        search_all()


@pytest.mark.parametrize("text", ["^(a+)+$", "(.*)*x", r"^(\w+\s?)+:$", "(((a*)*)*)*c", "(?=(a+)+$)b"])
def test_other_expressions_that_re_would_search_for_ever_end(text):
    with soon():
        assert pattern(text).search("a" * 200 + "!", "'group'") is None


@pytest.mark.parametrize(
    "text",
    [
        "(?:(?:(?:a{1000}){1000}){1000}){1000}",
        "a{999999999}",
        "(a{,999}){,999}",
        "(?:(?:ab?[)]){2000}){2000}",
        "(" * 450 + "a" + ")" * 450,
        "a" * 1001,
        "(?x)(?:(?:a{1000}) {1000}) {1000}",
    ],
)
def test_expressions_that_would_fill_the_memory_are_refused_before_they_are_compiled(text):
    with soon(1.0), pytest.raises(ValueError, match=r"comes? to more|deep|at most|flag x"):
        pattern(text)
    with pytest.raises(ValueError, match="'group' is no regular expression"):
        manifest(group=f"({text})")


def test_a_layout_of_very_long_patterns_is_refused():
    with pytest.raises(ValueError, match="cannot be used: it has"):
        Layout(images="{case}" + "*a" * 600).compiled(["x"])


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (r"^(.+?)(?:-\d{3})?$", "BraTS-GLI-00001-000"),
        (r"^(patient\d+)_", "patient001_frame01"),
        (r"(?i:(?:^|/)(train|test)/)", "data/Train/x.png"),
        (r"^(?!.*copy)(.+)_\d{1,3}$", "a_b_12"),
        (r"(?<=p)(\d{2,})(?=_)", "p0123_x"),
        (r"([^]/[]+)\.", "set[of]signs.nii"),
        (r"([\]\[a]+)", "x[a]"),
        (r"(a{e<=1})", "b a{e<=1}"),
        (r"(\{x\})", "{x}"),
        (r"(\N{GREEK SMALL LETTER ALPHA}{2})", "xαα"),
        (r"(?P<first>\w)(?P=first)", "abccd"),
        (r"(a)?(?(1)b|c)", "ab"),
        (r"(x{,3})y", "xxxxy"),
        (r"(a++)b", "aaab"),
    ],
)
def test_it_finds_what_re_finds(text, name):
    ours, theirs = pattern(text).search(name, "'group'"), re.search(text, name)

    assert ours is not None
    assert theirs is not None
    assert (ours.span(), ours.groups()) == (theirs.span(), theirs.groups())
