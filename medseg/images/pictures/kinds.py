"""The kinds of pictures that are read."""

from __future__ import annotations

from medseg.images.pictures.array import NumpyArray
from medseg.images.pictures.decoders import PILLOW
from medseg.images.pictures.tiff import TIFF

KINDS = (*PILLOW, TIFF, NumpyArray())
