"""Tiny cases for tests, in the layout of public data sets: small, quick to learn, each patient another."""

from __future__ import annotations

import gzip
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray

from medseg.slices.store.entry import write_entry
from medseg.slices.store.store import Sample, SliceStore

BRATS_CHANNELS = ("flair", "t1", "t1ce", "t2")

#: Mean intensity of each channel (rows) in healthy tissue, oedema, enhancing rim and necrotic core.
_CONTRAST = np.array(
    [
        [300, 800, 600, 500],
        [500, 400, 400, 200],
        [500, 400, 1000, 200],
        [300, 700, 500, 900],
    ]
)
_STORED = (0, 2, 4, 1)  # label values of the same tissues
_NOISE = 15.0


def write_case(
    folder: Path,
    images: Mapping[str, NDArray[Any]],
    mask: NDArray[Any] | None = None,
    *,
    affine: NDArray[np.float64] | None = None,
    mask_name: str = "seg",
) -> Path:
    """Write one case as `<folder>/<folder's name>_<channel>.nii.gz`.

    Args:
        folder: Of the case; its name is the case's id.
        images: (I, J, K) of each channel, in the order of axes that `affine` says; the dtype is kept.
        mask: (I, J, K) label values as stored; None for a case without a truth.
        affine: 4x4, voxel to world in mm, RAS+; that of BraTS, with axes that run to Left, Posterior and
            Superior in steps of 1 mm, when left out.
        mask_name: Stands where a channel's name would.

    Returns:
        The folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    whole = dict(images) if mask is None else {**images, mask_name: mask}
    for name, data in whole.items():
        place = brats_affine(data.shape) if affine is None else affine
        image = nibabel.Nifti1Image(data, place)
        image.header.set_xyzt_units("mm")
        nibabel.save(image, folder / f"{folder.name}_{name}.nii.gz")
    return folder


def take_place(folder: Path, sizes: Sequence[float] = (0, 0, 0)) -> None:
    """Take the place out of the headers of a case's files: both codes, and the voxel sizes of `pixdim`.

    Args:
        folder: Of the case; its `.nii.gz` files are written over.
        sizes: What `pixdim` says instead, in the unit of the file.
    """
    for path in folder.glob("*.nii.gz"):
        raw = bytearray(gzip.decompress(path.read_bytes()))
        header = nibabel.Nifti1Header(bytes(raw[:348]))
        header["sform_code"] = header["qform_code"] = 0
        header["pixdim"][1:4] = sizes
        raw[:348] = header.binaryblock
        path.write_bytes(gzip.compress(bytes(raw)))


def brats_affine(shape: tuple[int, ...]) -> NDArray[np.float64]:
    """4x4 of a BraTS file: axes run to Left, Posterior and Superior, 1 mm, from (0, J - 1, 0) mm."""
    affine = np.diag([-1.0, -1.0, 1.0, 1.0])
    affine[1, 3] = shape[1] - 1
    return affine


def brats_case(
    shape: tuple[int, int, int] = (24, 28, 12), seed: int = 0
) -> tuple[dict[str, NDArray[np.int16]], NDArray[np.int16]]:
    """Make the four channels and the label map of one patient, in the order of axes of BraTS.

    A brain in a background of 0, with a bright tumour of three parts (oedema around an enhancing rim around
    a necrotic core) at a place and of a size of its own.

    Args:
        shape: (I, J, K), each at least 8.
        seed: Of the patient.

    Returns:
        (I, J, K) of each channel, and label values 0, 1 (necrotic core), 2 (oedema) and 4 (enhancing).
    """
    random = np.random.default_rng(seed)
    size = np.array(shape)
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), axis=-1)
    centre = (size - 1) / 2
    brain = (((grid - centre) / (size / 2 - 1.25)) ** 2).sum(axis=-1) <= 1
    middle = centre + random.uniform(-0.12, 0.12, 3) * size
    extent = random.uniform(0.24, 0.32, 3) * size
    far = (((grid - middle) / extent) ** 2).sum(axis=-1)
    tissue = np.digitize(-far, [-1.0, -0.55, -0.2])  # 0 healthy, 1 oedema, 2 rim, 3 core
    tissue[~brain] = 0
    images = {}
    for name, means in zip(BRATS_CHANNELS, _CONTRAST * random.uniform(0.95, 1.05, (4, 1)), strict=True):
        intensity = means[tissue] + random.normal(0, _NOISE, shape)
        images[name] = np.where(brain, np.rint(intensity).clip(1), 0).astype(np.int16)
    return images, np.array(_STORED, dtype=np.int16)[tissue]


def write_brats(
    folder: Path,
    *,
    cases: int,
    shape: tuple[int, int, int] = (24, 28, 12),
    seed: int = 0,
    prefix: str = "Brats_",
) -> Path:
    """Write patients as `<case>/<case>_{flair,t1,t1ce,t2,seg}.nii.gz`, the layout of BraTS 2018 to 2021.

    Args:
        folder: To write into; made if it is not there.
        cases: Number of patients; their ids are `prefix` and a number from 001.
        shape: (I, J, K) of each volume, each at least 8.
        seed: The same seed gives the same patients, however many; another gives others.
        prefix: Of the ids.

    Returns:
        The folder.
    """
    for number in range(1, cases + 1):
        images, mask = brats_case(shape, seed * 10_000 + number)
        write_case(folder / f"{prefix}{number:03d}", images, mask)
    return folder


def slice_store(
    folder: Path,
    roles: Mapping[str, str],
    *,
    classes: Sequence[str] = ("background", "edge", "core"),
    channels: Sequence[str] = ("bright", "dark"),
    slices: int = 4,
    size: tuple[int, int] = (16, 16),
    dtype: str = "float16",
    seed: int = 0,
) -> SliceStore:
    """Prepare slices without files of volumes: each shows a ring of each class around the next, with noise.

    Args:
        folder: To write into.
        roles: Role of each case.
        classes: Of the labels; the last is in the middle.
        channels: Of the images; the first grows with the class, the others are noise around it.
        slices: Of each case.
        size: (H, W) of a slice, each at least 8.
        dtype: float16 or float32, of the stored images.
        seed: Of the places and the noise.
    """
    height, width = size
    rows, columns = np.mgrid[:height, :width]
    entries, samples = {}, []
    for number, (case, role) in enumerate(roles.items()):
        random = np.random.default_rng([seed, number])
        label = np.empty((slices, height, width), dtype=np.uint8)
        for i in range(slices):
            y, x = random.uniform(0.4, 0.6, 2) * size
            far = np.hypot((rows - y) / height, (columns - x) / width) / random.uniform(0.35, 0.45)
            label[i] = np.clip(len(classes) - 1 - np.floor(far * (len(classes) - 1)), 0, None)
        image = label[:, None] + random.normal(0, 0.2, (slices, len(channels), height, width))
        facts = {
            "positions": list(range(slices)),
            "counts": [np.bincount(each.ravel(), minlength=len(classes)).tolist() for each in label],
            "geometry": {},
            "intensities": {},
            "cut_away": (0, 0),
            "seconds": 0.0,
        }
        entries[case] = write_entry(folder / case, image.astype(dtype), label, facts)
        samples += [Sample(case, case, i, role, case, i) for i in range(slices)]
    return SliceStore(folder, "tiny", tuple(samples), entries, tuple(classes), tuple(channels))
