from __future__ import annotations

import errno
import io
import pickle
import zipfile
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from medseg.errors import RunError
from medseg.learning.training.checkpoint import Checkpoints, Standing, room_of_epochs
from medseg.learning.transfer import reading
from medseg.learning.transfer.saving import save_state
from medseg.places import NotWrittenError

CPU = torch.device("cpu")


class Killed(BaseException):
    """What `kill -9` does, as far as a test in one process can."""


def make_parts(seed=0):
    torch.manual_seed(seed)
    network = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2), torch.nn.Conv2d(2, 1, 1))
    optimiser = torch.optim.AdamW(network.parameters(), lr=0.1)
    return {"network": network, "optimiser": optimiser, "scaler": torch.amp.GradScaler("cpu", enabled=False)}


def learn(parts):
    parts["optimiser"].zero_grad()
    parts["network"](torch.ones(1, 1, 5, 5) + torch.randn(1, 1, 5, 5)).square().mean().backward()
    parts["optimiser"].step()


def row(epoch):
    return {"epoch": float(epoch), "train/loss": 1 / epoch}


def after(epoch, best):
    return Standing(epoch, best, 0.5 + best / 100, epoch - best, tuple(row(i + 1) for i in range(epoch)))


def weights_of(parts):
    return {name: value.clone() for name, value in parts["network"].state_dict().items()}


def assert_equal(one, other):
    assert set(one) == set(other)
    assert all(torch.equal(value, other[name]) for name, value in one.items())


def test_an_empty_folder_gives_an_empty_standing(tmp_path):
    parts = make_parts()
    before = weights_of(parts)
    assert Checkpoints(tmp_path).restore(parts, CPU) == Standing()
    assert_equal(before, weights_of(parts))


def test_what_was_saved_comes_back(tmp_path):
    parts, standing = make_parts(), after(3, 2)
    learn(parts)
    Checkpoints(tmp_path / "new").save(after(2, 2), parts)
    best = weights_of(parts)
    learn(parts)
    Checkpoints(tmp_path / "new").save(standing, parts)
    other = make_parts(seed=1)
    again = Checkpoints(tmp_path / "new")
    assert again.restore(other, CPU) == standing
    assert_equal(weights_of(parts), weights_of(other))
    for number, state in parts["optimiser"].state_dict()["state"].items():
        assert_equal(state, other["optimiser"].state_dict()["state"][number])
    again.load_best(other["network"], standing)
    assert_equal(best, weights_of(other))


def test_only_the_best_weights_are_kept(tmp_path):
    parts, checkpoints = make_parts(), Checkpoints(tmp_path)
    for standing in (after(1, 1), after(2, 2), after(3, 2), after(4, 4)):
        learn(parts)
        checkpoints.save(standing, parts)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best-0004.safetensors", "last.pt"]


def test_nothing_is_unpickled(tmp_path):
    class Hostile:
        def __reduce__(self):
            return Path.touch, (tmp_path / "was-run",)

    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(after(1, 1), make_parts())
    state = torch.load(checkpoints.last, weights_only=True)
    for payload in ({**state, "standing": Hostile()}, Hostile()):
        torch.save(payload, checkpoints.last)
        with pytest.raises(RunError, match=r"last\.pt of this run cannot be used"):
            checkpoints.restore(make_parts(), CPU)
    checkpoints.last.write_bytes(pickle.dumps(Hostile(), protocol=2))
    with pytest.raises(RunError):
        checkpoints.restore(make_parts(), CPU)
    assert not (tmp_path / "was-run").exists()


def _saved() -> bytes:
    buffer = io.BytesIO()
    torch.save({"standing": {}}, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a checkpoint",
        b"\x80\x02garbage",
        pickle.dumps([1, 2], protocol=2),
        _saved()[:300],
        _saved(),
    ],
    ids=["empty", "text", "torn pickle", "pickle", "truncated", "incomplete"],
)
def test_a_damaged_file_is_a_run_error(tmp_path, content):
    (tmp_path / "last.pt").write_bytes(content)
    with pytest.raises(
        RunError, match=r"last\.pt of this run cannot be used.*Start the pipeline again"
    ) as error:
        Checkpoints(tmp_path).restore(make_parts(), CPU)
    assert str(tmp_path) not in str(error.value)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_a_truncated_checkpoint_is_a_run_error(tmp_path, share):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(after(1, 1), make_parts())
    whole = checkpoints.last.read_bytes()
    checkpoints.last.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(RunError):
        checkpoints.restore(make_parts(), CPU)


def test_a_standing_of_another_version_is_a_run_error(tmp_path):
    parts = make_parts()
    state = {name: part.state_dict() for name, part in parts.items()}
    torch.save({"standing": {"history": [], "mood": 1}, **state}, tmp_path / "last.pt")
    with pytest.raises(RunError):
        Checkpoints(tmp_path).restore(parts, CPU)


