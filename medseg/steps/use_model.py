"""The step that takes a saved model as it is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

from medseg.errors import DefinitionError, ModelError
from medseg.learning.inference.predictor import Predictor
from medseg.learning.transfer.weights import weights_digest
from medseg.splits.split import Role
from medseg.steps.step import Fits, Run, Stage, Work


class UseModel:
    """Put a saved model in the place of the network: its weights, preparation, threshold and all, nothing learned.

    A step after it that changes the model begins without what was chosen for the model as it was: after one that
    learns threshold, temperature, mirror images and post-processing are those of the definition, or of later steps.

    The model is kept in the run's own folder, so that the run can go on when the first one is gone. A tracker learns
    the digest of its weights and the run that it is of, never its path.

    Args:
        weights: The folder of a saved model; a relative path counts from the working folder.
    """

    stage: ClassVar[Stage] = Stage.WEIGHTS
    fits: ClassVar[Fits] = {"model": None}

    def __init__(self, weights: str) -> None:
        if not isinstance(weights, str) or not weights.strip():
            raise ValueError(f"weights is {weights!r}, expected the folder of a saved model")
        self.weights = weights

    @property
    def roles(self) -> tuple[Role, ...]:
        """None: nothing is learned here."""
        return ()

    def check(self, predictor: Predictor) -> None:
        """Compare the model with the definition.

        Raises:
            DefinitionError: It is of other classes, channels or slices.
            ModelError: The folder holds none.
        """
        try:
            found = Predictor.load(self.weights, allowed=predictor.preparation.allowed)
        except ModelError as error:
            raise ModelError(f"weights: {error}") from error
        for what, theirs, ours in (
            ("classes", tuple(found.task.classes), tuple(predictor.task.classes)),
            ("channels", tuple(found.channels), tuple(predictor.channels)),
        ):
            if theirs != ours:
                raise DefinitionError(
                    f"weights: the model has the {what} {list(theirs)}, the definition has {list(ours)}: they must "
                    "be the same names in the same order."
                )
        learned, asked = _slices(found), _slices(predictor)
        other = [key for key in learned if learned[key] != asked[key]]
        if other:
            raise DefinitionError(
                f"weights: the model has learned from slices with {other[0]} {learned[other[0]]}, and the definition "
                f"has {asked[other[0]]}: it would be asked about other images. Set slices.{other[0]} to that "
                "of the model, as its model.json has it."
            )

    def __call__(self, work: Work, run: Run) -> Work:
        """Load it."""
        found = Predictor.load(self.weights, device=run.device, allowed=run.allowed)
        found.save(run.place / "predictor")
        digest, origin = weights_digest(self.weights), found.about.get("run", "")
        run.progress.say(f"Using the model {origin or 'that was given'}, {digest}: nothing is learned.")
        run.recorder.tags({f"{run.step}.weights": digest, **({f"{run.step}.run": origin} if origin else {})})
        return _with(work, found)

    def recall(self, work: Work, run: Run) -> Work:
        """Load it from the run's folder."""
        found = Predictor.load(run.place / "predictor", device=run.device, allowed=run.allowed)
        return _with(work, found)


def _with(work: Work, found: Predictor) -> Work:
    """The model, on the data of this work: its manifest says what their labels mean."""
    own, files = work.predictor, work.predictor.preparation.files
    others = tuple(
        replace(each, preparation=replace(each.preparation, files=files), manifest=own.manifest)
        for each in found.others
    )
    return replace(
        work, predictor=replace(found, preparation=own.preparation, manifest=own.manifest, others=others)
    )


def _slices(predictor: Predictor) -> dict[str, Any]:
    """How slices are made that a model is asked about."""
    return predictor.preparation.rule.model_dump(mode="json", exclude={"keep"})  # that is of training alone
