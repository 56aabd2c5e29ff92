"""Cross-validation: every image is tested once, and all are scored together."""

from __future__ import annotations

import io
import json
import os
import platform
import shutil
import time
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from sklearn.metrics import accuracy_score
from typer.testing import CliRunner

from medseg.api import are_folds, load_model, resume_folds, run_folds
from medseg.cli.main import app
from medseg.cli.tables import print_folds
from medseg.errors import DataError, DefinitionError, RunError
from medseg.files.lock import take
from medseg.learning.scores.classes import ClassScorer
from medseg.learning.scores.pooled_folds import fill
from medseg.learning.tasks.exclusive import OneClass
from medseg.pipeline.audit.certificate import digest_of
from medseg.pipeline.folder import RunFolder, State, all_runs
from medseg.pipeline.options import RunOptions
from medseg.pipeline.study.cross_validation import CrossValidation, all_cross_validations
from medseg.progress import Silent
from medseg.testing.cases import write_brats
from medseg.testing.labelled import write_class_folders, write_labelled_table
from medseg.testing.pictures import write_emps, write_picture
from medseg.tracking.mlflow.address import default_uri
from medseg.tracking.mlflow.store import open_store

pytestmark = [
    pytest.mark.slow,  # each makes several runs, or needs those of `folded`
    pytest.mark.usefixtures("figureless"),  # the figures of `folded`, which is made before, are drawn
]

TINY = (
    "manifest=image_folders",
    "slices.size=[16,16]",
    "network.feature_maps=4",
    "network.dense=8",
    "loading.batch_size=8",
    "steps.fit.epochs=1",
    "steps.fit.pictures_every=0",
    "split.stratify=class",
)


def pictures(place):
    return write_class_folders(place / "data", ("no", "yes"), cases=6, size=(16, 16))


def start(data):
    return run_folds("radiology_cnn", data, folds=2, set=TINY, device="cpu", jobs=1)


@pytest.fixture(scope="module")
def folded(long_workspace, monai_imported):
    with long_workspace("folded") as place:
        found = start(pictures(place))
        return found, place / "mlflow.db"


def test_every_image_is_tested_once(folded):
    result, _ = folded
    tested = [case for each in result.results for case in each.scores()["case"]]

    assert len(result.results) == 2
    assert len(tested) == len(set(tested)) == 12


def test_the_scores_together_are_those_of_all_tables(folded):
    result, _ = folded
    frame = pd.concat([each.scores() for each in result.results])
    summary = result.summary()
    together = summary[(summary["name"] == "") & (summary["score"] == "accuracy")].iloc[0]

    assert together["mean"] == pytest.approx(accuracy_score(frame["truth"], frame["predicted"]))
    assert together["cases"] == 12
    assert together["low"] <= together["mean"] <= together["high"]


def test_the_folds_lie_below_one_run_with_the_scores(folded):
    from mlflow.tracking import MlflowClient

    result, database = folded
    client = MlflowClient(f"sqlite:///{database}")
    parent = client.get_run(result.run_id)

    assert parent.info.status == "FINISHED"
    assert parent.data.tags["leaks"] == "none found"
    for key in ("folds/accuracy", "folds/accuracy/low", "folds/recall/yes"):
        assert np.isfinite(parent.data.metrics[key])
    for each in result.results:
        assert client.get_run(each.run_id).data.tags["mlflow.parentRunId"] == result.run_id
    assert any(
        file.path.endswith("folds_confusion.png") for file in client.list_artifacts(result.run_id, "figures")
    )


def test_the_closing_table_names_the_leak_of_a_fold(folded, tmp_path):
    result, _ = folded
    second = tmp_path / result.results[1].name
    shutil.copytree(result.results[1].folder, second)
    path = second / "audit.json"
    known = json.loads(path.read_text()) | {"leaks": {"images": "1 pair of images that are one."}}
    path.write_text(json.dumps(known | {"sha256": digest_of(known)}))
    console = Console(width=200, record=True, file=io.StringIO())
    print_folds(
        console, replace(result, results=(result.results[0], replace(result.results[1], folder=second)))
    )

    told = console.export_text()
    assert "LEAK in fold 2: 1 pair of images that are one. Scores may be too good (audit.txt)." in told
    assert "CERTIFICATE ALTERED in fold 2" in told, "which the test wrote by hand"
    assert not result.leaks


