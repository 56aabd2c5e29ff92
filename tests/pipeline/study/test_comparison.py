"""Runs are compared patient by patient on one test part; what cannot be paired is refused, with the reason."""

from __future__ import annotations

import shutil
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from scipy.stats import wilcoxon

from medseg.api import load_pipeline
from medseg.cli.printing.comparison_tables import print_comparison
from medseg.datasets.case import Case
from medseg.errors import RunError
from medseg.pipeline.options import RunOptions
from medseg.pipeline.study.comparison import compare
from medseg.splits.split import make_split

ROOT = Path(__file__).parents[3]


def records(found):
    return {(row["side"], row["score"], row["name"]): row for row in found.differences().to_dict("records")}


def test_a_difference_is_found_where_it_is_and_in_plain_words(made_run, volumes):
    a, b = made_run("a", {"": volumes(1)}), made_run("b", {"": volumes(2, {"oedema": 0.05})})
    found = compare([[a], [b]])
    rows = records(found)
    oedema, core = rows["B", "dice", "oedema"], rows["B", "dice", "core"]

    assert (oedema["verdict"], core["verdict"]) == ("better", "no evidence")
    assert oedema["patients"] == 12
    (sentence,) = found.sentences()
    by = f"{oedema['difference']:.3f} [{oedema['low']:.3f}, {oedema['high']:.3f}]"
    assert sentence == f"dice: B is better on oedema by {by}; no evidence for core."
    (turned,) = compare([[b], [a]]).sentences()
    assert turned == f"dice: B is worse on oedema by {by}; no evidence for core."


def test_a_side_is_called_by_the_name_that_its_run_was_given(made_run, volumes):
    options = RunOptions.of(device="cpu", run_name="with flips")
    found = compare([[made_run("a", {"": volumes(1)})], [made_run("b", {"": volumes(2)}, options=options)]])
    assert [side.label for side in found.sides] == ["A = a", "B = with flips (b)"]


def test_p_is_scipys_of_the_patients_and_holm_counts_every_row(made_run, volumes):
    one, other, third = volumes(1), volumes(2, {"oedema": 0.02}), volumes(3)
    folders = [made_run(name, {"": table}) for name, table in (("a", one), ("b", other), ("c", third))]
    found = compare([[folder] for folder in folders], scores=["dice", "hd95"])
    frame = found.differences()

    assert len(frame) == 8  # two sides, two scores, two names
    for row in frame.to_dict("records"):
        table = {"B": other, "C": third}[row["side"]]
        a, b = (each[each["name"] == row["name"]][row["score"]].to_numpy() for each in (one, table))
        assert row["p"] == pytest.approx(float(wilcoxon(b - a).pvalue))
        assert row["difference"] == pytest.approx((b - a).mean())
    assert frame["p_holm"].min() == pytest.approx(min(1, 8 * frame["p"].min()))


def test_of_a_distance_less_is_better(made_run, volumes):
    table = volumes(1)
    a, b = made_run("a", {"": table}), made_run("b", {"": table.assign(hd95=table["hd95"] - 1)})
    found = compare([[a], [b]], scores=["hd95"], names=["core"])
    (row,) = found.differences().to_dict("records")

    assert (row["verdict"], row["difference"], row["chance_better"]) == ("better", pytest.approx(-1), 1)
    assert (row["patients_better"], row["patients_worse"]) == (12, 0)
    assert found.sentences() == ["hd95: B is better on core by 1.000 [1.000, 1.000]."]


def test_of_a_score_of_somebody_else_it_is_said_which_has_more(made_run, volumes):
    table = volumes(1)
    a, b = (
        made_run(name, {"": table.assign(missed_share=0.2 + more)}) for name, more in (("a", 0), ("b", 0.1))
    )
    (sentence,) = compare([[a], [b]], scores=["missed_share"]).sentences()
    assert sentence.startswith("missed_share: B is higher on oedema by 0.100")


