from __future__ import annotations

import multiprocessing.connection
import os
import pickle
import struct
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from monai.data import CacheDataset, set_track_meta
from monai.data.meta_obj import get_track_meta
from monai.transforms import (
    Compose,
    MapTransform,
    OneOf,
    RandAffined,
    RandFlipd,
    RandGaussianNoised,
    RandScaleIntensityd,
    RandZoomd,
)
from torch._utils import ExceptionWrapper
from torch.utils.data import DataLoader

from medseg.errors import DefinitionError, StoreError, TrainingError
from medseg.learning.tasks.target import MANY_LABELS, ONE_LABEL
from medseg.learning.training.batches import Batches, EpochOrder, SliceDataset
from medseg.learning.training.slice_cache import StackedSlices
from medseg.machine.loaders import workers_watched
from medseg.slices.store.store import SliceStore
from medseg.testing.cases import slice_store

BOTH = ["image", "label"]
LOADER = DataLoader([0], num_workers=1)
MODES = ["bilinear", "nearest"]


def augmentation():
    return Compose(
        [
            RandFlipd(BOTH, prob=0.5, spatial_axis=1),
            RandAffined(BOTH, prob=0.7, rotate_range=0.5, scale_range=0.2, mode=MODES, padding_mode="zeros"),
            OneOf([RandGaussianNoised(["image"], prob=1.0), RandScaleIntensityd(["image"], 0.3, prob=1.0)]),
        ]
    )


class _DoublesInPlace(MapTransform):
    def __call__(self, data):
        for key in self.keys:
            data[key].mul_(2)
        return data


@pytest.fixture
def store(tmp_path):
    return slice_store(tmp_path, {"a": "train", "b": "train", "c": "val"}, dtype="float32")


def dataset(store, *, augment=None, seed=1, keep_on=None):
    return SliceDataset(store, store.role("train"), augment=augment, seed=seed, keep_on=keep_on)


def same(one, other):
    return torch.equal(one["image"], other["image"]) and torch.equal(one["label"], other["label"])


@given(st.integers(0, 200), st.integers(0, 2**40), st.integers(0, 1000))
def test_an_order_is_a_permutation_that_depends_on_seed_and_epoch_alone(length, seed, epoch):
    orders = []
    for before in (0, epoch):
        order = EpochOrder(length, seed=seed, shuffle=True)
        order.epoch = before
        list(order)  # what was drawn before must not matter
        order.epoch = epoch
        orders.append(list(order))
    assert orders[0] == orders[1]
    assert {e for e, _ in orders[0]} <= {epoch}
    assert sorted(i for _, i in orders[0]) == list(range(length))


def test_orders_differ_by_epoch_and_by_seed():
    found = set()
    for seed in (1, 2):
        order = EpochOrder(20, seed=seed, shuffle=True)
        for order.epoch in (1, 2):
            found.add(tuple(i for _, i in order))
    assert len(found) == 4


