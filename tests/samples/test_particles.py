import csv
import hashlib

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from medseg.errors import DataError
from medseg.progress import Silent
from medseg.samples.drawing.burnt_in import Marking, burn, lettering
from medseg.samples.drawing.outlines import disc, irregular, place, polygon, rod
from medseg.samples.particles import Particles, picture, source_of

CASES, SEED = 20, 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return Particles().write(tmp_path_factory.mktemp("set"), cases=CASES, seed=SEED, progress=Silent())


@pytest.fixture(scope="module")
def pictures(folder):
    """Grey picture, instance map and row of the table of each case."""
    with (folder / "metadata.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    found = []
    for row in rows:
        with (
            Image.open(folder / "images" / row["filename"]) as image,
            Image.open(folder / "segmaps" / row["filename"]) as segmap,
        ):
            assert (image.mode, segmap.mode, image.size) == ("RGB", "I;16", segmap.size)
            planes = np.asarray(image)
            assert np.ptp(planes, axis=-1).max() == 0
            found.append((planes[..., 0], np.asarray(segmap), row))
    return found


def digests(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def dice(one, other):
    return 2 * (one & other).sum() / max(1, one.sum() + other.sum())


@pytest.mark.slow
def test_files_lie_as_in_emps(folder, pictures):
    names = [f"sample-{number:04d}.png" for number in range(1, CASES + 1)]
    assert sorted(path.name for path in folder.iterdir()) == ["images", "metadata.csv", "segmaps"]
    for kind in ("images", "segmaps"):
        assert sorted(path.name for path in (folder / kind).iterdir()) == names
    assert [row["filename"] for *_, row in pictures] == names
    assert list(pictures[0][2]) == ["filename", "doi", "figure", "instances"]


@pytest.mark.slow
def test_each_particle_has_a_value_of_its_own(pictures):
    for _, segmap, row in pictures:
        values = np.unique(segmap)
        assert values.tolist() == list(range(int(row["instances"]) + 1))
        assert 0.02 < (segmap > 0).mean() < 0.6


def test_sizes_differ_and_the_shorter_side_is_256(pictures):
    sizes = {image.shape for image, *_ in pictures}
    assert {min(size) for size in sizes} == {256}
    assert len(sizes) > CASES / 2
    assert any(height > width for height, width in sizes)
    assert any(width > height for height, width in sizes)


def test_articles_have_one_to_four_pictures_and_share_their_ground(pictures):
    grounds = {}
    for image, segmap, row in pictures:
        grounds.setdefault(row["doi"], []).append(np.median(image[segmap == 0]))
    assert sorted(len(each) for each in grounds.values()) == [1, 1, 2, 2, 3, 3, 4, 4]
    assert next(iter(grounds)) == "sample-article-01"
    within = np.mean([np.std(each) for each in grounds.values() if len(each) > 1])
    between = np.std([np.mean(each) for each in grounds.values()])
    assert within < between / 2


@pytest.mark.parametrize("seed", range(4))
def test_half_of_the_articles_show_dark_particles(seed):
    sources = {source_of(seed, number).article: source_of(seed, number).bright for number in range(1, 41)}
    assert len(sources) == 16
    assert sum(sources.values()) == 8


def test_particles_are_brighter_or_darker_as_the_article_says(pictures):
    for number, (image, segmap, _) in enumerate(pictures, start=1):
        inside = segmap > 0
        around = ndimage.binary_dilation(inside, iterations=6) & ~ndimage.binary_dilation(
            inside, iterations=2
        )
        brighter = image[inside].mean() > image[around].mean()
        assert brighter == source_of(SEED, number).bright


def test_no_single_threshold_will_do(pictures):
    """With each picture's polarity by the minority rule, which a person would guess by, and without."""
    best = {"bright": 0.0, "dark": 0.0, "minority": 0.0}
    for threshold in range(10, 250, 10):
        scores = {"bright": [], "dark": [], "minority": []}
        for image, segmap, _ in pictures:
            above, truth = image > threshold, segmap > 0
            scores["bright"].append(dice(above, truth))
            scores["dark"].append(dice(~above, truth))
            scores["minority"].append(dice(above if above.mean() < 0.5 else ~above, truth))
        best = {rule: max(best[rule], float(np.mean(scores[rule]))) for rule in best}
    assert max(best.values()) < 0.65


def test_what_is_written_into_a_picture_is_no_particle():
    rng = np.random.default_rng(0)
    for _ in range(20):
        image = np.full((256, 300), np.nan, np.float32)
        covered = burn(image, Marking.draw(bool(rng.random() < 0.5), rng), 0, "5kV")
        written = np.isfinite(image)
        assert written.any()
        assert (covered | ~written).all()
        assert np.nonzero(written)[0].max() > 220


def test_letters_stand_upright():
    seven = lettering("7", 2)
    assert seven.shape == (14, 10)
    assert seven[0].all()
    assert not seven[-1, -4:].any()


@pytest.mark.parametrize("maker", [disc, polygon, rod, irregular])
def test_an_outline_stays_within_its_reach_and_is_placed_by_row_and_column(maker):
    for seed in range(20):
        outline = maker(10.0, np.random.default_rng(seed))
        whole = place(outline, (80.0, 130.0), (160, 260), 60)
        assert whole is not None
        rows, columns = np.nonzero(whole.depth > 0)
        rows, columns = rows + whole.part[0].start, columns + whole.part[1].start
        assert np.hypot(rows - 80, columns - 130).max() <= outline.reach + 1e-3
        assert (whole.depth > 0).sum() > 100
    assert place(outline, (-200.0, 20.0), (160, 260), 5) is None


def test_a_picture_depends_on_seed_and_number_alone(folder, tmp_path):
    other = Particles().write(tmp_path / "part", cases=2, seed=SEED, progress=Silent())
    whole, part = digests(folder), digests(other)
    shared = set(part) - {"metadata.csv"}
    assert len(shared) == 4
    assert all(whole[name] == part[name] for name in shared)
    assert (folder / "metadata.csv").read_text().startswith((other / "metadata.csv").read_text())
    assert not np.array_equal(picture(SEED + 1, 1)[0], picture(SEED, 1)[0])


def test_a_stopped_call_goes_on(folder, tmp_path):
    out = Particles().write(tmp_path / "set", cases=2, seed=SEED, progress=Silent())
    (out / "images" / "sample-0002.png").unlink()
    kept = out / "images" / "sample-0001.png"
    before = kept.stat().st_mtime_ns
    Particles().write(out, cases=3, seed=SEED, progress=Silent())
    assert kept.stat().st_mtime_ns == before
    whole, again = digests(folder), digests(out)
    assert {name: whole[name] for name in again if name != "metadata.csv"} == {
        name: each for name, each in again.items() if name != "metadata.csv"
    }
    table = (folder / "metadata.csv").read_text().splitlines()
    assert (out / "metadata.csv").read_text().splitlines() == table[:4]
    Particles().write(out, cases=1, seed=SEED, progress=Silent())  # what a larger call left stays listed
    assert (out / "metadata.csv").read_text().splitlines() == table[:4]


@pytest.mark.slow
def test_processes_change_nothing(folder, tmp_path):
    out = Particles().write(tmp_path / "set", cases=3, seed=SEED, progress=Silent(), jobs=2)
    whole, again = digests(folder), digests(out)
    assert all(whole[name] == again[name] for name in again if name != "metadata.csv")


@pytest.mark.parametrize("wrong", [{"cases": 0}, {"seed": -1}, {"jobs": 0}])
def test_numbers_out_of_range_are_refused(tmp_path, wrong):
    with pytest.raises(DataError, match="1 or more"):
        Particles().write(tmp_path / "set", **{"cases": 1, "seed": 0, "progress": Silent(), **wrong})
    assert not (tmp_path / "set").exists()