ODD = {
    "best_epoch": "x",
    "epoch": -1,
    "planned": 10**400,
    "stale": 1.5,
    "history": [{"epoch": "1"}],
    "best_worth": None,
    "score_name": 5,
    "courses": [{}],
}


@pytest.mark.parametrize("name", ODD)
def test_a_standing_of_other_kinds_is_a_run_error(tmp_path, name):
    parts, checkpoints = make_parts(), Checkpoints(tmp_path)
    checkpoints.save(after(1, 1), parts)
    edited(checkpoints.last, lambda state: state["standing"].update({name: ODD[name]}))

    assert checkpoints.drop_damaged() == ""
    with pytest.raises(RunError, match=r"last\.pt of this run cannot be used"):
        checkpoints.standing()
    with pytest.raises(RunError, match=r"last\.pt of this run cannot be used"):
        checkpoints.restore(parts, CPU)


@pytest.mark.parametrize("epochs", [0, 2])
def test_a_history_that_is_not_of_its_epochs_is_a_run_error(tmp_path, epochs):
    parts, checkpoints = make_parts(), Checkpoints(tmp_path)
    checkpoints.save(after(1, 1), parts)
    edited(
        checkpoints.last, lambda state: state["standing"].update(history=[row(i + 1) for i in range(epochs)])
    )

    with pytest.raises(RunError, match="one row for each epoch"):
        checkpoints.restore(parts, CPU)


def edited(path, change):
    state = torch.load(path, weights_only=True)
    change(state)
    torch.save(state, path)


def test_a_checkpoint_that_takes_more_than_its_bytes_is_not_loaded(tmp_path, monkeypatch):
    parts, checkpoints = make_parts(), Checkpoints(tmp_path)
    checkpoints.save(after(1, 1), parts)
    edited(checkpoints.last, lambda state: state.update(spread=torch.zeros(1).expand(10**12)))
    assert checkpoints.standing() == Standing()
    with pytest.raises(RunError, match="more memory than the file"):
        checkpoints.restore(parts, CPU)

    edited(checkpoints.last, lambda state: state.update(spread=torch.zeros(1_000_000)))
    assert checkpoints.standing() == after(1, 1)
    with zipfile.ZipFile(checkpoints.last) as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(checkpoints.last, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in records.items():
            archive.writestr(name, content)
    monkeypatch.setattr(reading, "_PACKED", 1_000_000)
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("it was loaded"))
    with pytest.raises(RunError, match=r"last\.pt .* cannot be used: it unpacks to 4"):
        checkpoints.restore(parts, CPU)
    assert checkpoints.drop_damaged() == "last.pt"


@pytest.mark.parametrize("damage", [Path.unlink, partial(Path.write_bytes, data=b"short")])
def test_lost_or_damaged_best_weights_are_a_run_error(tmp_path, damage):
    parts, checkpoints = make_parts(), Checkpoints(tmp_path)
    checkpoints.save(after(1, 1), parts)
    damage(tmp_path / "best-0001.safetensors")
    with pytest.raises(RunError, match=r"best-0001\.safetensors") as error:
        checkpoints.load_best(parts["network"], after(1, 1))
    assert str(tmp_path) not in str(error.value)


@pytest.mark.parametrize("damaged", ["last.pt", "best-0001.safetensors"])
@pytest.mark.parametrize("content", [b"", b"short"])
def test_a_checkpoint_with_a_damaged_file_is_dropped_and_a_whole_one_is_not(tmp_path, damaged, content):
    parts, checkpoints = make_parts(), Checkpoints(tmp_path)
    assert checkpoints.drop_damaged() == ""
    checkpoints.save(after(1, 1), parts)
    assert checkpoints.drop_damaged() == ""
    assert checkpoints.standing().epoch == 1
    (tmp_path / damaged).write_bytes(content)

    assert checkpoints.standing().epoch == 0  # as the training will begin
    assert checkpoints.drop_damaged() == damaged
    assert checkpoints.standing().epoch == 0


@pytest.mark.parametrize(
    "moment", ["before the best", "within the best", "before the last", "within the last"]
)
def test_a_process_killed_while_saving_leaves_the_checkpoint_before(tmp_path, monkeypatch, moment):
    parts, checkpoints = make_parts(), Checkpoints(tmp_path)
    learn(parts)
    checkpoints.save(after(1, 1), parts)
    first = weights_of(parts)
    learn(parts)

    def cut(save):
        def saves(state, target):
            if moment.startswith("within"):
                save(state, target)
                target.write_bytes(target.read_bytes()[:50])
            raise Killed

        return saves

    if moment.endswith("best"):
        monkeypatch.setattr(
            "medseg.learning.training.checkpoint.save_weights", cut(lambda _, t: t.write_bytes(bytes(99)))
        )
    else:
        monkeypatch.setattr("medseg.learning.training.checkpoint.save_state", cut(save_state))
    with pytest.raises(Killed):
        checkpoints.save(after(2, 2), parts)
    monkeypatch.undo()
    assert_stands_after_the_first_epoch(tmp_path, first)