def test_the_run_above_is_not_the_latest_model(folded):
    from medseg.tracking.mlflow.runs import find_run

    result, database = folded

    assert find_run(f"sqlite:///{database}", "latest") in {each.run_id for each in result.results}


def test_a_pipeline_that_does_not_end_with_scores_of_the_test_part_has_no_folds():
    with pytest.raises(DefinitionError, match="last step scores the role test"):
        run_folds("emps", set=["steps.evaluate.role=val"])


def without_test(settings):
    """Settings without a test part: each fold is it once."""
    return [each for each in settings if not each.startswith("split.test")]


@pytest.fixture(scope="module")
def folded_volumes(long_workspace, blank_figures, monai_imported, tiny):
    with long_workspace("folded_volumes") as place:
        data = write_brats(place / "patients", cases=6, seed=3)
        with blank_figures():
            found = run_folds("brats2d", data, folds=2, set=without_test(tiny), device="cpu", jobs=1)
        yield found


@pytest.fixture(scope="module")
def folded_masks(long_workspace, blank_figures, monai_imported, tiny_emps):
    with long_workspace("folded_masks") as place:
        data = write_emps(place / "data", cases=12, size=(32, 32))
        settings = [*without_test(tiny_emps), "steps.fit.epochs=2"]
        with blank_figures():
            found = run_folds("emps", data, folds=2, set=settings, device="cpu", jobs=1)
        yield found


@pytest.mark.slow
def test_every_volume_is_tested_once_and_scored_over_all_patients(folded_volumes):
    tested = pd.concat([each.scores() for each in folded_volumes.results])
    summary = folded_volumes.summary().set_index(["name", "score"])

    assert sorted(tested["case"].unique()) == [f"Brats_{number:03d}" for number in range(1, 7)]
    assert not tested.duplicated(["case", "name"]).any()
    of_oedema = tested.query("name == 'oedema'")["dice"]
    assert summary.loc[("oedema", "dice"), "mean"] == pytest.approx(of_oedema.mean())
    assert summary.loc[("oedema", "dice"), "patients"] == of_oedema.notna().sum()


@pytest.mark.slow
def test_the_voxels_of_all_folds_are_in_one_confusion_matrix(folded_volumes):
    parts = [each.table("test_confusion").set_index("truth") for each in folded_volumes.results]
    together = pd.read_csv(folded_volumes.folder / "test_confusion.csv", index_col="truth")

    assert (together == parts[0] + parts[1]).all().all()
    assert (folded_volumes.folder / "folds_dice.png").exists()


@pytest.mark.slow
def test_every_picture_is_tested_once_and_scored_over_all_groups(folded_masks):
    tested = pd.concat([each.scores() for each in folded_masks.results])
    groups = pd.concat([each.table("test_groups") for each in folded_masks.results])
    summary = folded_masks.summary().set_index(["name", "score"])

    assert tested["case"].is_unique
    assert len(tested) == 12
    assert summary.loc[("foreground", "dice"), "mean"] == pytest.approx(groups["dice"].mean())


def test_the_models_of_all_folds_predict_together_and_are_kept_as_one(folded_volumes, tmp_path, monkeypatch):
    place = folded_volumes.folder.parents[1]
    monkeypatch.chdir(place)
    command = [
        "predict",
        folded_volumes.folder.name,
        str(place / "patients" / "Brats_001"),
        "--device",
        "cpu",
    ]
    first, second = (str(each.folder) for each in folded_volumes.results)

    together = CliRunner().invoke(
        app, [*command, "-o", str(tmp_path / "a"), "--save-model", str(tmp_path / "m")]
    )
    named = [*command[:1], first, *command[2:], "--with", second, "-o", str(tmp_path / "b")]
    again = CliRunner().invoke(app, named)
    kept = CliRunner().invoke(app, ["predict", str(tmp_path / "m"), *command[2:], "-o", str(tmp_path / "c")])
    over = CliRunner().invoke(app, [*command, "-o", str(tmp_path / "d"), "--save-model", str(tmp_path / "m")])

    assert (together.exit_code, again.exit_code, kept.exit_code, over.exit_code) == (0, 0, 0, 2), (
        together.output
    )
    assert f"Models of the runs {Path(first).name}, {Path(second).name}" in " ".join(together.output.split())
    one, *others = (nib.load(tmp_path / each / "Brats_001.nii.gz").get_fdata() for each in "abc")
    for other in others:
        np.testing.assert_array_equal(one, other)
    assert "not written over" in over.output
    assert len(load_model(folded_volumes.folder, device="cpu").network.networks) == 2


