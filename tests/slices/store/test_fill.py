from __future__ import annotations

import errno
import hashlib
import os
import shutil
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest

import medseg.slices.store.entry
from medseg.datasets.case import Case
from medseg.datasets.checks.case_facts import examine
from medseg.datasets.manifest.label_map import LabelRule
from medseg.datasets.reading.volume import read_volume
from medseg.errors import DataError, StoreError
from medseg.geometry.axes import AXES
from medseg.learning.tasks.class_masks import ClassMasks
from medseg.learning.tasks.image_classes import ImageClasses
from medseg.pipeline.checks.shortfalls import cut_away_note, unlearned_note
from medseg.slices.preparation import Preparation
from medseg.slices.rule import SliceRule
from medseg.slices.store import fill
from medseg.slices.store.estimate import plan
from medseg.slices.store.fill import prepare
from medseg.splits.split import Split

SHAPE = (20, 24, 10)
CHANNELS = ("t1", "t2")
LABELS = LabelRule(("background", "edge", "core"), {0: "background", 1: "edge", 4: "core"})
NORMALISE = {
    "_target_": "monai.transforms.NormalizeIntensityd",
    "keys": ["image"],
    "nonzero": True,
    "channel_wise": True,
}
RULE = SliceRule.model_validate(
    {"size": [24, 20], "keep": {"contains": "foreground"}, "transforms": [NORMALISE]}
)
ROLES = {"secret-a": "train", "secret-b": "train", "secret-c": "val", "secret-d": "test"}


def write_case(folder: Path, name: str, number: int) -> Case:
    """A box that shows something in slices 2 to 8, marked in 4 and 5 (and `core` in 5)."""
    random = np.random.default_rng(number)
    affine = np.diag([-1.0, -1.0, 2.0, 1.0])
    files = {}
    for channel in CHANNELS:
        voxels = np.zeros(SHAPE, dtype=np.int16)
        voxels[3:17, 4:20, 2:9] = random.integers(1, 900, (14, 16, 7))
        files[channel] = folder / f"{name}_{channel}.nii.gz"
        nibabel.save(nibabel.Nifti1Image(voxels, affine), files[channel])
    label = np.zeros(SHAPE, dtype=np.uint8)
    label[6:10, 8:12, 4:6] = 1
    label[7, 9, 5] = 4
    mask = folder / f"{name}_seg.nii.gz"
    nibabel.save(nibabel.Nifti1Image(label, affine), mask)
    return Case(name, f"group-{name}", files, mask, position=number)


@pytest.fixture
def cases(tmp_path):
    (tmp_path / "data").mkdir()
    return [write_case(tmp_path / "data", name, i) for i, name in enumerate(ROLES, 1)]


@pytest.fixture
def reads(monkeypatch):
    """The cases that are read, in order."""
    seen = []

    read = Preparation.read

    def counted(preparation, case, labels):
        seen.append(case.id)
        return read(preparation, case, labels)

    monkeypatch.setattr(Preparation, "read", counted)
    return seen


def split_of(cases, **roles) -> Split:
    return Split("group", 1, {}, {c.id: c.group for c in cases}, {c.id: ROLES[c.id] for c in cases} | roles)


def run(
    cases,
    tmp_path,
    rule=RULE,
    *,
    labels=LABELS,
    split=None,
    seed=1,
    channels=CHANNELS,
    jobs=1,
    private=True,
    known=None,
):
    return prepare(
        cases,
        split or split_of(cases),
        Preparation(channels, rule),
        labels,
        regions={"whole": [1, 2]},
        seed=seed,
        known=known,
        root=tmp_path / "stores",
        jobs=jobs,
        private=private,
    )


def changed(**more) -> SliceRule:
    return SliceRule.model_validate(RULE.model_dump() | more)


