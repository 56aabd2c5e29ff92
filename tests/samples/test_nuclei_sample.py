import csv
import hashlib

import numpy as np
import pytest
from PIL import Image

from medseg.errors import DataError
from medseg.progress import Silent
from medseg.samples.drawing.stains import Stained
from medseg.samples.nuclei import Nuclei, case_name, picture, plan

CASES, SEED = 12, 2


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return Nuclei().write(tmp_path_factory.mktemp("set"), cases=CASES, seed=SEED, progress=Silent())


@pytest.fixture(scope="module")
def cases(folder):
    """Mode, picture and masks of each case, in order of their numbers."""
    found = []
    for number in range(1, CASES + 1):
        case = folder / "stage1_train" / case_name(SEED, number)
        with Image.open(case / "images" / f"{case.name}.png") as image:
            mode, pixels = image.mode, np.asarray(image)
        masks = []
        for path in sorted(case.glob("masks/*.png")):
            with Image.open(path) as mask:
                assert mask.mode == "L"
                masks.append(np.asarray(mask))
        found.append((mode, pixels, np.stack(masks)))
    return found


def digests(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def stained(number):
    return isinstance(plan(SEED, number).stain, Stained)


@pytest.mark.slow
def test_every_picture_has_a_folder_with_a_hexadecimal_name(folder):
    names = {path.name for path in (folder / "stage1_train").iterdir()}
    assert len(names) == CASES
    assert all(len(name) == 64 and not set(name) - set("0123456789abcdef") for name in names)
    for name in names:
        case = folder / "stage1_train" / name
        assert sorted(path.name for path in case.iterdir()) == ["images", "masks"]
        assert [path.name for path in (case / "images").iterdir()] == [f"{name}.png"]


def test_the_table_names_every_picture_as_it_is(folder, cases):
    assert sorted(path.name for path in folder.iterdir()) == ["manifest.csv", "stage1_train"]
    with (folder / "manifest.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert list(rows[0]) == ["id", "width", "height", "kind", "nuclei"]
    assert [row["id"] for row in rows] == [case_name(SEED, number) for number in range(1, CASES + 1)]
    for row, (mode, pixels, masks) in zip(rows, cases, strict=True):
        assert (int(row["height"]), int(row["width"])) == pixels.shape[:2]
        assert int(row["nuclei"]) == len(masks)
        coloured = mode != "L" and np.ptp(pixels[..., :3], axis=-1).max() > 0
        assert row["kind"] == ("colour" if coloured else "grey")


@pytest.mark.slow
def test_masks_are_one_a_nucleus_and_never_overlap(cases):
    for number, (_, pixels, masks) in enumerate(cases, start=1):
        assert masks.shape[1:] == pixels.shape[:2]
        assert set(np.unique(masks)) == {0, 255}
        assert (masks > 0).any(axis=(1, 2)).all()
        assert (masks > 0).sum(axis=0).max() == 1
        assert np.array_equal((masks > 0).any(axis=0), picture(SEED, number)[1] > 0)


def test_modes_and_sizes_are_mixed(cases):
    modes = [mode for mode, *_ in cases]
    assert sorted(set(modes)) == ["L", "RGB", "RGBA"]
    assert (modes.count("L"), modes.count("RGB")) == (2, 2)
    assert all((pixels[..., 3] == 255).all() for mode, pixels, _ in cases if mode == "RGBA")
    sizes = [plan(SEED, number).size for number in range(1, 301)]
    assert set(sizes) == {(256, 256), (256, 320), (360, 360), (520, 696)}
    assert sizes.count((520, 696)) < 30


def test_one_of_six_is_stained():
    numbers = [number for number in range(1, 61) if stained(number)]
    assert [(number - 1) // 6 for number in numbers] == list(range(10))
    assert all(plan(SEED, number).mode != "L" for number in numbers)


def test_fluorescent_nuclei_are_brighter_and_stained_ones_darker_and_purple(cases):
    for number, (mode, pixels, masks) in enumerate(cases, start=1):
        inside = (masks > 0).any(axis=0)
        if stained(number):
            colour, ground = pixels[inside].mean(axis=0), pixels[~inside].mean(axis=0)
            assert (colour[:3] < ground[:3] - 20).all()
            assert colour[1] < min(colour[0], colour[2])
        else:
            grey = pixels if mode == "L" else pixels[..., 0]
            assert mode == "L" or np.ptp(pixels[..., :3], axis=-1).max() == 0
            assert grey[inside].mean() > 1.5 * grey[~inside].mean()
            assert np.median(grey) < 100


def test_no_single_threshold_will_do(cases):
    best = 0.0
    pairs = [
        (pixels if pixels.ndim == 2 else pixels[..., :3].mean(axis=-1), (masks > 0).any(axis=0))
        for _, pixels, masks in cases
    ]
    for threshold in range(5, 250, 5):
        scores = []
        for grey, truth in pairs:
            above = grey > threshold
            guess = above if above.mean() < 0.5 else ~above
            scores.append(2 * (guess & truth).sum() / (guess.sum() + truth.sum()))
        best = max(best, float(np.mean(scores)))
    assert best < 0.7


def test_a_picture_depends_on_seed_and_number_alone(folder, tmp_path):
    whole = digests(folder)
    part = digests(Nuclei().write(tmp_path / "part", cases=2, seed=SEED, progress=Silent()))
    part.pop("manifest.csv")
    assert len(part) > 4
    assert part == {name: whole[name] for name in part}
    assert case_name(SEED, 1) != case_name(SEED + 1, 1)


@pytest.mark.slow
def test_a_stopped_call_goes_on_and_processes_change_nothing(folder, tmp_path):
    out = tmp_path / "set"
    there = out / "stage1_train" / case_name(SEED, 2)
    there.mkdir(parents=True)
    (there / "kept").write_text("as it was")
    Nuclei().write(out, cases=3, seed=SEED, progress=Silent(), jobs=2)
    assert [path.name for path in there.iterdir()] == ["kept"]
    whole, again = digests(folder), digests(out)
    made = {name: each for name, each in again.items() if not name.endswith(("kept", ".csv"))}
    assert made == {name: whole[name] for name in made}
    assert {path.name for path in (out / "stage1_train").iterdir()} == {
        case_name(SEED, number) for number in (1, 2, 3)
    }


def test_the_table_is_the_same_after_a_stop_and_keeps_what_a_larger_call_left(folder, tmp_path):
    out, lines = tmp_path / "set", (folder / "manifest.csv").read_text().splitlines()
    Nuclei().write(out, cases=1, seed=SEED, progress=Silent())
    assert (out / "manifest.csv").read_text().splitlines() == lines[:2]
    (out / "manifest.csv").unlink()  # as if stopped before the table
    for cases in (3, 1):
        Nuclei().write(out, cases=cases, seed=SEED, progress=Silent())
        assert (out / "manifest.csv").read_text().splitlines() == lines[:4]


def test_numbers_out_of_range_are_refused(tmp_path):
    with pytest.raises(DataError, match="Asked for 0 generated cases"):
        Nuclei().write(tmp_path, cases=0, seed=0, progress=Silent())