def test_a_patient_with_several_cases_counts_once(made_run, volumes):
    """Cases 00 and 01 of one patient: the patient's score is their mean."""
    tables = [volumes(seed).replace({"patient01": "patient00"}) for seed in (1, 2)]
    found = compare([[made_run(name, {"": table})] for name, table in zip("ab", tables, strict=True)])
    each = found.of_patients()
    first = each[(each["name"] == "core") & (each["group"] == "patient00")]
    core = tables[0][tables[0]["name"] == "core"]

    assert len(found.patients) == 11
    assert first["a"].item() == pytest.approx(core["dice"].iloc[:2].mean())


def test_runs_of_other_seeds_are_one_side_and_their_spread_is_given(made_run, volumes):
    one = [made_run(f"a{seed}", {"": volumes(seed)}, definition={"seed": seed}) for seed in (1, 2, 3)]
    other = [
        made_run(f"b{seed}", {"": volumes(seed, {"core": 0.05})}, definition={"seed": seed})
        for seed in (4, 5)
    ]
    row = records(compare([one, other]))["B", "dice", "core"]
    means = [volumes(seed).query("name == 'core'")["dice"].mean() for seed in (1, 2, 3)]

    assert (row["a_seeds"], row["b_seeds"]) == (3, 2)
    assert row["a"] == pytest.approx(np.mean(means))
    assert row["a_seed_std"] == pytest.approx(np.std(means, ddof=1))
    assert row["b_seed_std"] > 0


def test_runs_that_differ_in_more_than_the_seed_are_not_one_side(made_run, volumes):
    a, b, c = (
        made_run(name, {"": volumes(seed)}, definition={"seed": seed, **more})
        for seed, (name, more) in enumerate({"a": {}, "b": {"channels": ["t1"]}, "c": {}}.items())
    )
    with pytest.raises(
        RunError, match=r"a and b, given together for A, differ in more than the seed: channels"
    ):
        compare([[a, b], [c]])
    with pytest.raises(RunError, match="a is given twice for A"):
        compare([[a, a], [c]])
    with pytest.raises(RunError, match="a is A and B"):
        compare([[a, c], [a]])


def test_other_test_patients_are_refused_and_on_common_compares_the_shared_ones(made_run, volumes):
    a, b = made_run("a", {"": volumes(1)}), made_run("b", {"": volumes(2, patients=9)})
    with pytest.raises(
        RunError, match=r"3 patients were tested by a alone, 0 by b alone.*9 patients.*--on-common"
    ):
        compare([[a], [b]])
    found = compare([[a], [b]], on_common=True)
    assert len(found.patients) == 9
    assert set(found.differences()["patients"]) == {9}
    assert "Compared on the 9 patients that all runs share: 3 patients" in found.notes[0]


def test_other_data_are_refused_and_of_those_whose_truth_changed_nobody_is_shared(made_run, volumes):
    changed = volumes(2)
    changed.loc[changed["case"] == "case03", "volume_truth_ml"] += 1
    a, b = made_run("a", {"": volumes(1)}), made_run("b", {"": changed}, data_fingerprint="1" * 32)
    with pytest.raises(
        RunError, match=r"the data of a and b differ .*; the truth of 1 patient is another in b"
    ):
        compare([[a], [b]])
    assert len(compare([[a], [b]], on_common=True).patients) == 11


def test_other_cases_of_a_patient_are_not_the_same_patient(made_run, volumes):
    fewer = volumes(2).replace({"patient01": "patient00"})
    a = made_run("a", {"": volumes(1).replace({"patient01": "patient00"})})
    b = made_run("b", {"": fewer[fewer["case"] != "case01"]})
    with pytest.raises(RunError, match="1 patient has other cases in b"):
        compare([[a], [b]])


