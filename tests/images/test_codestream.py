from __future__ import annotations

import imagecodecs
import numpy as np
import pytest

from medseg.images.codestream import Coded, header


@pytest.mark.parametrize("shape", [(5, 7), (40, 30, 3), (9, 9, 4), (12, 11, 20)])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_a_jp2_file_says_what_its_codestream_says(shape: tuple[int, ...], kind: type) -> None:
    pixels = np.zeros(shape, kind)
    bare, boxed = (bytes(imagecodecs.jpeg2k_encode(pixels, codecformat=each)) for each in ("j2k", "jp2"))

    said = header(bare)
    assert said == Coded(*(*shape, 1)[:3], bits=8 * pixels.itemsize, wavelets=True)
    assert header(boxed) == said


def test_a_jp2_file_that_is_cut_or_whose_boxes_do_not_fit_holds_none() -> None:
    whole = bytes(imagecodecs.jpeg2k_encode(np.zeros((5, 7), np.uint8), codecformat="jp2"))
    begin = whole.index(b"\xff\x4f\xff\x51")

    assert all(header(whole[:end]) is None for end in range(begin + 40))
    for at in range(12, begin, 4):
        spoilt = whole[:at] + b"\xff\xff\xff\xff" + whole[at + 4 :]
        assert header(spoilt) in (None, header(whole)), at
