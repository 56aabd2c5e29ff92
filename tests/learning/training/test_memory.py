from __future__ import annotations

import psutil
import pytest
import torch

from medseg.errors import TrainingError
from medseg.learning.tasks.class_masks import ClassMasks
from medseg.learning.training.memory import (
    MemoryNeed,
    available_memory,
    free_memory,
    measure_need,
    out_of_memory,
    own_limits,
    refuse_too_large,
)

CPU = torch.device("cpu")
MIB = 2**20


def group(folder, limit, used, statistics=None):
    folder.mkdir(exist_ok=True)
    (folder / "limit").write_text(f"{limit}\n")
    (folder / "used").write_text(f"{used}\n")
    if statistics is not None:
        (folder / "memory.stat").write_text(statistics)
    return folder / "limit", folder / "used"


def test_a_limit_of_the_control_group_bounds_what_is_free(tmp_path):
    limits = (group(tmp_path, 50 * MIB, 20 * MIB),)
    assert available_memory(limits) == 30 * MIB


def test_the_smallest_of_several_limits_counts(tmp_path):
    limits = (group(tmp_path / "a", 50 * MIB, 20 * MIB), group(tmp_path / "b", 50 * MIB, 40 * MIB))
    assert available_memory(limits) == 10 * MIB


def test_a_group_over_its_limit_has_nothing_left(tmp_path):
    assert available_memory((group(tmp_path, 50 * MIB, 60 * MIB),)) == 0


@pytest.mark.parametrize("limit", ["max", str(2**63 - 4096), "nonsense", ""])
def test_without_a_limit_the_machine_counts(tmp_path, limit):
    found = available_memory((group(tmp_path, limit, 20 * MIB), (tmp_path / "no", tmp_path / "no")))
    assert found == pytest.approx(psutil.virtual_memory().available, rel=0.2)


@pytest.mark.parametrize(
    "statistics",
    [
        f"anon 1000\nfile 9000\ninactive_file {15 * MIB}\nactive_file 7\n",
        f"cache 1\ninactive_file 2\ntotal_cache 3\ntotal_inactive_file {15 * MIB}\n",
    ],
    ids=["version 2", "version 1"],
)
def test_files_that_the_kernel_keeps_for_nobody_are_free(tmp_path, statistics):
    assert available_memory((group(tmp_path, 50 * MIB, 40 * MIB, statistics),)) == 25 * MIB


def test_unreadable_statistics_are_left_out(tmp_path):
    assert (
        available_memory((group(tmp_path, 50 * MIB, 40 * MIB, "\n\nodd\ninactive_file many\n"),)) == 10 * MIB
    )


def test_free_memory_of_a_processor_is_that_of_the_machine():
    assert free_memory(CPU) == pytest.approx(available_memory(), rel=0.2)


@pytest.mark.parametrize("free", [0, 99, 100, 109, 110, 119, 120, 1000])
def test_the_batch_that_fits_fits_and_the_next_does_not(free):
    need = MemoryNeed(fixed=100, each=10)
    fits = need.fits(free)
    assert fits == 0 or need.of(fits) <= free
    assert need.of(fits + 1) > free


def test_a_batch_that_fits_is_not_refused():
    refuse_too_large(MemoryNeed(100, 10), 4, CPU, 140)


def test_a_batch_too_large_is_refused_with_one_that_fits():
    with pytest.raises(TrainingError, match=r"batch of 5 slices.*Set loading\.batch_size=4 or less"):
        refuse_too_large(MemoryNeed(100, 10), 5, CPU, 149)


def test_where_not_one_slice_fits_the_advice_is_another():
    with pytest.raises(TrainingError, match=r"Not even one slice fits.*slices\.size"):
        refuse_too_large(MemoryNeed(100, 10), 5, CPU, 105)


@pytest.mark.parametrize(("batch", "free", "advice"), [(8, 10**6, 4), (8, 120, 2), (2, 10**6, 1)])
def test_after_running_out_the_advice_is_at_most_half(batch, free, advice):
    assert f"loading.batch_size={advice} or less" in str(out_of_memory(MemoryNeed(100, 10), batch, free))


