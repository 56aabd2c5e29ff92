"""The worst patients of a page: ranked by the mean of its first number, and slices through them."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import medseg
from medseg.pipeline.options import RunOptions
from medseg.pipeline.study.cross_validation import CrossValidation
from medseg.pipeline.study.part import Part
from medseg.yaml import read_yaml

ROOT = Path(__file__).resolve().parents[3]
CLASSES = ("background", "anterior", "posterior")
DICE = {
    "p1": (0.9, 0.2, 0.3, 0.9),  # background, anterior, posterior, hippocampus
    "p2": (0.1, 0.5, 0.6, 0.1),
    "p3": (0.5, 0.3, float("nan"), 0.5),
}


@pytest.fixture
def scored(made_run):
    """A run of `hippocampus` with a mean over some of its names; its definition names none of them."""

    def make(name: str = "run", over=("anterior", "posterior"), task: dict[str, Any] | None = None, **state):
        declared = read_yaml(ROOT / "pipelines" / "hippocampus.yaml")["task"] | (task or {})
        names = (*CLASSES, "hippocampus")
        frame = pd.DataFrame(
            [
                {"case": f"{who}-mr", "group": who, "name": each, "dice": value}
                for who, values in DICE.items()
                for each, value in zip(names, values, strict=True)
            ]
        )
        chosen = frame[frame["name"].isin(over)].groupby("group")["dice"].mean()
        rows = [(each, frame[frame["name"] == each]["dice"].mean()) for each in names]
        rows.append(("mean", chosen.mean()))
        columns = {"score": "dice", "low": 0.0, "high": 1.0, "patients": 3}
        summary = pd.DataFrame(rows, columns=["name", "mean"]).assign(**columns)
        tables = {"": frame, "_summary": summary}
        return made_run(name, tables, pipeline="hippocampus", definition={"task": declared}, **state)

    return make


def keep_sheet(folder: Path, place: int, who: str, mean: float, **told: Any) -> None:
    """Slices as a run keeps them, each of a colour of its own."""
    figures = folder / "figures"
    figures.mkdir(exist_ok=True)
    tones = np.arange(1, 4, dtype=np.uint8) * 10 + place
    Image.fromarray(np.repeat(tones, 4)[:, None, None].repeat(30, axis=1).repeat(3, axis=2)).save(
        figures / f"test_worst_{place}.png"
    )
    about = {
        "case": f"{who}-mr",
        "group": who,
        "dice": mean,
        "slices": [0, 5, 10],
        "of": 40,
        "plane": "axial",
        "channel": "t1",
        "classes": CLASSES,
    }
    (figures / f"test_worst_{place}.json").write_text(json.dumps(about | told), encoding="utf-8")


def worst_rows(page) -> list[str]:
    """Patient and mean, as the table of the worst has them."""
    text = page.words[page.words.index("The worst first") :]
    return re.findall(r"(p\d) (0\.\d{3}) ", text[: text.index("Every patient")])


@pytest.mark.parametrize(
    ("over", "task", "expected"),
    [
        (("anterior", "posterior"), {}, [("p1", "0.250"), ("p3", "0.300"), ("p2", "0.550")]),
        (("hippocampus",), {}, [("p2", "0.100"), ("p3", "0.500"), ("p1", "0.900")]),
        (
            ("posterior", "hippocampus"),
            {"select": ["posterior", "hippocampus"]},
            [("p2", "0.350"), ("p3", "0.500"), ("p1", "0.600")],
        ),
    ],
)
def test_the_worst_are_so_by_the_mean_that_stands_first(scored, page, over, task, expected) -> None:
    scored(over=over, task=task)
    found = page(medseg.report("run"))

    assert worst_rows(found) == expected
    assert (
        f"The mean Dice of a case is over {', '.join(over)}; here, and wherever cases are ranked."
        in found.words
    )
    mean = np.mean([float(value) for _, value in expected])
    assert f"{mean:.3f} Dice, mean" in found.words


def test_a_mean_over_unknown_classes_ranks_nobody(scored, page) -> None:
    scored(over=("background", "posterior"))
    words = page(medseg.report("run")).words

    assert "Over which classes the mean is taken is not known: nobody is the worst by it." in words
    assert "The worst first" not in words


def test_slices_through_the_worst_patients_are_slid_through(scored, page) -> None:
    folder = scored().path
    for place, (case, dice) in enumerate({"p1": 0.25, "p3": 0.3, "p2": 0.55}.items(), start=1):
        keep_sheet(folder, place, case, dice)
    found = page(medseg.report("run"))

    labels = [attrs["aria-label"] for _, attrs in found.elements if "small" in attrs.get("class", "").split()]
    assert labels == [
        "1. p1, p1-mr: mean Dice 0.250",
        "2. p3, p3-mr: mean Dice 0.300",
        "3. p2, p2-mr: mean Dice 0.550",
    ]
    assert "2 of 3: p1-mr, axial slice 5 (0 to 39): t1, truth, prediction" in found.words
    assert {"anterior", "posterior"} <= set(
        re.findall(r"\w+", found.words[found.words.index("Slices through") :])
    )
    steps = [attrs["href"] for tag, attrs in found.elements if tag == "a" and "worst1" in attrs["href"]]
    assert steps == [f"#run1-look-worst1-{place}" for place in (1, 2, 3)]
    shown = []
    for png in found.pictures:
        with Image.open(io.BytesIO(png)) as picture:
            shown.append((picture.size, picture.getpixel((3, 1))))
    assert shown == [((30, 4), (10 * row + place,) * 3) for place in (1, 2, 3) for row in (1, 2, 3)]


def test_of_folds_the_worst_of_all_are_shown(scored, page) -> None:
    for fold in (1, 2):
        folder = scored(f"fold{fold}", part_of=Part("both", fold)).path
        for place in (1, 2, 3, 4):
            keep_sheet(folder, place, f"q{fold}{place}", place / 10 + (fold - 1) / 4)
    declared = {
        "definition": read_yaml(ROOT / "pipelines" / "hippocampus.yaml"),
        "manifest": read_yaml(ROOT / "data_manifests" / "brats2019.yaml"),
    }
    CrossValidation(
        "both", "hippocampus", "/data", 2, (), RunOptions.of(device="cpu"), declared, "", status="FINISHED"
    ).write()
    words = page(medseg.report("both")).words

    assert re.findall(r"\d\. (q\d\d), q\d\d-mr", words) == ["q11", "q12", "q13", "q21", "q14"]


@pytest.mark.parametrize(
    "told",
    [
        {"case": 3},
        {"group": "x" * 5000},
        {"dice": "0.2"},
        {"dice": float("nan")},
        {"slices": []},
        {"slices": [1, 2, "3"]},
        {"slices": list(range(500))},
        {"slices": [True, 1, 2]},
        {"of": -1},
        {"of": 10**400},
        {"classes": None},
        {"classes": ["a"] * 5000},
        {"slices": [1, 2, 3, 4, 5]},
    ],
)
def test_what_is_said_of_slices_and_is_none_of_it_is_left_out(scored, page, told) -> None:
    keep_sheet(scored().path, 1, "p1", 0.25, **told)
    found = page(medseg.report("run"))

    assert not found.pictures
    assert "Slices through" not in found.words


def test_whatever_is_said_of_slices_is_text(scored, page) -> None:
    bad = '<img src="x"> {{ 7 * 7 }}'
    keep_sheet(scored().path, 1, bad, 0.25, channel=bad, plane=bad, classes=[bad, bad])
    found = page(medseg.report("run"))

    assert found.words.count(bad) > 4
    assert len(found.pictures) == 3


def test_a_run_that_kept_no_slices_says_so(scored, page) -> None:
    folder = scored().path
    (folder / "figures").mkdir()
    Image.new("RGB", (4, 4)).save(folder / "figures" / "test_slices.png")
    found = page(medseg.report("run"))

    assert "Slices through the worst patients were not kept: an earlier medseg made this run." in found.words
    assert len(found.pictures) == 1
    assert "1 of 1" not in found.words


@pytest.mark.slow
def test_a_run_keeps_slices_through_its_worst_patients_for_its_page(finished, page, tmp_path: Path) -> None:
    found = page(medseg.report(finished.folder, out=tmp_path / "page.html"))
    chosen = read_yaml(finished.folder / "definition.yaml")["task"]["select"]
    scores = finished.scores()
    means = scores[scores["name"].isin(chosen)].groupby("case")["dice"].mean().sort_values()

    told = re.findall(r"\d\. (\S+): mean Dice (\d\.\d{3})", found.words)
    assert told == [(case, f"{mean:.3f}") for case, mean in means.items()]
    listed = [f"{case} {mean:.3f}" for case, mean in means.items()]
    positions = [found.words.index(each, found.words.index("The worst first")) for each in listed]
    assert positions == sorted(positions)
    assert len(found.raw) < 3_000_000


def test_a_name_heads_the_page_and_note_and_tags_stand_among_the_facts(scored, page) -> None:
    bad = "<b>bold</b>"
    options = RunOptions.of(
        device="cpu",
        run_name=f"Third {bad}",
        note=f"First line {bad}\nsecond line " + "x" * 6000,
        tags=(f"lab={bad}", "model.learned_from=not known of emps-1"),
    )
    folder = scored()
    folder.write(replace(folder.read(), options=options))
    found = page(medseg.report("run"))

    assert found.all_of("h1") == found.all_of("title")[:1] == [f"Third {bad}"]
    assert "Name of the run run" in found.words
    assert f"Note First line {bad} second line xxx" in found.words
    assert "x [...]" in found.words
    assert "x" * 5000 not in found.words
    assert f"Tags lab: {bad} Pipeline" in found.words
    scored("plain")
    plain = page(medseg.report("plain"))
    assert plain.all_of("h1") == ["plain"]
    assert not {"Name of the run", "Note", "Tags"} & set(plain.all_of("dt"))


def test_on_paper_the_axis_of_the_dots_stays_with_them(scored, page) -> None:
    scored()
    raw = page(medseg.report("run")).raw
    style = raw[raw.index("@media print") : raw.index("</style>")]
    kept = {name.strip() for name in re.search(r"([^{}]*){ break-inside: avoid; }", style)[1].split(",")}

    assert {"figure", ".strips", ".together"} <= kept
    last = raw[raw.index('<div class="together">') :]
    assert re.fullmatch(
        r'<div class="together">\s*<div class="strip">.*?</div>\s*<svg class="axis".*?</svg>\s*</div>\s*</div>',
        last[: last.index("</div>", last.index('class="axis"')) + len("</div>\n</div>")],
        re.DOTALL,
    )
