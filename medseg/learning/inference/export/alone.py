"""What can be written as one network."""

from __future__ import annotations

from medseg.errors import ModelError
from medseg.learning.inference.predictor import Predictor


def refuse_several_axes(predictor: Predictor) -> None:
    """Refuse a model whose answer is a mean over volumes.

    Raises:
        ModelError: It is one.
    """
    if predictor.others:
        raise ModelError(
            "the model averages volumes over several axes, after its networks have seen their slices, and what is "
            "written holds one network. Write each of the models that it was made of by itself."
        )
