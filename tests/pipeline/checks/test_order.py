"""A step whose ground a later step changes is refused, unless it is done again."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from medseg.errors import DefinitionError
from medseg.pipeline.checks.order import refuse_outdated
from medseg.steps.average_flips import AverageFlips
from medseg.steps.evaluate import Evaluate
from medseg.steps.postprocessing.post_process import PostProcess
from medseg.steps.scale_temperature import ScaleTemperature
from medseg.steps.self_train import SelfTrain
from medseg.steps.start_from import StartFrom
from medseg.steps.tune_threshold import TuneThreshold

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
