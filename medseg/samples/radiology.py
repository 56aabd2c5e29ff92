"""Generated pictures of brains, sorted into folders by sequence and plane."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

from medseg.places import written_whole
from medseg.progress import Progress
from medseg.samples.drawing.files import write_png
from medseg.samples.radiology_dicom import series_of, write_dicom
from medseg.samples.radiology_pictures import (
    CLASSES,
    SLICES,
    Part,
    class_name,
    numbers,
    patient_pictures,
)
from medseg.samples.series import write_missing

_BLOCK = 5  # patients of which one is kept for testing


def patient_name(number: int) -> str:
    """Name of patient `number`, counted from 1."""
    return f"patient{number:02d}"


def is_dicom(number: int) -> bool:
    """Say whether a patient's pictures are DICOM files: those of even numbers; the others are PNG."""
    return number % 2 == 0


def role_folder(seed: int, number: int) -> str:
    """Train or Test: one of each five patients is kept for testing, of each ten one of either format."""
    block, _ = divmod(number - 1, _BLOCK)
    odd = (int(numbers(seed, 0, Part.ROLE).integers(2)) + block) % 2
    choice = [each for each in range(block * _BLOCK + 1, (block + 1) * _BLOCK + 1) if each % 2 == odd]
    chosen = choice[int(numbers(seed, block + 1, Part.ROLE).integers(len(choice)))]
    return "Test" if number == chosen else "Train"


def _places(out: Path, seed: int, number: int) -> dict[tuple[str, int], Path]:
    """Where each picture of a patient belongs, by its class and its number in the series."""
    name, role = patient_name(number), out / role_folder(seed, number)
    pairs = [(series, n) for series in series_of(seed, number, name).items() for n in range(1, SLICES + 1)]
    first = (number - 1) * len(pairs) + 1
    places = {}
    for image, ((kind, series), n) in enumerate(pairs, start=first):
        anonymous = f"IM{image:04d}{series.manner.ending}"
        named = f"{name}_{kind.lower()}_{n}.png"
        places[kind, n] = role / kind / (anonymous if is_dicom(number) else named)
    return places


def _write(out: Path, seed: int, number: int) -> None:
    places, series = _places(out, seed, number), series_of(seed, number, patient_name(number))
    for picture in patient_pictures(seed, number):
        kind = class_name(picture.channel, picture.plane)
        with written_whole(places[kind, picture.n]) as target:
            if is_dicom(number):
                write_dicom(picture, series[kind], target)
            else:
                write_png(picture.shown(), target)


def _there(out: Path, seed: int, number: int) -> bool:
    return all(path.is_file() for path in _places(out, seed, number).values())


@dataclass(frozen=True)
class Radiology:
    """A generated data set of pictures in class folders: T1 and FLAIR of brains, cut in three planes.

    A picture is `Train/<class>/<file>` or `Test/<class>/<file>`, 128x128 pixels of 1.6 mm; one of each five
    patients is kept for testing. Every patient has three slices of each class from the middle half of the
    brain. Those of odd number are PNG, 8-bit grey, named as `patient07_flair_axial_2.png`; those of even
    number are DICOM, named by number alone, with the patient in PatientID (`patient08`): MR images of 12 or
    16 bits, signed or not, with Modality LUT and window, some MONOCHROME1, some packed by RLE, some without
    an ending. Shown are the front or the top above, and at the left the patient's right or, of sagittal
    slices, the front. Brains are drawn as for `BrainTumours`; brightness and contrast vary by series. Every
    DICOM file says that it is generated.
    """

    version: ClassVar[int] = 2  # part of the cache key; raised when the bytes change
    classes: ClassVar[tuple[str, ...]] = CLASSES

    def write(self, out: Path, *, cases: int, seed: int, progress: Progress, jobs: int = 1) -> Path:
        """Write patients 1 to `cases`; those that are there already are kept, so that a stopped call goes on.

        A patient depends on seed and number alone, byte for byte: not on `cases` nor on `jobs`. Other
        versions of NumPy, SciPy, Pillow or pydicom, and other kinds of processor, may round or pack
        differently.

        Args:
            out: Folder of the data set; made if need be. One seed and one version to a folder.
            cases: How many patients, at least 1; from 5 on there are some for testing.
            seed: 0 or more.
            progress: Shows the patients done.
            jobs: Processes. About 0.3 GB of memory each.

        Returns:
            `out`.

        Raises:
            DataError: A number is out of range, or the template is not installed.
        """
        write_missing(
            partial(_write, out, seed),
            partial(_there, out, seed),
            "generating pictures of brains",
            cases=cases,
            seed=seed,
            progress=progress,
            jobs=jobs,
        )
        return out
