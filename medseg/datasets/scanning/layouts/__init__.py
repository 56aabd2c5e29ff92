"""The layouts that are recognised, one in each module."""

from __future__ import annotations

from medseg.datasets.scanning.layout import Recogniser
from medseg.datasets.scanning.layouts.bids import Bids
from medseg.datasets.scanning.layouts.brats import Brats
from medseg.datasets.scanning.layouts.brats_older import OlderBrats
from medseg.datasets.scanning.layouts.class_folders import ClassesInFolders
from medseg.datasets.scanning.layouts.decathlon import Decathlon
from medseg.datasets.scanning.layouts.dicom_studies import DicomStudies
from medseg.datasets.scanning.layouts.nnunet import NnUnet
from medseg.datasets.scanning.layouts.objects import ObjectFiles
from medseg.datasets.scanning.layouts.parts import NamedParts
from medseg.datasets.scanning.layouts.table import PathTable
from medseg.datasets.scanning.layouts.unread import NotYetRead

LAYOUTS: tuple[Recogniser, ...] = (
    NnUnet(),
    Decathlon(),
    Brats(),
    OlderBrats(),
    Bids(),
    PathTable(),
    ObjectFiles(),
    NamedParts(),
    DicomStudies(),
    ClassesInFolders(),
    NotYetRead(),
)
"""In the order in which they are tried: those with the strictest rules first."""
