"""Side-cars in JSON, as BIDS has them: what is known to say nothing of a person stays, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from medseg.datasets.deidentification.choice import Cleaned
from medseg.files.regular import MOST_JSON, parse_json
from medseg.images.refusal import RefusedError

#: Keys whose numbers stay. Source: BIDS 1.10, metadata of MRI, CT and PET.
_LISTED = (
    "AcquisitionDuration AcquisitionMatrixPE AcquisitionNumber AcquisitionVoxelSize "
    "BandwidthPerPixelPhaseEncode BaseResolution ConvolutionKernelFWHM DelayTime DwellTime EchoNumber "
    "EchoTime EchoTime1 EchoTime2 EchoTrainLength EffectiveEchoSpacing FlipAngle FrameDuration "
    "FrameTimesStart ImageOrientationPatientDICOM ImagingFrequency InPlanePhaseEncodingDirectionDICOM "
    "InversionTime MTState MagneticFieldStrength MultibandAccelerationFactor "
    "NonlinearGradientCorrection NumberOfAverages NumberOfVolumesDiscardedByScanner "
    "ParallelReductionFactorInPlane PartialFourier PercentPhaseFOV PercentSampling PhaseEncodingSteps "
    "PhaseResolution PixelBandwidth RefLinesPE RepetitionTime RepetitionTimeExcitation "
    "RepetitionTimePreparation SAR SeriesNumber SliceThickness SliceTiming SpacingBetweenSlices "
    "SpoilingState TotalReadoutTime TxRefAmp XRayExposure XRayTubeCurrent KVP"
)
_NUMBERS = frozenset(_LISTED.split())

#: Keys whose text stays if it is one of a few words of the standard.
_TEXTS: Mapping[str, frozenset[str]] = {
    "Modality": frozenset(["MR", "CT", "PT", "NM", "US", "CR", "DX", "MG"]),
    "PhaseEncodingDirection": frozenset(["i", "i-", "j", "j-", "k", "k-"]),
    "SliceEncodingDirection": frozenset(["i", "i-", "j", "j-", "k", "k-"]),
    "MRAcquisitionType": frozenset(["1D", "2D", "3D"]),
    "PatientPosition": frozenset(["HFS", "HFP", "HFDR", "HFDL", "FFS", "FFP", "FFDR", "FFDL"]),
    "InPlanePhaseEncodingDirectionDICOM": frozenset(["ROW", "COL"]),
    "Manufacturer": frozenset(
        ["Siemens", "Philips", "GE", "Canon", "Toshiba", "Hitachi", "UIH", "Bruker", "SIEMENS", "PHILIPS"]
    ),
    "Units": frozenset(["Bq/mL", "arbitrary", "Hz", "rad", "T", "Hounsfield"]),
    "MTState": frozenset(["true", "false"]),
}

_ANEW = "Write it anew as an object of names and values, or leave it out."


def clean_sidecar(data: bytes) -> Cleaned:
    """An object with the keys that describe how an image was taken; dates, texts and unknown keys are left out.

    Raises:
        RefusedError: It is no JSON, or no object.
    """
    try:
        found = parse_json(data[: MOST_JSON + 1].decode("utf-8-sig"))
    except ValueError as error:
        raise RefusedError("the file is no JSON", _ANEW) from error
    if not isinstance(found, dict):
        raise RefusedError("the JSON file holds no object of names and values", _ANEW)
    kept = {name: value for name, value in found.items() if _may_stay(name, value)}
    removed = len(found) - len(kept)
    content = (json.dumps(kept, indent=2) + "\n").encode()
    return Cleaned(content, changes={"removed": removed} if removed else {})


def _may_stay(name: str, value: Any) -> bool:
    if isinstance(value, str):
        return value in _TEXTS.get(name, ())
    return name in _NUMBERS and all(
        isinstance(each, bool | int | float) for each in (value if isinstance(value, list) else [value])
    )