@given(st.integers(1, 60), st.integers(1, 70), st.integers(0, 2**40))
def test_of_epochs_that_hold_a_part_every_slice_is_seen_before_one_is_seen_again(length, most, seed):
    order = EpochOrder(length, seed=seed, shuffle=True, most=most)
    seen = []
    for order.epoch in range(2 * length):
        seen += [i for _, i in order]

    assert len(order) == min(most, length)
    for turn in range(len(seen) // length):
        assert sorted(seen[turn * length : (turn + 1) * length]) == list(range(length))


def test_without_shuffling_slices_come_as_listed():
    assert [i for _, i in EpochOrder(5, seed=1, shuffle=False)] == [0, 1, 2, 3, 4]


def test_an_item_is_the_stored_slice(store):
    for keep_on in (None, torch.device("cpu")):
        for i, sample in enumerate(store.role("train")):
            image, label = store.read(sample)
            item = dataset(store, keep_on=keep_on)[3, i]
            assert item["image"].dtype == torch.float32
            assert item["label"].dtype == torch.uint8
            assert item["index"] == i
            np.testing.assert_array_equal(item["image"], image)
            np.testing.assert_array_equal(item["label"][0], label)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_memory_and_disk_give_equal_items(tmp_path, dtype):
    store = slice_store(tmp_path, {"a": "train"}, dtype=dtype)
    disk = dataset(store, augment=augmentation())
    memory = dataset(store, augment=augmentation(), keep_on=torch.device("cpu"))
    assert memory.kept.images.dtype == getattr(torch, dtype)
    assert all(same(disk[2, i], memory[2, i]) for i in range(len(disk)))


def test_slices_are_held_by_the_cache_of_monai_which_reads_each_once(store, monkeypatch):
    read = []
    image = SliceStore.image

    def counted(self, sample):
        read.append(sample)
        return image(self, sample)

    monkeypatch.setattr(SliceStore, "image", counted)
    kept = dataset(store, augment=augmentation(), keep_on=torch.device("cpu"))
    assert isinstance(kept, CacheDataset)
    assert kept.cache_num == len(kept)
    places = [(epoch, i) for epoch in (1, 2) for i in range(len(kept))]
    items = [kept[place] for place in places]
    assert read == list(store.role("train"))
    disk = dataset(store, augment=augmentation())
    assert disk.cache_num == 0
    assert all(same(item, disk[place]) for item, place in zip(items, places, strict=True))
    assert len(read) == 3 * len(kept)


def test_an_item_is_what_the_transforms_make_with_the_seed_of_its_place(store):
    kept = dataset(store, augment=augmentation(), keep_on=torch.device("cpu"), seed=7)
    alone = augmentation()
    for epoch, index in ((1, 0), (1, 5), (4, 5)):
        image, label = store.read(store.role("train")[index])
        seed = int(np.random.SeedSequence([7, epoch, index]).generate_state(1)[0])
        alone.set_random_state(seed=seed)
        wanted = alone({"image": torch.from_numpy(image).float(), "label": torch.from_numpy(label)[None]})
        torch.testing.assert_close(
            kept[epoch, index]["image"],
            torch.as_tensor(wanted["image"]).as_subclass(torch.Tensor),
            atol=1e-5,
            rtol=0,
        )
        assert torch.equal(kept[epoch, index]["label"].float(), torch.as_tensor(wanted["label"]).float())


def test_kept_slices_are_sent_to_a_worker_as_one_piece_of_memory(store):
    kept = dataset(store, keep_on=torch.device("cpu")).kept
    sent = pickle.dumps(kept)
    assert len(sent) < 1.2 * (kept.images.nbytes + kept.labels.nbytes)
    found = pickle.loads(sent)  # noqa: S301  made a line above
    assert len(found) == len(kept)
    for row in range(len(kept)):
        assert same(found[row], kept[row])
        assert found[row]["image"].untyped_storage().data_ptr() == found.images.untyped_storage().data_ptr()


def test_a_slice_that_is_not_there_yet_is_read_when_it_is_asked_for(store):
    kept = dataset(store, keep_on=torch.device("cpu"))
    wanted = kept[1, 3]
    kept._cache = StackedSlices(len(kept), torch.device("cpu"))
    assert kept._cache[3] is None
    assert same(kept[1, 3], wanted)
    assert kept._cache[3] is not None


def test_augmentation_depends_on_seed_epoch_and_index_alone(store):
    first, second = dataset(store, augment=augmentation()), dataset(store, augment=augmentation())
    expected = {(e, i): first[e, i] for e in (1, 2) for i in range(len(first))}
    np.random.default_rng(0).random()
    torch.manual_seed(99)
    for place in sorted(expected, reverse=True):
        assert same(second[place], expected[place])
    other = dataset(store, augment=augmentation(), seed=2)
    assert not all(same(other[place], expected[place]) for place in expected)
    assert not all(same(expected[1, i], expected[2, i]) for i in range(len(first)))


def test_slices_of_one_epoch_are_augmented_differently(store):
    noise = dataset(store, augment=Compose([RandGaussianNoised(["image"], prob=1.0)]))
    added = [noise[1, i]["image"] - dataset(store)[1, i]["image"] for i in range(4)]
    assert all(not torch.allclose(one, other) for one, other in pairwise(added))


def test_augmentation_takes_no_numbers_from_the_generators_of_others(store):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    augmented = dataset(store, augment=augmentation())
    for i in range(len(augmented)):
        augmented[1, i]
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("keep_on", [None, torch.device("cpu")])
def test_augmentation_never_changes_what_is_stored(store, keep_on):
    changing = dataset(store, augment=Compose([_DoublesInPlace(BOTH)]), keep_on=keep_on)
    first, again = changing[1, 0], changing[1, 0]
    image, label = store.read(store.role("train")[0])
    assert same(first, again)
    np.testing.assert_array_equal(first["image"], 2 * image)
    np.testing.assert_array_equal(first["label"][0], 2 * label)


def test_image_and_label_move_together(store):
    plain, moved = (
        dataset(store),
        dataset(store, augment=Compose([RandFlipd(BOTH, prob=1.0, spatial_axis=0)])),
    )
    assert torch.equal(moved[1, 0]["image"], plain[1, 0]["image"].flip(1))
    assert torch.equal(moved[1, 0]["label"], plain[1, 0]["label"].flip(1))


@pytest.mark.parametrize(
    "transform",
    [
        RandAffined(BOTH, prob=0.7, rotate_range=1.0, mode=MODES, padding_mode="zeros"),
        RandZoomd(BOTH, prob=0.7, min_zoom=0.7, max_zoom=1.3, mode=["bilinear", "nearest"]),
        RandFlipd(BOTH, prob=0.5),
    ],
    ids=["affine", "zoom", "flip"],
)
def test_labels_stay_the_classes_that_were_there(store, transform):
    augmented, plain = dataset(store, augment=Compose([transform])), dataset(store)
    for i in range(len(augmented)):
        label = augmented[1, i]["label"]
        assert label.dtype == torch.uint8
        assert set(label.unique().tolist()) <= set(plain[1, i]["label"].unique().tolist()) | {0}


def test_interpolated_labels_are_refused(store):
    wrong = Compose([RandAffined(BOTH, prob=1.0, rotate_range=[(0.5, 0.5)], mode="bilinear")])
    with pytest.raises(DefinitionError, match="bilinear, nearest"):
        dataset(store, augment=wrong)[1, 0]


@pytest.mark.parametrize("tracked", [True, False])
def test_what_monai_was_told_to_track_is_put_back(store, tracked):
    class Fails(MapTransform):
        def __call__(self, data):
            raise ValueError("on purpose")

    before = get_track_meta()
    try:
        set_track_meta(tracked)
        dataset(store, augment=augmentation())[1, 0]
        assert get_track_meta() is tracked
        with pytest.raises(RuntimeError):
            dataset(store, augment=Compose([Fails(BOTH)]))[1, 0]
        assert get_track_meta() is tracked
    finally:
        set_track_meta(before)


def make_batches(store, *, workers=0, shuffle=True):
    return Batches(
        dataset(store, augment=augmentation()), batch_size=3, seed=4, shuffle=shuffle, workers=workers
    )


def test_an_epoch_has_every_slice_once_and_keeps_the_smaller_last_batch(store):
    sizes, seen = [], []
    for batch in make_batches(store).at(1):
        sizes.append(len(batch["image"]))
        seen += batch["index"].tolist()
    assert sizes == [3, 3, 2]
    assert sorted(seen) == list(range(8))


def test_an_epoch_is_the_same_whenever_it_comes(store):
    straight, jumped = make_batches(store), make_batches(store)
    for epoch in (1, 2):
        list(straight.at(epoch))
    for one, other in zip(straight.at(3), jumped.at(3), strict=True):
        assert same(one, other)


def test_batches_take_no_numbers_from_the_generator_of_the_network(store):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    list(make_batches(store).at(1))
    assert torch.equal(torch.get_rng_state(), before)


def test_batches_name_their_cases_and_slices(store):
    batches = make_batches(store, shuffle=False)
    first, second, _ = batches.at(1)
    assert batches.cases(second) == ["a", "b", "b"]
    assert batches.described(first) == "a slice 0, a slice 1, a slice 2"


def by_batch_alone():
    return Compose(augmentation().transforms[:2])


@pytest.mark.parametrize("keep_on", [None, torch.device("cpu")])
def test_batches_that_are_finished_where_the_network_is_are_the_same(store, keep_on):
    """On a GPU, in place of which this takes the processor by another name."""
    here, there = (dataset(store, augment=by_batch_alone(), keep_on=keep_on) for _ in range(2))
    there.finished_on = torch.device("cpu", 0)
    raw = there.__getitems__([(1, 0), (1, 5)])
    assert raw["image"].dtype == torch.float32
    torch.testing.assert_close(raw["image"], torch.stack([dataset(store)[1, i]["image"] for i in (0, 5)]))
    found, expected = (Batches(each, batch_size=3, seed=4, shuffle=True).at(2) for each in (there, here))
    assert len(found) == len(expected) == 3
    for one, other in zip(found, expected, strict=True):
        assert one.keys() == other.keys() == {"image", "label", "index", "weight"}
        assert same(one, other)
    assert same(here[2, 4], there[2, 4])


def test_a_batch_says_which_slices_it_holds_and_how_much_they_count(store):
    weighed = replace(store, samples=tuple(replace(each, weight=0.5) for each in store.samples))
    batch = dataset(weighed, augment=augmentation()).__getitems__([(1, 6), (1, 2)])

    assert batch["index"].tolist() == [6, 2]
    assert batch["weight"].tolist() == [0.5, 0.5]
    assert batch["weight"].dtype == torch.float64


CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")


def on_cuda(store, keep_on, augment, workers=0):
    kept = SliceDataset(
        store,
        store.role("train"),
        augment=augment,
        seed=1,
        keep_on=None if keep_on is None else torch.device(keep_on),
        device=torch.device("cuda"),
    )
    pin = keep_on != "cuda"
    return Batches(kept, batch_size=3, seed=4, shuffle=True, pin=pin, workers=workers)


@CUDA
@pytest.mark.parametrize("keep_on", [None, "cpu", "cuda"])
def test_on_cuda_batches_are_augmented_there_and_nothing_waits(store, keep_on):
    found = on_cuda(store, keep_on, by_batch_alone())
    plain = Batches(dataset(store, augment=by_batch_alone()), batch_size=3, seed=4, shuffle=True)
    assert found.dataset.finished_on.type == "cuda"
    list(found.at(1))  # the first may wait, as memory is taken
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        batches = list(found.at(2))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    for one, other in zip(batches, plain.at(2), strict=True):
        assert one["image"].device.type == one["label"].device.type == "cuda"
        assert ((one["image"].cpu() - other["image"]).abs() > 1e-4).float().mean() < 1e-3
        assert (one["label"].cpu() != other["label"]).float().mean() < 1e-2
        assert torch.equal(one["index"], other["index"])


@CUDA
def test_on_cuda_what_runs_slice_by_slice_is_left_to_the_processor(store):
    found = on_cuda(store, "cpu", augmentation())
    plain = make_batches(store)
    assert found.dataset.finished_on.type == "cpu"
    assert all(same(one, other) for one, other in zip(found.at(2), plain.at(2), strict=True))


@CUDA
@pytest.mark.slow
def test_on_cuda_workers_only_read(store):
    alone, helped = (on_cuda(store, "cpu", by_batch_alone(), workers=workers) for workers in (0, 1))
    try:
        assert all(same(one, other) for one, other in zip(alone.at(2), helped.at(2), strict=True))
    finally:
        helped.loader._iterator._shutdown_workers()


@pytest.mark.slow
def test_a_worker_gives_the_same_batches_takes_no_numbers_and_its_end_is_told(store):
    """One test of three things: a process that loads slices imports torch and MONAI first."""
    alone, helped = make_batches(store), make_batches(store, workers=1)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    try:
        for epoch in (1, 2):
            for one, other in zip(alone.at(epoch), helped.at(epoch), strict=True):
                assert same(one, other)
                assert torch.equal(one["index"], other["index"])
        assert torch.equal(torch.get_rng_state(), before)
        told = r"one of 1 processes .* want of memory.*--set loading\.workers=0.*batch_size.*pipeline resume"
        with pytest.raises(TrainingError, match=told), workers_watched(helped.loader):  # noqa: PT012 - sooner or later
            for epoch in range(500):
                for _ in helped.at(epoch):
                    helped.loader._iterator._workers[0].kill()
        assert helped.loader._iterator is None
        assert not multiprocessing.active_children()
    finally:
        if helped.loader._iterator is not None:
            helped.loader._iterator._shutdown_workers()


def test_what_a_worker_raises_has_the_message_that_it_has_without_workers():
    told = "loading.augment made labels: give transforms\nmode: [bilinear, nearest]"
    try:
        raise DefinitionError(told)
    except DefinitionError:
        sent = ExceptionWrapper(where="in DataLoader worker process 0")
    with pytest.raises(DefinitionError) as met, workers_watched(LOADER):
        sent.reraise()
    assert str(met.value) == told


def test_want_of_memory_in_a_worker_is_told_with_the_setting_that_needs_less():
    try:
        raise MemoryError("no 4 GiB")
    except MemoryError:
        sent = ExceptionWrapper(where="in DataLoader worker process 0")
    with pytest.raises(TrainingError, match=r"--set loading\.workers=0"), workers_watched(LOADER):
        sent.reraise()


@pytest.mark.parametrize(
    "said",
    [
        "unable to write to file </torch_12_34_0>: No space left on device (28)",
        "unable to allocate shared memory(shm) for file </torch_12_34_0>: Cannot allocate memory (12)",
        "[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory: you tried to allocate 4 GiB",
    ],
)
def test_want_of_memory_that_torch_tells_in_words_is_told_alike(said):
    try:
        raise RuntimeError(said)
    except RuntimeError:
        sent = ExceptionWrapper(where="in DataLoader worker process 0")
    with pytest.raises(TrainingError, match=r"--set loading\.workers=0"), workers_watched(LOADER):
        sent.reraise()


@pytest.mark.parametrize("sent", [b"", b"half of"], ids=["nothing", "half a message"])
def test_a_worker_that_ends_while_it_hands_over_a_batch_is_told_alike(sent):
    ours, its = multiprocessing.Pipe()
    os.write(its.fileno(), struct.pack("!i", 100) + sent)
    its.close()
    with pytest.raises(TrainingError, match=r"--set loading\.workers=0"), workers_watched(LOADER):
        ours.recv()


def test_a_worker_whose_socket_is_gone_when_a_batch_is_fetched_is_told_alike(tmp_path):
    with pytest.raises(TrainingError, match=r"--set loading\.workers=0"), workers_watched(LOADER):
        multiprocessing.connection.Client(str(tmp_path / "gone"))


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("another"),
        MemoryError("here"),
        EOFError("of a file"),
        FileNotFoundError("no image"),
        DefinitionError("Caught by us"),
    ],
)
def test_what_is_not_of_a_worker_stays_what_it_is(error):
    with pytest.raises(type(error)) as met, workers_watched(LOADER):
        raise error
    assert met.value is error


