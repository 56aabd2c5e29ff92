"""From stored values to modality values, and from these to what is shown. Source: DICOM PS3.3 C.11.1, C.11.2."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from medseg.images.dicom.attributes import COPY, value_of
from medseg.images.dicom.header import Header
from medseg.images.dicom.lookup_table import Table, table
from medseg.images.dicom.window import Window
from medseg.images.refusal import RefusedError

WHITE = 255.0
"""What is shown brightest."""

#: Where an enhanced image holds the rescaling and the window of its frame. Source: DICOM PS3.3 C.7.6.16.2.
_RESCALING, _VOI = "PixelValueTransformationSequence", "FrameVOILUTSequence"

_SET_WINDOW = "Set `pictures.window` in the manifest to a centre and width, or to `none`."
_BROKEN = (LookupError, ValueError, TypeError, AttributeError, OverflowError, RuntimeError)


#: Whole numbers up to this and those of 16 bits, float32 adds exactly.
_EXACT = 2.0**23


@dataclass(frozen=True)
class Greys:
    """A grey picture in modality units.

    Attributes:
        values: (H, W) float64.
        padding: (H, W), where there is none of the picture.
        lowest: The smallest value that the stored bits can stand for.
        highest: The largest.
    """

    values: NDArray[np.float64]
    padding: NDArray[np.bool_]
    lowest: float
    highest: float


def modality(head: Header, stored: NDArray[Any]) -> Greys:
    """Apply the Modality LUT of a file.

    Raises:
        RefusedError: It is damaged.
    """
    lowest, highest = _stored_range(head, stored)
    padding, rule = _padding(head, stored), _modality_rule(head)
    if isinstance(rule, Table):
        return Greys(rule.of(stored).astype(np.float64), padding, 0, 2.0**rule.bits - 1)
    slope, intercept = rule
    ends = sorted((lowest * slope + intercept, highest * slope + intercept))
    return Greys(stored.astype(np.float64) * slope + intercept, padding, *ends)


def put_modality_values(head: Header, stored: NDArray[Any], into: NDArray[np.float32]) -> None:
    """Write the values of `modality`, as float32, into an array (H, W) of a volume: a third of the time.

    Raises:
        RefusedError: As `modality`.
    """
    rule = _modality_rule(head)
    if isinstance(rule, Table):
        into[...] = rule.of(stored)
        return
    slope, intercept = rule
    whole = stored.dtype.kind in "iu" and stored.dtype.itemsize <= 2 and intercept == round(intercept)
    if slope == 1 and whole and abs(intercept) < _EXACT:  # float32 holds these sums exactly, as float64 does
        np.add(stored, np.float32(intercept), out=into, dtype=np.float32)
        return
    values = np.multiply(stored, slope, dtype=np.float64)
    values += intercept
    into[...] = values


def _modality_rule(head: Header) -> Table | tuple[float, float]:
    """The Modality LUT of a file, or its slope and intercept."""
    try:
        if items := head.value("ModalityLUTSequence"):
            return _table(items[0], head, signed=head.signed)
        declared = [head.frame_value(_RESCALING, keyword) for keyword in ("RescaleSlope", "RescaleIntercept")]
        slope, intercept = (
            float(n if each is None else each) for each, n in zip(declared, (1, 0), strict=True)
        )
        if not np.isfinite([slope, intercept]).all() or slope == 0:
            raise ValueError("no slope")
    except _BROKEN as error:
        raise RefusedError(
            "the Modality LUT of the DICOM file (or its rescaling) is damaged", COPY
        ) from error
    return slope, intercept


def shown(head: Header, greys: Greys, window: Window) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """Values (H, W) of a grey picture under a window, with what is to be noted.

    Raises:
        RefusedError: The window cannot be applied.
    """
    turned = head.colours == "MONOCHROME1"
    if window == "none":
        if not turned:
            return greys.values.astype(np.float32), ()
        mirrored = greys.lowest + greys.highest - greys.values
        mirrored = np.where(greys.padding, greys.values, mirrored)
        return mirrored.astype(np.float32), ("MONOCHROME1: its modality values were mirrored",)
    notes: tuple[str, ...] = ()
    if window == "file":
        found, notes = _by_file(head, greys)
    else:
        found = linear(greys.values, *window)
    found = WHITE - found if turned else found
    return np.where(greys.padding, 0, found).astype(np.float32), notes


def linear(values: NDArray[np.float64], centre: float, width: float) -> NDArray[np.float64]:
    """The function LINEAR of PS3.3 C.11.2.1.2.1, onto 0 to 255.

    Raises:
        RefusedError: The width is below 1, of which this function knows none.
    """
    if not (np.isfinite(centre) and np.isfinite(width) and width >= 1):
        raise RefusedError(
            f"a window of width {width:g}, expected at least 1", "Set a wider `pictures.window`."
        )
    if width == 1:
        return np.where(values <= centre - 0.5, 0, WHITE)
    return np.clip((values - (centre - 0.5)) / (width - 1) + 0.5, 0, 1) * WHITE


def _exact(values: NDArray[np.float64], centre: float, width: float) -> NDArray[np.float64]:
    """The function LINEAR_EXACT of C.11.2.1.3.2."""
    return np.clip((values - centre) / width + 0.5, 0, 1) * WHITE


def _sigmoid(values: NDArray[np.float64], centre: float, width: float) -> NDArray[np.float64]:
    """The function SIGMOID of C.11.2.1.3.1; exp of more than 700 is beyond float64."""
    return WHITE / (1 + np.exp(np.clip(-4 * (values - centre) / width, -700, 700)))


_FUNCTIONS = {"LINEAR": linear, "LINEAR_EXACT": _exact, "SIGMOID": _sigmoid}


def _by_file(head: Header, greys: Greys) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """By the VOI LUT or window of the file, or what stands in for one."""
    holder = head.holder(_VOI, "VOILUTSequence", "WindowCenter")
    if items := value_of(holder, "VOILUTSequence"):
        try:
            found = _table(items[0], head, signed=greys.lowest < 0)
        except _BROKEN as error:
            raise RefusedError("the VOI LUT of the DICOM file is damaged", _SET_WINDOW) from error
        return np.minimum(found.of(greys.values) * (WHITE / (2**found.bits - 1)), WHITE), ()
    name = str(value_of(holder, "VOILUTFunction") or "LINEAR").strip().upper()
    if (window := _window(holder)) is None:
        return _whole_range(greys), ("it has no window: its smallest to largest value are shown",)
    if name not in _FUNCTIONS:
        raise RefusedError("the VOI LUT Function of the DICOM file is none that is known", _SET_WINDOW)
    if not (np.isfinite(window).all() and window[1] >= (1 if name == "LINEAR" else np.finfo(float).tiny)):
        return _whole_range(greys), ("its window has no width: its smallest to largest value are shown",)
    return _FUNCTIONS[name](greys.values, *window), ()


def _window(holder: Dataset) -> tuple[float, float] | None:
    """Centre and width of the first window; None where the file has none, or none of numbers."""
    try:
        pair = [value_of(holder, keyword) for keyword in ("WindowCenter", "WindowWidth")]
        first = [each[0] if hasattr(each, "__len__") and not isinstance(each, str) else each for each in pair]
        return None if None in first else (float(first[0]), float(first[1]))
    except _BROKEN:
        return None


def _whole_range(greys: Greys) -> NDArray[np.float64]:
    counted = greys.values[~greys.padding & np.isfinite(greys.values)]
    if not counted.size or (low := counted.min()) == (high := counted.max()):
        return np.zeros_like(greys.values)
    return np.clip((greys.values - low) / (high - low), 0, 1) * WHITE


def _stored_range(head: Header, stored: NDArray[Any]) -> tuple[float, float]:
    if head.is_float:
        finite = stored[np.isfinite(stored)]
        return (float(finite.min()), float(finite.max())) if finite.size else (0, 0)
    if head.signed:
        return -(2.0 ** (head.stored - 1)), 2.0 ** (head.stored - 1) - 1
    return 0, 2.0**head.stored - 1


def _padding(head: Header, stored: NDArray[Any]) -> NDArray[np.bool_]:
    """Where stored values are the Pixel Padding Value, or between it and its Range Limit."""
    prefix = {"FloatPixelData": "Float", "DoubleFloatPixelData": "DoubleFloat"}.get(head.keyword, "")
    try:
        value = _number(head, f"{prefix}PixelPaddingValue", None)
        limit = _number(head, f"{prefix}PixelPaddingRangeLimit", value)
    except _BROKEN:
        return np.zeros(stored.shape, dtype=bool)
    if value is None or limit is None:
        return np.zeros(stored.shape, dtype=bool)
    if not head.is_float:  # some files write it with the other sign
        value, limit = (_wrapped(each, head) for each in (value, limit))
    return (stored >= min(value, limit)) & (stored <= max(value, limit))


def _wrapped(value: float, head: Header) -> float:
    around = 2.0**head.allocated
    if head.signed:
        return value - around if value >= around / 2 else value
    return value + around if value < 0 else value


def _table(item: Dataset, head: Header, *, signed: bool) -> Table:
    data = item["LUTData"].value
    return table(item["LUTDescriptor"].value, data, little=head.syntax.is_little_endian, signed=signed)


def _number(head: Header, keyword: str, otherwise: float | None) -> Any:
    value = head.value(keyword)
    return otherwise if value is None else float(value)
