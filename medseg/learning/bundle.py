"""What the configuration of an exported MONAI bundle names; see `medseg export --to bundle`.

The configuration reads the cases of a folder with `cases_in`, prepares them by `medseg.transforms`, predicts their
slices with `SlicesInferer`, and makes label maps on the grid of the file with `LabelsFromLogitsd`.
"""

from __future__ import annotations

from medseg.learning.inference.export.bundle.running import LabelsFromLogitsd, SlicesInferer, cases_in

__all__ = ["LabelsFromLogitsd", "SlicesInferer", "cases_in"]