def metrics_of(result, database):
    with open_store(f"sqlite:///{database}") as client:
        return client.get_run(result.run_id).data.metrics


def interrupt(monkeypatch, owner, name, call):
    """Stop the process, as far as a test can, at one of the calls of a function."""
    original, calls = getattr(owner, name), []

    def counted(*args, **kwargs):
        calls.append(name)
        if len(calls) == call:
            raise KeyboardInterrupt
        return original(*args, **kwargs)

    monkeypatch.setattr(owner, name, counted)


@pytest.mark.parametrize("stopped", ["within the second fold", "between the folds", "before all are scored"])
def test_folds_that_were_interrupted_end_as_if_they_had_not_been(stopped, folded, workspace, monkeypatch):
    from medseg.api import folds
    from medseg.cli.main import app
    from medseg.steps import Evaluate
    from medseg.steps.evaluation.labels import LabelEvaluation

    owner, name, call = {
        "within the second fold": (Evaluate, "__call__", 2),
        "between the folds": (folds, "learned", 2),
        "before all are scored": (LabelEvaluation, "pooled", 1),
    }[stopped]
    data = pictures(workspace)
    with monkeypatch.context() as patch:
        interrupt(patch, owner, name, call)
        with pytest.raises(KeyboardInterrupt):
            start(data)
    begun = {state.name for _, state in all_runs()}
    result = CliRunner().invoke(app, ["pipeline", "resume", "--jobs", "1"])

    assert result.exit_code == 0, result.output
    assert "2 folds, each case tested once" in result.output
    assert begun <= {state.name for _, state in all_runs()}
    assert [state.status for _, state in all_runs()] == ["FINISHED"] * 2
    (again,) = all_cross_validations()
    whole, _ = folded
    for table in ("test.csv", "test_summary.csv"):
        assert (again.folder / table).read_bytes() == (whole.folder / table).read_bytes()
    assert again.status == "FINISHED"
    with open_store(default_uri(None)) as client:
        (gathered,) = client.search_runs(
            [each.experiment_id for each in client.search_experiments()],
            f"tags.`medseg.run` = '{again.name}'",
        )
    assert gathered.info.status == "FINISHED"
    assert gathered.data.metrics == pytest.approx(metrics_of(whole, folded[1]), nan_ok=True)


def test_folds_that_have_ended_are_not_run_again(folded, monkeypatch):
    monkeypatch.chdir(folded[1].parent)
    with pytest.raises(RunError, match="has ended; there is nothing to go on with"):
        resume_folds(str(folded[0].folder))
    assert not are_folds(None)


def test_tables_of_all_folds_that_were_damaged_are_made_again(folded, monkeypatch):
    monkeypatch.chdir(folded[1].parent)
    names = ["test_summary.csv", "test.csv", "folds_confusion.png"]
    before = [(folded[0].folder / name).read_bytes() for name in names[:2]]
    for name in names:
        (folded[0].folder / name).write_bytes(b"")
    said = []

    class Listens(Silent):
        def say(self, text, *, loud=False):
            said.append(text)

    again = resume_folds(folded[0].name, progress=Listens())

    assert again.run_id == folded[0].run_id
    assert any(all(name in text for name in names) and "put together again" in text for text in said)
    assert [(folded[0].folder / name).read_bytes() for name in names[:2]] == before
    assert (folded[0].folder / names[2]).read_bytes().startswith(b"\x89PNG")
    with pytest.raises(RunError, match="has ended; there is nothing to go on with"):
        resume_folds(folded[0].name)