@pytest.mark.parametrize("jobs", [1, 3])
def test_every_slice_has_its_case_position_role_and_pixels(cases, tmp_path, jobs):
    store = run(cases, tmp_path, jobs=jobs)
    for case in cases:
        found = [s for s in store.samples if s.case == case.id]
        kept = [4, 5] if ROLES[case.id] == "train" else list(range(2, 9))
        assert [s.position for s in found] == kept
        assert {(s.role, s.group) for s in found} == {(ROLES[case.id], case.group)}
        volume = read_volume(case, CHANNELS, LABELS)
        image, label = AXES["axial"].cut(volume.image), AXES["axial"].cut(volume.label)
        for sample in found:
            stored, truth = store.read(sample)
            np.testing.assert_array_equal(truth, label[sample.position])
            for c in range(2):
                shown = volume.image[c][volume.image[c] != 0]
                raw = image[sample.position, c]
                expected = np.where(raw != 0, (raw - shown.mean()) / shown.std(), 0)
                np.testing.assert_allclose(stored[c], expected, atol=2e-3)  # float16
    assert [s.case for s in store.samples] == sorted(s.case for s in store.samples)


def test_voxel_counts_are_those_of_a_brute_force_count(cases, tmp_path):
    store = run(cases, tmp_path)
    for role in ("train", "val", "test"):
        labels = [store.read(sample)[1] for sample in store.role(role)]
        expected = np.bincount(np.stack(labels).ravel(), minlength=3)
        np.testing.assert_array_equal(store.voxel_counts(role), expected)


def test_nothing_in_the_store_tells_who_it_is(cases, tmp_path):
    store = run(cases, tmp_path)
    for path in store.root.rglob("*"):
        assert "secret" not in path.name
        if path.suffix == ".json":
            assert "secret" not in path.read_text()


def test_what_is_prepared_is_used_again_without_reading(cases, tmp_path, reads):
    first = run(cases, tmp_path)
    assert len(reads) == 4
    again = run(list(reversed(cases)), tmp_path)
    assert len(reads) == 4
    assert sorted(s.entry for s in again.samples) == sorted(s.entry for s in first.samples)
    assert again.digest("val") == first.digest("val")


def test_a_seed_matters_only_where_slices_are_drawn(cases, tmp_path, reads):
    run(cases, tmp_path, seed=1)
    run(cases, tmp_path, seed=2)
    assert len(reads) == 4
    drawn = changed(keep={"contains": "image", "draw": 3})
    one = run(cases, tmp_path, drawn, seed=1)
    assert reads[4:] == ["secret-a", "secret-b"]
    other = run(list(reversed(cases)), tmp_path, drawn, seed=2)
    assert sorted(reads[6:]) == ["secret-a", "secret-b"]
    assert len(one.role("train")) == len(other.role("train")) == 6
    assert [s.position for s in one.role("train")] != [s.position for s in other.role("train")]


@pytest.mark.parametrize(
    ("more", "again"),
    [
        ({"rule": changed(size=[26, 20])}, 4),
        ({"rule": changed(axis="coronal")}, 4),
        ({"rule": changed(transforms=[])}, 4),
        ({"rule": changed(transforms=[{**NORMALISE, "nonzero": False}])}, 4),
        ({"rule": changed(pad="edge")}, 4),
        ({"rule": changed(store="float32")}, 4),
        ({"rule": changed(keep={"contains": "core"})}, 2),
        ({"channels": ("t2", "t1")}, 4),
        ({"channels": ("t1",)}, 4),
        ({"labels": replace(LABELS, values={0: "background", 1: "core", 4: "edge"})}, 4),
    ],
)
def test_what_matters_is_prepared_anew(cases, tmp_path, reads, more, again):
    run(cases, tmp_path)
    run(cases, tmp_path, **more)
    assert len(reads) == 4 + again


def test_a_case_that_changes_its_role_is_kept_by_the_rule_of_the_new_one(cases, tmp_path, reads):
    run(cases, tmp_path)
    store = run(cases, tmp_path, split=split_of(cases, **{"secret-a": "val"}))
    assert reads[4:] == ["secret-a"]
    assert len([s for s in store.role("val") if s.case == "secret-a"]) == 7