def test_after_running_out_with_one_slice_no_batch_is_advised():
    assert "Not even one slice" in str(out_of_memory(MemoryNeed(100, 10), 1, 10**6))


def make_network():
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv2d(2, 6, 3, padding=1),
        torch.nn.BatchNorm2d(6),
        torch.nn.Dropout(0.5),
        torch.nn.PReLU(),
        torch.nn.Conv2d(6, 3, 3, padding=1),
    )


LOSS = ClassMasks(["a", "b", "c"]).loss()


@pytest.mark.parametrize("training", [True, False])
def test_measuring_leaves_network_and_generators_as_they_are(training):
    network = make_network().train(training)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    random = torch.get_rng_state()
    measure_need(network, LOSS, (2, 16, 16))
    assert all(torch.equal(value, network.state_dict()[name]) for name, value in before.items())
    assert torch.equal(torch.get_rng_state(), random)
    assert network.training is training
    assert all(parameter.grad is None for parameter in network.parameters())


def test_the_fixed_part_is_weights_gradients_and_two_moments():
    network = make_network()
    count = sum(parameter.numel() for parameter in network.parameters())
    assert measure_need(network, LOSS, (2, 16, 16)).fixed == 4 * 4 * count


def test_a_slice_takes_memory_in_proportion_to_its_size():
    small = measure_need(make_network(), LOSS, (2, 32, 32)).each
    assert measure_need(make_network(), LOSS, (2, 64, 64)).each == pytest.approx(4 * small, rel=0.02)
    assert measure_need(make_network(), LOSS, (2, 32, 96)).each == pytest.approx(3 * small, rel=0.02)


def test_a_wider_network_takes_more():
    def each(width):
        network = torch.nn.Sequential(
            torch.nn.Conv2d(2, width, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(width, 3, 1)
        )
        return measure_need(network, LOSS, (2, 32, 32)).each

    assert each(8) < each(16) < each(32)
    assert each(32) - each(16) == pytest.approx(2 * (each(16) - each(8)), rel=0.02)


def test_a_network_without_weights_is_measured_too():
    need = measure_need(torch.nn.Identity(), ClassMasks(["a", "b"]).loss(), (2, 8, 8))
    assert need.fixed == 0
    assert need.each >= 1


def test_what_autograd_keeps_is_counted():
    """A chain of n sigmoids keeps its n outputs, of 4 bytes a value."""

    def each(n):
        network = torch.nn.Sequential(torch.nn.Conv2d(1, 1, 1), *(torch.nn.Sigmoid() for _ in range(n)))
        return measure_need(network, lambda logits, _: logits.mean(), (1, 50, 40)).each

    a_map = 50 * 40 * 4
    added = (each(11) - each(1)) / 10
    assert a_map <= added <= 2 * a_map


def test_limits_of_nested_groups_and_of_those_above_count(tmp_path):
    """Slurm and systemd put a process into a group below others; any of them may be the tightest."""
    own = tmp_path / "own"
    own.write_text("0::/slurm/job_7/step_0\n")
    groups = tmp_path / "cgroup"
    for folder, limit in (("slurm/job_7/step_0", 90), ("slurm/job_7", 50), ("slurm", 70)):
        (groups / folder).mkdir(parents=True, exist_ok=True)
        (groups / folder / "memory.max").write_text(f"{limit * MIB}\n")
        (groups / folder / "memory.current").write_text(f"{20 * MIB}\n")

    assert available_memory(own_limits(own, groups)) == 30 * MIB


def test_a_version_1_group_is_found_below_memory(tmp_path):
    own = tmp_path / "own"
    own.write_text("5:cpu,cpuacct:/elsewhere\n4:memory:/job\n")

    pairs = own_limits(own, tmp_path)

    assert (
        tmp_path / "memory/job/memory.limit_in_bytes",
        tmp_path / "memory/job/memory.usage_in_bytes",
    ) in pairs
    assert not any("elsewhere" in str(limit) for limit, _ in pairs)
