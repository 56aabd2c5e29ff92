"""Files that hold the label map of a volume: in the format of the input, and DICOM segmentations over a series."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from medseg.datasets.case import Case
from medseg.datasets.manifest.rules import SegmentRule
from medseg.errors import DefinitionError
from medseg.files.many import files_of
from medseg.images.dicom.series.kind import SeriesFiles
from medseg.images.formats import FileKind
from medseg.images.itk.kind import ItkFiles
from medseg.images.itk.write import itk_ending, write_volume
from medseg.images.nifti.write import write_nifti
from medseg.learning.inference.prediction import Prediction
from medseg.learning.inference.predictor import Predictor
from medseg.learning.transfer.weights import tensors_digest
from medseg.places import written_whole

if TYPE_CHECKING:
    from medseg.images.dicom.writing.segmentation import Form
    from medseg.images.dicom.writing.segments import Algorithm, Segment


class LabelFile(Protocol):
    """How the label map of a case is written to one file."""

    @property
    def suffix(self) -> str:
        """The end of its name, after the id of the case, unless the case has its own."""

    def ending(self, case: Case) -> str:
        """The end of its name for a case."""

    @property
    def about(self) -> str:
        """What it is, for whoever finds it: one sentence."""

    @property
    def for_archives(self) -> bool:
        """Whether an archive of DICOM objects keeps it."""

    def write(self, predictor: Predictor, case: Case, prediction: Prediction, path: Path) -> tuple[str, ...]:
        """Write it; gives what a person should know about it.

        Raises:
            DataError: It cannot be written of this case.
        """


_ENDINGS = (".nii.gz", ".mha", ".nrrd", ".seg.dcm", ".seg-labelmap.dcm")


@dataclass(frozen=True)
class NiftiFile:
    """The data set's own values, on the grid of the input."""

    suffix: str = ".nii.gz"
    about: str = "label map as NIfTI, in the values of the data set."
    for_archives: bool = False

    def ending(self, case: Case) -> str:  # noqa: ARG002 - as the others
        """The same for every case."""
        return self.suffix

    def write(self, predictor: Predictor, case: Case, prediction: Prediction, path: Path) -> tuple[str, ...]:
        """As NIfTI."""
        del case
        decoded = predictor.manifest.label_rule().decode(prediction.labels)
        write_nifti(decoded, prediction.volume.geometry, path)
        return ()


@dataclass(frozen=True)
class ItkFile:
    """The data set's own values in the format of the input, MetaImage or NRRD, in one file; of others as NIfTI."""

    suffix: str = ".mha"
    about: str = "label map in the format of the input, in the values of the data set."
    for_archives: bool = False

    def ending(self, case: Case) -> str:
        """That of the first channel's file, where it is one that holds header and voxels."""
        return itk_ending(next(iter(case.images.values())))

    def write(self, predictor: Predictor, case: Case, prediction: Prediction, path: Path) -> tuple[str, ...]:
        """By SimpleITK, or as NIfTI where Analyze would lose the place."""
        del case
        decoded = predictor.manifest.label_rule().decode(prediction.labels)
        write_volume(decoded, prediction.volume.geometry, path)
        return ()


@dataclass(frozen=True)
class SegmentationFile:
    """A DICOM segmentation that refers to the images of one channel: whose grid is taken, else that people are shown.

    Attributes:
        form: How voxels are stored.
        segments: One for each class that a stored value other than 0 stands for; their values are its index, from 1.
        algorithm: The model.
        suffix: The end of its name.
        series_number: Of the series that it makes.
        for_archives: It is.
    """

    form: Form
    segments: tuple[Segment, ...]
    algorithm: Algorithm
    suffix: str
    series_number: int
    for_archives: bool = True

    @property
    def about(self) -> str:
        """That it names the patient, above all."""
        return (
            f"label map as DICOM segmentation ({self.form.upper()}). It holds the name and id of the patient, as the "
            "images do that it refers to."
        )

    def ending(self, case: Case) -> str:  # noqa: ARG002 - as the others
        """The same for every case."""
        return self.suffix

    def write(self, predictor: Predictor, case: Case, prediction: Prediction, path: Path) -> tuple[str, ...]:
        """Over the images of the series, in their frame of reference."""
        from medseg.images.dicom.series.read import series_of  # noqa: PLC0415 - imports pydicom
        from medseg.images.dicom.writing.segmentation import write_segmentation  # noqa: PLC0415

        shown = predictor.manifest.shown
        first = shown if shown in predictor.channels else predictor.channels[0]
        channel = predictor.preparation.reference or first  # on whose grid the label map lies
        values = np.zeros(len(predictor.task.classes), np.uint16)
        for segment in self.segments:
            values[segment.value - 1] = segment.value
        return write_segmentation(
            values[prediction.labels],
            prediction.volume.geometry.affine,
            self.segments,
            series_of(files_of(case.images[channel])).paths,
            path,
            algorithm=self.algorithm,
            form=self.form,
            series_number=self.series_number,
        )


