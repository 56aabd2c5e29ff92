"""Generated heads of which few have a label, from two scanners that differ."""

from __future__ import annotations

import csv
import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medseg.datasets.checks.check import check
from medseg.datasets.finding.scan import found_classes, scan
from medseg.datasets.manifest.manifest import Manifest
from medseg.errors import DataError
from medseg.named import find_manifest
from medseg.progress import Silent
from medseg.samples import BrainPictures, brain_pictures
from medseg.samples.brain_pictures import classes_of, has_label, patient_pictures, places, scanner_of
from medseg.samples.glioma_slices import patient_slices

CASES, SEED = 2, 3  # the first of them has labels
MANIFEST = Manifest.from_yaml(find_manifest("brain_mri_ssl").path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("set")
    BrainPictures().write(out, cases=CASES, seed=SEED, progress=Silent())
    return out


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_one_of_five_patients_has_labels_and_no_name_of_the_others_tells_the_class() -> None:
    patients = range(1, 101)
    assert sum(has_label(number) for number in patients) == 20
    for number in patients:
        own = places(SEED, number)
        if has_label(number):
            assert [place.split("/")[1] for place in own] == list(classes_of(SEED, number))
        else:
            assert all(place.startswith("unlabelled/scanner") for place in own)
    firsts = Counter(classes_of(SEED, number)[0] for number in patients)
    assert min(firsts.values()) > 30
    sources = Counter((has_label(number), scanner_of(SEED, number)) for number in patients)
    assert sources[True, 1] == sources[True, 2] == 10
    assert sources[False, 2] > sources[False, 1] > 10


def test_the_manifest_reads_the_sample_and_names_the_key_as_left_out(folder: Path) -> None:
    manifest = MANIFEST.with_classes(found_classes(MANIFEST, folder))
    listing = scan(manifest, folder)
    assert manifest.classes == BrainPictures.classes
    assert listing.faults == listing.skipped == ()
    assert Counter(case.labels for case in listing.cases) == {("no",): 1, ("yes",): 1, None: 2}
    assert {case.group for case in listing.cases} == {"patient001", "patient002"}
    assert all(case.extra["source"].startswith("scanner") for case in listing.cases)
    assert "1 file is left out, since it is no picture: key.csv" in listing.notes
    assert check(listing, manifest, manifest.channels).faults == ()


def test_the_key_tells_the_truth_of_every_picture(folder: Path) -> None:
    with (folder / "key.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert sorted(row["file"] for row in rows) == [name for name in digests(folder) if name.endswith(".png")]
    for row in rows:
        assert row["source"] in row["file"]
        assert row["patient"] in row["file"]
        home, *kind = row["file"].split("/")[:-1]
        assert kind == ([row["tumour"]] if home == "labelled" else [])
    assert Counter(row["tumour"] for row in rows) == {"yes": 2, "no": 2}


def test_a_picture_shows_a_slice_with_or_without_a_tumour(monkeypatch: pytest.MonkeyPatch) -> None:
    made = patient_slices(SEED, 1)
    marked = [
        (np.where(mask[..., None] > 0, np.uint8(255), np.uint8(90)) * (planes > 0), mask)
        for planes, mask in made
    ]
    monkeypatch.setattr(brain_pictures, "patient_slices", lambda *_: marked)
    for scanner in (1, 2):
        monkeypatch.setattr(brain_pictures, "scanner_of", lambda *_, which=scanner: which)
        bright = [float((picture > 200).mean()) for picture in patient_pictures(SEED, 1)]
        shown = dict(zip(classes_of(SEED, 1), bright, strict=True))
        assert shown["yes"] > 0.005 + shown["no"]


def test_the_scanners_differ_in_size_and_borders(folder: Path) -> None:
    random = np.random.default_rng(1)
    planes = np.zeros((128, 128, 3), np.uint8)
    planes[30:100, 35:90] = random.integers(60, 200, (70, 55, 3))
    close = [brain_pictures._as_scanned_first(planes, random) for _ in range(30)]
    wide = [brain_pictures._as_scanned_second(planes, random) for _ in range(30)]
    assert {picture.shape for picture in wide} == {(256, 256)}
    assert len({picture.shape for picture in close}) > 15
    assert all((picture[:8] == 0).all() for picture in wide)
    assert not any((picture == 0).any() for picture in close)
    assert 0 < sum(int(picture[0, 0] == 235) for picture in close) < 30
    for path in folder.rglob("scanner*.png"):
        with Image.open(path) as picture:
            assert picture.mode == "L"
            assert (picture.size == (256, 256)) == ("scanner2" in path.name)


def test_a_stopped_call_goes_on_with_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    whole = digests(folder)
    for name in whole:
        if "patient001" in name:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes((folder / name).read_bytes())
    BrainPictures().write(tmp_path, cases=CASES, seed=SEED, progress=Silent())
    assert digests(tmp_path) == whole


def test_numbers_out_of_range_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="1 or more"):
        BrainPictures().write(tmp_path, cases=0, seed=1, progress=Silent())
    assert not list(tmp_path.iterdir())
