"""Which random transforms can be applied to a whole batch, and by what."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from monai.transforms import (
    Rand2DElasticd,
    RandAdjustContrastd,
    RandAffined,
    RandAxisFlipd,
    RandCoarseDropoutd,
    RandFlipd,
    RandGaussianNoised,
    RandGaussianSmoothd,
    RandHistogramShiftd,
    RandRotate90d,
    RandRotated,
    RandScaleIntensityd,
    RandScaleIntensityFixedMeand,
    RandShiftIntensityd,
    RandSimulateLowResolutiond,
    RandStdShiftIntensityd,
    RandZoomd,
)

from medseg.learning.augmentation.batched.affine import Affine
from medseg.learning.augmentation.batched.brightness import Scale, Shift
from medseg.learning.augmentation.batched.contrast import AdjustContrast, HistogramShift
from medseg.learning.augmentation.batched.cutouts import CoarseDropout
from medseg.learning.augmentation.batched.elastic import Elastic
from medseg.learning.augmentation.batched.flips import AxisFlip, Flip, Rotate90
from medseg.learning.augmentation.batched.form import Form, Slices
from medseg.learning.augmentation.batched.noise import GaussianNoise
from medseg.learning.augmentation.batched.rotation import Rotate
from medseg.learning.augmentation.batched.smoothing import GaussianSmooth
from medseg.learning.augmentation.batched.spread import ScaleFixedMean, StdShift
from medseg.learning.augmentation.batched.zoom import LowResolution, Zoom

FORMS: dict[type, type[Form]] = {
    RandFlipd: Flip,
    RandAxisFlipd: AxisFlip,
    RandRotate90d: Rotate90,
    RandAffined: Affine,
    RandRotated: Rotate,
    RandZoomd: Zoom,
    Rand2DElasticd: Elastic,
    RandScaleIntensityd: Scale,
    RandShiftIntensityd: Shift,
    RandStdShiftIntensityd: StdShift,
    RandScaleIntensityFixedMeand: ScaleFixedMean,
    RandAdjustContrastd: AdjustContrast,
    RandHistogramShiftd: HistogramShift,
    RandGaussianNoised: GaussianNoise,
    RandGaussianSmoothd: GaussianSmooth,
    RandSimulateLowResolutiond: LowResolution,
    RandCoarseDropoutd: CoarseDropout,
}

_Own = TypeVar("_Own", bound=type[Form])


def by_batch(transform: type) -> Callable[[_Own], _Own]:
    """Register the decorated form for a transform, in the module that defines the transform.

    Args:
        transform: Its class; those that are built on it have no form by that.
    """

    def register(form: _Own) -> _Own:
        FORMS[transform] = form
        return form

    return register


def form_of(transform: Any, slices: Slices) -> Form | None:
    """What applies a transform to a batch; None where it must be run slice by slice."""
    kind = FORMS.get(type(transform))
    if kind is None or not set(inspect.signature(type(transform).__init__).parameters) <= {
        "self",
        *kind.arguments,
    }:
        return None
    form = kind(transform, slices)
    return form if form.knows() else None