def test_pseudonyms_of_another_machine_pair_nobody(made_run, volumes):
    a = made_run("a", {"": volumes(1)})
    b = made_run("b", {"": volumes(2).replace(r"^(case|patient)", r"\g<1>-x", regex=True)})
    for on_common in (False, True):
        with pytest.raises(RunError, match=r"no test patient in common.*each machine gives others"):
            compare([[a], [b]], on_common=on_common)


def test_runs_of_different_tasks_are_refused(made_run, volumes, images):
    masks, classes = made_run("a", {"": volumes(1)}), made_run("b", images(1), pipeline="radiology")
    with pytest.raises(RunError, match="different tasks: a gives label maps, b gives classes of images"):
        compare([[masks], [classes]])
    others = made_run("c", images(2, classes=("ill", "normal")), pipeline="radiology")
    with pytest.raises(
        RunError, match="different tasks: the classes of b are ill, normal, odd, those of c ill, normal"
    ):
        compare([[classes], [others]])
    nothing = made_run("d", {"": volumes(1, names=("nucleus",))})
    with pytest.raises(RunError, match="no class and no region in common"):
        compare([[masks], [nothing]])


def test_regions_that_not_all_have_are_left_out_and_named(made_run, volumes):
    a, b = made_run("a", {"": volumes(1)}), made_run("b", {"": volumes(1).query("name == 'core'")})
    found = compare([[a], [b]])
    assert set(found.differences()["name"]) == {"core"}
    assert "Not compared, since not all runs have them: oedema." in found.notes


@pytest.mark.parametrize(
    ("state", "says"),
    [
        ("FAILED", "has failed.*medseg pipeline resume b"),
        ("KILLED", "was interrupted"),
        ("RUNNING", "was interrupted"),
    ],
)
def test_a_run_that_has_not_ended_is_refused(state, says, made_run, volumes):
    a, b = made_run("a", {"": volumes(1)}), made_run("b", {"": volumes(1)}, status=state)
    with pytest.raises(RunError, match=f"the run b {says}"):
        compare([[a], [b]])


def test_a_run_without_a_test_part_or_with_tables_of_another_schema_is_refused(made_run, volumes):
    a, table = made_run("a", {"": volumes(1)}), volumes(2)
    refused = {
        "no scores of a test part": {},
        "no column group": {"": table.drop(columns="group")},
        "neither names of classes": {"": table.drop(columns="name")},
        "has no rows": {"": table.head(0)},
        "is damaged: expected a table of finite numbers": {"": table.assign(dice="much")},
        "is damaged": {"": table.assign(dice=np.inf)},
        "has a case twice": {"": pd.concat([table, table.head(1)])},
    }
    for place, (says, tables) in enumerate(refused.items()):
        with pytest.raises(RunError, match=says):
            compare([[a], [made_run(f"b{place}", tables)]])


def test_an_unreadable_definition_and_a_table_that_leads_elsewhere_are_refused(made_run, volumes, tmp_path):
    a, b = made_run("a", {"": volumes(1)}), made_run("b", {"": volumes(1)})
    (b.path / "definition.yaml").write_text("engine: old\n")
    with pytest.raises(
        RunError, match=r"definition.yaml of the run b cannot be read: an earlier medseg wrote it"
    ):
        compare([[a], [b]])
    c = made_run("c", {})
    (tmp_path / "elsewhere.csv").write_text("case,group\n")
    (c.path / "scores" / "test.csv").symlink_to(tmp_path / "elsewhere.csv")
    with pytest.raises(RunError, match="leads out of the folder"):
        compare([[a], [c]])


def test_of_a_split_by_slice_only_the_same_slices_can_be_paired(made_run, volumes):
    a, b, c = (
        made_run(name, {"": volumes(1)}, definition={"split": {"by": "slice"}}, split_digest=digest)
        for name, digest in {"a": "1", "b": "2", "c": "1"}.items()
    )
    with pytest.raises(RunError, match="by slice, and other slices"):
        compare([[a], [b]], on_common=True)
    assert any(note.startswith("LEAKING SPLIT") for note in compare([[a], [c]]).notes)