def test_folds_of_another_definition_are_not_put_together(workspace, monkeypatch):
    from medseg.api import folds

    data = pictures(workspace)
    with monkeypatch.context() as patch:
        interrupt(patch, folds, "learned", 2)
        with pytest.raises(KeyboardInterrupt):
            start(data)
    (asked,) = all_cross_validations()
    for what in ("definition", "manifest"):
        before = {**asked.declared, what: {**asked.declared[what], "about": "As it was."}}
        replace(asked, declared=before).write()
        with pytest.raises(RunError, match=f"the {what} of radiology_cnn has changed.*delete medseg-folds/"):
            resume_folds()
    asked.write()
    write_picture(data / "no" / "more.png", np.arange(256, dtype=np.uint8).reshape(16, 16))
    with pytest.raises(RunError, match="data have changed"):
        resume_folds(asked.name)
    assert len(list(all_runs())) == 1  # nothing was learned from them
    (data / "no" / "more.png").unlink()
    other = f"sqlite:///{workspace / 'other.db'}"
    with pytest.raises(RunError, match=r"fold 1 of .* is tracked at .* Leave --tracking-uri out"):
        resume_folds(tracking_uri=other)
    assert resume_folds().results[1].scores()["case"].size == 6


def test_folds_that_are_refused_leave_nothing_to_go_on_with(workspace):
    data = pictures(workspace)
    (data / "yes" / "torn.png").write_bytes(b"no picture")
    with pytest.raises(DataError):
        start(data)
    assert list(all_cross_validations()) == []
    with pytest.raises(RunError, match="no cross-validation that was interrupted"):
        resume_folds()


def test_folds_that_another_process_works_on_are_left_to_it(workspace, monkeypatch):
    from medseg.api import folds

    with monkeypatch.context() as patch:
        interrupt(patch, folds, "learned", 2)
        with pytest.raises(KeyboardInterrupt):
            start(pictures(workspace))
    (asked,) = all_cross_validations()
    there = {"host": platform.node(), "pid": os.getppid()}
    replace(asked, status="RUNNING", process=there).write()
    other = take(asked.folder / ".held")
    assert other is not None
    assert not are_folds(None)
    with pytest.raises(RunError, match=f"is still going on .process {os.getppid()}"):
        resume_folds(asked.name)
    other.let_go()
    assert are_folds(None)  # it is gone
    replace(asked, status="RUNNING", process={**there, "host": "a container"}).write()
    assert not are_folds(None)
    assert are_folds(None, take_over=True)
    assert len(resume_folds(take_over=True).results) == 2


@pytest.mark.parametrize(
    "change",
    [
        {"options": {}},
        {"folds": 1},
        {"folds": "2"},
        {"status": "DONE"},
        {"set": [1]},
        {"process": {"pid": 1}},
    ],
    ids=str,
)
def test_an_edited_file_of_folds_is_damaged_and_no_defect_of_ours(change, folded, monkeypatch, tmp_path):
    whole = json.loads((folded[0].folder / "folds.json").read_text())
    place = tmp_path / whole["name"]
    place.mkdir()
    (place / "folds.json").write_text(json.dumps(whole))
    assert CrossValidation.read(place).status == "FINISHED"
    (place / "folds.json").write_text(json.dumps({**whole, **change}))
    with pytest.raises(RunError, match="damaged"):
        CrossValidation.read(place)


def test_folds_whose_folder_was_renamed_are_in_nobodys_way(folded, workspace):
    shutil.copytree(folded[0].folder, workspace / "medseg-folds" / "nicer")
    assert list(all_cross_validations()) == []
    with pytest.raises(RunError, match="no cross-validation"):
        resume_folds("medseg-folds/nicer")
    assert not are_folds("x" * 300)


