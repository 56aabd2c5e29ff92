from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, f1_score

from medseg.figures.classes.confusion_image import ConfusionView, confusion_images
from medseg.figures.palette import colours


def view(title="best", shape=(20, 30), seed=1, *, colour=False):
    random = np.random.default_rng(seed)
    image = random.integers(256, size=(*shape, 3)).astype(np.uint8) if colour else random.random(shape)
    return ConfusionView(title, image, random.random(shape) < 0.4, random.random(shape) < 0.3)


def legend(figure, row=0):
    drawn = figure.legends[row]
    return drawn.get_title().get_text(), [text.get_text() for text in drawn.get_texts()]


def shown(axes):
    return np.asarray(axes.images[0].get_array())


def test_each_kind_of_pixel_has_the_colour_of_its_legend():
    image = np.full((2, 2), 7.0)
    one = ConfusionView("four", image, np.array([[1, 0], [1, 0]], bool), np.array([[1, 1], [0, 0]], bool))
    figure = confusion_images([one])
    picture = shown(figure.axes[1]).astype(int)
    patches = {
        text.get_text().split(":")[0]: patch.get_facecolor()
        for text, patch in zip(figure.legends[0].get_texts(), figure.legends[0].get_patches(), strict=True)
    }
    places = {"true positive": (0, 0), "false positive": (0, 1), "false negative": (1, 0)}
    ground = picture[1, 1]
    assert ground[0] == ground[1] == ground[2]
    for kind, place in places.items():
        expected = 0.75 * np.array(patches[kind][:3]) * 255 + 0.25 * ground
        assert np.abs(picture[place] - expected).max() <= 1
    assert len({tuple(tone) for tone in colours(4)}) == 4


@pytest.mark.parametrize("seed", range(3))
def test_counts_and_dice_are_those_of_scikit_learn(seed):
    one = view(shape=(60, 80), seed=seed)
    (tn, fp), (fn, tp) = confusion_matrix(one.truth.ravel(), one.predicted.ravel())
    title, counts = legend(confusion_images([one]))
    assert counts == [
        f"true positive: {tp:,} px",
        f"false positive: {fp:,} px",
        f"false negative: {fn:,} px",
        f"true negative: {tn:,} px",
    ]
    assert title == f"Dice {f1_score(one.truth.ravel(), one.predicted.ravel()):.3f}"


def test_counts_are_of_the_whole_picture_where_a_smaller_one_is_shown():
    mask = np.zeros((1600, 1500), bool)
    mask[:800] = True
    figure = confusion_images([ConfusionView("large", np.zeros((1600, 1500)), mask, mask)])
    assert max(shown(figure.axes[1]).shape) <= 700
    assert legend(figure)[1][0] == "true positive: 1,200,000 px"


def test_masks_that_are_both_empty_have_no_dice():
    empty = np.zeros((5, 5), bool)
    some = ~empty
    figure = confusion_images(
        [
            ConfusionView("", np.zeros((5, 5)), *pair)
            for pair in ((empty, empty), (empty, some), (some, empty))
        ]
    )
    said = [legend(figure, row)[0] for row in range(3)]
    assert said == ["Dice undefined: both empty", "Dice 0.000", "Dice 0.000"]


def test_colour_pictures_are_shown_as_they_are_and_tinted_in_grey():
    one = view(colour=True)
    figure = confusion_images([one])
    assert np.array_equal(shown(figure.axes[0]), one.image)
    right = shown(figure.axes[1])[~one.truth & ~one.predicted]
    assert (right == right[:, :1]).all()


@pytest.mark.parametrize("shape", [(3, 3), (20, 30), (40, 20), (10, 500), (500, 10)])
def test_pictures_keep_their_shape(shape):
    figure = confusion_images([view(shape=shape)])
    figure.draw_without_rendering()
    for axes in figure.axes:
        box = axes.get_window_extent()
        assert box.height / box.width == pytest.approx(shape[0] / shape[1], rel=0.02)


@pytest.mark.parametrize("number", [1, 4])
def test_nothing_overlaps_and_nothing_is_cut(number):
    name = "é $a_b$ \\frac " * 12
    shapes = [(20, 30), (60, 20), (10, 200), (9, 9)][:number]
    figure = confusion_images([view(name, shape=shape) for shape in shapes], heading=name * 2)
    figure.draw_without_rendering()
    assert len(figure.axes) == 2 * number
    boxes = [part.get_window_extent().padded(-0.5) for part in (*figure.axes, *figure.texts, *figure.legends)]
    for place, box in enumerate(boxes):
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= figure.bbox.x1
        assert box.y1 <= figure.bbox.y1
        assert not box.count_overlaps(boxes[place + 1 :])


@pytest.mark.parametrize("name", ["truth", "predicted"])
@pytest.mark.parametrize("mask", [np.zeros((4, 4), bool), np.zeros((4, 5), int)])
def test_masks_that_do_not_fit_are_refused(name, mask):
    masks = {"truth": np.zeros((4, 5), bool), "predicted": np.zeros((4, 5), bool), name: mask}
    with pytest.raises(ValueError, match=f"{name} is"):
        ConfusionView("odd", np.zeros((4, 5)), **masks)


def test_no_views_are_refused():
    with pytest.raises(ValueError, match="at least one view"):
        confusion_images([])


def test_pixels_that_nobody_annotated_are_of_no_kind():
    truth, known = np.zeros((6, 8), dtype=bool), np.ones((6, 8), dtype=bool)
    truth[:3], known[:, 5:] = True, False
    figure = confusion_images([ConfusionView("a", np.zeros((6, 8)), truth, truth, known)])
    said = [text.get_text() for text in figure.legends[0].get_texts()]

    assert "not annotated: 18 px" in said
    assert "true positive: 15 px" in said
    assert "true negative: 15 px" in said
