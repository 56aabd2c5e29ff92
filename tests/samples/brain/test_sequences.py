import numpy as np
import pytest

from medseg.errors import DataError
from medseg.samples.brain.anatomy import SHAPE, Placement
from medseg.samples.brain.atlas import CENTRE, HALF
from medseg.samples.brain.sequences import Stream, draw, enhances, stream


def test_a_recipe_depends_on_seed_and_number_alone():
    assert draw(1, 4) == draw(1, 4)
    assert draw(1, 4) != draw(2, 4)
    assert draw(1, 4) != draw(1, 5)
    assert draw(1, 2) != draw(2, 1)


def test_parts_of_a_case_draw_independently():
    first = {part: stream(1, 1, part).random() for part in Stream}
    assert len(set(first.values())) == len(first)


@pytest.mark.parametrize("seed", range(5))
def test_one_in_five_cases_does_not_enhance(seed):
    without = [number for number in range(1, 101) if not enhances(seed, number)]
    assert [(number - 1) // 5 for number in without] == list(range(20))
    assert any(number <= 5 for number in without)


def test_volumes_span_small_to_large_tumours():
    recipes = [draw(0, number) for number in range(1, 301)]
    whole = [recipe.whole_ml for recipe in recipes]
    assert 10 < min(whole) < 25
    assert 110 < max(whole) < 150
    assert 0.1 < np.mean([recipe.foci == 2 for recipe in recipes]) < 0.3


def test_oedema_on_flair_stays_near_grey_matter_in_every_case():
    ratios = [
        contrast.oedema / contrast.grey
        for contrast in (draw(0, number).contrasts["flair"] for number in range(1, 301))
    ]
    assert min(ratios) > 1.08
    assert max(ratios) < 1.27


def test_a_negative_seed_is_refused():
    with pytest.raises(DataError, match="-1; it must be 0 or more"):
        draw(-1, 1)


@pytest.mark.parametrize("number", range(1, 20))
def test_a_brain_is_placed_inside_the_grid_and_turned_as_brats_is(number):
    placement = Placement.of(draw(0, number))
    sizes = [part.stop - part.start for part in placement.box]
    assert all(0 <= part.start < part.stop <= n for part, n in zip(placement.box, SHAPE, strict=True))
    assert all(size >= 2 * 0.85 * half for size, half in zip(sizes, HALF, strict=True))
    middle, right, front, top = (
        placement.in_box((CENTRE + offset).astype(int)) for offset in np.vstack([np.zeros(3), 40 * np.eye(3)])
    )
    assert right[0] < middle[0]  # i runs to the left
    assert front[1] < middle[1]  # j runs to the back
    assert top[2] > middle[2]
    assert np.linalg.norm(right - middle) == pytest.approx(40 * 0.93, rel=0.08)
