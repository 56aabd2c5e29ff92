"""Generated brain tumours, in the very layout of BraTS 2019."""

from __future__ import annotations

import gzip
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import ClassVar

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from medseg.images.made_up import MADE_UP
from medseg.places import written_whole
from medseg.progress import Progress
from medseg.samples.brain.anatomy import SHAPE, Placement, bend
from medseg.samples.brain.atlas import atlas
from medseg.samples.brain.contrast import scan
from medseg.samples.brain.distractors import distract
from medseg.samples.brain.sequences import Stream, draw, stream
from medseg.samples.brain.tumour import choose, grow
from medseg.samples.series import write_missing

# Of BraTS: 1 mm, running to the patient's left, back and top.
_AFFINE = np.array([[-1.0, 0, 0, 0], [0, -1, 0, 239], [0, 0, 1, 0], [0, 0, 0, 1]])


def _write(volume: NDArray[np.int16], path: Path) -> None:
    """Write a volume so that equal voxels give equal bytes: no time and no name in the gzip header."""
    image = nib.Nifti1Image(volume, _AFFINE)
    image.header.set_xyzt_units("mm")
    image.set_sform(_AFFINE, 1)
    image.set_qform(_AFFINE, 1)
    image.header["descrip"] = MADE_UP
    path.write_bytes(gzip.compress(image.to_bytes(), compresslevel=1, mtime=0))


def _make(folder: Path, seed: int, number: int) -> None:
    """Write the files of one case into a folder that does not exist yet."""
    recipe = draw(seed, number)
    placement = Placement.of(recipe)
    rng = stream(seed, number, Stream.TUMOUR)
    sites, foci = choose(atlas().sites, recipe, rng)
    foci = replace(foci, centres=placement.in_box(sites))
    head = bend(atlas(), placement, recipe, stream(seed, number, Stream.SHAPE), foci)
    tumour = grow(head, foci, recipe, rng)
    others = distract(head, recipe, stream(seed, number, Stream.DISTRACTORS))
    folder.mkdir()
    label = np.zeros(SHAPE, np.int16)
    label[head.box] = tumour.label
    _write(label, folder / f"{folder.name}_seg.nii.gz")
    for channel, volume in scan(head, tumour, others, recipe, stream(seed, number, Stream.IMAGE)):
        _write(volume, folder / f"{folder.name}_{channel}.nii.gz")


def _case(out: Path, seed: int, number: int) -> None:
    with written_whole(out / case_name(number)) as folder:
        _make(folder, seed, number)


def _there(out: Path, number: int) -> bool:
    return (out / case_name(number)).is_dir()


def case_name(number: int) -> str:
    """Name of case `number`, counted from 1."""
    return f"MedsegSample_{number:04d}"


@dataclass(frozen=True)
class BrainTumours:
    """A generated data set in the layout of BraTS 2019.

    Every case is `<case>/<case>_{flair,t1,t1ce,t2,seg}.nii.gz`: (240, 240, 155) voxels of 1 mm, int16,
    orientation LPS, exactly 0 outside the brain; labels 0 background, 1 necrotic or non-enhancing core,
    2 oedema, 4 enhancing. The anatomy is the ICBM 2009a template, bent anew for each case; the tumours,
    contrasts and everything else are drawn. Nothing in it comes from a patient's image.
    """

    version: ClassVar[int] = 2  # part of the cache key; raised when the bytes change

    def write(self, out: Path, *, cases: int, seed: int, progress: Progress, jobs: int = 1) -> Path:
        """Write cases 1 to `cases`; those that are there already are kept, so that a stopped call goes on.

        A case depends on seed and number alone, byte for byte: not on `cases` nor on `jobs`. Other versions
        of NumPy, SciPy or zlib, and other kinds of processor, may round or compress differently.

        Args:
            out: Folder of the data set; made if need be. One seed and one version to a folder.
            cases: How many, at least 1.
            seed: 0 or more.
            progress: Shows the cases done.
            jobs: Processes. About 0.7 GB of memory and a few seconds a case each.

        Returns:
            `out`.

        Raises:
            DataError: A number is out of range, or the template is not installed.
        """
        write_missing(
            partial(_case, out, seed),
            partial(_there, out),
            "generating brain tumours",
            cases=cases,
            seed=seed,
            progress=progress,
            jobs=jobs,
        )
        return out
