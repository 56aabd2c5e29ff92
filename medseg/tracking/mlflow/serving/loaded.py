"""What both served models have in common: where their predictor comes from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mlflow.pyfunc import PythonModel


class Loaded(PythonModel):
    """A saved `Predictor` behind MLflow's interface; what it takes and answers is the subclass's to say."""

    def load_context(self, context: Any) -> None:
        """Load the predictor folder that lies in the model as `artifacts/predictor`.

        Packages that its parts may come from, beside the usual ones, are named in `MEDSEG_ALLOW`.
        """
        from medseg.learning.inference.predictor import Predictor  # noqa: PLC0415 - MONAI takes 10 s to import

        self._predictor = Predictor.load(Path(context.artifacts["predictor"]))