def test_folds_of_a_network_from_a_package_end_where_each_command_allows_it(workspace, monkeypatch):
    from medseg.api import folds

    package = workspace / "ownpackage"
    package.mkdir()
    (package / "__init__.py").write_text(
        "from medseg.learning.networks import TutorialCNN\n\n\nclass Own(TutorialCNN):\n    pass\n"
    )
    monkeypatch.syspath_prepend(str(workspace))
    sets = [each for each in TINY if not each.startswith("network")]
    sets.append("network={_target_: ownpackage.Own, feature_maps: 4, dense: 8}")
    data = pictures(workspace)
    with monkeypatch.context() as patch:
        interrupt(patch, folds, "learned", 2)
        with pytest.raises(KeyboardInterrupt):
            run_folds("radiology_cnn", data, folds=2, set=sets, device="cpu", jobs=1, allow=["ownpackage"])
    (asked,) = all_cross_validations()
    assert asked.options.allow == ("ownpackage",)  # remembered, for information
    with pytest.raises(RunError, match=f"medseg pipeline resume {asked.name} --allow ownpackage"):
        resume_folds()
    result = resume_folds(allow=["ownpackage"])

    assert len(result.results) == 2
    assert result.results[0].predictor.network is not None
    assert result.results[0].allow == result.results[1].allow == ("ownpackage",)


DECLARED = {"definition": {}, "manifest": {}}


def unsigned(path):
    path.write_text(json.dumps({**json.loads(path.read_text()), "signature": ""}))


def test_folds_of_somebody_else_go_on_with_what_the_caller_says_and_are_his_from_then_on(
    workspace, monkeypatch
):
    from medseg.api import folds

    data = pictures(workspace)
    with monkeypatch.context() as patch:
        interrupt(patch, folds, "learned", 2)
        with pytest.raises(KeyboardInterrupt):
            start(data)
    (asked,) = all_cross_validations()
    ((first, before),) = all_runs()
    unsigned(asked.folder / "folds.json")
    unsigned(first.path / "run.json")
    assert not are_folds(None)
    expected = f"medseg pipeline resume {asked.name} --data FOLDER --tracking-uri ADDRESS"
    with pytest.raises(RunError, match=expected):
        resume_folds(asked.name)
    empty = f"sqlite:///{workspace / 'other.db'}"
    with pytest.raises(RunError, match=r"fold 1 of .* does not have its run"):
        resume_folds(asked.name, data=data, tracking_uri=empty)
    result = resume_folds(asked.name, data=data, tracking_uri=asked.tracking_uri)

    assert result.results[0].run_id == before.tracked
    assert [each.mine for each in all_cross_validations()] == [True]
    assert [state.mine for _, state in all_runs()] == [True, True]


def test_the_run_of_a_stranger_is_no_fold_of_ones_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = RunOptions.of(device="cpu")
    asked = CrossValidation("f", "mednist", None, 2, (), options, DECLARED, "sqlite:///x", "KILLED").write()
    folder = RunFolder.create("mednist")
    state = State(folder.path.name, "mednist", None, options, status="FINISHED", part_of=asked.part(1))
    folder.write(state)
    assert asked.run_of(1) is not None
    unsigned(folder.path / "run.json")

    assert asked.run_of(1) is None


