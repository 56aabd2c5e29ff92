from __future__ import annotations

import os

import pytest
import torch

from medseg.errors import TrainingError
from medseg.learning.training.cache_placement import Placement, place_slices, worker_count

CPU, GPU = torch.device("cpu"), torch.device("cuda")
GIB = 2**30


@pytest.fixture
def gpu_with(monkeypatch):
    """A CUDA device with so many free bytes, as far as `place_slices` can see."""

    def give(free):
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (free, 80 * GIB))

    return give


@pytest.mark.parametrize(
    ("needed", "memory", "name"), [(6 * GIB, 10 * GIB, "memory"), (7 * GIB, 10 * GIB, "disk")]
)
def test_auto_takes_memory_only_where_enough_is_left_for_the_rest(needed, memory, name):
    found = place_slices("auto", needed, CPU, memory)
    assert found.name == name
    assert found.keep_on == (CPU if name == "memory" else None)
    assert f"{needed / 2**20:,.0f} MiB" in found.note


@pytest.mark.parametrize(
    ("needed", "free", "name"),
    [(5 * GIB, 10 * GIB, "gpu"), (6 * GIB, 10 * GIB, "memory"), (20 * GIB, 10 * GIB, "disk")],
)
def test_auto_prefers_a_gpu_that_keeps_half_for_the_network(gpu_with, needed, free, name):
    gpu_with(free)
    assert place_slices("auto", needed, GPU, 16 * GIB).name == name


def test_memory_may_be_filled_on_request_but_not_beyond():
    assert place_slices("memory", 10 * GIB, CPU, 10 * GIB).keep_on == CPU
    with pytest.raises(TrainingError, match=r"loading\.cache is memory.*Use auto or disk"):
        place_slices("memory", 10 * GIB + 1, CPU, 10 * GIB)


def test_a_gpu_may_be_filled_on_request_but_not_beyond(gpu_with):
    gpu_with(10 * GIB)
    assert place_slices("gpu", 10 * GIB, GPU, 0).keep_on == GPU
    with pytest.raises(TrainingError, match=r"loading\.cache is gpu.*10\.0 GiB on cuda"):
        place_slices("gpu", 10 * GIB + 1, GPU, 64 * GIB)


def test_a_gpu_that_is_not_there_is_refused():
    with pytest.raises(TrainingError, match=r"loading\.cache is gpu.*on cpu"):
        place_slices("gpu", 1, CPU, 64 * GIB)


def test_disk_is_taken_on_request_whatever_is_free():
    found = place_slices("disk", 1, CPU, 64 * GIB)
    assert (found.name, found.keep_on) == ("disk", None)
    assert "would not fit" not in found.note
    assert "would not fit" in place_slices("auto", 64 * GIB, CPU, GIB).note


@pytest.mark.parametrize("device", [CPU, GPU])
@pytest.mark.parametrize("name", ["gpu", "memory", "disk"])
def test_auto_starts_workers_only_for_a_gpu_that_is_fed(monkeypatch, device, name):
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    placement = Placement(name, None, "")
    assert worker_count("auto", device, placement, CPU) == (3 if device == GPU and name != "gpu" else 0)
    assert worker_count(2, device, placement, CPU) == 2


@pytest.mark.parametrize(("cores", "workers"), [(1, 0), (None, 0), (2, 1), (64, 8)])
def test_a_core_is_left_to_the_training(monkeypatch, cores, workers):
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    assert worker_count("auto", GPU, Placement("memory", CPU, ""), CPU) == workers


@pytest.mark.parametrize(("name", "workers"), [("memory", 2), ("disk", 8)])
def test_where_the_gpu_augments_a_few_workers_read(monkeypatch, name, workers):
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    assert worker_count("auto", GPU, Placement(name, None, ""), GPU) == workers