def unpacked(case: Case) -> Case:
    """A case whose files keep their size whatever they hold."""
    for path in case.files.values():
        nibabel.save(nibabel.load(path), path.with_suffix(""))
    images = {channel: path.with_suffix("") for channel, path in case.images.items()}
    return replace(case, images=images, mask=case.mask.with_suffix(""))


def correct(path: Path) -> None:
    """Change voxels of a file, whose size and time stay, as in an archive with fixed dates."""
    before = path.stat()
    raw = bytearray(path.read_bytes())
    place = 352 + 8 + SHAPE[0] * 10 + SHAPE[0] * SHAPE[1] * 4  # in slice 4, beside what is marked
    raw[place : place + 2] = b"\1\0"
    path.write_bytes(raw)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size


@pytest.mark.parametrize("part", ["t1", "t2", "mask"])
def test_a_changed_file_is_prepared_anew_though_its_size_and_time_are_as_before(cases, tmp_path, reads, part):
    cases = [cases[0], unpacked(cases[1])]
    first = run(cases, tmp_path)
    correct(cases[1].files[part])

    again = run(cases, tmp_path)

    assert reads[2:] == ["secret-b"]
    assert again.digest("train") != first.digest("train")
    fresh = run([cases[1]], tmp_path / "another")
    for old, new in zip((s for s in again.samples if s.case == "secret-b"), fresh.samples, strict=True):
        assert all(np.array_equal(*pair) for pair in zip(again.read(old), fresh.read(new), strict=True))


def test_files_with_the_same_bytes_are_used_again_wherever_they_lie(cases, tmp_path, reads):
    first = run(cases, tmp_path)
    moved = tmp_path / "moved"
    shutil.copytree(tmp_path / "data", moved)
    there = [
        replace(
            case,
            images={channel: moved / path.name for channel, path in case.images.items()},
            mask=moved / case.mask.name,
        )
        for case in cases
    ]
    assert run(there, tmp_path).digest("train") == first.digest("train")
    assert len(reads) == 4


def test_cases_with_the_same_files_share_their_slices(cases, tmp_path, reads):
    twin = replace(cases[0], id="secret-b")
    store = run([cases[0], twin], tmp_path, jobs=2)
    assert reads == ["secret-b"]
    assert [sample.case for sample in store.role("train")] == ["secret-a", "secret-a", "secret-b", "secret-b"]


def test_files_that_were_checked_are_not_read_again_to_know_what_they_hold(cases, tmp_path, monkeypatch):
    whole = cases[0]
    known = {case.id: examine(case, CHANNELS, LABELS).contents for case in cases}
    assert known[whole.id].keys() == whole.files.keys()
    digested = []
    digest = hashlib.file_digest
    monkeypatch.setattr(
        hashlib, "file_digest", lambda file, how: digested.append(file.name) or digest(file, how)
    )

    store = run(cases, tmp_path, known=known)
    assert digested == []
    assert run(cases, tmp_path).digest("train") == store.digest("train")
    assert len(digested) == sum(len(case.files) for case in cases)

    del digested[:]
    os.utime(whole.mask)
    run(cases, tmp_path, known=known)
    assert digested == [str(whole.mask)]


def test_a_file_that_changes_while_it_is_prepared_leaves_no_slices(cases, tmp_path, monkeypatch):
    case = unpacked(cases[0])
    read = Preparation.read

    def corrected(*given):
        volume = read(*given)
        correct(case.mask)
        return volume

    monkeypatch.setattr(Preparation, "read", corrected)
    with pytest.raises(
        DataError, match=r"mask.*changed while its slices were prepared.*Run the command again"
    ):
        run([case], tmp_path)
    monkeypatch.undo()
    assert len(run([case], tmp_path).role("train")) == 2


