"""Tiny data sets in the layouts of nnU-Net, the Decathlon and BIDS."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray

from medseg.testing.cases import BRATS_CHANNELS, brats_affine, brats_case

#: Values of the Decathlon by those of `brats_case`.
_OF_DECATHLON = {0: 0, 1: 2, 2: 1, 4: 3}


def write_volume(path: Path, data: NDArray[Any], affine: NDArray[np.float64] | None = None) -> Path:
    """Write one NIfTI file, in folders that are made; with the affine of BraTS when none is given."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(data, brats_affine(data.shape) if affine is None else affine), path)
    return path


def patients(count: int, shape: tuple[int, int, int]) -> Iterator[tuple[str, NDArray[Any], NDArray[Any]]]:
    """Names, channels (C, I, J, K) and label maps of 0 to 3 (I, J, K) of made-up patients."""
    for number in range(1, count + 1):
        images, stored = brats_case(shape, number)
        mask = np.vectorize(_OF_DECATHLON.get)(stored).astype(np.uint8)
        yield f"case_{number:03d}", np.stack([images[name] for name in BRATS_CHANNELS]), mask


def write_nnunet(
    folder: Path, *, cases: int, channels: int = 1, shape: tuple[int, int, int] = (24, 28, 8)
) -> Path:
    """Write `imagesTr/X_0000.nii.gz`, `labelsTr/X.nii.gz` and `dataset.json` as nnU-Net 2 has it."""
    for name, images, mask in patients(cases, shape):
        for channel in range(channels):
            write_volume(folder / "imagesTr" / f"{name}_{channel:04d}.nii.gz", images[channel])
        write_volume(folder / "labelsTr" / f"{name}.nii.gz", mask)
    said = {
        "channel_names": {str(channel): BRATS_CHANNELS[channel].upper() for channel in range(channels)},
        "labels": {"background": 0, "Oedema": 1, "core, solid": 2, "enhancing": 3, "whole": [1, 2, 3]},
        "file_ending": ".nii.gz",
    }
    return _describe(folder, said)


def write_decathlon(
    folder: Path, *, cases: int, channels: int = 4, shape: tuple[int, int, int] = (24, 28, 8)
) -> Path:
    """Write `imagesTr/X.nii.gz`, of several channels in four dimensions, `labelsTr/X.nii.gz` and `dataset.json`."""
    for name, images, mask in patients(cases, shape):
        stacked = images[:channels].transpose(1, 2, 3, 0) if channels > 1 else images[0]
        write_volume(folder / "imagesTr" / f"{name}.nii.gz", stacked, brats_affine(shape))
        write_volume(folder / "labelsTr" / f"{name}.nii.gz", mask)
    said = {
        "description": "Made-up gliomas",
        "licence": "none needed",
        "modality": {str(channel): BRATS_CHANNELS[channel] for channel in range(channels)},
        "labels": {"0": "background", "1": "edema", "2": "non-enhancing tumor", "3": "enhancing tumour"},
    }
    return _describe(folder, said)


def write_bids(folder: Path, *, cases: int, shape: tuple[int, int, int] = (24, 28, 8)) -> Path:
    """Write T1w images of two sessions a subject, with label maps in `derivatives/manual`."""
    for number, (_, images, mask) in enumerate(patients(cases, shape), start=1):
        for session in ("01", "02"):
            home, name = f"sub-{number:02d}/ses-{session}/anat", f"sub-{number:02d}_ses-{session}"
            write_volume(folder / home / f"{name}_T1w.nii.gz", images[1] + int(session))
            write_volume(folder / "derivatives" / "manual" / home / f"{name}_space-T1w_dseg.nii.gz", mask)
    (folder / "dataset_description.json").write_text('{"Name": "made up"}', encoding="utf-8")
    return folder


def _describe(folder: Path, said: Mapping[str, Any]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dataset.json").write_text(json.dumps(said), encoding="utf-8")
    return folder
