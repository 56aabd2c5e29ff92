"""Flips are averaged where the training saw them and the validation score rises."""

from __future__ import annotations

import json

import numpy as np
import pytest

from medseg.errors import ModelError, RunError
from medseg.learning.inference.predictor import Predictor
from medseg.steps.average_flips import AverageFlips

FLIP = {"_target_": "monai.transforms.RandFlipd", "keys": ["image", "label"], "spatial_axis": 1, "prob": 0.5}


def start(work, run):
    run.place.mkdir(parents=True, exist_ok=True)
    return AverageFlips()(work, run)


@pytest.mark.parametrize("scores", [(0.5, 0.6), (0.6, 0.5), (0.5, 0.5)], ids=["better", "worse", "level"])
def test_the_mean_is_kept_where_the_score_rises(make_work, make_run, heard, monkeypatch, scores) -> None:
    given = iter(scores)
    monkeypatch.setattr("medseg.steps.average_flips._score", lambda *_: next(given))
    run = make_run(augment=[FLIP])

    done = start(make_work(), run)

    kept = ((1,),) if scores[1] > scores[0] else ()
    assert done.predictor.flips == kept
    assert AverageFlips().recall(make_work(), run).predictor.flips == kept
    assert heard.numbers[-1][1] == {"fit/score_without": scores[0], "fit/score_with": scores[1]}
    assert ("not kept" in heard.said[-1]) == (not kept)


def test_without_a_score_to_judge_by_nothing_is_averaged_and_that_is_said(
    make_work, make_run, heard, monkeypatch
) -> None:
    given = iter((0.0, None))
    monkeypatch.setattr("medseg.steps.average_flips._score", lambda *_: next(given))

    done = start(make_work(), make_run(augment=[FLIP]))

    assert done.predictor.flips == ()
    assert "do not define the score" in heard.said[-1]
    assert not heard.numbers


def test_the_scores_are_those_of_the_validation_slices(make_work, make_run, heard) -> None:
    work = make_work()

    start(work, make_run(augment=[FLIP]))

    scorer = work.predictor.task.scorer()
    import torch

    for sample in work.store.role("val"):
        image, label = work.store.read(sample)
        logits = work.predictor.logits(image[None].astype(np.float32))
        scorer.update([sample.case], torch.from_numpy(logits), torch.from_numpy(label)[None, None])
    assert heard.numbers[-1][1]["fit/score_without"] == pytest.approx(scorer.compute()["score"])


def test_where_training_flipped_nothing_nothing_is_averaged_and_that_is_said(make_work, make_run, heard):
    done = start(make_work(), make_run())

    assert done.predictor.flips == ()
    assert "No flip is averaged" in heard.said[-1]
    assert not heard.numbers


def test_the_model_keeps_its_flips_and_predicts_by_them(make_work, tmp_path) -> None:
    from dataclasses import replace

    plain = make_work().predictor
    both = replace(plain, flips=((0,), (0, 1)))
    slices = np.random.default_rng(0).normal(size=(2, 4, 32, 32)).astype(np.float32)

    loaded = Predictor.load(both.save(tmp_path / "model"))

    assert loaded.flips == both.flips
    np.testing.assert_array_equal(loaded.probabilities(slices), both.probabilities(slices))
    assert not np.allclose(plain.probabilities(slices), both.probabilities(slices))
    assert "flips" not in json.loads((plain.save(tmp_path / "plain") / "model.json").read_text())


def test_flips_that_are_none_refuse_a_model_and_a_run(make_work, make_run, tmp_path) -> None:
    folder = make_work().predictor.save(tmp_path / "model")
    described = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps({**described, "flips": [[7]]}))
    run = make_run()
    run.place.mkdir(parents=True)
    (run.place / "flips.json").write_text('{"flips": 3}')

    with pytest.raises(ModelError, match="flips is"):
        Predictor.load(folder)
    with pytest.raises(RunError, match=r"flips\.json of the run is damaged"):
        AverageFlips().recall(make_work(), run)