def test_folds_of_somebody_else_read_no_definition_from_a_file_of_his(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = RunOptions.of(device="cpu")
    asked = CrossValidation(
        "f", "/etc/x.yaml", None, 2, (), options, DECLARED, "sqlite:///x", "KILLED"
    ).write()
    unsigned(asked.folder / "folds.json")
    with pytest.raises(RunError, match="of a definition in a file"):
        resume_folds("f", tracking_uri=f"sqlite:///{tmp_path / 'x.db'}")


def test_a_test_part_of_ones_own_is_refused(workspace):
    with pytest.raises(DefinitionError, match="folds is 1, expected 2 to 1000"):
        run_folds("radiology_cnn", pictures(workspace), folds=1)
    with pytest.raises(DefinitionError, match=r"split\.test was set, and each fold is the test part once"):
        run_folds("radiology_cnn", pictures(workspace), set=[*TINY, "split.test=0.2"])


def test_that_roles_of_the_data_are_overruled_is_said(workspace):
    data = write_class_folders(
        workspace / "data", ("no", "yes"), cases=4, roles=("Train", "Test"), size=(16, 16)
    )
    said = []

    class Heard(Silent):
        def say(self, text, *, loud=False):
            said.append((loud, text))

    run_folds("radiology_cnn", data, folds=2, set=TINY, device="cpu", jobs=1, progress=Heard())
    (overruled,) = [text for loud, text in said if loud and "IGNORES THE FIXED ROLES" in text]

    assert "the column 'role' assigns patients to test" in overruled


def test_settings_of_the_evaluation_and_odd_names_count_for_all_folds_together(workspace):
    data = write_class_folders(workspace / "data", ("None", "no", "nan"), cases=4, size=(16, 16))
    sets = [*TINY, "steps.evaluate.beta=0.5", "steps.evaluate.top_k=2", "seed=3"]
    result = run_folds("radiology_cnn", data, folds=2, set=sets, device="cpu", jobs=1)
    of_one, together = set(result.results[0].summary()["score"]), result.summary()

    assert of_one == set(together["score"]) >= {"f0.5", "top_2_accuracy"}
    assert set(together["name"]) == {"", "None", "no", "nan"}
    frame = pd.concat([each.scores() for each in result.results])
    scorer = ClassScorer(("None", "nan", "no"), OneClass((2,)), beta=0.5)
    fill(scorer, frame)
    again = scorer.summary(3).set_index(["name", "score"])
    assert again["low"].to_numpy() == pytest.approx(
        together.set_index(["name", "score"])["low"].to_numpy(), nan_ok=True
    )


def test_images_of_several_classes_at_once_are_pooled_as_such(workspace):
    data = write_labelled_table(workspace / "data", many=True, cases=12, size=(16, 16))
    table = (Path(__file__).parents[2] / "data_manifests" / "image_table.yaml").read_text(encoding="utf-8")
    for old, new in (
        ("image_labels: one", "image_labels: many"),
        ("csv: images.csv", "csv: labels.csv"),
        ("label: label", "labels: [left, right]"),
        ("extra: [role]", "extra: []"),
    ):
        table = table.replace(f"{old}\n", f"{new}\n")
    (workspace / "several.yaml").write_text(
        table.replace("name: image_table", "name: several"), encoding="utf-8"
    )
    sets = [each for each in TINY if not each.startswith(("manifest", "split"))]
    sets += ["manifest=several.yaml", "task={_target_: medseg.learning.ImageTags}"]
    result = run_folds("radiology_cnn", data, folds=2, set=sets, device="cpu", jobs=1)
    frame = pd.concat([each.scores() for each in result.results])
    together = result.summary().set_index(["name", "score"])["mean"]

    assert frame["truth"].str.contains("; ").any()
    right = (frame["truth"] == frame["predicted"]).mean()
    assert together["", "subset_accuracy"] == pytest.approx(right)


def test_a_run_that_was_interrupted_after_folds_is_the_one_that_goes_on(workspace, monkeypatch):
    from medseg.api import folds

    with monkeypatch.context() as patch:
        interrupt(patch, folds, "learned", 2)
        with pytest.raises(KeyboardInterrupt):
            start(pictures(workspace))
    assert are_folds(None)
    other = RunFolder.create("another")
    other.write(State("another", "another", None, RunOptions.of(device="cpu"), status="KILLED"))
    os.utime(other.path / "run.json", (time.time() + 5, time.time() + 5))

    assert not are_folds(None)


def test_folds_that_are_learned_apart_are_the_same(folded, workspace, monkeypatch):
    """The second fold in a process of its own, after the first was learned here."""
    from medseg.api import folds

    with monkeypatch.context() as patch:
        interrupt(patch, folds, "learned", 2)
        with pytest.raises(KeyboardInterrupt):
            start(pictures(workspace))
    apart = resume_folds(on="local:1")

    names = ("test.csv", "test_summary.csv", "test_confusion.csv")
    assert [(apart.folder / name).read_bytes() for name in names] == [
        (folded[0].folder / name).read_bytes() for name in names
    ]
    assert '"on"' not in (apart.folder / "folds.json").read_text()
