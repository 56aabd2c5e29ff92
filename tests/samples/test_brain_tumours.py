import gzip
import hashlib
import subprocess
import sys

import nibabel as nib
import numpy as np
import pytest

from medseg.errors import DataError
from medseg.progress import Silent
from medseg.samples.brain.atlas import CENTRE, HALF, atlas
from medseg.samples.brain.sequences import CHANNELS, draw
from medseg.samples.brain_tumour import BrainTumours, case_name

SEED = 3


class Counting(Silent):
    """Counts what is shown as done."""

    def __init__(self):
        self.opened, self.done = [], 0

    def bar(self, label, total, unit=""):
        self.opened.append((label, total, unit))
        counting = self

        class Bar:
            def __enter__(self):
                return self

            def __exit__(self, *problem):
                return None

            def advance(self, count=1, **shown):
                counting.done += count

            def restart(self, total, label=""):
                raise AssertionError

        return Bar()


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    """The folder of case 1, written alone."""
    return BrainTumours().write(tmp_path_factory.mktemp("once"), cases=1, seed=SEED, progress=Silent())


@pytest.fixture(scope="module")
def continued(tmp_path_factory):
    """A folder whose case 2 is there and whose case 1 was cut off, completed in another process."""
    out = tmp_path_factory.mktemp("twice")
    (out / case_name(2)).mkdir()
    (out / case_name(2) / "kept").write_text("as it was")
    (out / f".{case_name(1)}.abc.part" / case_name(1)).mkdir(parents=True)
    progress = Counting()
    BrainTumours().write(out, cases=2, seed=SEED, progress=progress, jobs=2)
    return out, progress


@pytest.fixture(scope="module")
def volumes(sample):
    name = case_name(1)
    return {part: nib.load(sample / name / f"{name}_{part}.nii.gz") for part in (*CHANNELS, "seg")}


@pytest.fixture(scope="module")
def arrays(volumes):
    return {part: np.asarray(image.dataobj) for part, image in volumes.items()}