def test_a_split_file_of_slices_leaks_as_a_draw_of_slices_does(made_run, volumes):
    given = {"definition": {"split": {"file": "index.csv"}}, "split_digest": "0" * 32}
    a, c = (made_run(name, {"": volumes(1)}, **given) for name in "ac")
    assert not any(note.startswith("LEAKING SPLIT") for note in compare([[a], [c]]).notes)
    for folder in (a, c):
        (folder.path / "split.json").write_text('{"by": "slice"}')
    assert any(note.startswith("LEAKING SPLIT") for note in compare([[a], [c]]).notes)


def test_unknown_scores_and_names_are_refused_with_those_there_are(made_run, volumes):
    a, b = made_run("a", {"": volumes(1)}), made_run("b", {"": volumes(2)})
    with pytest.raises(RunError, match=r"score 'dise'. All have: dice, hd95, volume_absolute_difference_ml"):
        compare([[a], [b]], scores=["dise"])
    with pytest.raises(RunError, match="Compare volume_absolute_difference_ml"):
        compare([[a], [b]], scores=["volume_difference_ml"])
    with pytest.raises(RunError, match=r"region 'tumor'. All have: oedema, core"):
        compare([[a], [b]], names=["tumor"])


def test_generated_data_are_noted(made_run, volumes):
    a, b = (made_run(name, {"": volumes(seed)}, data=None) for seed, name in enumerate("ab"))
    assert any(note.startswith("GENERATED DATA") for note in compare([[a], [b]]).notes)


def test_too_few_patients_and_single_runs_are_noted(made_run, volumes):
    a, b = (made_run(name, {"": volumes(seed, patients=5)}) for seed, name in enumerate("ab"))
    notes = " ".join(compare([[a], [b]]).notes)
    assert "5 patients are too few for 2 tests" in notes
    assert "One run of A and B" in notes


def test_too_few_patients_of_classes_are_noted_too(made_run, images):
    few, enough = (
        compare([[made_run(f"{name}{count}", images(seed, count=count))] for seed, name in enumerate("ab")])
        for count in (10, 40)
    )
    assert any("5 patients are too few for" in note for note in few.notes)
    assert min(row.found.p for row in few.rows if row.found.test == "swaps of patients") >= 0.03
    assert not any("too few" in note for note in enough.notes)


def test_a_patient_of_whom_one_run_says_nothing_is_left_out_and_noted(made_run, volumes):
    gaps = volumes(2)
    gaps.loc[(gaps["case"] == "case00") & (gaps["name"] == "core"), "dice"] = np.nan
    found = compare([[made_run("a", {"": volumes(1)})], [made_run("b", {"": gaps})]])
    assert records(found)["B", "dice", "core"]["patients"] == 11
    assert any("dice of core, A and B: 1 patient is left out" in note for note in found.notes)


def test_of_classes_of_images_hits_and_errors_are_of_patients_and_auroc_of_all(made_run, images):
    tables = images(1), images(2, 3.0)
    found = compare(
        [[made_run(name, each, pipeline="radiology")] for name, each in zip("ab", tables, strict=True)]
    )
    rows = records(found)

    assert list(rows) == [
        ("B", "accuracy", ""),
        ("B", "brier", ""),
        *(("B", "auroc", name) for name in ("ill", "normal", "odd")),
    ]
    by_patient = [each[""].groupby("group")["correct"].mean() for each in tables]
    accuracy = rows["B", "accuracy", ""]
    assert (accuracy["a"], accuracy["b"]) == pytest.approx(tuple(each.mean() for each in by_patient))
    assert accuracy["patients"] == 20
    assert rows["B", "brier", ""]["difference"] < 0
    assert rows["B", "brier", ""]["verdict"] == "better"
    assert rows["B", "auroc", "ill"]["test"] == "swaps of patients"
    assert set(found.of_patients()["score"]) == {"accuracy", "brier"}
    assert "accuracy: B is better on all classes by " in found.sentences()[0]


