"""Two ranks against one process: the same batches, so the same training; and whole runs, one of which is killed.

All in one file: the processes that meet are forked from one that imports torch and MONAI once.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from medseg.machine.ranks.ranks import ALONE
from medseg.pipeline.folder import all_runs
from medseg.progress import Silent
from medseg.testing.cases import slice_store
from medseg.testing.ranks import ended, ranks

HERE, RUNS = (Path(__file__).with_name(name) for name in ("trainings.py", "pipelines.py"))
ROUNDED = 2e-6  # sums of other order; of weights that are 0.2 or so

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy"),  # MLflow's own
]


def _asked():
    spec = importlib.util.spec_from_file_location("asked_of_ranks", HERE)
    module = importlib.util.module_from_spec(spec)
    sys.modules["asked_of_ranks"] = module  # what is sent to ranks is found there
    spec.loader.exec_module(module)
    return module


asked = _asked()
DROPS, PLAIN = "dropout, of the task", "plain, of the task"
TWICE = (DROPS, PLAIN)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    # ten slices to learn from in batches of three: the last batch has one, and nothing for the second rank
    roles = {"a": "train", "b": "train", "c": "val", "d": "val"}
    return slice_store(tmp_path_factory.mktemp("store"), roles, slices=5)


@pytest.fixture(scope="module")
def of_two(store, tmp_path_factory):
    """Train everything in one pair of ranks, each training twice in folders of its own."""
    folder = tmp_path_factory.mktemp("two")
    every = [(words, 0) for words in asked.WORDS] + [(words, 1) for words in TWICE]
    trainings = [asked.Train(words, store, folder / f"{words} {turn}") for words, turn in every]
    with ranks(2, HERE, "train_each", trainings, folder / "all.pt") as started:
        assert ended(started) == [0, 0]
    found = torch.load(folder / "all.pt", weights_only=False)
    return {"folder": folder, **dict(zip(every, found, strict=True))}


@pytest.fixture(scope="module")
def of_one(store, tmp_path_factory):
    folder = tmp_path_factory.mktemp("one")
    return {words: asked.Train(words, store, folder / words)(ALONE) for words in asked.WORDS}


def timeless(history):
    return [{k: v for k, v in row.items() if k not in ("slices_per_second", "seconds")} for row in history]


def assert_same(one, other):
    assert one[0].keys() == other[0].keys()
    for name, value in one[0].items():
        assert torch.equal(value, other[0][name]), name
    assert timeless(one[1]) == timeless(other[1])


@pytest.mark.parametrize("words", [each for each in asked.WORDS if not each.startswith("dropout")])
def test_two_ranks_train_as_one_process_does_but_for_the_order_of_sums(of_one, of_two, words):
    (weights, history), (expected, rows) = of_two[words, 0], of_one[words]
    for name, value in expected.items():
        assert torch.allclose(weights[name].double(), value.double(), rtol=1e-5, atol=ROUNDED), name
    for row, other in zip(timeless(history), timeless(rows), strict=True):
        assert row == pytest.approx(other, abs=1e-5)


@pytest.mark.parametrize("words", TWICE)
def test_two_trainings_of_two_ranks_are_the_same_bits(of_two, words):
    assert_same(of_two[words, 0], of_two[words, 1])


def test_ranks_drop_out_each_in_its_own_way(of_one, of_two):
    weights, expected = of_two[DROPS, 0][0], of_one[DROPS][0]
    assert not torch.allclose(weights["0.weight"], expected["0.weight"], atol=1e-4)


class Said(Silent):
    def __init__(self):
        self.texts = []

    def say(self, text, *, loud=False):
        self.texts.append(text)


def test_one_process_goes_on_where_two_ranks_stopped_and_says_what_that_means(
    store, of_two, of_one, tmp_path
):
    shutil.copytree(of_two["folder"] / f"{PLAIN} 0", tmp_path / "run")
    longer = asked.Train(PLAIN, store, tmp_path / "run", epochs=4, said=Said())
    _, history = longer(ALONE)
    assert [row["epoch"] for row in history] == [1, 2, 3, 4]
    (said,) = longer.said.texts
    assert said.startswith("Until epoch 3 2 ranks trained, and from now on 1: batches are the same")
    assert timeless(history)[:3] == timeless(of_two[PLAIN, 0][1])


@pytest.fixture(scope="module")
def whole(long_workspace, patients, tiny):
    """A run of two ranks that nothing happens to."""
    with long_workspace("whole") as folder, ranks(2, RUNS, "run", folder, patients, tiny) as started:
        assert ended(started) == [0, 0]
    return folder


@pytest.fixture(scope="module")
def killed(long_workspace, patients, tiny):
    """A run of two ranks, the second of which was killed in the second epoch, and their exit codes."""
    with (
        long_workspace("killed_rank") as folder,
        ranks(2, RUNS, "run_until_rank_1_dies", folder, patients, tiny) as started,
    ):
        return folder, ended(started)


def only_run(folder):
    ((found, state),) = all_runs(folder / "medseg-runs")
    return found.path, state


def test_a_killed_rank_ends_the_run_as_failed(killed):
    folder, codes = killed
    assert codes == [2, -9]
    assert only_run(folder)[1].status == "FAILED"


def test_ranks_go_on_with_the_run_to_the_same_bits_and_all_get_the_result(killed, whole):
    folder, _ = killed
    with ranks(
        2, RUNS, "resume", folder, SLURM_JOB_ID="7", SLURM_LOCALID="0"
    ) as started:  # as `srun torchrun`
        assert ended(started) == [0, 0]
    path, state = only_run(folder)
    assert state.status == "FINISHED"
    assert {(folder / f"told-{rank}").read_text(encoding="utf-8") for rank in range(2)} == {
        str(path.resolve())
    }
    expected, _ = only_run(whole)
    for name in ("model/weights.safetensors", "scores/test.csv"):
        assert (path / name).read_bytes() == (expected / name).read_bytes(), name


def test_processes_of_torchrun_meet_and_get_what_the_first_makes(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import os\n"
        "from medseg.machine.ranks.across import across\n"
        "made = across(lambda: 'of ' + os.environ['RANK'], bytes)\n"
        "os.write(1, f'{os.environ[\"RANK\"]} {made}\\n'.encode())  # at once: both write to one pipe\n",
        encoding="utf-8",
    )
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node=2",
        str(script),
    ]
    said = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert said.returncode == 0, said.stderr
    assert sorted(said.stdout.split("\n")) == ["", "0 of 0", "1 of 0"]
