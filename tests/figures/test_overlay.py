from __future__ import annotations

import numpy as np
import pytest

from medseg.figures.overlay import grey, overlay, volume_overview, window_of
from medseg.figures.palette import colours

CLASSES = ["outside", "core", "oedema"]


def test_pixels_of_a_class_take_its_colour_and_the_rest_stay_grey():
    image = np.random.default_rng(1).random((6, 7))
    labels = np.zeros((6, 7), int)
    labels[2:4, 3:5] = 2
    shown = overlay(image, labels, 3, alpha=1.0)
    assert shown.dtype == np.uint8
    assert (shown[labels == 2] == colours(3)[2]).all()
    assert (shown[labels == 0] == grey(image)[labels == 0][:, None]).all()


def test_a_tint_is_the_share_asked_for():
    image = np.full((2, 2, 3), 200, np.uint8)
    shown = overlay(image, np.array([[0, 1], [1, 0]]), 2, alpha=0.25)
    expected = np.round(200 * 0.75 + colours(2)[1] * 0.25)
    assert (shown[0, 1] == expected).all()
    assert (shown[0, 0] == 200).all()


@pytest.mark.parametrize(
    ("image", "labels", "message"),
    [
        (np.zeros((3, 3)), np.zeros((3, 4), int), r"labels are \(3, 4\)"),
        (np.zeros((3, 3, 4)), np.zeros((3, 3), int), r"image is \(3, 3, 4\)"),
        (np.zeros((3, 3)), np.full((3, 3), 2), r"expected class indices 0\.\.1"),
        (np.zeros((3, 3)), np.full((3, 3), -1), r"labels hold -1\.\.-1"),
    ],
)
def test_labels_that_fit_neither_image_nor_classes_are_refused(image, labels, message):
    with pytest.raises(ValueError, match=message):
        overlay(image, labels, 2)


@pytest.mark.parametrize("background", [0.0, -3.7])
def test_the_window_is_that_of_the_content_whatever_the_background(background):
    image = np.full((40, 40), background)
    inside = np.random.default_rng(2).normal(10, 2, size=(10, 10))
    image[15:25, 15:25] = inside
    assert window_of(image) == pytest.approx(tuple(np.percentile(inside, (1, 99))))


def test_an_image_without_background_is_windowed_whole():
    image = np.random.default_rng(3).normal(size=(20, 20))
    assert window_of(image) == pytest.approx(tuple(np.percentile(image, (1, 99))))


@pytest.mark.parametrize("value", [0, 7.5, np.nan, np.inf, True])
def test_an_image_of_one_value_is_shown_without_complaint(value):
    assert (grey(np.full((4, 4), value)) == 0).all()


def test_what_is_not_finite_is_black_and_spoils_nothing():
    image = np.random.default_rng(4).random((9, 9))
    clean = grey(image)
    window = window_of(image)
    image[4, 4], image[4, 5], image[5, 5] = np.nan, np.inf, -np.inf
    shown = grey(image, window)
    assert shown[4, 4] == shown[4, 5] == shown[5, 5] == 0
    assert (shown[:4] == clean[:4]).all()


def volume(labelled: slice = slice(5, 26)):
    image = np.random.default_rng(5).random((20, 24, 30))
    labels = np.zeros(image.shape, np.uint8)
    labels[15:, 20:, labelled] = 1  # right and anterior, in RAS+
    return image, labels


def shown_slices(figure):
    return [axes.texts[0].get_text() for axes in figure.axes]


def test_an_overview_spans_the_labelled_slices_evenly():
    figure = volume_overview(*volume(), CLASSES, heading="case")
    shown = shown_slices(figure)
    assert len(shown) == 12
    assert shown[0] == "slice 6/30"
    assert shown[-1] == "slice 26/30"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == CLASSES[1:]


def test_an_overview_has_the_patients_right_at_column_zero_and_anterior_at_row_zero():
    image, labels = volume()
    picture = np.asarray(
        volume_overview(np.zeros(image.shape), labels, CLASSES).axes[0].images[0].get_array()
    )
    assert picture.shape == (24, 20, 3)
    coloured = picture.any(axis=2)
    assert coloured[:4, :5].all()
    assert coloured.sum() == 20


def test_an_overview_without_labels_spans_the_content_of_the_image():
    image = np.zeros((20, 24, 30))
    image[5:15, 5:15, 10:14] = np.random.default_rng(6).random((10, 10, 4)) + 1
    shown = shown_slices(volume_overview(image, np.zeros(image.shape, int), CLASSES))
    assert shown == [f"slice {place}/30" for place in (11, 12, 13, 14)]


def test_an_overview_of_nothing_still_shows_the_volume():
    empty = np.zeros((8, 9, 3))
    assert len(shown_slices(volume_overview(empty, empty.astype(int), ["only"]))) == 3


@pytest.mark.slow
def test_an_overview_keeps_the_voxels_shape():
    figure = volume_overview(*volume(), CLASSES, spacing=(1.0, 2.0, 5.0))
    figure.draw_without_rendering()
    box = figure.axes[0].get_window_extent()
    assert box.height / box.width == pytest.approx(24 * 2 / 20, rel=0.05)


@pytest.mark.parametrize("spacing", [(1e-7, 3.0, 1.0), (3.0, 1e-7, 1.0)])
def test_an_overview_is_no_larger_than_a_page_whatever_a_header_says_of_its_voxels(spacing):
    height = volume_overview(*volume(), CLASSES, spacing=spacing).get_figheight()
    assert 0.5 < height < 40


def test_an_overview_of_two_grids_is_refused():
    with pytest.raises(ValueError, match="one grid"):
        volume_overview(np.zeros((3, 3, 3)), np.zeros((3, 3, 4), int), CLASSES)


def test_what_nobody_annotated_is_hatched_in_grey_whatever_lies_there():
    labels = np.zeros((12, 12), dtype=np.uint8)
    labels[:, 6:] = 255
    dark, light = (overlay(np.full((12, 12), level), labels, 3, window=(0, 100)) for level in (0, 100))

    for picture in (dark, light):
        hatched = picture[:, 6:]
        assert (hatched == hatched[..., :1]).all()
        assert len(np.unique(hatched)) == 2
        assert (np.ptp(hatched[..., 0], axis=0) > 0).all()
    assert (dark[:, :6] == 0).all()