def usual(files: FileKind) -> LabelFile:
    """What is written of such inputs where nobody asks for more."""
    return ItkFile() if isinstance(files, ItkFiles) else NiftiFile()


def formats(given: str | Sequence[str]) -> tuple[str, ...]:
    """Names of formats, such as those of `seg,nifti`, each once.

    Raises:
        DefinitionError: One is not known.
    """
    asked = given.split(",") if isinstance(given, str) else given
    names = tuple(dict.fromkeys(name.strip() for name in asked))
    if strange := [name for name in names if name not in _FORMATS]:
        raise DefinitionError(
            f"there is no format {', '.join(map(repr, strange))}: expected some of {', '.join(_FORMATS)}, joined by "
            "commas, such as --format nifti,seg"
        )
    return names


def label_files(names: Sequence[str], predictor: Predictor) -> tuple[LabelFile, ...]:
    """How a model writes the formats with these names.

    Raises:
        DefinitionError: It cannot write one, whatever the case.
        DataError: What writes it is not installed.
    """
    if predictor.task.target.truth != "masks" or predictor.preparation.files.flat:
        raise DefinitionError(
            "the model gives no label maps of volumes: --format and --to, which say how and where these are written, "
            "do not fit it. Leave them out."
        )
    return tuple(_FORMATS[name](predictor) for name in names)


def write_together(
    files: Sequence[LabelFile], predictor: Predictor, case: Case, prediction: Prediction, out: Path
) -> tuple[list[Path], tuple[str, ...]]:
    """Write the label map of a case in several formats: none gets its name before all are written.

    Returns:
        The files, and what a person should know about them.

    Raises:
        DataError: One cannot be written of this case.
        NotWrittenError: The place cannot be written to.
    """
    paths = [out / f"{case.id}{file.ending(case)}" for file in files]
    with ExitStack() as stack:
        targets = [stack.enter_context(written_whole(path)) for path in paths]
        each = [
            file.write(predictor, case, prediction, target)
            for file, target in zip(files, targets, strict=True)
        ]
    notes = list(dict.fromkeys(note for told in each for note in told))  # two forms of DICOM SEG say the same
    notes += [
        f"its {ending} in this folder is of an earlier prediction: remove it, or predict into a new folder"
        for ending in _ENDINGS
        if (path := out / f"{case.id}{ending}").exists() and path not in paths
    ]
    return paths, tuple(notes)


def _binary(predictor: Predictor) -> LabelFile:
    return _segmentation(predictor, "binary", ".seg.dcm", 1000)


def _label_map(predictor: Predictor) -> LabelFile:
    return _segmentation(predictor, "labelmap", ".seg-labelmap.dcm", 1001)


def _segmentation(predictor: Predictor, form: Form, suffix: str, series_number: int) -> LabelFile:
    if not isinstance(predictor.preparation.files, SeriesFiles):
        raise DefinitionError(
            f"a DICOM segmentation refers to the DICOM images that it was made of, and the model reads "
            f"{predictor.preparation.files.noun}. Write NIfTI (leave out --format and --to), or learn from DICOM "
            "series (`layout.series` in the manifest; see docs/dicom.md)."
        )
    from medseg.images.dicom.writing.segmentation import refuse_without_highdicom  # noqa: PLC0415

    refuse_without_highdicom()
    segments = segments_of(predictor)
    if not segments:
        raise DefinitionError(
            "every class of the model is stored as 0, which is background: a DICOM segmentation would hold nothing. "
            "Write NIfTI: leave out --format."
        )
    return SegmentationFile(form, segments, _algorithm(predictor), suffix, series_number)


def segments_of(predictor: Predictor) -> tuple[Segment, ...]:
    """The classes that a stored value other than 0 stands for, as segments: their values are its index, from 1."""
    from medseg.images.dicom.writing.segments import Segment  # noqa: PLC0415

    names, given = predictor.task.classes, predictor.manifest.segments
    found = []
    for index in predictor.manifest.label_rule().foreground:
        rule = given.get(names[index], SegmentRule())
        found.append(Segment(index + 1, names[index], rule.category, rule.code, rule.colour))
    return tuple(found)


def _algorithm(predictor: Predictor) -> Algorithm:
    from medseg import __version__  # noqa: PLC0415
    from medseg.images.dicom.writing.segments import Algorithm  # noqa: PLC0415

    return Algorithm(
        predictor.about.get("pipeline", "medseg model"),
        tensors_digest(predictor.networks.state_dict()),
        f"medseg {__version__}",
    )


_FORMATS: Mapping[str, Callable[[Predictor], LabelFile]] = {
    "nifti": lambda _: NiftiFile(),
    "seg": _binary,
    "seg-labelmap": _label_map,
}