def test_split_by_slice_gives_the_slices_of_a_case_different_roles(cases, tmp_path):
    split = Split("slice", 3, {"val": 0.3, "test": 0.3}, {c.id: c.group for c in cases}, {})
    store = run(cases, tmp_path, changed(keep={"contains": "image"}), split=split)
    assert len(store.samples) == 28
    for sample in store.samples:
        assert sample.role == split.role(sample.case, sample.position)
    assert {s.role for s in store.samples} == {"train", "val", "test"}
    image, _ = store.arrays("secret-a", "val")
    assert len(image) == len([s for s in store.role("val") if s.case == "secret-a"])


def test_all_faults_are_told_at_once_and_the_rest_is_prepared(cases, tmp_path, reads):
    cases[0].images["t1"].write_bytes(b"no image " * 100)
    cases[2].mask.unlink()
    with pytest.raises(DataError) as error:
        run(cases, tmp_path)
    assert [fault.case for fault in error.value.faults] == ["secret-a", "secret-c"]
    assert str(tmp_path) not in str(error.value)
    cases[0] = write_case(tmp_path / "data", "secret-a", 1)
    cases[2] = write_case(tmp_path / "data", "secret-c", 3)
    reads.clear()
    run(cases, tmp_path)
    assert reads == ["secret-a", "secret-c"]


def test_a_training_case_without_truth_is_a_fault_where_the_rule_asks_for_it(cases, tmp_path):
    cases[0] = replace(cases[0], mask=None)
    with pytest.raises(DataError, match="no truth"):
        run(cases, tmp_path)
    assert len(run(cases, tmp_path, changed(keep={"contains": "image"})).role("train")) == 14


def test_an_interrupted_call_leaves_whole_entries_and_is_continued(cases, tmp_path, reads, monkeypatch):
    real = medseg.slices.store.entry._save
    calls = []

    def dying(array, path):
        calls.append(path)
        if len(calls) == 4:
            path.write_bytes(b"half")
            raise KeyboardInterrupt
        return real(array, path)

    monkeypatch.setattr(medseg.slices.store.entry, "_save", dying)
    with pytest.raises(KeyboardInterrupt):
        run(cases, tmp_path)
    monkeypatch.setattr(medseg.slices.store.entry, "_save", real)
    left = list((tmp_path / "stores").glob("*/*"))
    assert len(left) < 4
    assert not list((tmp_path / "stores").rglob("*.part"))
    before = len(reads)
    assert len(run(cases, tmp_path).samples) == 18
    assert len(reads) - before == 4 - len(left)


def test_a_killed_process_leaves_nothing_that_is_trusted(cases, tmp_path, reads, monkeypatch):
    """What a kill leaves: a folder of parts, never the entry."""

    def killed(path, target):
        raise OSError(errno.EINTR, "killed")

    monkeypatch.setattr("medseg.places.shutil.rmtree", lambda *_, **__: None)
    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(StoreError):
        run(cases, tmp_path)
    monkeypatch.undo()
    assert len(run(cases, tmp_path).samples) == 18


@pytest.mark.parametrize("name", ["image.npy", "label.npy"])
@pytest.mark.parametrize(
    "damage", [lambda content: bytes(len(content)), lambda content: content[:-1] + b"\xfe"]
)
def test_what_a_power_cut_or_a_bad_disk_has_changed_is_prepared_anew(cases, tmp_path, reads, name, damage):
    first = run(cases, tmp_path)
    path = next(iter(first.entries.values())).folder / name
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    reads.clear()

    run(cases, tmp_path)

    assert len(reads) == 1
    assert path.read_bytes() == whole


