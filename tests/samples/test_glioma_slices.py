import hashlib

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from medseg.errors import DataError
from medseg.progress import Silent
from medseg.samples import glioma_slices
from medseg.samples.brain.atlas import CENTRE, atlas
from medseg.samples.brain.sequences import Stream, stream
from medseg.samples.brain.tumour import choose
from medseg.samples.glioma_slices import GliomaSlices, case_name, patient_slices

CASES, SEED = 3, 5


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return GliomaSlices().write(tmp_path_factory.mktemp("set"), cases=CASES, seed=SEED, progress=Silent())


@pytest.fixture(scope="module")
def patients(folder):
    """Slices (N, H, W, 3) and masks (N, H, W) of each patient, as Pillow reads them."""
    found = []
    for number in range(1, CASES + 1):
        patient = folder / "kaggle_3m" / case_name(number)
        images, masks = [], []
        for n in range(1, len(list(patient.iterdir())) // 2 + 1):
            with (
                Image.open(patient / f"{patient.name}_{n}.tif") as image,
                Image.open(patient / f"{patient.name}_{n}_mask.tif") as mask,
            ):
                assert (image.format, image.mode, mask.mode) == ("TIFF", "RGB", "L")
                images.append(np.asarray(image))
                masks.append(np.asarray(mask))
        found.append((np.stack(images), np.stack(masks)))
    return found


def digests(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.slow
def test_files_lie_as_in_the_kaggle_set(folder, patients):
    names = sorted(path.name for path in (folder / "kaggle_3m").iterdir())
    assert names == ["MedsegSample_LGG_0001", "MedsegSample_LGG_0002", "MedsegSample_LGG_0003"]
    for images, masks in patients:
        assert images.shape[1:] == (128, 128, 3)
        assert masks.shape == images.shape[:3]
        assert 12 <= len(images) <= 16
        assert set(np.unique(masks)) == {0, 255}


@pytest.mark.slow
def test_a_third_of_the_slices_has_no_tumour(patients):
    for _, masks in patients:
        shown = masks.any(axis=(1, 2))
        assert (~shown).sum() == round(len(masks) / 3)
        assert (masks[shown] > 0).sum(axis=(1, 2)).min() >= 25


def test_the_tumour_is_bright_on_flair_and_dark_on_t1(patients):
    for images, masks in patients:
        tumour = masks > 0
        healthy = (images.min(axis=-1) > 0) & ~ndimage.binary_dilation(tumour, iterations=3)
        inside, outside = (np.median(images[part], axis=0) for part in (tumour, healthy))
        assert inside[1] > 1.1 * outside[1]
        assert inside[0] < outside[0]


def test_slices_go_upwards_with_the_front_above(patients):
    """Below, brain stem and cerebellum lie in the back; the head is longer than wide, and alike left and right."""
    for images, _ in patients:
        brain = images.max(axis=-1) > 0
        assert not brain[:, [0, -1]].any()
        assert not brain[:, :, [0, -1]].any()
        middle = brain[len(brain) // 2]
        rows, columns = np.nonzero(middle.any(axis=1))[0], np.nonzero(middle.any(axis=0))[0]
        assert np.ptp(rows) > 1.1 * np.ptp(columns)
        mirrored = brain[:, :, ::-1]
        assert (brain & mirrored).sum() > 0.85 * brain.sum()
        assert brain[0].sum() < 0.75 * brain.sum(axis=(1, 2)).max()
        low = np.nonzero(brain[0])[0]
        assert (low > rows.mean()).mean() > 0.5


def test_tumours_are_shown_where_they_start_in_the_template(patients):
    """The template runs from left, back and below.

    What lies right is shown at the left, what lies in front above, and the higher a tumour lies, the more of
    the healthy slices come before it.
    """
    sides, heights, before = set(), [], []
    for number, (_, masks) in enumerate(patients, start=1):
        recipe = glioma_slices._recipe(SEED, number)
        sites, _ = choose(atlas().sites, recipe, stream(SEED, number, Stream.TUMOUR))
        rightwards, forwards, upwards = sites.mean(axis=0) - CENTRE
        row, column = np.argwhere(masks > 0).mean(axis=0)[1:]
        assert (column < 64) == (rightwards > 0)
        assert (row < 64) == (forwards > 0)
        sides.add((bool(rightwards > 0), bool(forwards > 0)))
        heights.append(upwards)
        shown = masks.any(axis=(1, 2))
        middle = np.flatnonzero(shown).mean()
        before.append((~shown[: int(middle)]).sum() / (~shown).sum())
    assert len(sides) == 2  # right and left, front and back
    assert np.corrcoef(heights, before)[0, 1] > 0.5


def test_no_threshold_will_do(patients):
    for plane in range(3):
        best = 0.0
        for threshold in range(5, 250, 5):
            scores = []
            for images, masks in patients:
                guess = images[..., plane] > threshold
                scores.append(2 * (guess & (masks > 0)).sum() / max(1, guess.sum() + (masks > 0).sum()))
            best = max(best, float(np.mean(scores)))
        assert best < 0.65


@pytest.mark.slow
def test_a_patient_depends_on_seed_and_number_alone(folder, tmp_path):
    out = tmp_path / "set"
    (out / "kaggle_3m" / case_name(1)).mkdir(parents=True)  # is there already, and kept as it is
    GliomaSlices().write(out, cases=2, seed=SEED, progress=Silent())
    whole, part = digests(folder), digests(out)
    assert part == {name: whole[name] for name in whole if case_name(2) in name}
    other = patient_slices(SEED + 1, 2)
    assert not np.array_equal(other[0][0], patient_slices(SEED, 2)[0][0])


def test_numbers_out_of_range_are_refused(tmp_path):
    with pytest.raises(DataError, match="seed -1"):
        GliomaSlices().write(tmp_path, cases=1, seed=-1, progress=Silent())
