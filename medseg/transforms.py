"""Dictionary transforms for anybody's `monai.transforms.Compose`: from the files of a case to slices, and back.

    Compose([
        LoadCased(["image", "label"], channels=["t1", "t2"]),    # (C, I, J, K), the axes as stored
        OrientRASd(["image", "label"]),                          # to the patient's right, anterior and up
        EncodeLabelsd("label", {0: "background", 4: "tumour"}),  # class indices
        NormalizeIntensityd("image", nonzero=True, channel_wise=True),  # MONAI's, as many as are expected
        CutSlicesd(["image", "label"], axis="axial"),            # (C, S, H, W)
        FitSlicesd(["image", "label"], size=(192, 160), mode=["bilinear", "nearest"]),
    ])

Stores and the input of models are prepared by the same ones, with `MarkContentd`, `CheckPreparedd` and `CarryMaskd`
between. Those that move voxels can be inverted: `Compose.inverse` leads maps back to the grid of the file. A
definition names none of them: it says under `slices` what they are given. But `MaskBordersd` stands in its
`slices.transforms`, where frames and letters at the borders of pictures are to be masked. `StackNeighboursd` comes
last where a network sees the slices on either side, too.
"""

from __future__ import annotations

from medseg.slices.dictionary.borders import MaskBordersd
from medseg.slices.dictionary.check import CheckPreparedd
from medseg.slices.dictionary.content import CarryMaskd, MarkContentd
from medseg.slices.dictionary.encode import EncodeLabelsd
from medseg.slices.dictionary.fit import FitSlicesd
from medseg.slices.dictionary.load import LoadCased
from medseg.slices.dictionary.neighbours import StackNeighboursd
from medseg.slices.dictionary.orient import CutSlicesd, OrientRASd

__all__ = [
    "CarryMaskd",
    "CheckPreparedd",
    "CutSlicesd",
    "EncodeLabelsd",
    "FitSlicesd",
    "LoadCased",
    "MarkContentd",
    "MaskBordersd",
    "OrientRASd",
    "StackNeighboursd",
]