def assert_stands_after_the_first_epoch(folder, weights):
    other, again = make_parts(seed=4), Checkpoints(folder)
    standing = again.restore(other, CPU)
    assert standing == after(1, 1)
    assert_equal(weights, weights_of(other))
    again.load_best(other["network"], standing)
    assert_equal(weights, weights_of(other))


@contextmanager
def files_of_at_most(count):
    """Let the system refuse longer files, as a full disk does."""
    resource = pytest.importorskip("resource")  # of POSIX
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (count, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(("best", "file"), [(2, "best-0002.safetensors"), (1, "last.pt")])
def test_what_cannot_be_written_is_told_with_its_place_and_leaves_the_checkpoint_before(tmp_path, best, file):
    parts, checkpoints = make_parts(), Checkpoints(tmp_path)
    checkpoints.save(after(1, 1), parts)
    first = weights_of(parts)
    learn(parts)
    with pytest.raises(NotWrittenError) as told, files_of_at_most(200):
        checkpoints.save(after(2, best), parts)
    assert (told.value.errno, told.value.filename) == (errno.EFBIG, str(tmp_path / file))
    assert_stands_after_the_first_epoch(tmp_path, first)


def test_a_process_killed_before_old_weights_are_removed_leaves_the_new_ones_valid(tmp_path, monkeypatch):
    parts, checkpoints = make_parts(), Checkpoints(tmp_path)
    checkpoints.save(after(1, 1), parts)
    learn(parts)

    remove = Path.unlink

    def killed(path, missing_ok=False):
        if path.name.startswith("best-"):
            raise Killed
        remove(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", killed)
    with pytest.raises(Killed):
        checkpoints.save(after(2, 2), parts)
    monkeypatch.undo()
    standing = checkpoints.restore(make_parts(), CPU)
    assert standing == after(2, 2)
    assert_equal(weights_of(parts), load_file(tmp_path / "best-0002.safetensors"))
    checkpoints.save(after(3, 2), parts)
    assert [path.name for path in tmp_path.glob("best-*")] == ["best-0002.safetensors"]


SCHEDULES = {
    "step": partial(torch.optim.lr_scheduler.StepLR, step_size=2),
    "multistep": partial(torch.optim.lr_scheduler.MultiStepLR, milestones=[1, 3]),
    "exponential": partial(torch.optim.lr_scheduler.ExponentialLR, gamma=0.5),
    "cosine": partial(torch.optim.lr_scheduler.CosineAnnealingLR, T_max=6),
    "restarts": partial(torch.optim.lr_scheduler.CosineAnnealingWarmRestarts, T_0=2),
    "cycle": partial(torch.optim.lr_scheduler.OneCycleLR, max_lr=1.0, total_steps=9),
    "polynomial": partial(torch.optim.lr_scheduler.PolynomialLR, total_iters=6),
    "linear": partial(torch.optim.lr_scheduler.LinearLR, total_iters=6),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_go_on_where_they_were(tmp_path, name):
    rates = []
    parts = make_parts()
    schedule = SCHEDULES[name](parts["optimiser"])
    for step in range(6):
        if step == 3:
            Checkpoints(tmp_path).save(after(1, 1), {**parts, "schedule": schedule})
        parts["optimiser"].step()
        schedule.step()
        rates.append(parts["optimiser"].param_groups[0]["lr"])
    other = make_parts(seed=1)
    again = SCHEDULES[name](other["optimiser"])
    Checkpoints(tmp_path).restore({**other, "schedule": again}, CPU)
    for expected in rates[3:]:
        other["optimiser"].step()
        again.step()
        assert other["optimiser"].param_groups[0]["lr"] == expected


def test_weights_of_every_epoch_are_kept_where_they_are_asked_for(tmp_path):
    parts, checkpoints, each = make_parts(), Checkpoints(tmp_path, every=True), []
    for epoch in (1, 2, 3):
        learn(parts)
        each.append(weights_of(parts))
        checkpoints.save(after(epoch, 1), parts)
    files = sorted((tmp_path / "epochs").iterdir())
    assert [file.name for file in files] == [f"epoch-000{epoch}.safetensors" for epoch in (1, 2, 3)]
    for file, weights in zip(files, each, strict=True):
        assert_equal(load_file(file), weights)
    assert [file.name for file in tmp_path.glob("best-*")] == ["best-0001.safetensors"]


def test_weights_of_the_best_epoch_alone_are_kept_otherwise(tmp_path):
    parts = make_parts()
    for epoch in (1, 2):
        Checkpoints(tmp_path).save(after(epoch, epoch), parts)
    assert sorted(file.name for file in tmp_path.rglob("*.safetensors")) == ["best-0002.safetensors"]


def test_the_room_that_every_epoch_takes_is_told_beforehand(tmp_path):
    network = torch.nn.Linear(1000, 1000, bias=False)  # 4 MB
    assert room_of_epochs(network, 100, tmp_path).startswith(
        "The weights of every epoch are kept: 100 files of 4 MB, 0.4 GB in all; "
    )
