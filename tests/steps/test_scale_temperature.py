"""The step scales by the validation images alone, and the model of the work keeps it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from matplotlib.image import imread

from medseg.errors import DefinitionError, RunError
from medseg.steps.scale_temperature import ScaleTemperature
from medseg.testing.pictures import write_picture

CLASSES = ("left", "right")


@pytest.fixture
def data(tmp_path):
    """Discs on the left and on the right; of every four one lies in the wrong folder."""
    for name, wrong in (("left", "right"), ("right", "left")):
        for number in range(8):
            picture = np.zeros((24, 32), np.uint8)
            side = wrong if number % 4 == 0 else name
            picture[8:16, 4:12] = 255 if side == "left" else 0
            picture[8:16, 20:28] = 255 if side == "right" else 0
            write_picture(tmp_path / "data" / name / f"{number}.png", picture)
    return tmp_path / "data"


def start(work, run):
    run.place.mkdir(parents=True, exist_ok=True)
    return ScaleTemperature()(work, run)


def test_a_model_that_is_too_sure_becomes_less_so_and_says_the_same(data, make_class_work, make_run, heard):
    run, work = (
        make_run(),
        make_class_work(data, CLASSES, lambda case: "val" if case.id[-1] in "0123" else "test"),
    )

    done = start(work, run)

    temperature = done.predictor.task.temperature
    numbers = heard.numbers[-1][1]
    assert numbers["fit/value"] == temperature != 1
    assert numbers["fit/log_loss_after"] < numbers["fit/log_loss_before"]
    assert numbers["fit/calibration_error_after"] < numbers["fit/calibration_error_before"]
    assert heard.tagged["fit.role"] == "val"
    (case, *_) = done.of("test")
    before, after = (each.predictor.classify(each.predictor.read_image(case)) for each in (work, done))
    assert before.names == after.names
    assert not np.allclose(before.probabilities, after.probabilities)
    for name in ("before", "after"):
        assert imread(run.figures / f"fit_{name}.png").size
    assert any(text.startswith("Temperature") and "validation cases" in text for text in heard.said)

    recalled = ScaleTemperature().recall(work, run)
    assert recalled.predictor.task.temperature == temperature


def test_validation_images_that_are_all_right_leave_the_temperature_as_it_is(
    data, make_class_work, make_run, heard
):
    work = make_class_work(data, CLASSES, lambda case: "val" if case.id[-1] in "123" else "test")

    done = start(work, make_run())

    assert done.predictor.task.temperature == 1
    assert any("stays at 1: every case is right" in text for text in heard.said)


def test_a_damaged_temperature_is_known_as_such(data, make_class_work, make_run):
    run, work = make_run(), make_class_work(data, CLASSES)
    run.place.mkdir(parents=True)
    (run.place / "temperature.json").write_text(json.dumps({"temperature": "hot"}))

    with pytest.raises(RunError, match=r"temperature\.json of the run is damaged"):
        ScaleTemperature().recall(work, run)


def test_a_task_of_label_maps_is_refused(make_work):
    with pytest.raises(DefinitionError, match="Take the step out"):
        ScaleTemperature().check(make_work().predictor)
