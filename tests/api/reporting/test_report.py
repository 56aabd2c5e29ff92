"""Pages that people pass on: whole, alone, without a path or a name of a patient, whatever a folder holds."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image, PngImagePlugin

import medseg
from medseg.api.reporting.compared import _public
from medseg.api.reporting.facts import warnings
from medseg.api.reporting.kept import kept_run
from medseg.errors import RunError
from medseg.files.lock import take
from medseg.pipeline.audit.certificate import digest_of
from medseg.pipeline.folder import RunFolder
from medseg.pipeline.made import keep_made, keep_result, known
from medseg.pipeline.options import RunOptions
from medseg.pipeline.process import this_process
from medseg.pipeline.study.cross_validation import CrossValidation
from medseg.pipeline.study.part import Part
from medseg.yaml import read_yaml, to_yaml

ROOT = Path(__file__).resolve().parents[3]
SECTIONS = [
    "What was run",
    "Data",
    "Scores",
    "Every patient",
    "Cases to look through",
    "Learning curves",
    "Calibration",
    "Model card",
    "Versions",
]
CANARY = "JANE_DOE_1970"
VOUCHED = "nobody here vouches"


def dots(page) -> list[str]:
    """What the dots of strips say."""
    return [text for text in page.all_of("title") if ": " in text]


@pytest.mark.slow
def test_a_page_of_a_run_has_all_sections_and_every_patient(finished, page, tmp_path: Path) -> None:
    path = medseg.report(finished.folder, out=tmp_path / "page.html")
    found, scores = page(path), finished.scores()

    assert path == tmp_path / "page.html"
    assert found.all_of("h2") == SECTIONS
    assert len(dots(found)) == scores["dice"].notna().sum()
    assert {text.partition(":")[0] for text in dots(found)} == set(scores["group"])
    mean = finished.summary().set_index(["name", "score"]).loc[("mean", "dice"), "mean"]
    assert f"{mean:.3f} Dice, mean" in found.words
    assert VOUCHED not in found.words
    for told in ("Dice of each class and region", "validation cases after epoch", "Licence", "Menze et al."):
        assert told in found.words
    assert found.words.count("To be filled in by the authors") > 15
    assert "Research use only" in found.words
    assert len(found.pictures) >= 6


@pytest.mark.slow
def test_of_images_it_shows_calibration_mistakes_and_each_patient_s_share(
    classified, page, tmp_path: Path
) -> None:
    found = page(medseg.report(classified.folder, out=tmp_path / "page.html"))
    scores = classified.scores()

    wrong = int((~scores["correct"]).sum())
    assert f"The surest mistakes: {min(wrong, 10)} of {wrong}, of {len(scores)} images" in found.words
    assert "calibration error" in found.words
    assert "How often it is right" in found.words
    shares = scores.groupby("group")["correct"].mean()
    assert {f"{who}: {share:.3f}" for who, share in shares.items()} <= set(dots(found))
    assert "Grad-CAM pictures of some test images." in found.words


@pytest.mark.slow
def test_of_a_foreground_in_pictures_it_shows_the_threshold_and_groups(
    pictured, page, tmp_path: Path
) -> None:
    found = page(medseg.report(pictured.folder, out=tmp_path / "page.html"))

    assert "Threshold" in found.all_of("h2")
    assert "searched on the validation cases" in found.words
    assert "Predicted masks, from the best picture to the worst" in found.words
    assert "Each dot is a group" in found.words


@pytest.mark.slow
def test_no_name_of_a_patient_and_no_path_is_in_it_nor_in_its_pictures(
    classified, page, tmp_path: Path
) -> None:
    """The folder of the run is called as a patient, and so are texts that somebody put into a picture and files."""
    place = tmp_path / CANARY / CANARY
    shutil.copytree(classified.folder, place)
    told = PngImagePlugin.PngInfo()
    told.add_text("Comment", CANARY)
    drawn = place / "figures" / "test_reliability.png"
    with Image.open(drawn) as picture:
        picture.save(drawn, pnginfo=told)
    assert CANARY.encode() in drawn.read_bytes()
    state = RunFolder(place).read()
    hidden = (
        "Zylinski",
        CANARY,
        str(tmp_path),
        str(classified.folder.parent),
        state.tracking_uri,
        str(state.data),
    )
    path = medseg.report(place)
    found = page(path)

    assert path == place / "report.html"
    assert len(found.pictures) > 5
    for content in (found.raw.encode(), *found.pictures):
        assert not [name for name in hidden if name.lower().encode() in content.lower()]


def test_paths_in_a_definition_and_the_name_of_the_folder_are_left_out(made_run, tables, page) -> None:
    home = f"/home/{CANARY}"
    steps = {
        "start": {"_target_": "medseg.steps.StartFrom", "weights": f"{home}/weights.pt"},
        "fit": {
            "_target_": "medseg.steps.Fit",
            "epochs": 1,
            "optimiser": {"_target_": "torch.optim.AdamW", "own": home},
        },
    }
    split = {"file": f"{home}/split.json"}
    folder = made_run("run", tables(), definition={"steps": steps, "split": split}, data=home)
    shutil.copy(ROOT / "data_manifests" / "brats2019.yaml", folder.path / "manifest.yaml")
    moved = folder.path.rename(folder.path.with_name(CANARY))
    found = page(medseg.report(moved))

    assert CANARY not in found.raw
    assert "Given weights were loaded." in found.words
    assert "A file gave the roles." in found.words
    assert "own: given" in found.words


def test_whatever_a_folder_says_is_text(made_run, tables, page) -> None:
    bad = '<script>alert("x")</script>'
    folder = made_run("run", tables(names=(bad, "{{ 7 * 7 }}", "\u202ebc")))
    name = next(iter(read_yaml(folder.path / "definition.yaml")["steps"]))
    verdict = folder.path / "steps" / name / "verdict.json"
    verdict.parent.mkdir(parents=True)
    verdict.write_text(json.dumps({"kind": bad, "text": bad, "next_step": "\ud800"}))
    tags = {f"version.{bad}": bad, f"{name}.best_epoch": [bad], "network.parameters": "9" * 5000}
    (folder.path / "tags.json").write_text(json.dumps(tags))
    (folder.path / "inputs.json").write_text(json.dumps([{"context": bad, "profile": {"groups": 1}}, bad]))
    kept = folder.path / "comparisons" / "with-x"
    kept.mkdir(parents=True)
    (kept / "comparison.json").write_text(
        json.dumps({"sides": {"A": [bad]}, "sentences": [bad, 3], "notes": bad})
    )
    found = page(medseg.report("run"))

    assert bad in found.words
    assert "{{ 7 * 7 }}" in found.words
    assert "\u202e" not in found.raw
    assert "\\u202ebc" in found.words


def test_what_is_no_picture_or_lies_elsewhere_is_left_out_and_named(
    made_run, tables, page, tmp_path: Path
) -> None:
    folder = made_run("run", tables())
    place = folder.path / "figures"
    place.mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "secret.png")
    (place / "test_slices.png").symlink_to(tmp_path / "secret.png")
    (place / "test_dice.png").write_bytes(b"<svg onload=alert(1)>")
    os.mkfifo(place / "test_confusion.png")
    told = PngImagePlugin.PngInfo()
    told.add_text("Comment", CANARY)
    Image.new("RGB", (4, 4)).save(place / "data.png", pnginfo=told)
    found = page(medseg.report("run"))

    assert len(found.pictures) == 1
    assert CANARY.encode() not in found.pictures[0]
    left_out = ("Dice of each class and region: patients", "The best, the median and the worst patient")
    told = found.words[found.words.index("damaged, too large, too many or none at all were left out: ") :]
    assert [each for each in left_out if each not in told] == []


def test_a_run_that_has_failed_or_has_no_test_part_says_so_on_its_page(made_run, tables, page) -> None:
    made_run("failed", {}, status="FAILED")
    made_run("untested", {})
    failed, untested = (page(medseg.report(name)) for name in ("failed", "untested"))

    assert "This run has failed" in failed.words
    assert "no finished result" not in untested.words
    for found in (failed, untested):
        assert found.all_of("h2") == SECTIONS
        for missing in (
            "no scores of a test part",
            "no scores of single patients",
            "no learning curves",
            "No pictures",
        ):
            assert missing in found.words


def test_sizes_that_the_data_do_not_give_are_named_at_the_top_of_its_page(made_run, tables, page) -> None:
    folder = made_run("sizes", tables())
    tag = "its header gives no voxel size along I (pixdim is 0) (1 of 6 cases)"
    (folder.path / "tags.json").write_text(json.dumps({"data.assumed": tag}))
    words = page(medseg.report("sizes")).words

    assert f"NOT GIVEN by the files of the data, and assumed: {tag}." in words
    section = words.rindex("What was run")
    assert section < words.index("NOT GIVEN") < words.index("Data", section)


def test_a_run_that_goes_on_is_not_reported(made_run) -> None:
    folder = made_run("run", {}, status="RUNNING", process=this_process())
    other = take(folder.path / ".held")
    assert other is not None
    with pytest.raises(RunError, match=r"still going on"):
        medseg.report("run")
    other.let_go()
    assert medseg.report("run") == folder.path / "report.html"


def test_scores_that_are_not_as_the_run_made_them_are_not_reported(ended) -> None:
    path = ended.path / "scores" / "test.csv"
    path.write_text(path.read_text(encoding="utf-8").replace("0.", "0.9"), encoding="utf-8")
    with pytest.raises(RunError, match=r"scores/test\.csv.*medseg pipeline resume"):
        medseg.report(ended.path)


@pytest.mark.parametrize(
    "content", ["name,score,mean\na,dice,1", "name,score,mean,low,high,patients\na,dice,x,0,1,2", "\0", ""]
)
def test_a_damaged_table_is_named(made_run, tables, content: str) -> None:
    folder = made_run("run", tables())
    (folder.path / "scores" / "test_summary.csv").write_text(content)
    with pytest.raises(RunError, match=r"test_summary\.csv .*is damaged"):
        medseg.report("run")


def test_a_page_that_is_there_is_written_over_only_on_demand(made_run, tables) -> None:
    folder = made_run("run", tables())
    before = sorted(folder.path.rglob("*"))
    path = medseg.report("run")
    assert sorted(folder.path.rglob("*")) == sorted(
        [*before, path]
    )  # nothing is logged, and nothing waits to be
    with pytest.raises(RunError, match="--force"):
        medseg.report("run")
    path.write_text("")
    assert medseg.report("run", force=True).read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    for name in ("scores.csv", "."):
        with pytest.raises(RunError, match="-o"):
            medseg.report("run", out=name, force=True)


def test_into_the_folder_of_somebody_else_nothing_is_written(made_run, tables, page, monkeypatch) -> None:
    made_run("run", tables())
    monkeypatch.setenv("MEDSEG_CONFIG", "another-user")
    with pytest.raises(RunError, match=r"-o report\.html"):
        medseg.report("run")
    assert VOUCHED in page(medseg.report("run", out="report.html")).words


@pytest.mark.usefixtures("undrawn")
def test_several_runs_are_compared_and_seeds_are_put_together(made_run, tables, page) -> None:
    for seed, (name, gain) in enumerate({"a1": 0.0, "a2": 0.02, "b": 0.1}.items()):
        made_run(name, tables(gain), definition={"seed": seed})
    path = medseg.report("a1,a2", "b")
    found = page(path)

    assert path.parent.name == "a1"
    assert [text for text in found.all_of("h2") if text in ("Compared", "a1", "a2", "b")] == [
        "Compared",
        "a1",
        "a2",
        "b",
    ]
    sentence = medseg.compare("a1,a2", "b").sentences()[0]
    assert sentence in found.words
    assert "0.580 ± 0.014" in found.words  # the mean of A, and its spread over seeds
    assert "Scores one by one, under A and under the other side" in found.words
    heads = "class or region score A1 A2 B A: mean, spread over seeds"
    assert heads in found.words
    assert "class or region difference [95 % interval] verdict" in found.words
    alone = page(medseg.report(["a1", "a2"], out="seeds.html"))
    assert "A: mean, spread over seeds" in alone.words


def test_runs_that_are_joined_and_differ_in_more_than_the_seed_are_refused(made_run, tables) -> None:
    made_run("a1", tables())
    made_run("a2", tables(), definition={"about": "another"})
    with pytest.raises(RunError, match=r"differ in more than the seed: about"):
        medseg.report("a1,a2")


@pytest.mark.usefixtures("undrawn")
def test_runs_that_cannot_be_compared_say_why_and_the_remedy_works(made_run, tables, page) -> None:
    made_run("a", tables())
    fewer = tables()
    made_run("b", {"": fewer[""].query("case != 'c3'"), "_summary": fewer["_summary"]})
    path = medseg.report("a", "b")
    assert "They are not compared one by one: the runs were not tested on the same" in page(path).words
    assert "7 patients" in page(medseg.report("a", "b", on_common=True, force=True)).words


@pytest.mark.usefixtures("undrawn")
def test_a_comparison_that_a_run_keeps_is_shown(made_run, tables, page) -> None:
    made_run("a", tables())
    made_run("b", tables(0.1))
    compared = medseg.compare("a", "b")
    medseg.keep_comparison(compared)
    found = page(medseg.report("b"))

    assert "Compared with other runs" in found.all_of("h2")
    assert compared.sentences()[0] in found.words
    assert len(found.pictures) == 1


@pytest.fixture
def folds(made_run, tables) -> CrossValidation:
    """A cross-validation of two folds that has ended."""
    frame = tables()[""]
    for fold, cases in enumerate(("c0 c1 c2 c3", "c4 c5 c6 c7"), start=1):
        part = frame[frame["case"].isin(cases.split())]
        made_run(f"fold{fold}", {"": part}, part_of=Part("both", fold))
    declared = {
        "definition": read_yaml(ROOT / "pipelines" / "brats2d.yaml"),
        "manifest": read_yaml(ROOT / "data_manifests" / "brats2019.yaml"),
    }
    options = RunOptions.of(device="cpu")
    return CrossValidation(
        "both", "brats2d", "/data", 2, (), options, declared, "", status="FINISHED"
    ).write()


def test_of_folds_the_scores_of_all_together_are_shown(folds, tables, page) -> None:
    for ending, frame in tables().items():
        frame.to_csv(folds.folder / f"test{ending}.csv", index=False)
    path = medseg.report("both")
    found = page(path)

    assert path == folds.folder / "report.html"
    assert {text.partition(":")[0] for text in dots(found)} == {f"p{n}" for n in range(8)}
    assert "Runs of the folds" in found.words
    assert "fold2" in found.words
    assert "Drawn into 2 folds with seed 7; each is the test part once." in found.words
    assert "A cross-validation: one model for each fold." in found.words


def test_folds_that_have_not_ended_name_the_command_that_goes_on(folds) -> None:
    replace(folds, status="KILLED").write()
    with pytest.raises(RunError, match=r"medseg pipeline resume both"):
        medseg.report("both")


def test_patients_are_many_and_none_is_lost(made_run, page) -> None:
    frame = pd.DataFrame(
        [{"case": f"c{n}", "group": f"p{n}", "name": "core", "dice": n % 7 / 7} for n in range(300)]
    )
    made_run("run", {"": frame})
    assert len(dots(page(medseg.report("run")))) == 300


def own_run(made_run, tables) -> RunFolder:
    """A finished run with definition, verdict, threshold, inputs and a figure, noted as a run notes them."""
    folder = made_run("run", tables())
    definition = read_yaml(folder.path / "definition.yaml")
    definition["steps"] = {
        "fit": definition["steps"]["fit"],
        "tune": {"_target_": "medseg.steps.TuneThreshold"},
    }
    (folder.path / "definition.yaml").write_text(to_yaml(definition))
    for place, found in {
        "steps/fit/verdict.json": {"text": "overfitting", "next_step": "stop"},
        "steps/tune/threshold.json": {"threshold": 0.25},
        "inputs.json": [{"context": "train", "profile": {"groups": 8}}],
    }.items():
        (folder.path / place).parent.mkdir(parents=True, exist_ok=True)
        (folder.path / place).write_text(json.dumps(found))
    (folder.path / "figures").mkdir()
    Image.new("RGB", (4, 4)).save(folder.path / "figures" / "test_dice.png")
    keep_made(folder, folder.read(), "fit", {})
    folder.write(replace(keep_result(folder), declared=folder.declaration()))
    return folder


def test_a_run_of_one_s_own_that_nobody_has_edited_is_vouched_for(made_run, tables, page) -> None:
    own_run(made_run, tables)
    found = page(medseg.report("run"))

    assert VOUCHED not in found.words
    assert "0.25, searched on the validation cases" in found.words


@pytest.mark.parametrize(
    ("place", "old", "new"),
    [
        ("definition.yaml", "seed: ", "seed: 9"),
        ("inputs.json", "8", "1000"),
        ("steps/fit/verdict.json", "overfitting", "good fit"),
        ("steps/tune/threshold.json", "0.25", "0.75"),
        ("steps/tune/verdict.json", "", '{"text": "good fit", "next_step": "none"}'),
        ("tags.json", "", '{"network.parameters": "7"}'),
        ("scores/val_summary.csv", "", "name,score,mean,low,high,patients\na,dice,1,1,1,9\n"),
        ("figures/test_dice.png", "", ""),
    ],
)
def test_what_was_edited_in_a_run_of_one_s_own_is_not_vouched_for(
    made_run, tables, page, place: str, old: str, new: str
) -> None:
    path = own_run(made_run, tables).path / place
    if path.suffix == ".png":
        Image.new("RGB", (4, 4), "red").save(path)
    else:
        path.write_text(path.read_text().replace(old, new) if old else new)

    assert VOUCHED in page(medseg.report("run")).words


def test_edited_scores_of_all_folds_together_are_not_vouched_for(folds, tables, page) -> None:
    for ending, frame in tables().items():
        frame.to_csv(folds.folder / f"test{ending}.csv", index=False)
    noted = {path.name: known(path) for path in folds.folder.glob("*.csv")}
    made = replace(folds, made=noted).write()
    for _, (folder, state) in made.runs(mine=True):
        place = {name: ("evaluate", *known(folder.path / name)) for name in ("scores/test.csv",)}
        folder.write(replace(state, declared=folder.declaration(), made=place))
    assert VOUCHED not in page(medseg.report("both")).words

    tables(0.1)["_summary"].to_csv(folds.folder / "test_summary.csv", index=False)
    assert VOUCHED in page(medseg.report("both", force=True)).words


@pytest.mark.parametrize("threshold", ["1" + "0" * 400, "NaN", "Infinity", "-1", "true"])
def test_a_threshold_that_is_none_is_not_shown(made_run, tables, page, threshold: str) -> None:
    folder = own_run(made_run, tables)
    (folder.path / "steps/tune/threshold.json").write_text(f'{{"threshold": {threshold}}}')
    (folder.path / "inputs.json").write_text(
        '[{"context": "train", "profile": {"cases": ' + "9" * 400 + "}}]"
    )
    (folder.path / "tags.json").write_text(json.dumps({"data.left_out": "9" * 400}))
    found = page(medseg.report("run"))

    assert "Threshold" not in found.all_of("h2")
    assert "999" not in found.words.replace(",", "")


def test_thresholds_of_regions_are_shown_by_their_names(made_run, tables, page) -> None:
    folder = own_run(made_run, tables)
    kept = {"thresholds": {"whole": 0.25, "core": 0.5, "odd": "x", "beyond": 3}}
    (folder.path / "steps/tune/threshold.json").write_text(json.dumps(kept))
    words = page(medseg.report("run")).words

    assert "Threshold of whole" in words
    assert "Threshold of core" in words
    assert "Threshold of odd" not in words
    assert "Threshold of beyond" not in words


def test_a_table_of_many_names_is_cut_and_says_how_many_rows_it_has(made_run, tables, page) -> None:
    rows = [
        {"name": f"n{n}", "score": "dice", "mean": 0.5, "low": 0.4, "high": 0.6, "patients": 30}
        for n in range(2000)
    ]
    patients = pd.DataFrame(
        [
            {"case": f"c{k}", "group": f"p{k}", "name": f"n{n}", "dice": 0.5}
            for k in range(2)
            for n in range(400)
        ]
    )
    made_run("run", {"": patients, "_summary": pd.DataFrame(rows)})
    found = page(medseg.report("run"))

    assert "All scores (the first 300 of 2,000 rows)" in found.words
    assert "n299" in found.words
    assert "n300" not in found.words
    assert "400 classes and regions are too many" in found.words


def test_a_table_of_thousands_of_columns_is_refused(made_run, tables) -> None:
    folder = made_run("run", tables())
    path = folder.path / "scores" / "test_summary.csv"
    path.write_text("name,score,mean,low,high,patients" + "," * 25_000 + "\n")
    with pytest.raises(RunError, match=r"test_summary\.csv is damaged: it has more than 3,000 columns"):
        medseg.report("run")


def test_a_split_file_of_slices_is_said_to_leak_as_a_draw_of_slices_is(made_run, tables, page) -> None:
    declared = {"split": {"file": "index.csv"}}
    folder = made_run("leaks", tables(), definition=declared)
    (folder.path / "tags.json").write_text(json.dumps({"split.leaking": "true"}))
    made_run("apart", tables(), definition=declared)
    leaks, apart = (page(medseg.report(name)).words for name in ("leaks", "apart"))

    assert "LEAKING SPLIT: slices of one patient may be in training and in test" in leaks
    assert "A file gave the roles of slices: those of one patient may be in several roles." in leaks
    assert "partitions are not disjoint" in leaks
    assert "LEAKING SPLIT" not in apart


LEAK = "1 pair of images that are one, or nearly, in roles that must be apart: c1 and c2."


def certificate(folder: RunFolder, **content: object) -> None:
    known = {"leaks": {}, "unseen": ["Whether two names are one person."], "images": {"cases": 8}, **content}
    (folder.path / "audit.json").write_text(
        json.dumps({**known, "sha256": digest_of(known)}), encoding="utf-8"
    )


def test_a_certificate_that_was_changed_by_hand_says_nothing_for_the_run(made_run, tables, page) -> None:
    folder = own_run(made_run, tables)
    certificate(folder, leaks={"images": LEAK})
    path = folder.path / "audit.json"
    path.write_text(path.read_text(encoding="utf-8").replace(LEAK, "None."), encoding="utf-8")
    words = page(medseg.report("run")).words

    assert words.index("CERTIFICATE ALTERED") < words.index("How patients were shared")
    assert "It was changed after it was written, so that what it says counts for nothing." in words
    assert "The images of 8 cases were compared" not in words
    assert "LEAK (images)" in words


def test_a_leak_heads_the_page_and_its_part_on_data(made_run, tables, page) -> None:
    folder, found = own_run(made_run, tables), []
    for leaks in (None, {}, {"images": LEAK}):
        if leaks is not None:
            certificate(folder, leaks=leaks)
        found.append(page(medseg.report("run", force=True)).words)
    none, clean, leaky = found

    data = leaky.index("LEAK: 1 pair")
    assert (
        leaky.index("LEAK (images): what was tested") < data < leaky.index("How patients were shared", data)
    )
    assert f"LEAK: {LEAK} The scores are too good." in leaky
    assert "LEAK" not in clean
    assert "No leak was found in what was looked at. The images of 8 cases were compared." in clean
    assert "Nobody looked at Whether two names are one person." in clean
    assert "There is no leak certificate" in none


def test_texts_of_somebody_elses_certificate_are_not_passed_on(made_run, tables, page, monkeypatch) -> None:
    leaks = {"patients": CANARY, CANARY: CANARY}
    certificate(made_run("run", tables()), leaks=leaks, unseen=[CANARY], images=CANARY)
    monkeypatch.setenv("MEDSEG_CONFIG", "another-user")
    found = page(medseg.report("run", out="report.html"))

    assert "LEAK (patients, other)" in found.words
    assert "LEAK: Patients were loaded for two roles. The scores are too good." in found.words
    assert CANARY not in found.raw


def test_what_is_not_known_of_the_learning_of_a_scored_model_stands_in_the_page(made_run) -> None:
    folder = made_run("scored", {})
    tagged = RunOptions.of(device="cpu", tags=("model.learned_from=not known of emps-1",))
    folder.write(replace(folder.read(), options=tagged))

    (said,) = [words for words in warnings(kept_run(folder)) if "learned" in words.text]

    assert said.text.startswith("What the model has learned from is not known of emps-1:")
    assert said.manner == "loud"


@pytest.mark.usefixtures("undrawn")
def test_of_several_runs_those_that_can_are_compared_and_the_others_named(made_run, tables, page) -> None:
    fewer = tables()
    less = {"": fewer[""].query("case != 'c3'"), "_summary": fewer["_summary"]}
    for name, found in {"a": tables(), "b": less, "c": tables(), "d": less, "e": {}}.items():
        made_run(name, found)
    words = page(medseg.report("a", "b", "c", "d", "e")).words

    for other in "BD":  # the reasons name the runs
        assert f"{other} is not compared with A: the runs were not tested on the same" in words
    assert "E is not compared with A: the run e has no scores of a test part" in words
    assert "E is not compared with B: the run e has no scores of a test part" in words
    assert "no evidence that A and C differ" in words
    own = words.index("Compared with one another, with letters of their own:")
    assert "no evidence that A and B differ" in words[own:]
    assert "They are not compared" not in words
    words = page(medseg.report("e", "a", "c", force=True)).words
    assert "B and C are not compared with A: the run e has no scores of a test part" in words
    assert "no evidence that A and B differ" in words


def test_reasons_of_a_page_hold_no_command_and_so_no_place() -> None:
    reason = (
        "the run b has failed, and has no whole test part. Going on would end so again. Begin a new run with other "
        "settings: medseg pipeline run /data/a. b/definition.yaml --set a=1"
    )
    assert _public(reason, []) == (
        "the run b has failed, and has no whole test part. Going on would end so again. Begin a new run with other "
        "settings"
    )
