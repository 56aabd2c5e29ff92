"""Every real series that makes a volume can have its mask written over it, and read back equal."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from medseg.errors import DataError
from medseg.images.dicom.series.index import instance_of
from medseg.images.dicom.series.read import series_of
from medseg.images.dicom.series.segmentation import read_segments
from medseg.images.dicom.series.stack import Series
from medseg.images.dicom.writing.segmentation import write_segmentation
from medseg.images.dicom.writing.segments import Algorithm, Segment

pytest.importorskip("highdicom")

FOLDERS = ("mr_brain", "ct_with_seg", "ct_with_rtstruct", "dicomdir", "awkward/volumes")


def volumes(root: Path) -> list[Series]:
    files: defaultdict[tuple[Path, str], list[Path]] = defaultdict(list)
    for name in FOLDERS:
        for path in sorted(each for each in (root / name).rglob("*") if each.is_file()):
            one = instance_of(path)
            if one is not None and one.is_image:
                files[path.parent, one.series].append(path)
    found = []
    for paths in files.values():
        try:
            found.append(series_of(paths))
        except DataError:  # those have a test of their own
            continue
    return found


@pytest.mark.slow
@pytest.mark.real_data
def test_a_mask_on_each_is_written_and_read_back(real_data, tmp_path):
    every = volumes(real_data("dicom"))
    assert len(every) >= 15
    for series in every:
        mask = np.zeros(series.shape, np.uint8)
        mask[1:5, 2:9, 1:], mask[-1, -1, 0] = 1, 2
        path = tmp_path / "mask.dcm"
        segments = Segment(1, "one"), Segment(2, "two")
        model = Algorithm("model", "0", "medseg")
        write_segmentation(mask, series.affine, segments, series.paths, path, algorithm=model)
        read = read_segments(path, series, ((1, ("one",)), (2, ("two",))))
        np.testing.assert_array_equal(read.data, mask)
