from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medseg.errors import DefinitionError, StoreError
from medseg.slices.selection import Selection, for_scores, for_training
from medseg.slices.store.entry import read_entry, write_entry
from medseg.slices.store.store import Sample, SliceStore

CLASSES = ("background", "edge", "core")
NAMES = {"classes": CLASSES, "foreground": (1, 2), "regions": {"whole": (1, 2), "inner": (2,)}}
CONTENT = np.array([False, True, True, True, False])
COUNTS = np.array([[9, 0, 0], [9, 0, 0], [5, 4, 0], [3, 3, 3], [8, 0, 1]])


@pytest.mark.parametrize(
    ("contains", "kept"),
    [
        ("all", [0, 1, 2, 3, 4]),
        ("image", [1, 2, 3]),
        ("foreground", [2, 3]),
        ("core", [3]),
        ("edge", [2, 3]),
        ("inner", [3]),
        ("whole", [2, 3]),
        ("background", [1, 2, 3]),
    ],
)
def test_training_keeps_what_the_rule_names(contains, kept):
    rule = for_training(contains, None, **NAMES)
    assert rule.positions(CONTENT, COUNTS, seed=1, case="a").tolist() == kept


def test_scores_keep_every_slice_with_content_or_truth():
    rule = for_scores((1, 2))
    assert rule.positions(CONTENT, COUNTS, seed=1, case="a").tolist() == [1, 2, 3, 4]
    assert rule.positions(CONTENT, None, seed=1, case="a").tolist() == [1, 2, 3]


def test_an_unknown_name_is_refused_with_those_there_are():
    with pytest.raises(DefinitionError, match=r"slices\.keep\.contains: got 'cores'.*core.*inner"):
        for_training("cores", None, **NAMES)


@given(seed=st.integers(0, 2**31), draw=st.integers(1, 60), case=st.text(max_size=8))
def test_a_draw_is_a_part_of_what_is_kept_and_depends_on_seed_and_case_alone(seed, draw, case):
    content = np.arange(50) % 7 != 0
    rule = Selection(draw=draw)
    drawn = rule.positions(content, None, seed=seed, case=case)
    whole = Selection().positions(content, None, seed=seed, case=case)
    assert len(drawn) == min(draw, len(whole))
    assert set(drawn.tolist()) <= set(whole.tolist())
    assert drawn.tolist() == sorted(set(drawn.tolist()))
    np.testing.assert_array_equal(rule.positions(content, None, seed=seed, case=case), drawn)


def test_draws_differ_by_case_and_seed():
    content = np.ones(100, dtype=bool)
    drawn = {
        tuple(Selection(draw=10).positions(content, None, seed=seed, case=case))
        for seed in (1, 2)
        for case in "abc"
    }
    assert len(drawn) == 6


FACTS = {"geometry": {}, "intensities": {}, "cut_away": [0, 0], "seconds": 0.5}


def _store(folder: Path) -> tuple[SliceStore, np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    image = random.random((5, 2, 4, 3)).astype(np.float16)
    label = random.integers(0, 3, (5, 4, 3)).astype(np.uint8)
    counts = [np.bincount(each.ravel(), minlength=3).tolist() for each in label]
    facts = {**FACTS, "positions": [3, 4, 6, 7, 9], "counts": counts}
    entries = {"e": write_entry(folder / "e", image, label, facts)}
    bare = {**FACTS, "positions": [0], "counts": None}
    entries["f"] = write_entry(folder / "f", image[:1], None, bare)
    roles = ["train", "train", "val", "train", "val"]
    samples = [Sample("a", "g", p, roles[i], "e", i) for i, p in enumerate(facts["positions"])]
    samples.append(Sample("b", "h", 0, "test", "f", 0, labels=("ill",)))
    return SliceStore(folder, "p", tuple(samples), entries, CLASSES, ("x", "y")), image, label


def test_each_sample_reads_its_own_slice(tmp_path):
    store, image, label = _store(tmp_path)
    for sample in reversed([*store.role("train"), *store.role("val")]):
        stored, truth = store.read(sample)
        assert stored.dtype == np.float16
        np.testing.assert_array_equal(stored, image[sample.row])
        np.testing.assert_array_equal(truth, label[sample.row])


def test_a_store_reads_the_same_in_another_process(tmp_path):
    store, image, _ = _store(tmp_path)
    again = pickle.loads(pickle.dumps(store))  # noqa: S301  made here
    np.testing.assert_array_equal(again.image(again.samples[2]), image[2])


def test_arrays_of_a_case_hold_the_slices_of_the_role(tmp_path):
    store, image, label = _store(tmp_path)
    stored, truth = store.arrays("a", "val")
    np.testing.assert_array_equal(stored, image[[2, 4]])
    np.testing.assert_array_equal(truth, label[[2, 4]])
    with pytest.raises(StoreError, match="no slice in the role test"):
        store.arrays("a", "test")


def test_counts_and_bytes_are_those_of_the_slices(tmp_path):
    store, image, label = _store(tmp_path)
    rows = [0, 1, 3]
    assert store.voxel_counts("train").tolist() == np.bincount(label[rows].ravel(), minlength=3).tolist()
    assert store.voxel_counts("test").tolist() == [0, 0, 0]
    assert store.nbytes("train") == image[rows].nbytes + label[rows].nbytes
    assert store.nbytes("test") == image[:1].nbytes


def test_a_case_without_truth_has_an_image_and_no_label(tmp_path):
    store, image, _ = _store(tmp_path)
    sample = store.role("test")[0]
    np.testing.assert_array_equal(store.image(sample), image[0])
    with pytest.raises(StoreError, match="no truth"):
        store.read(sample)


def test_the_table_has_a_row_for_each_slice(tmp_path):
    store, _, _ = _store(tmp_path)
    frame = store.frame()
    assert list(frame.columns) == ["case", "group", "position", "role"]
    assert frame["position"].tolist() == [3, 4, 6, 7, 9, 0]
    assert frame["role"].tolist() == ["train", "train", "val", "train", "val", "test"]


def test_a_store_that_was_cleared_meanwhile_says_so(tmp_path):
    store, _, _ = _store(tmp_path)
    (tmp_path / "e" / "image.npy").unlink()
    with pytest.raises(StoreError, match="Run the command again"):
        store.read(store.samples[0])


@pytest.mark.parametrize("harm", ["cut short", "missing", "no facts", "facts cut short"])
def test_a_harmed_entry_is_not_trusted(tmp_path, harm):
    _store(tmp_path)
    folder = tmp_path / "e"
    if harm == "cut short":
        (folder / "label.npy").write_bytes((folder / "label.npy").read_bytes()[:-1])
    elif harm == "missing":
        (folder / "label.npy").unlink()
    elif harm == "no facts":
        (folder / "entry.json").unlink()
    else:
        (folder / "entry.json").write_text((folder / "entry.json").read_text()[:-9])
    assert read_entry(folder) is None


def test_an_entry_of_no_slice_is_one(tmp_path):
    facts = {**FACTS, "positions": [], "counts": []}
    made = write_entry(
        tmp_path / "e", np.zeros((0, 2, 4, 3), np.float16), np.zeros((0, 4, 3), np.uint8), facts
    )
    assert made.array("image").shape == (0, 2, 4, 3)
    assert read_entry(tmp_path / "e").positions == ()
