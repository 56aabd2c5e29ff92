from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from medseg.datasets.reading.volume import Volume
from medseg.errors import ModelError
from medseg.geometry.axes import AXES
from medseg.geometry.grid import Geometry
from medseg.images.formats import NIFTI
from medseg.learning.inspection.grad_cam import grad_cam
from medseg.learning.tasks.exclusive import OneClass
from medseg.learning.tasks.image_classes import ImageClasses, ImageTags
from medseg.learning.tasks.multilabel import AnyClasses
from medseg.slices.preparation import Preparation
from medseg.slices.rule import SliceRule
from medseg.steps.attention_pictures import attention_picture, heat_of, heat_view
from medseg.steps.claims import claim, claim_of
from medseg.testing.disc_reader import DiscReader
from medseg.testing.labelled import disc
from medseg.testing.pictures import write_picture

SIDES = ("left", "right")
GROUND, MIDDLE = 60, 125  # greys: of the ground, and half way to the disc


@pytest.fixture
def make_asked(make_class_work, tmp_path):
    """Write one picture among others, ask what it is, and give the model, the answer and the file's own pixels."""

    def make(picture, *, many=False, **rule):
        folder = tmp_path / "asked"
        write_picture(folder / "left" / "one.png", picture)
        write_picture(folder / "right" / "other.png", disc([1], 2))
        if many:
            rows = ["image,patient,left,right", "left/one.png,a,1,0", "right/other.png,b,0,1"]
            (folder / "labels.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
        work = make_class_work(folder, SIDES, many=many, colours=picture.ndim == 3, **rule)
        case = next(c for c in work.cases.values() if next(iter(c.images.values())).stem == "one")
        return work.predictor, work.predictor.classify(work.predictor.read_image(case))

    return make


def lone_disc(size, place, radius=4):
    """A disc on plain ground."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    inside = (rows - place[0]) ** 2 + (columns - place[1]) ** 2 <= radius**2
    return np.where(inside, 190, GROUND).astype(np.uint8)


def read_by_hand(picture):
    """The one map of the network: how far a pixel is above the middle grey; scaled to 0..1."""
    above = np.maximum(picture.astype(float) - MIDDLE, 0)
    return above / above.max()


def texts(figure):
    return [text.get_text() for text in figure.texts]


# --- on the grid of the file


@pytest.mark.parametrize("size", [(24, 32), (30, 41), (61, 48)])
def test_heat_lies_on_the_pixels_of_a_padded_picture(make_asked, size):
    picture = disc([0], 2, seed=(5,))
    predictor, found = make_asked(picture, size=size)
    heat = heat_of(predictor, found)
    assert heat.shape == picture.shape
    np.testing.assert_allclose(heat, read_by_hand(picture), atol=1e-5)


def test_what_was_cropped_away_is_cold(make_asked):
    picture = disc([0], 2, size=(40, 60), seed=(5,))
    picture[:4] = 255  # the brightest of all, which the network never sees
    predictor, found = make_asked(picture, size=(32, 48))
    heat = heat_of(predictor, found)
    seen = np.zeros_like(heat)
    seen[4:36, 6:54] = read_by_hand(picture[4:36, 6:54])
    np.testing.assert_allclose(heat, seen, atol=1e-5)
    assert claim_of(predictor, found, None).image.shape == heat.shape == (40, 60)


@pytest.mark.parametrize("size", [(24, 32), (64, 64), (31, 90)])
def test_heat_of_a_stretched_picture_lies_where_the_disc_lies_in_the_file(make_asked, size):
    picture = lone_disc((48, 64), (12, 50), radius=6)
    predictor, found = make_asked(picture, fit="resize", size=size)
    heat = heat_of(predictor, found)
    assert heat.shape == picture.shape
    centre = [np.average(axis, weights=heat) for axis in np.mgrid[:48, :64]]
    assert centre == pytest.approx([12, 50], abs=0.6)
    assert heat[picture > MIDDLE].mean() > 0.7
    assert heat[10:15, 48:53].min() > 0.95
    assert heat[:, :40].max() == 0


def test_each_tile_is_as_warm_as_its_class_is_probable_there_and_blank_ones_are_cold(make_asked):
    """Four tiles of a picture: a disc at the left, one at the right, one in the middle, and nothing."""
    tiles = [lone_disc((24, 32), place) for place in ((12, 8), (12, 25), (12, 16))]
    picture = np.vstack([np.hstack(tiles[:2]), np.hstack([tiles[2], np.full((24, 32), GROUND, np.uint8)])])
    predictor, found = make_asked(picture, fit="tile", size=(24, 32), overlap=0.0)
    heat = heat_of(predictor, found)
    with torch.no_grad():
        asked = torch.tensor(np.stack(tiles), dtype=torch.float32)[:, None]
        left, right = torch.softmax(predictor.network(asked).double(), dim=1).T.numpy()
    assert found.probabilities == pytest.approx([left.mean(), right.mean()], abs=1e-6)
    chances = left if left.mean() > right.mean() else right
    found_heat = [heat[:24, :32], heat[:24, 32:], heat[24:, :32]]
    for tile, warm, chance in zip(tiles, found_heat, chances, strict=True):
        np.testing.assert_allclose(warm, read_by_hand(tile) * chance / chances.max(), atol=1e-5)
    assert not heat[24:, 32:].any()
    assert heat.max() == pytest.approx(1)


def test_a_blank_tile_is_cold_even_where_the_network_would_see_something_in_it(make_asked):
    picture = np.full((24, 96), 200, np.uint8)
    picture[8:16, 4:12] = picture[8:16, 70:78] = 250
    predictor, found = make_asked(picture, fit="tile", size=(24, 32), overlap=0.0)
    reader = DiscReader().eval()
    reader.features[0] = torch.nn.Conv2d(1, 1, 3, padding=1)  # the border of a tile looks darker
    torch.nn.init.constant_(reader.features[0].weight, 1 / (9 * 65))
    torch.nn.init.constant_(reader.features[0].bias, -MIDDLE / 65)
    seeing = replace(predictor, network=reader)
    assert grad_cam(reader, np.full((1, 1, 24, 32), 200, np.float32), np.array([0])).any()
    heat = heat_of(seeing, seeing.classify(found.volume))
    assert not heat[:, 32:64].any()
    assert heat[:, :32].any()
    assert heat[:, 64:].any()


def test_overlapping_tiles_of_a_picture_of_any_size_give_heat_where_the_disc_is(make_asked):
    picture = lone_disc((53, 71), (40, 20), radius=7)
    predictor, found = make_asked(picture, fit="tile", size=(24, 32), overlap=0.5)
    heat = heat_of(predictor, found)
    assert heat.shape == picture.shape
    assert heat[picture == GROUND].max() == 0
    assert heat[picture > MIDDLE].min() > 0
    few = replace(predictor, batch_size=2)
    np.testing.assert_allclose(heat_of(few, few.classify(found.volume)), heat, atol=1e-6)


@pytest.mark.parametrize("axis", AXES)
def test_of_a_volume_the_middle_slice_is_shown_as_radiologists_see_it(make_asked, axis):
    predictor, _ = make_asked(disc([0], 2))
    voxels = np.random.default_rng(3).uniform(MIDDLE, 255, (9, 12, 7)).astype(np.float32)
    voxels[[0, -1]] = voxels[:, [0, -1]] = voxels[:, :, [0, -1]] = (
        0  # background, of which slices are not asked
    )
    affine = np.diag([-1.0, -1.0, 1.0, 1.0])  # stored towards left, posterior and superior
    geometry = Geometry(voxels.shape, affine)
    volume = Volume(geometry.to_ras(voxels)[None], None, geometry)
    rule = SliceRule(size=(16, 16), axis=axis, fit="pad")
    predictor = replace(predictor, preparation=Preparation(("picture",), rule, files=NIFTI))
    found = predictor.classify(volume)
    planes = {"axial": voxels[:, :, 3].T, "coronal": voxels[:, 5, ::-1].T, "sagittal": voxels[4, :, ::-1].T}
    np.testing.assert_array_equal(claim_of(predictor, found, None).image, planes[axis])
    slices = np.ascontiguousarray(predictor.preparation.apply(volume).image)
    chances = predictor.probabilities(slices[1:-1])
    assert found.probabilities == pytest.approx(chances.mean(axis=0))
    chosen = int(np.argmax(found.probabilities))
    share = chances[len(slices) // 2 - 1, chosen] / chances[:, chosen].max()
    assert heat_of(predictor, found) == pytest.approx(share * read_by_hand(planes[axis]), abs=1e-5)


def test_a_blank_picture_has_no_place_that_stands_out(make_asked):
    predictor, found = make_asked(np.full((24, 32), 90, np.uint8))
    view = heat_view(predictor, found, ("left",))
    assert not view.heat.any()
    figure = attention_picture(predictor, [(found, ("left",))], heading="")
    assert [text.get_text() for text in figure.axes[1].texts] == ["no place stands out"]


def test_pictures_of_colours_keep_them(make_asked):
    grey = lone_disc((24, 32), (12, 8))
    picture = np.stack([grey, grey, GROUND + (grey > MIDDLE) * 80], axis=2).astype(np.uint8)
    view = heat_view(*make_asked(picture), ("left",))
    assert view.image.shape == (24, 32, 3)
    assert view.image[12, 8].tolist() == pytest.approx([255, 255, 157], abs=2)  # in one window of 60..190
    np.testing.assert_array_equal(view.heat > 0, grey > MIDDLE)


def test_looking_leaves_network_and_generators_as_they_are(make_asked):
    predictor, found = make_asked(disc([0], 2))
    before = {name: each.clone() for name, each in predictor.network.state_dict().items()}
    random = torch.get_rng_state()
    attention_picture(predictor, [(found, ("left",))], heading="")
    assert all(torch.equal(each, before[name]) for name, each in predictor.network.state_dict().items())
    assert all(each.grad is None and each.requires_grad for each in predictor.network.parameters())
    assert torch.equal(torch.get_rng_state(), random)


def test_a_network_without_maps_is_refused(make_asked):
    predictor, found = make_asked(disc([0], 2))
    flat = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(24 * 32, 2)).eval()
    with pytest.raises(ModelError, match="no feature map"):
        attention_picture(replace(predictor, network=flat), [(found, ("left",))], heading="")


# --- on which side, and what is written


def test_hits_stand_on_the_left_and_misses_on_the_right(make_asked):
    predictor, found = make_asked(disc([0], 2))
    assert found.names == ("left",)
    sure = f"{found.probabilities[0]:.3f}"
    told = [(found, ("right",)), (found, ("left",)), (found, ("right",))]
    figure = attention_picture(predictor, told, heading="test")
    figure.draw_without_rendering()
    places = {text.get_text(): text.get_position()[0] for text in figure.texts}
    assert texts(figure) == ["test", "hits", f"left → left, {sure}", "misses", *[f"right → left, {sure}"] * 2]
    assert places[f"left → left, {sure}"] < 0.5 < places[f"right → left, {sure}"]


@pytest.mark.parametrize(
    ("picture", "truth", "hit", "written"),
    [
        (disc([0, 1], 2), ("right", "left"), True, "left; right → left; right"),
        (disc([0, 1], 2), ("left",), False, "left → left; right"),
        (disc([], 2), (), True, "none → none"),
        (disc([], 2), ("left",), False, "left → none"),
        (disc([1], 2), (), False, "none → right"),
    ],
)
def test_several_classes_hit_where_all_are_said_and_no_others(make_asked, picture, truth, hit, written):
    predictor, found = make_asked(picture, many=True)
    ordered = tuple(name for name in SIDES if name in truth)
    figure = attention_picture(predictor, [(found, ordered)], heading="")
    rests = AnyClasses().confidence(found.probabilities[None])[0]
    side = ["hits", f"{written}, {rests:.3f}", "misses", "no misses"]
    assert texts(figure) == (side if hit else ["hits", "no hits", "misses", side[1]])
    order = heat_view(predictor, found, tuple(reversed(ordered)))
    assert order.heat.shape == (24, 32)


def test_where_the_truth_is_not_known_nothing_is_a_hit_or_a_miss(make_asked):
    predictor, found = make_asked(disc([0], 2))
    figure = attention_picture(predictor, [(found, None)], heading="research use only")
    figure.draw_without_rendering()
    assert texts(figure) == ["research use only", f"predicted: left, {found.probabilities[0]:.3f}"]
    for part in (*figure.texts, *(axes for axes in figure.axes)):
        box = part.get_tightbbox() if hasattr(part, "get_tightbbox") else part.get_window_extent()
        assert box.x0 >= 0
        assert box.x1 <= figure.bbox.x1


@given(st.lists(st.floats(0, 1, width=32), min_size=2, max_size=6))
def test_the_probability_that_is_shown_is_the_confidence_of_the_table(chances):
    classes = tuple(f"class {number}" for number in range(len(chances)))
    each = np.array(chances, dtype=np.float32)
    picture = np.zeros((4, 4), dtype=np.float32)
    tags = claim(picture, None, ImageTags(classes).chosen(each), each, classes)
    assert tags.probability == pytest.approx(AnyClasses().confidence(each[None])[0], abs=1e-6)
    shared = (each + np.float32(0.1)) / (each + np.float32(0.1)).sum()
    one = claim(picture, (), ImageClasses(classes).chosen(shared), shared, classes)
    assert one.probability == pytest.approx(OneClass().confidence(shared[None])[0], abs=1e-6)
    assert (one.truth, tags.truth) == ("none", "")


def test_the_reader_of_discs_is_convolutional_and_of_any_size():
    image = torch.rand(2, 3, 20, 26) * 255
    assert DiscReader(3, 5)(image).shape == (2, 5)
