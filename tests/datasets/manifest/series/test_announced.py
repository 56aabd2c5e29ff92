"""What an archive says of a series leaves it out only where no image of it can be asked for."""

from __future__ import annotations

import pytest

from medseg.datasets.manifest.series.announced import asked, may_be_asked_for
from medseg.datasets.manifest.series.layout import SeriesLayout

LAYOUT = SeriesLayout(
    series={
        "flair": {"SeriesDescription": "(?i)flair", "ContrastBolusAgent": "^$"},
        "t1ce": {"SeriesDescription": ("(?i)t1", "mprage"), "AcquisitionNumber": "^2$"},
    }
)


@pytest.mark.parametrize(
    ("announced", "may"),
    [
        ({"SeriesDescription": "Ax FLAIR"}, True),
        ({"SeriesDescription": "mprage"}, True),
        ({"SeriesDescription": "localizer"}, False),
        ({"SeriesDescription": ""}, False),
        ({}, True),  # it does not say
        ({"Modality": "MR"}, True),
        ({"SeriesDescription": "t1", "AcquisitionNumber": "1"}, True),  # other images may have another
        ({"SeriesDescription": "flair", "ContrastBolusAgent": "Gd"}, True),  # as well
    ],
)
def test_only_what_all_images_have_in_common_decides(announced: dict[str, str], may: bool) -> None:
    assert may_be_asked_for(LAYOUT, announced, "ward") is may


def test_only_that_is_asked_of_the_archive() -> None:
    assert asked(LAYOUT) == ("SeriesDescription",)
