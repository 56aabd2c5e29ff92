from __future__ import annotations

import io
import warnings

import matplotlib as mpl
import pytest
from matplotlib.backends import backend_agg
from matplotlib.figure import Figure

from medseg.figures import lettering
from medseg.figures.lettering import fit_names, fit_text, settle, write_heading


def settled(words: str, **looks: object) -> object:
    text = Figure().text(0.1, 0.5, words, parse_math=False, **looks)
    settle(text)
    return text


@pytest.mark.parametrize("words", ["10_x", "é", "$a_b$", "Röntgen →", "größer\nkleiner"])
def test_what_the_usual_font_has_is_left_alone(words):
    text = settled(words)
    assert text.get_text() == words
    assert text.get_fontfamily() == mpl.rcParams["font.family"]


def test_letters_and_their_accents_are_joined():
    assert settled("cafe\u0301").get_text() == "café"


def test_what_controls_a_terminal_becomes_a_space():
    assert settled("a\tb\x1b[31m").get_text() == "a b [31m"


def test_a_letter_of_another_font_is_drawn_in_it():
    text = settled("𝔄 and b")  # of Matplotlib's own fonts, STIX has it
    assert text.get_text() == "𝔄 and b"
    assert len(text.get_fontfamily()) == 2
    assert ord("𝔄") in lettering._letters(text.get_fontfamily()[1])
    text.get_figure().savefig(io.BytesIO())  # a letter that is missing is a warning, and so an error


def test_what_no_font_has_is_written_as_its_code(monkeypatch):
    monkeypatch.setattr(lettering, "_family_with", lambda _: None)
    texts = [settled(name) for name in ("猫", "犬")]
    assert [text.get_text() for text in texts] == ["[U+732B]", "[U+72AC]"]
    texts[0].get_figure().savefig(io.BytesIO())


def test_names_of_any_script_are_drawn_without_a_warning():
    figure = Figure()
    for place, words in enumerate(("猫と犬", "кошка", "قطة", "बिल्ली", "🧠", "\U0010fffd")):
        fit_text(figure.text(0.1, 0.1 * place, words, parse_math=False), 3)
    with warnings.catch_warnings(record=True) as met:
        warnings.simplefilter("always")
        figure.savefig(io.BytesIO())
    assert [str(each.message) for each in met] == []


def test_fonts_of_last_resort_are_not_taken():
    family = lettering._family_with("\U0010fffd")  # for private use: only such a font has it
    assert family is None


def test_short_names_stay_and_long_ones_keep_both_ends():
    figure = Figure()
    short, long = fit_names(figure, ["é", "Thorax in zwei Ebenen " * 5 + "links"], 2, size=10)
    assert short.text == "é"
    assert long.text.startswith("Thorax in")
    assert long.text.endswith("links")
    assert "…" in long.text
    assert not figure.texts


def test_names_that_would_be_shortened_to_the_same_are_numbered():
    names = [f"Thorax in der Ebene {number} bei liegendem Patienten" for number in range(12)] + ["Hand"]
    fitted = [name.text for name in fit_names(Figure(), names, 2, size=10)]
    assert len(set(fitted)) == 13
    assert fitted[0].startswith("1: Thorax")
    assert fitted[11].startswith("12: Thorax")
    assert fitted[12] == "Hand"


def test_a_heading_stays_on_its_figure_and_an_empty_one_is_no_text():
    figure = Figure(figsize=(4, 3))
    write_heading(figure, "", 0.2, size=12)
    assert not figure.texts
    write_heading(figure, "_a$b$ " * 40 + "end", 0.2, size=12)
    (line,) = figure.texts
    box = line.get_window_extent()
    assert line.get_text().startswith("_a$b$")
    assert line.get_text().endswith("end")
    assert box.x0 >= 0
    assert box.x1 <= figure.bbox.x1
    assert (box.y0 + box.y1) / 2 == pytest.approx(2.8 * figure.dpi, abs=2)


def test_all_names_are_measured_on_one_canvas(monkeypatch):
    made = []

    class Counted(backend_agg.RendererAgg):
        def __init__(self, *size):
            made.append(size)
            super().__init__(*size)

    monkeypatch.setattr(backend_agg, "RendererAgg", Counted)
    fit_names(Figure(), ["one", "two", "three" * 20], 1.0, size=9)
    assert len(made) == 1
