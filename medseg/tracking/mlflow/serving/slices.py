"""The model as MLflow serves it: this file is copied into the model and run there, so nothing is pickled.

It stands alone: a copy of it must find what it needs by absolute imports of an installed medseg.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from mlflow.models import set_model

from medseg.tracking.mlflow.serving.loaded import Loaded


class ServedPredictor(Loaded):
    """A saved `Predictor` behind MLflow's interface."""

    def predict(
        self,
        context: Any,  # noqa: ARG002 - MLflow's interface
        model_input: np.ndarray,  # by name; MLflow would take a type of its own for a signature
        params: dict[str, Any] | None = None,  # noqa: ARG002 - MLflow's interface
    ) -> dict[str, np.ndarray]:
        """Return class probabilities.

        Args:
            context: MLflow's; not used.
            model_input: Prepared slices (B, H, W) as float32 of each of `Predictor.inputs` by its name, intensities
                normalised as in training. Any B, and any H and W that the network takes.
            params: Not used.

        Returns:
            Probabilities (B, H, W) as float32 in [0, 1] of each class by its name; of a model that tells classes of
            whole images (B,).
        """
        channels = [np.asarray(model_input[name], dtype=np.float32) for name in self._predictor.inputs]
        found = self._predictor.probabilities(np.stack(channels, axis=1))
        maps = np.moveaxis(np.asarray(found, dtype=np.float32), 1, 0)
        return dict(zip(self._predictor.task.maps, maps, strict=True))


set_model(ServedPredictor())
