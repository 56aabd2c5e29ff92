"""The step that gives a network its first weights from a file: fine-tuning."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

from medseg.cases.split import Role
from medseg.learning.predictor import Predictor
from medseg.learning.weights import Part, fill, load_weights, match, weights_digest
from medseg.steps.step import Run, Work


class StartFrom:
    """Fill the network with given weights, before or instead of training.

    The filled network is kept in the run's own folder, so that the run can go on when the file is gone. A
    tracker learns the digest of the file, never its path.

    Args:
        weights: A `.safetensors` file, a torch state dict, or the folder of a saved model; a relative path
            counts from the working folder. Nothing in it is run.
        part: `all`, or only the `encoder`, the way down: then the number of classes may differ.
    """

    def __init__(self, weights: str, part: Part = "all") -> None:
        if not isinstance(weights, str) or not weights.strip():
            raise ValueError(f"weights is {weights!r}, wanted the path of a file")
        if part not in get_args(Part):
            raise ValueError(f"part is {part!r}, wanted {' or '.join(get_args(Part))}")
        self.weights, self.part = weights, part

    @property
    def roles(self) -> tuple[Role, ...]:
        """None: nothing is learned here."""
        return ()

    def __call__(self, work: Work, run: Run) -> Work:
        """Fill the network of the work."""
        network = work.predictor.network
        found = fill(network, load_weights(self.weights), part=self.part, at=f"steps.{run.step}.weights")
        digest = weights_digest(self.weights)
        run.progress.say(f"Starting from given weights {digest}: {found.text()}")
        run.recorder.tags({f"{run.step}.weights": digest, f"{run.step}.part": self.part})
        run.recorder.params({f"{run.step}.loaded": len(found.loaded), f"{run.step}.left": len(found.left)})
        started = replace(work.predictor, network=network.eval())
        started.save(run.place / "predictor")
        return replace(work, predictor=started)

    def check(self, predictor: Predictor) -> None:
        """Read the file and compare it with the network, so that a wrong one costs a second.

        Raises:
            ModelError: The weights cannot be read, or do not fit.
        """
        match(predictor.network, load_weights(self.weights), part=self.part, at="the step StartFrom")

    def recall(self, work: Work, run: Run) -> Work:
        """Load the filled network from the run's folder."""
        saved = Predictor.load(run.place / "predictor", device=run.device, allowed=run.allowed)
        return replace(work, predictor=replace(work.predictor, network=saved.network, device=run.device))
