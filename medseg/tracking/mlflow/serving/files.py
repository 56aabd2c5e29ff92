"""The model as MLflow serves it for files: this script is copied into the model and run there; nothing is pickled.

It stands alone: a copy of it must find what it needs by absolute imports of an installed medseg.
"""

# ruff: noqa: PLC0415 - MONAI takes 10 s to import, and only a served model needs it
from __future__ import annotations

from typing import Any

import pandas as pd
from mlflow.models import set_model

from medseg.tracking.mlflow.serving.loaded import Loaded


class ServedFiles(Loaded):
    """A saved `Predictor` behind MLflow's interface, which takes files and answers as `medseg predict` writes."""

    def predict(
        self,
        context: Any,  # noqa: ARG002 - MLflow's interface
        model_input: pd.DataFrame,
        params: dict[str, Any] | None = None,  # noqa: ARG002 - MLflow's interface
    ) -> list[dict[str, Any]]:
        """Answer for each row of a table whose columns are the files of a case, as bytes.

        Args:
            context: MLflow's; not used.
            model_input: A column each channel, or `image` where one file holds all of them: NIfTI, DICOM or picture,
                as the model was trained on.
            params: Not used.

        Returns:
            For each row `measures` by name; `mask`, the label map as base64 of `.nii.gz` or `.png`
            (`.mha`, `.nrrd` where the input is), of models that
            give one; `warnings`; and `error` alone, what is wrong with the files, where they cannot be used.
        """
        from medseg.learning.inference.from_bytes import answer

        rows = model_input.to_dict("records")
        return [answer(self._predictor, {str(part): each for part, each in row.items()}) for row in rows]


set_model(ServedFiles())
