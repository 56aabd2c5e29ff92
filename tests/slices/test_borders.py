from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from medseg.samples.drawing.burnt_in import lettering
from medseg.slices.dictionary.borders import MaskBordersd, borders
from medseg.slices.preparation import check_transforms

SPEC = {"_target_": "medseg.transforms.MaskBordersd", "keys": ["image"]}


def head(shape, centre, radii, seed=0):
    """An ellipse of uneven greys on uneven black, and where it is."""
    random, (rows, columns) = np.random.default_rng(seed), np.indices(shape)
    inside = ((rows - centre[0]) / radii[0]) ** 2 + ((columns - centre[1]) / radii[1]) ** 2 < 1
    grey = np.where(inside, random.uniform(90, 200, shape), random.uniform(0, 3, shape))
    return grey, inside


def with_marks(*, shape=(120, 140), frame=4, text="5 nm", scale=1, seed=0):
    """A head with a frame within a margin and letters in two corners; where the head is, and where the marks are."""
    grey, inside = head(shape, (60, 70), (40, 45), seed)
    marks = np.zeros(shape, dtype=bool)
    for edge in (frame, frame + 1):
        marks[[edge, -1 - edge], edge : -edge or None] = True
        marks[edge : -edge or None, [edge, -1 - edge]] = True
    letters = lettering(text, scale)
    high, wide = letters.shape
    marks[frame + 5 : frame + 5 + high, frame + 5 : frame + 5 + wide] |= letters
    marks[-frame - 5 - high : -frame - 5, -frame - 5 - wide : -frame - 5] |= letters
    grey[marks] = 240
    return grey, inside, marks


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("frame", [0, 4])
@pytest.mark.parametrize("scale", [1, 2])
def test_frames_and_letters_are_masked_and_the_head_is_not(seed, frame, scale):
    grey, inside, marks = with_marks(frame=frame, text="57"[:scale], scale=scale, seed=seed)
    found = borders(grey[None])
    assert found[marks].all()
    assert not found[inside & ~marks].any()


def test_a_head_that_fills_the_picture_stays():
    grey, inside = head((100, 90), (50, 45), (52, 47))
    found = borders(grey[None])
    assert not found[inside].any()


def test_small_things_between_parts_of_the_head_stay():
    grey, _ = head((100, 100), (50, 50), (46, 46))
    rows, columns = np.indices(grey.shape)
    away = np.hypot(rows - 50, columns - 50)
    grey[(away > 34) & (away < 42)] = 1  # the skull, dark between brain and scalp
    grey[48:51, 12:15] = 150  # marrow
    assert not borders(grey[None])[away < 46].any()


@pytest.mark.parametrize("ground", [20, 235])
def test_wide_margins_of_one_grey_are_masked_up_to_the_picture(ground):
    grey, inside = head((80, 80), (40, 40), (45, 45))
    picture = np.full((120, 140), float(ground))
    picture[20:100, 30:110] = grey
    found = borders(picture[None])
    assert found[:20].all()
    assert found[:, 110:].all()
    assert not found[20:100, 30:110][inside].any()


def test_what_is_large_or_far_from_the_edges_stays():
    grey, _ = head((100, 100), (50, 50), (30, 30))
    grey[2:8, 20:80] = 240  # longer than letters are
    grey[48:52, 82:86] = 240
    grey[20:24, 95:99] = 240  # where the picture ends: beyond is margin
    assert not borders(grey[None])[3:7, 21:79].any()
    assert borders(grey[None], near=0.25)[48:52, 82:86].all()
    assert not borders(grey[None], near=0.1)[48:52, 82:86].any()
    assert not borders(grey[None], near=0.0)[48:52, 82:86].any()


@pytest.mark.parametrize("picture", [np.full((1, 8, 8), 7.0), np.zeros((1, 1, 1))])
def test_of_a_picture_of_one_grey_nothing_is_masked(picture):
    assert not borders(picture).any()


def test_each_plane_and_channel_gets_its_own_black_and_all_else_stays():
    grey, _, marks = with_marks()
    plain, _ = head((120, 140), (60, 70), (40, 45))
    planes = np.stack([grey, plain], axis=-1)
    image = MetaTensor(torch.from_numpy(np.stack([planes, planes + 50])).float(), affine=torch.eye(4) * 2)
    before, label = image.clone(), torch.ones(1, 120, 140, 2)
    found = MaskBordersd(["image"])({"image": image, "label": label})
    assert torch.equal(image, before)
    assert found["label"] is label
    assert isinstance(found["image"], MetaTensor)
    assert torch.equal(found["image"].affine, before.affine)
    assert found["image"].dtype == before.dtype
    done, mask = found["image"].numpy(), borders(planes[..., 0][None])
    assert mask[marks].all()
    for channel, black in enumerate((0, 50)):
        assert done[channel, ..., 0][mask] == pytest.approx(black, abs=1)
        assert np.array_equal(done[channel, ..., 0][~mask], before.numpy()[channel, ..., 0][~mask])


def test_a_setting_switches_it_off():
    image = torch.from_numpy(with_marks()[0])[None, ..., None]
    assert MaskBordersd("image", active=False)({"image": image})["image"] is image


def test_a_definition_may_name_it_among_its_transforms():
    check_transforms([SPEC, SPEC | {"active": False}], channels=["picture"], shape=(40, 36, 2))


@pytest.mark.parametrize("wrong", [{"near": 0.6}, {"near": True}, {"longest": -0.1}, {"active": "yes"}])
def test_settings_that_are_none_are_refused(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} is .*expected"):
        MaskBordersd("image", **wrong)