# --- classes of whole images in place of label maps

LABELS = {"a": ("core",), "b": (), "c": ("background", "core")}
MANY = {"a": [0, 0, 1], "b": [0, 0, 0]}


@pytest.fixture
def labelled(store):
    return replace(store, samples=tuple(replace(each, labels=LABELS[each.case]) for each in store.samples))


def with_classes(store, target=MANY_LABELS, **given):
    return SliceDataset(
        store, store.role("train"), seed=1, target=target, **{"augment": None, "keep_on": None, **given}
    )


@pytest.mark.parametrize("keep_on", [None, torch.device("cpu")])
def test_the_label_of_a_slice_is_that_of_its_case(labelled, keep_on):
    items = with_classes(labelled, keep_on=keep_on)
    for i, sample in enumerate(labelled.role("train")):
        item = items[1, i]
        assert item["label"].dtype == torch.uint8
        assert item["label"].tolist() == MANY[sample.case]
        np.testing.assert_array_equal(item["image"], labelled.image(sample))


def images_alone():
    return Compose(
        [
            RandFlipd(["image"], prob=1.0, spatial_axis=1),
            RandAffined(["image"], prob=1.0, rotate_range=0.5, mode="bilinear", padding_mode="zeros"),
            RandGaussianNoised(["image"], prob=1.0),
            _DoublesInPlace(["image"]),
        ]
    )


