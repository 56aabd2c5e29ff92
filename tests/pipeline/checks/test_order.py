"""A step whose ground a later step changes is refused, unless it is done again."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from medseg.errors import DefinitionError
from medseg.learning.inference.cleaning import Cleaning
from medseg.learning.inference.predictor import Predictor
from medseg.learning.tasks.binary_mask import BinaryMask
from medseg.learning.tasks.class_masks import ClassMasks
from medseg.learning.tasks.image_classes import ImageClasses
from medseg.learning.tasks.region_masks import RegionMasks
from medseg.pipeline.checks.order import refuse_outdated, without_outdated
from medseg.steps.average_flips import AverageFlips
from medseg.steps.evaluate import Evaluate
from medseg.steps.postprocessing.post_process import PostProcess
from medseg.steps.scale_temperature import ScaleTemperature
from medseg.steps.self_train import SelfTrain
from medseg.steps.start_from import StartFrom
from medseg.steps.tune_threshold import TuneThreshold
from medseg.steps.use_model import UseModel

FIT: Any = StartFrom("own")  # of the same stage, and made without an optimiser


TAUGHT: Any = SimpleNamespace(stage=SelfTrain.stage, settles=SelfTrain.settles)


def steps(*given: Any) -> dict[str, Any]:
    return {f"step{number}": step for number, step in enumerate(given)}


@pytest.mark.parametrize(
    "given",
    [
        (FIT, Evaluate()),
        (FIT, FIT, AverageFlips(), TuneThreshold(), PostProcess(), Evaluate("val"), Evaluate()),
        (FIT, ScaleTemperature(), FIT, ScaleTemperature(), Evaluate()),
        (FIT, Evaluate(), FIT, Evaluate()),
        (FIT, Evaluate(), SimpleNamespace()),
        (FIT, TAUGHT, Evaluate()),
        (FIT, ScaleTemperature(), TAUGHT, Evaluate()),  # it finds a temperature of its own
        (FIT, TAUGHT, FIT, ScaleTemperature(), Evaluate()),
        (FIT, TAUGHT, AverageFlips(), ScaleTemperature(), Evaluate()),
        (FIT, TAUGHT, FIT, TAUGHT, Evaluate()),
        (FIT, SimpleNamespace(), TuneThreshold(), Evaluate()),
    ],
)
def test_orders_in_which_everything_is_of_the_last_model_pass(given: tuple[Any, ...]) -> None:
    refuse_outdated(steps(*given))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ((FIT, Evaluate(), ScaleTemperature()), r"steps\.step2 changes .* steps\.step1, which has scored"),
        ((FIT, Evaluate(), FIT), "has scored the model as it was before"),
        ((FIT, Evaluate(), FIT, Evaluate("val")), r"after steps\.step1, which has scored"),
        ((FIT, ScaleTemperature(), FIT, Evaluate()), r"steps\.step2 .* steps\.step1, which was fitted"),
        ((FIT, TuneThreshold(), AverageFlips(), Evaluate()), "was fitted to the model as it was before"),
        ((FIT, PostProcess(), TuneThreshold()), "was chosen for the model as it was before"),
        (
            (FIT, TAUGHT, FIT, Evaluate()),
            r"steps\.step1, which was fitted .* or a step .*ScaleTemperature} once",
        ),
        (
            (FIT, TAUGHT, AverageFlips(), Evaluate()),
            "steps.step2 changes the model after steps.step1, which was fitted",
        ),
        ((FIT, AverageFlips(), FIT), "was chosen for the model as it was before"),
    ],
)
def test_a_step_that_rests_on_what_a_later_one_changes_is_refused(given: tuple[Any, ...], said: str) -> None:
    with pytest.raises(DefinitionError, match=said):
        refuse_outdated(steps(*given))


CLEANED = (Cleaning(1, largest=True),)
NAMES = ("no", "yes")
UNSAID: Any = SimpleNamespace()


def brought(task: Any, **more: Any) -> Any:
    """A model as a saved one may be, of which only what steps choose is looked at."""
    nothing: Any = None
    return Predictor(nothing, {}, task, nothing, nothing, **more)


@pytest.mark.parametrize(
    ("step", "left", "said"),
    [
        (FIT, (0.4, (), ()), "the mean over mirror images, the threshold 0.6, the post-processing"),
        (TAUGHT, (0.4, (), ()), "the mean over mirror images, the threshold 0.6, the post-processing"),
        (
            UseModel("model"),
            (0.4, (), ()),
            "the mean over mirror images, the threshold 0.6, the post-processing",
        ),
        (AverageFlips(), (0.4, ((0,),), ()), "the threshold 0.6, the post-processing"),
        (TuneThreshold(), (0.6, ((0,),), ()), "the post-processing"),
        (PostProcess(), (0.6, ((0,),), CLEANED), ""),
        (Evaluate(), (0.6, ((0,),), CLEANED), ""),
        (UNSAID, (0.6, ((0,),), CLEANED), ""),
    ],
    ids=["weights", "rounds", "another model", "flips", "threshold", "cleaning", "scores", "unsaid"],
)
def test_a_step_begins_without_what_was_chosen_for_a_model_that_it_changes(
    step: Any, left: tuple[Any, ...], said: str
) -> None:
    before = brought(BinaryMask(NAMES, threshold=0.6), flips=((0,),), cleaning=CLEANED)

    found, gone = without_outdated(before, step, BinaryMask(NAMES, threshold=0.4))

    assert isinstance(found.task, BinaryMask)
    assert (found.task.threshold, found.flips, found.cleaning) == left
    assert gone == said
    assert (found is before) == (not said)


def test_a_temperature_is_that_of_the_definition_again_and_nothing_is_said_of_one_that_is() -> None:
    sure, plain = ImageClasses(NAMES).at_temperature(2.0), ImageClasses(NAMES)
    found, gone = without_outdated(brought(sure), FIT, plain)

    assert isinstance(found.task, ImageClasses)
    assert (found.task.temperature, gone) == (1.0, "the temperature 2")
    for task in (plain, ClassMasks(NAMES)):
        assert without_outdated(brought(task), FIT, task)[1] == ""


def test_thresholds_of_regions_and_models_of_other_axes_go_too() -> None:
    declared = RegionMasks(NAMES, {"all": [1]}, thresholds=0.4)
    before = brought(declared.with_cuts({"all": 0.7}))
    found, gone = without_outdated(replace(before, others=(before,)), FIT, declared)

    assert isinstance(found.task, RegionMasks)
    assert (found.task.cuts, found.others) == ({"all": 0.4}, ())
    assert gone == "the models of other axes, the threshold 0.7"
