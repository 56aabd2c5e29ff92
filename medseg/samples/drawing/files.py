"""Picture files of generated data sets, which say so: equal pixels give equal bytes, no time or name is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from medseg.images.made_up import MADE_UP
from medseg.samples.drawing.fields import Floats


def write_png(array: NDArray[Any], path: Path, level: int = 4) -> None:
    """Write (H, W) uint8 or uint16 (mode I;16), or (H, W, 3 or 4) uint8, as PNG; level 1 is the quickest."""
    mark = PngInfo()
    mark.add_text("Comment", MADE_UP)
    Image.fromarray(array).save(path, "PNG", compress_level=level, optimize=False, pnginfo=mark)


def write_tiff(array: NDArray[np.uint8], path: Path) -> None:
    """Write (H, W) or (H, W, 3) as uncompressed TIFF."""
    Image.fromarray(array).save(path, "TIFF", compression=None, description=MADE_UP)


def as_bytes(image: Floats) -> NDArray[np.uint8]:
    """Bring brightness of 0 to 1 to 0 to 255, rounded; what is beyond is cut."""
    return np.rint(np.clip(image, 0, 1) * np.float32(255)).astype(np.uint8)