def test_brier_score_and_recall_are_those_of_the_scorer(made_run, images):
    """One image a patient: the mean over patients is then that over images."""
    tables = [images(seed)[""].assign(group=lambda frame: frame["case"]) for seed in (1, 2)]
    folders = [
        made_run(n, {"": t, "_confusion": images(1)["_confusion"]}, pipeline="radiology")
        for n, t in zip("ab", tables, strict=True)
    ]
    rows = records(compare([[folder] for folder in folders], scores=["brier", "recall"]))
    classes = ["ill", "normal", "odd"]
    for letter, table in zip("ab", tables, strict=True):
        truth = np.stack([table["truth"] == name for name in classes], axis=1)
        squares = (table[[f"probability_{name}" for name in classes]].to_numpy() - truth) ** 2
        assert rows["B", "brier", ""][letter] == pytest.approx(squares.sum(axis=1).mean(), rel=1e-5)
        ill = table[table["truth"] == "ill"]
        assert rows["B", "recall", "ill"][letter] == pytest.approx(ill["correct"].mean())


def test_of_two_exclusive_classes_the_area_is_compared_once(made_run, images):
    folders = [
        made_run(n, images(s, classes=("no", "yes")), pipeline="radiology") for s, n in enumerate("ab")
    ]
    assert list(compare([[each] for each in folders], scores=["auroc"]).differences()["name"]) == ["yes"]


def test_of_pictures_the_table_of_groups_is_compared(made_run):
    """The score of a group is that of its pixels together, and not the mean over its pictures."""
    cases = pd.DataFrame(
        {
            "case": ["x1", "x2", "y1"],
            "group": ["x", "x", "y"],
            "name": "foreground",
            "dice": [0.1, 0.9, 0.5],
            "truth_pixels": [5, 6, 7],
            "predicted_pixels": [4, 6, 9],
        }
    )
    groups = pd.DataFrame({"group": ["x", "y"], "name": "foreground", "images": [2, 1], "dice": [0.8, 0.5]})
    a = made_run("a", {"": cases, "_groups": groups}, pipeline="emps")
    b = made_run("b", {"": cases, "_groups": groups.assign(dice=[0.9, 0.5])}, pipeline="emps")
    found = compare([[a], [b]])
    assert found.of_patients()["a"].tolist() == [0.8, 0.5]
    amounts = found.amounts["B"]["foreground"]
    assert (amounts.unit, amounts.truth.tolist()) == ("pixels", [5.5, 7])


def test_groups_of_pictures_are_called_so_and_patients_patients(made_run, volumes):
    runs = [made_run(name, {"": volumes(seed)}) for seed, name in enumerate("ab")]
    assert compare([[run] for run in runs]).noun == "patient"

    for run in runs:
        shutil.copy(ROOT / "data_manifests" / "emps.yaml", run.path / "manifest.yaml")
    told = StringIO()
    print_comparison(Console(file=told, width=400), compare([[run] for run in runs]), "text")

    assert ", 12 groups" in told.getvalue()
    assert "over groups, for these very runs" in told.getvalue()
    assert "of patients" not in told.getvalue()


def test_runs_of_other_seeds_have_one_test_part_once_the_split_has_a_seed_of_its_own(tmp_path):
    """What a refusal and the documents say to do."""
    cases = [Case(f"c{n}", f"p{n}", {"flair": tmp_path}, position=n + 1) for n in range(20)]
    other, fixed = (
        {
            make_split(definition.split, cases, definition.seed).cases("test")
            for definition in (load_pipeline("brats2d", set=[f"seed={seed}", *more]) for seed in (1, 2, 3))
        }
        for more in ((), ("split.seed=1",))
    )
    assert len(other) == 3
    assert len(fixed) == 1