def test_augmentation_changes_images_and_leaves_classes_alone(labelled):
    plain, changed = with_classes(labelled), with_classes(labelled, augment=images_alone())
    for i, sample in enumerate(labelled.role("train")):
        first, again = changed[1, i], changed[1, i]
        assert same(first, again)
        assert not torch.equal(first["image"], plain[1, i]["image"])
        assert first["label"].tolist() == MANY[sample.case]
        assert first["label"].dtype == torch.uint8


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_memory_and_disk_give_equal_items_with_classes(tmp_path, dtype):
    store = slice_store(tmp_path, {"a": "train", "b": "train"}, dtype=dtype)
    store = replace(store, samples=tuple(replace(each, labels=LABELS[each.case]) for each in store.samples))
    disk = with_classes(store, augment=images_alone())
    memory = with_classes(store, augment=images_alone(), keep_on=torch.device("cpu"))
    assert memory.kept.images.dtype == getattr(torch, dtype)
    assert memory.kept.labels.shape == (len(disk), 3)
    for epoch in (1, 2):
        assert all(same(disk[epoch, i], memory[epoch, i]) for i in range(len(disk)))
    for kept, sample in zip(memory.kept.labels, store.samples, strict=True):
        assert kept.tolist() == MANY[sample.case]


def test_a_transform_of_labels_finds_none_where_they_are_classes(labelled):
    wrong = with_classes(labelled, augment=Compose([RandFlipd(BOTH, prob=1.0)]))
    with pytest.raises(RuntimeError) as caught:
        wrong[1, 0]
    assert "label" in str(caught.value.__cause__)


def test_a_slice_without_a_class_is_refused(store):
    for keep_on in (None, torch.device("cpu")):
        with pytest.raises(StoreError, match="case a has no class"):
            with_classes(store, ONE_LABEL, keep_on=keep_on)[1, 0]


def test_classes_come_as_a_batch_of_one_row_an_image(labelled):
    (batch, *_) = Batches(with_classes(labelled), batch_size=5, seed=1, shuffle=False).at(1)
    assert batch["label"].tolist() == [MANY["a"]] * 4 + [MANY["b"]]
    assert batch["label"].dtype == torch.uint8
