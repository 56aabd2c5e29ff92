"""The kinds of pictures that are read."""

from __future__ import annotations

from medseg.images.pictures.decoders import ARRAY, PILLOW
from medseg.images.pictures.tiff import TIFF

KINDS = (*PILLOW, TIFF, ARRAY)