def test_no_space_left_is_told_with_what_to_do_and_nothing_is_trusted(cases, tmp_path, monkeypatch):
    real = Path.open

    def full(self, mode="r", *rest, **more):
        if self.name == "label.npy" and "w" in mode:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(self, mode, *rest, **more)

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(StoreError, match=r"no space.*are needed.*free.*MEDSEG_CACHE.*--dry-run"):
        run(cases, tmp_path)
    assert not list((tmp_path / "stores").glob("*/*"))
    monkeypatch.undo()
    assert len(run(cases, tmp_path).samples) == 18


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_told(cases, tmp_path):
    (tmp_path / "stores").mkdir(mode=0o500)
    with pytest.raises(StoreError, match="MEDSEG_CACHE"):
        run(cases, tmp_path)


def test_values_beyond_float16_are_refused_with_what_to_do(cases, tmp_path):
    large = [{"_target_": "monai.transforms.ScaleIntensityd", "keys": ["image"], "minv": 0, "maxv": 1e6}]
    with pytest.raises(DataError, match=r"secret-.*normalis.*store: float32") as error:
        run(cases, tmp_path, changed(transforms=large))
    assert [fault.case for fault in error.value.faults] == [case.id for case in cases]
    store = run(cases, tmp_path, changed(transforms=large, store="float32"))
    assert store.image(store.samples[0]).dtype == np.float32


def test_nan_after_a_transform_names_the_case(cases, tmp_path):
    made = [
        {"_target_": "monai.transforms.NormalizeIntensityd", "keys": ["image"], "subtrahend": 0.0}
        | {"divisor": float("nan")}
    ]
    with pytest.raises(DataError, match=r"secret-a.*NaN or infinite values in channel t1"):
        run(cases[:1], tmp_path, changed(transforms=made))


def test_an_empty_volume_gives_no_slice(cases, tmp_path):
    for path in cases[2].images.values():
        nibabel.save(nibabel.Nifti1Image(np.zeros(SHAPE, np.int16), np.diag([-1.0, -1, 2, 1])), path)
    nibabel.save(nibabel.Nifti1Image(np.zeros(SHAPE, np.uint8), np.diag([-1.0, -1, 2, 1])), cases[2].mask)
    store = run(cases, tmp_path)
    assert store.role("val") == ()
    assert run(cases, tmp_path).samples == store.samples


def test_a_plan_tells_what_preparing_will_make_and_leaves_nothing(cases, tmp_path):
    rule = changed(keep={"contains": "all"})
    arguments = [cases, split_of(cases), Preparation(CHANNELS, rule), LABELS]
    more = {"regions": {}, "seed": 1, "root": tmp_path / "stores"}
    planned = plan(*arguments, **more)
    assert not (tmp_path / "stores").exists()
    assert (planned.cases, planned.ready, planned.slices, planned.exact) == (4, 0, 40, False)
    assert planned.seconds > 0
    store = prepare(*arguments, **more)
    assert len(store.samples) <= planned.slices
    after = plan(*arguments, **more)
    assert (after.ready, after.slices, after.missing_bytes, after.seconds) == (4, len(store.samples), 0, 0)
    assert after.exact
    assert after.bytes == sum(f.stat().st_size for f in store.root.rglob("*.npy"))


def test_a_plan_of_training_on_all_slices_is_exact_and_follows_the_axis(cases, tmp_path):
    split = split_of(cases, **dict.fromkeys(ROLES, "train"))
    rule = changed(keep={"contains": "all"}, axis="sagittal", size=[10, 24])
    more = {"regions": {}, "seed": 1, "root": tmp_path / "stores"}
    planned = plan(cases, split, Preparation(CHANNELS, rule), LABELS, **more)
    assert planned.exact
    assert planned.slices == 80
    store = prepare(cases, split, Preparation(CHANNELS, rule), LABELS, **more)
    assert len(store.samples) == 80
    assert planned.bytes == store.nbytes("train")