def digests(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


@pytest.mark.slow
def test_files_lie_as_in_brats(sample):
    assert [path.name for path in sample.iterdir()] == ["MedsegSample_0001"]
    parts = ("flair", "seg", "t1", "t1ce", "t2")
    names = sorted(path.name for path in (sample / "MedsegSample_0001").iterdir())
    assert names == [f"MedsegSample_0001_{part}.nii.gz" for part in parts]


@pytest.mark.slow
def test_volumes_have_the_grid_of_brats(volumes):
    for image in volumes.values():
        assert image.shape == (240, 240, 155)
        assert image.get_data_dtype() == np.int16
        assert nib.aff2axcodes(image.affine) == ("L", "P", "S")
        np.testing.assert_array_equal(
            image.affine, [[-1, 0, 0, 0], [0, -1, 0, 239], [0, 0, 1, 0], [0, 0, 0, 1]]
        )
        np.testing.assert_allclose(image.get_qform(), image.affine)
        assert image.header.get_zooms() == (1, 1, 1)
        assert image.header.get_xyzt_units()[0] == "mm"


def test_labels_are_those_of_brats_and_lie_in_the_brain(arrays):
    assert set(np.unique(arrays["seg"])) == ({0, 1, 2, 4} if draw(SEED, 1).enhancing else {0, 1, 2})
    assert (arrays["flair"][arrays["seg"] > 0] > 0).all()


@pytest.mark.slow
def test_background_is_zero_in_all_channels_alike(arrays):
    brain = arrays["flair"] > 0
    for channel in CHANNELS:
        np.testing.assert_array_equal(arrays[channel] > 0, brain)
        assert arrays[channel].min() == 0
    assert 1.2e6 < brain.sum() < 1.8e6  # mm3: an adult brain with its fluid
    # The top is not cut off (the template itself is, at the brain stem).
    assert not any(brain.any(axis=axis)[end].any() for axis, end in ((0, 0), (0, -1), (1, 0), (1, -1)))
    assert not brain[..., -1].any()


def test_tumour_has_the_volumes_of_the_recipe(arrays):
    recipe = draw(SEED, 1)
    label = arrays["seg"]
    assert (label > 0).sum() / 1000 == pytest.approx(recipe.whole_ml, rel=0.02)
    assert np.isin(label, (1, 4)).sum() / 1000 == pytest.approx(recipe.whole_ml * recipe.core_part, rel=0.02)


def test_compartments_look_as_on_scanners(arrays):
    label, brain = arrays["seg"], arrays["flair"] > 0

    def bright(channel, value):
        return np.median(arrays[channel][brain & (label == value)])

    assert bright("flair", 2) > bright("flair", 0)
    assert bright("t2", 2) > bright("t2", 0)
    white = np.percentile(arrays["t1"][brain], 80)  # the brightest tissue on T1
    assert bright("t1", 2) < white
    if draw(SEED, 1).enhancing:
        assert bright("t1ce", 4) > 1.5 * bright("t1ce", 2)
        assert bright("t1ce", 1) < bright("t1ce", 2)


def test_no_threshold_on_flair_finds_the_tumour(arrays):
    brain = arrays["flair"] > 0
    flair, tumour = arrays["flair"][brain], arrays["seg"][brain] > 0
    above = np.bincount(flair)[::-1].cumsum()
    hits = np.bincount(flair[tumour], minlength=len(above))[::-1].cumsum()
    assert (2 * hits / (above + tumour.sum())).max() < 0.5


@pytest.mark.slow
def test_a_case_is_the_same_bytes_however_many_are_asked_and_in_whatever_process(sample, continued):
    out, _ = continued
    assert digests(sample / case_name(1)) == digests(out / case_name(1))


def test_gzip_headers_hold_no_time_and_no_name(sample):
    for path in (sample / case_name(1)).iterdir():
        header = path.read_bytes()[:10]
        assert header[:2] == b"\x1f\x8b"
        assert header[3] == 0  # flags: no name, no comment
        assert header[4:8] == bytes(4)  # time
        assert len(gzip.decompress(path.read_bytes())) == 352 + 2 * 240 * 240 * 155


@pytest.mark.slow
def test_a_stopped_call_is_continued_and_whole_cases_are_kept(continued):
    out, progress = continued
    assert (out / case_name(2) / "kept").read_text() == "as it was"
    assert len(list((out / case_name(1)).iterdir())) == 5
    assert progress.done == 2
    assert progress.opened == [("generating brain tumours", 2, "cases")]


def test_a_failing_case_leaves_no_half_case(tmp_path, monkeypatch):
    def broken(folder, seed, number):
        folder.mkdir()
        (folder / "half").touch()
        raise RuntimeError("stopped")

    monkeypatch.setattr("medseg.samples.brain_tumour._make", broken)
    with pytest.raises(RuntimeError, match="stopped"):
        BrainTumours().write(tmp_path, cases=1, seed=SEED, progress=Silent())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("asked", [{"cases": 0}, {"jobs": 0}, {"seed": -1}])
def test_numbers_out_of_range_are_refused(tmp_path, asked):
    with pytest.raises(DataError, match="must be 1 or more, the seed 0 or more"):
        BrainTumours().write(tmp_path, **{"cases": 1, "seed": 1, "jobs": 1, "progress": Silent()} | asked)


def test_a_missing_template_is_named(monkeypatch):
    monkeypatch.setattr("medseg.samples.brain.atlas.find_spec", lambda _: None)
    with pytest.raises(DataError, match="Install nilearn"):
        atlas.__wrapped__()


def test_tumours_start_inside_the_brain_of_the_template():
    sites = atlas().sites
    assert len(sites) > 1000
    assert (np.abs(sites - CENTRE) < HALF).all()
    assert (atlas().tissue[tuple(sites.T)].imag > 0.58).all()
    left = (sites[:, 0] < CENTRE[0]).mean()
    assert 0.4 < left < 0.6


@pytest.mark.slow
def test_heavy_packages_are_not_imported():
    program = (
        "import sys, medseg.samples.brain_tumour; "
        "print(sorted({'torch', 'monai', 'nilearn', 'pandas', 'sklearn'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
