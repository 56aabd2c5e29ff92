"""The step leaves what it chose in the model, and the model predicts by it."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from medseg.errors import DefinitionError, ModelError, RunError
from medseg.learning.inference.cleaning import Cleaning, cleaned
from medseg.learning.inference.predictor import Predictor
from medseg.steps.postprocessing.post_process import PostProcess
from medseg.steps.postprocessing.search import Found
from medseg.steps.postprocessing.seen import Scored


def start(work, run):
    run.place.mkdir(parents=True, exist_ok=True)
    return PostProcess()(work, run)


def test_the_search_sees_what_predict_gives_for_the_validation_cases(
    make_work, make_run, heard, monkeypatch
) -> None:
    work, seen = make_work(), []

    def search(given, _):
        seen.append(given)
        return Found((), given.scored(()), given.scored(()))

    monkeypatch.setattr("medseg.steps.postprocessing.post_process.search", search)
    done = start(
        replace(work, predictor=replace(work.predictor, cleaning=(Cleaning(1, largest=True),))), make_run()
    )

    (case,), (given,) = work.of("val"), seen
    (one,) = given.cases
    volume = work.predictor.read(case)
    predicted = volume.geometry.to_ras(work.predictor.predict_volume(volume).labels)
    np.testing.assert_array_equal(one.predicted, predicted)  # not as it was cleaned before
    np.testing.assert_array_equal(one.truth, volume.label)
    assert (one.group, one.along, one.scored.all()) == (case.group, 2, True)
    assert given.select == ("whole_tumour",)
    assert done.predictor.cleaning == ()
    assert "none is kept" in heard.said[-1]


def test_what_was_chosen_is_kept_recalled_recorded_and_said(make_work, make_run, heard, monkeypatch) -> None:
    chosen = (Cleaning(1, largest=True), Cleaning(3, least=4.5, fill=True))
    before, after = (Scored({"whole_tumour": {"a": value}}, ("whole_tumour",)) for value in (0.5, 0.75))
    monkeypatch.setattr(
        "medseg.steps.postprocessing.post_process.search", lambda *_: Found(chosen, before, after)
    )
    run = make_run()

    done = start(make_work(), run)

    assert done.predictor.cleaning == chosen
    assert PostProcess().recall(make_work(), run).predictor.cleaning == chosen
    assert heard.numbers[-1][1] == {"fit/score_without": 0.5, "fit/score_with": 0.75}
    assert "the largest component alone" in heard.tagged["fit.cleaning"]
    assert "0.7500, and 0.5000 without" in heard.said[-1]


def test_a_model_keeps_its_cleaning_and_predicts_whole_cases_by_it(make_work, tmp_path) -> None:
    work = make_work()
    plain = work.predictor
    volume = plain.read_image(work.of("val")[0])
    native = plain.predict_volume(volume).labels
    index = int(np.bincount(native.ravel(), minlength=2)[1:].argmax()) + 1
    rules = (Cleaning(index, largest=True),)

    loaded = Predictor.load(replace(plain, cleaning=rules).save(tmp_path / "model"))
    found = loaded.predict_volume(volume)

    grid = volume.geometry
    expected = grid.from_ras(cleaned(grid.to_ras(native), rules, grid.voxel_volume, 2))
    assert (expected != native).any()
    np.testing.assert_array_equal(found.labels, expected)
    name = plain.task.classes[index]
    assert found.millilitres[name] == pytest.approx((expected == index).sum() * grid.voxel_volume / 1000)
    assert (
        f"Post-processing of `{name}`: the largest component alone"
        in (tmp_path / "model" / "README.md").read_text()
    )
    assert "cleaning" not in json.loads((plain.save(tmp_path / "plain") / "model.json").read_text())


def test_cleanings_of_another_form_refuse_a_model_and_a_run(make_work, make_run, tmp_path) -> None:
    folder = make_work().predictor.save(tmp_path / "model")
    described = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps({**described, "cleaning": [{"index": 7}]}))
    run = make_run()
    run.place.mkdir(parents=True)
    (run.place / "cleaning.json").write_text('{"cleaning": [{"index": 0}]}')

    with pytest.raises(ModelError, match="cleaning is"):
        Predictor.load(folder)
    with pytest.raises(RunError, match=r"cleaning\.json of the run is damaged"):
        PostProcess().recall(make_work(), run)


def test_classes_of_whole_images_are_refused(make_work) -> None:
    from medseg.learning.tasks.image_classes import ImageClasses

    with pytest.raises(DefinitionError):
        PostProcess().check(replace(make_work().predictor, task=ImageClasses(("no", "yes"))))