@pytest.mark.parametrize(
    ("keep", "slices", "exact"),
    [
        ({"contains": "all", "draw": 3}, 2 * 3, True),
        ({"contains": "all", "draw": 10}, 2 * 10, True),
        ({"contains": "all", "draw": 99}, 2 * 10, True),  # a case has ten
        ({"contains": "image", "draw": 3}, 2 * 3, False),  # a case might show fewer
        ({"contains": "core", "draw": 3}, 2 * 3, False),  # and does: one of each
    ],
)
def test_a_plan_counts_no_more_slices_than_are_drawn(cases, tmp_path, keep, slices, exact):
    split = split_of(cases[:2])
    more = {"regions": {}, "seed": 1, "root": tmp_path / "stores"}
    how = Preparation(CHANNELS, changed(keep=keep))
    planned = plan(cases[:2], split, how, LABELS, **more)
    assert (planned.slices, planned.exact) == (slices, exact)
    store = prepare(cases[:2], split, how, LABELS, **more)
    drawn = 2 if keep["contains"] == "core" else slices
    assert len(store.samples) == drawn
    assert planned.bytes == planned.missing_bytes == store.nbytes("train") * slices // drawn


def test_a_plan_draws_from_training_cases_alone(cases, tmp_path):
    """Scores stand for whole volumes: of the two others every slice may be kept."""
    how = Preparation(CHANNELS, changed(keep={"contains": "all", "draw": 3}))
    more = {"regions": {}, "seed": 1, "root": tmp_path / "stores"}
    planned = plan(cases, split_of(cases), how, LABELS, **more)
    assert (planned.slices, planned.exact) == (2 * 3 + 2 * 10, False)
    store = prepare(cases, split_of(cases), how, LABELS, **more)
    assert {role: len(store.role(role)) for role in ("train", "val", "test")} == {
        "train": 6,
        "val": 7,
        "test": 7,
    }


@pytest.mark.slow
def test_real_patients_are_prepared(real_data, tmp_path):
    from medseg.datasets.manifest.label_map import Derive

    channels = ("flair", "t1", "t1ce", "t2")
    folder = real_data("brats2d") / "cases" / "BraTS2021_00006"
    images = {name: folder / f"{folder.name}_{name}.nii.gz" for name in channels}
    case = Case("real", "real", images, folder / f"{folder.name}_seg.nii.gz")
    labels = LabelRule(
        ("outside", "healthy", "necrotic_core", "oedema", "enhancing"),
        {1: "necrotic_core", 2: "oedema", 4: "enhancing"},
        Derive(0, "outside", "healthy"),
    )
    split = Split("group", 1, {}, {"real": "real"}, {"real": "train"})
    store = prepare(
        [case],
        split,
        Preparation(channels, changed(size=[240, 240])),
        labels,
        regions={},
        seed=1,
        root=tmp_path,
    )
    assert len(store.samples) == 68  # slices with tumour, by the data set's own listing


@pytest.mark.skipif(os.name != "posix", reason="rights of another kind")
@pytest.mark.parametrize(("private", "others"), [(True, 0), (False, 0o055)])
def test_a_store_of_identifying_data_is_closed_to_others_even_if_it_was_open(
    cases, tmp_path, private, others
):
    made = run(cases, tmp_path, private=private)
    assert made.root.stat().st_mode & 0o077 == others

    made.root.chmod(0o755)
    run(cases, tmp_path, private=private)
    assert made.root.stat().st_mode & 0o077 == others


def test_a_store_tells_what_slices_cut_away_of_each_truth(cases, tmp_path):
    assert run(cases, tmp_path).cut_away() == {}
    small = run(cases, tmp_path, changed(size=[4, 4], keep={"contains": "image"}))
    again = run(cases, tmp_path, changed(size=[4, 4], keep={"contains": "image"}))
    assert small.cut_away() == again.cut_away()
    assert small.cut_away().keys() == ROLES.keys()
    # marked are columns 6 to 9 and rows 8 to 11 of 20 x 24; kept are columns 8 to 11 and rows 10 to 13, of LPS
    assert set(small.cut_away().values()) == {1 - 4 / 16}
    assert "of secret-a 75 %, secret-b 75 %" in cut_away_note(small.cut_away(), (4, 4))


