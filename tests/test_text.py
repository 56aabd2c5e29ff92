"""Texts as they are compared, and as a terminal may be given them."""

from __future__ import annotations

import pytest

from medseg.text import printable


def test_lines_tabs_and_letters_of_all_languages_stay():
    text = "Größe:\t3 mm\n脳腫瘍, é"
    assert printable(text) == text


@pytest.mark.parametrize("steering", ["\x1b[2J", "\x1b]0;title\x07", "\r", "\x9b31m", "\x00"])
def test_what_steers_a_terminal_is_escaped(steering):
    shown = printable(f"run {steering} ended")
    assert not any(ord(each) < 32 or 127 <= ord(each) < 160 for each in shown)
    assert shown.startswith("run \\x") or "\\" in shown