def test_a_class_that_no_training_slice_shows_is_told(cases, tmp_path):
    task = ClassMasks(LABELS.classes)
    assert unlearned_note(run(cases, tmp_path), task) == ""
    without = [replace(case, mask=erased(case, 4)) if ROLES[case.id] == "train" else case for case in cases]
    note = unlearned_note(run(without, tmp_path), task)
    assert "Nothing for training shows the class core: it cannot be learned." in note
    assert "weight" not in note
    weighed = ClassMasks(LABELS.classes, class_weights="frequency")
    assert "It has no weight in the loss (task.class_weights: frequency)." in unlearned_note(
        run(without, tmp_path), weighed
    )
    blind = run(cases, tmp_path, changed(keep={"contains": "image"}), labels=None)
    assert unlearned_note(blind, task) == ""


def test_a_class_that_no_training_image_has_is_told(cases, tmp_path):
    labelled = [replace(case, labels=(LABELS.classes[0],)) for case in cases]
    note = unlearned_note(run(labelled, tmp_path), ImageClasses(LABELS.classes, class_weights="frequency"))

    assert (
        f"shows the classes {', '.join(LABELS.classes[1:])}: they cannot be learned. They have no weight"
        in note
    )


def erased(case: Case, value: int) -> Path:
    mask = nibabel.load(case.mask)
    label = np.asanyarray(mask.dataobj).copy()
    label[label == value] = 0
    path = case.mask.with_name(f"less_{case.mask.name}")
    nibabel.save(nibabel.Nifti1Image(label, mask.affine), path)
    return path


def test_want_of_memory_at_one_case_is_a_fault_of_it_and_the_others_are_prepared(
    cases, tmp_path, monkeypatch
):
    made = fill.make_slices

    def starved(job, *rest):
        if job.case.position == 2:
            raise MemoryError
        return made(job, *rest)

    monkeypatch.setattr(fill, "make_slices", starved)
    with pytest.raises(DataError, match="does not fit into memory") as told:
        run(cases, tmp_path)
    assert [fault.position for fault in told.value.faults] == [2]
    assert len(list((tmp_path / "stores").glob("*/*"))) == len(cases) - 1


def test_a_plan_without_faulty_cases_tries_the_next_and_counts_those_that_are_left(cases, tmp_path):
    flat = np.full(SHAPE, 1e6, np.float32)  # more than float16 holds
    for case in (cases[0], cases[1]):
        nibabel.save(nibabel.Nifti1Image(flat, np.diag([-1.0, -1, 2, 1])), next(iter(case.images.values())))
    how = Preparation(CHANNELS, changed(keep={"contains": "all"}, transforms=[]))
    given = {"regions": {}, "seed": 1, "root": tmp_path / "stores"}
    arguments = [cases, split_of(cases), how, LABELS]
    with pytest.raises(DataError, match="float16") as refused:
        plan(*arguments, **given)
    assert len(refused.value.faults) == 1

    planned = plan(*arguments, **given, skip_bad=True)
    assert (planned.cases, planned.ready, planned.slices) == (2, 0, 20)
    assert planned.seconds > 0

    with pytest.raises(DataError) as refused:
        plan(cases[:2], split_of(cases[:2]), how, LABELS, **given, skip_bad=True)
    assert len(refused.value.faults) == 2


def test_of_slices_that_a_plan_tries_a_kill_leaves_nothing(cases, tmp_path, monkeypatch):
    own = tmp_path / "temporary"
    own.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(own))
    left = []
    monkeypatch.setattr("os.fsync", lambda _: left.append(list(own.rglob("*"))))
    how = Preparation(CHANNELS, RULE)
    plan(cases, split_of(cases), how, LABELS, regions={}, seed=1, root=tmp_path / "stores")

    assert left == [[]]
