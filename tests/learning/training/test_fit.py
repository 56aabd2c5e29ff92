from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from functools import partial, partialmethod

import numpy as np
import pytest
import torch
from monai.transforms import Compose, RandFlipd, RandGaussianNoised

import medseg.learning.training.engine.epochs
from medseg.errors import DefinitionError, RunError, TrainingError
from medseg.learning.tasks.class_masks import ClassMasks
from medseg.learning.training.batches import Batches, SliceDataset
from medseg.learning.training.checkpoint import Standing
from medseg.learning.training.engine.parts import Watch
from medseg.learning.training.engine.running_loss import RunningLoss
from medseg.learning.training.fit import fit, resolve_precision
from medseg.learning.training.memory import MemoryNeed
from medseg.learning.training.plan import Plan
from medseg.progress import Silent
from medseg.testing.cases import slice_store

CPU = torch.device("cpu")
CLASSES = ("background", "edge", "core")
ADAM = partial(torch.optim.AdamW, lr=5e-3)


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, told apart from a real one."""


def cosine(optimizer, T_max, **_):  # noqa: N803
    return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=T_max, eta_min=1e-5)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    roles = {"a": "train", "b": "train", "c": "val", "d": "val"}
    return slice_store(tmp_path_factory.mktemp("store"), roles)


def make_network(seed=0):
    torch.manual_seed(seed)
    return torch.nn.Sequential(
        torch.nn.Conv2d(2, 6, 3, padding=1),
        torch.nn.BatchNorm2d(6),
        torch.nn.ReLU(),
        torch.nn.Dropout2d(0.3),
        torch.nn.Conv2d(6, 3, 3, padding=1),
    )


class Named(torch.nn.Module):
    """One of ours, which torch compiles."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layers = torch.nn.Conv2d(2, 3, 3, padding=1)

    def forward(self, images):
        return self.layers(images)


def make_batches(store, role, *, batch_size=3):
    noise = RandGaussianNoised(["image"], prob=1.0, std=0.1)
    augment = Compose([RandFlipd(["image", "label"], prob=0.5), noise]) if role == "train" else None
    dataset = SliceDataset(store, store.role(role), augment=augment, seed=11, keep_on=None)
    return Batches(dataset, batch_size=batch_size, seed=11, shuffle=role == "train")


def train(store, folder, *, network=None, watch=None, batches=None, task=None, batch_size=3, **plan):
    network = make_network() if network is None else network
    standing = fit(
        network,
        task or ClassMasks(CLASSES),
        batches or make_batches(store, "train", batch_size=batch_size),
        make_batches(store, "val"),
        plan=Plan(**{"epochs": 3, "optimiser": ADAM, **plan}),
        device=CPU,
        seed=5,
        folder=folder,
        need=MemoryNeed(100, 10),
        watch=watch or Watch(),
    )
    return network, standing


def timeless(history):
    return [{k: v for k, v in row.items() if k not in ("slices_per_second", "seconds")} for row in history]


def assert_same(one, other):
    (network, standing), (again, resumed) = one, other
    for name, value in network.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name
    assert timeless(standing.history) == timeless(resumed.history)
    assert (standing.epoch, standing.best_epoch, standing.best_score, standing.stale) == (
        resumed.epoch,
        resumed.best_epoch,
        resumed.best_score,
        resumed.stale,
    )


class StopsAtBatch:
    """Batches that are interrupted before the given batch of the given epoch."""

    def __new__(cls, store, epoch, batch):
        batches = make_batches(store, "train")
        plain = batches.described

        class Loader(type(batches.loader)):
            def __iter__(self):
                for i, item in enumerate(super().__iter__()):
                    if batches.order.epoch == epoch and i == batch:
                        raise Interrupted
                    yield item

        batches.loader.__class__ = Loader
        batches.described = plain
        return batches


def STEPS(optimizer, **_):  # noqa: N802
    return torch.optim.lr_scheduler.LinearLR(optimizer, total_iters=9)


SCHEDULES = {
    "constant": {},
    "each epoch": {"schedule": cosine},
    "each iteration": {"schedule": cosine, "schedule_each": "iteration"},
    "one cycle": {
        "schedule": lambda optimizer, total_steps, **_: torch.optim.lr_scheduler.OneCycleLR(
            optimizer, max_lr=1e-2, total_steps=total_steps
        ),
        "schedule_each": "iteration",
        "clip": 0.5,
    },
}


@pytest.fixture(scope="module")
def whole(store, tmp_path_factory):
    """One training of each schedule that nobody interrupted, with its last checkpoint."""
    made = {}

    def give(schedule):
        if schedule not in made:
            folder = tmp_path_factory.mktemp("whole")
            made[schedule] = (*train(store, folder, **SCHEDULES[schedule]), torch.load(folder / "last.pt"))
        return made[schedule]

    return give


def assert_same_checkpoint(expected, folder):
    found = torch.load(folder / "last.pt")
    for name, value in expected["network"].items():
        assert torch.equal(value, found["network"][name])
    for number, state in expected["optimiser"]["state"].items():
        for name, value in state.items():
            assert torch.equal(value, found["optimiser"]["state"][number][name])
    assert expected.get("schedule") == found.get("schedule")


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("after", [1, 2])
def test_a_training_interrupted_after_an_epoch_ends_as_if_it_had_not_been(
    store, tmp_path, whole, schedule, after
):
    def stop(row):
        if row["epoch"] == after:
            raise Interrupted

    with pytest.raises(Interrupted):
        train(store, tmp_path, watch=Watch(epoch_done=stop), **SCHEDULES[schedule])
    # another start: what the first process left in its generators and its network is gone
    torch.manual_seed(1234)
    resumed = train(store, tmp_path, network=make_network(seed=99), **SCHEDULES[schedule])
    network, standing, checkpoint = whole(schedule)
    assert_same((network, standing), resumed)
    assert_same_checkpoint(checkpoint, tmp_path)


@pytest.mark.parametrize("schedule", ["constant", "one cycle"])
@pytest.mark.parametrize(("epoch", "batch"), [(1, 1), (2, 0), (2, 2), (3, 1)])
def test_a_training_interrupted_within_an_epoch_ends_as_if_it_had_not_been(
    store, tmp_path, whole, schedule, epoch, batch
):
    with pytest.raises(Interrupted):
        train(store, tmp_path, batches=StopsAtBatch(store, epoch, batch), **SCHEDULES[schedule])
    torch.manual_seed(1234)
    # nothing is kept of the first epoch, so that the network must start as it did
    resumed = train(store, tmp_path, network=make_network(0 if epoch == 1 else 99), **SCHEDULES[schedule])
    network, standing, checkpoint = whole(schedule)
    assert_same((network, standing), resumed)
    assert_same_checkpoint(checkpoint, tmp_path)


def test_a_training_interrupted_again_and_again_ends_as_if_it_had_not_been(store, tmp_path, whole):
    def interrupt(*_):
        raise Interrupted

    for watch, batches in (
        (Watch(validated=interrupt), None),
        (Watch(), StopsAtBatch(store, 1, 2)),
        (Watch(), StopsAtBatch(store, 2, 1)),
        (Watch(epoch_done=lambda row: row["epoch"] == 2 and interrupt()), None),
        (Watch(validated=interrupt), None),
    ):
        with pytest.raises(Interrupted):
            train(store, tmp_path, watch=watch, batches=batches, **SCHEDULES["each iteration"])
    resumed = train(store, tmp_path, **SCHEDULES["each iteration"])
    assert_same(whole("each iteration")[:2], resumed)


def of_another_shape(state):
    moments = state["optimiser"]["state"][0]
    moments["exp_avg"] = torch.zeros(7, 5)


FOREIGN = {
    "moments of another shape": of_another_shape,
    "moments that are none": lambda state: state["optimiser"]["state"][0].update(exp_avg="x"),
    "moments that lack one": lambda state: state["optimiser"]["state"][0].pop("exp_avg_sq"),
    "a group without a rate": lambda state: state["optimiser"]["param_groups"][0].pop("lr"),
    "a rate that is none": lambda state: state["optimiser"]["param_groups"][0].update(lr="fast"),
    "a schedule at no place": lambda state: state["schedule"].update(last_epoch="x"),
    "a schedule that is covered": lambda state: state["schedule"].update(step="x", get_lr="x"),
}


@pytest.mark.parametrize("change", FOREIGN)
def test_a_state_that_is_not_of_this_training_is_refused_before_it_goes_on(store, tmp_path, change):
    def stop(row):
        raise Interrupted

    with pytest.raises(Interrupted):
        train(store, tmp_path, watch=Watch(epoch_done=stop), schedule=STEPS)
    state = torch.load(tmp_path / "last.pt")
    FOREIGN[change](state)
    torch.save(state, tmp_path / "last.pt")
    before = (tmp_path / "last.pt").read_bytes()

    with pytest.raises(RunError, match=r"last\.pt of this run cannot be used"):
        train(store, tmp_path, schedule=STEPS)
    assert (tmp_path / "last.pt").read_bytes() == before


def test_a_finished_training_is_given_again_without_training(store, tmp_path, whole):
    first = train(store, tmp_path)
    again = train(store, tmp_path, network=make_network(seed=3), batches=StopsAtBatch(store, 1, 0))
    assert_same(first, again)
    assert_same(whole("constant")[:2], first)


def test_watchers_hear_of_each_epoch_and_on_going_on_of_those_before(store, tmp_path):
    heard: list[float] = []
    train(store, tmp_path, epochs=2, watch=Watch(epoch_done=lambda row: heard.append(row["epoch"])))
    assert heard == [1, 2]
    train(store, tmp_path, epochs=3, watch=Watch(epoch_done=lambda row: heard.append(row["epoch"])))
    assert heard == [1, 2, 1, 2, 3]


@pytest.mark.slow
def test_it_learns(store, tmp_path):
    _, standing = train(store, tmp_path, epochs=8, batch_size=2, optimiser=partial(torch.optim.Adam, lr=0.02))
    first, last = standing.history[0], standing.history[-1]
    assert last["train/loss"] < 0.8 * first["train/loss"]
    assert standing.best_score > 0.7


def test_the_schedule_reaches_its_end_with_the_last_batch(store, tmp_path):
    rates = []

    class Watched(torch.optim.AdamW):
        def step(self, closure=None):
            rates.append(self.param_groups[0]["lr"])
            return super().step(closure)

    train(store, tmp_path, optimiser=partial(Watched, lr=5e-3), schedule=cosine, schedule_each="iteration")
    steps = np.arange(9)  # three epochs of three batches
    np.testing.assert_allclose(rates, 1e-5 + (5e-3 - 1e-5) * (1 + np.cos(np.pi * steps / 9)) / 2, rtol=1e-9)
    assert torch.load(tmp_path / "last.pt")["optimiser"]["param_groups"][0]["lr"] == pytest.approx(1e-5)


def test_a_schedule_by_epoch_steps_once_an_epoch(store, tmp_path):
    _, standing = train(store, tmp_path, schedule=cosine)
    expected = 1e-5 + (5e-3 - 1e-5) * (1 + np.cos(np.pi * np.arange(3) / 3)) / 2
    np.testing.assert_allclose([row["learning_rate"] for row in standing.history], expected)


class _Scripted(ClassMasks):
    """Scores that are given, one a validation, whatever the network says."""

    def __init__(self, scores):
        super().__init__(CLASSES)
        object.__setattr__(self, "scores", iter(scores))

    def scorer(self):
        return _Says(next(self.scores))


class _Says:
    def __init__(self, score, name="dice"):
        self.score, self.score_name = score, name

    def update(self, cases, logits, label):
        pass

    def compute(self):
        return {"score": self.score}

    def by_case(self):
        return {"c": self.score}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scores", "patience", "epochs", "best"),
    [
        ([0.1, 0.2, 0.3, 0.4, 0.5], 1, 5, 5),
        ([0.5, 0.4, 0.3, 0.6, 0.7], 2, 3, 1),
        ([0.1, 0.5, 0.4, 0.4, 0.9], 2, 4, 2),
        ([0.5, 0.4, 0.6, 0.5, 0.4], 2, 5, 3),
        ([0.5, 0.4, 0.3, 0.2, 0.1], None, 5, 1),
    ],
)
@pytest.mark.parametrize("stop_after", [0, 1, 2])
def test_early_stopping_counts_validations_without_a_better_score(
    store, tmp_path, scores, patience, epochs, best, stop_after
):
    if stop_after:
        stop = Watch(
            epoch_done=lambda row: (_ for _ in ()).throw(Interrupted) if row["epoch"] == stop_after else 0
        )
        with pytest.raises(Interrupted):
            train(store, tmp_path, task=_Scripted(scores), epochs=5, patience=patience, watch=stop)
    _, standing = train(store, tmp_path, task=_Scripted(scores[stop_after:]), epochs=5, patience=patience)
    assert (standing.epoch, standing.best_epoch, standing.best_score) == (epochs, best, scores[best - 1])
    assert [row["val/score"] for row in standing.history] == scores[:epochs]


def test_of_equal_scores_the_weights_with_the_least_loss_are_kept_while_patience_counts_on(store, tmp_path):
    _, standing = train(store, tmp_path, task=_Scripted([0.0] * 5), epochs=5, patience=3)
    losses = [row["val/loss"] for row in standing.history]
    assert standing.epoch == 4
    assert losses[standing.best_epoch - 1] == min(losses)
    assert standing.best_loss == min(losses)
    assert min(losses) < losses[0]


class _LastIsBest:
    name = "the last"

    def check(self, task):
        del task

    def better(self, row, earlier):
        return row["epoch"] == len(earlier) + 1


@pytest.mark.slow
def test_a_rule_chooses_by_the_epochs_before(store, tmp_path):
    task = _Scripted([0.9, 0.5, 0.1])
    _, standing = train(store, tmp_path, task=task, epochs=3, best_by=_LastIsBest())
    assert (standing.best_epoch, standing.stale) == (3, 0)


class _Renamed(_Scripted):
    """After the first epoch the score is another."""

    def scorer(self):
        score = next(self.scores)
        return _Says(score, "f1" if score == 0.1 else "accuracy")


def test_the_best_epoch_is_never_chosen_among_scores_of_two_kinds(store, tmp_path):
    with pytest.raises(TrainingError, match=r"is now accuracy, and was f1.*best_by: loss"):
        train(store, tmp_path / "score", task=_Renamed([0.1, 0.9]))
    _, standing = train(store, tmp_path / "loss", task=_Renamed([0.1, 0.9, 0.9]), best_by="loss")
    assert standing.score_name == "accuracy"


def test_patience_counts_validations_not_epochs(store, tmp_path):
    task = _Scripted([0.5, 0.4, 0.3, 0.2])
    _, standing = train(store, tmp_path, task=task, epochs=9, patience=2, validate_every=2)
    assert (standing.epoch, standing.best_epoch) == (6, 2)


def test_the_network_ends_with_the_weights_of_the_best_epoch(store, tmp_path):
    seen = {}

    def keep(network, epoch, _):
        seen[epoch] = {name: value.clone() for name, value in network.state_dict().items()}

    task = _Scripted([0.1, 0.9, 0.3])
    network, _ = train(store, tmp_path, task=task, watch=Watch(validated=keep))
    assert all(torch.equal(value, seen[2][name]) for name, value in network.state_dict().items())
    assert not torch.equal(seen[3]["0.weight"], seen[2]["0.weight"])
    assert not network.training
    assert [path.name for path in tmp_path.glob("best-*")] == ["best-0002.safetensors"]


def test_validation_comes_when_it_is_due_and_always_at_the_end(store, tmp_path):
    _, standing = train(store, tmp_path, epochs=5, validate_every=2)
    assert ["val/score" in row for row in standing.history] == [False, True, False, True, True]


def test_validation_leaves_no_trace_in_the_training(store, tmp_path):
    often, _ = train(store, tmp_path / "often", task=_Scripted([0.1, 0.2, 0.3]))
    once, _ = train(store, tmp_path / "once", task=_Scripted([0.3]), validate_every=3)
    assert all(torch.equal(v, once.state_dict()[k]) for k, v in often.state_dict().items())


def test_the_validation_score_is_that_of_the_network_in_eval_mode(store, tmp_path):
    network, standing = train(store, tmp_path, epochs=1)
    task, dataset = ClassMasks(CLASSES), make_batches(store, "val").dataset
    items = [dataset[0, i] for i in range(len(dataset))]
    with torch.no_grad():
        logits = network(torch.stack([item["image"] for item in items]))
    labels = torch.stack([item["label"] for item in items])
    scorer = task.scorer()
    scorer.update([sample.case for sample in dataset.samples], logits, labels)
    row = standing.history[0]
    assert {name: row[f"val/{name}"] for name in scorer.compute()} == scorer.compute()


def test_a_loss_that_is_no_number_stops_naming_epoch_batch_and_slices(store, tmp_path):
    batches = make_batches(store, "train")
    plain = batches.dataset.__class__.__getitems__

    class Poisoned(batches.dataset.__class__):
        def __getitems__(self, places):
            batch = plain(self, places)
            if (2, 5) in places:
                batch["image"][places.index((2, 5)), 0, 0, 0] = float("nan")
            return batch

    batches.dataset.__class__ = Poisoned
    expected = list(make_batches(store, "train").at(2))
    number = next(i for i, batch in enumerate(expected, 1) if 5 in batch["index"].tolist())
    with pytest.raises(TrainingError) as caught:
        train(store, tmp_path, batches=batches)
    message = str(caught.value)
    assert f"nan in epoch 2, batch {number} " in message
    assert "b slice 1" in message
    assert message.count(" slice ") == len(expected[number - 1]["index"])
    # the weights of the epoch before are kept, and none that a NaN has touched
    state = torch.load(tmp_path / "last.pt")
    assert state["standing"]["epoch"] == 1
    assert all(torch.isfinite(value).all() for value in state["network"].values())


@pytest.mark.parametrize("clip", [None, 0.01])
def test_clipping_limits_the_norm_of_all_gradients_together(store, tmp_path, clip):
    norms = []

    class Watched(torch.optim.SGD):
        def step(self, closure=None):
            gradients = [p.grad.flatten() for group in self.param_groups for p in group["params"]]
            norms.append(float(torch.cat(gradients).norm()))
            return super().step(closure)

    train(store, tmp_path, epochs=1, optimiser=partial(Watched, lr=1e-3), clip=clip)
    if clip is None:
        assert max(norms) > 0.05
    else:
        assert norms == pytest.approx([clip] * 3, rel=1e-3)


def test_a_device_that_fails_in_the_middle_leaves_what_was_trained(store, tmp_path):
    train(store, tmp_path, epochs=1)
    network = make_network()

    def fail(*_):
        raise RuntimeError("CUDA error: unspecified launch failure\nCompile with TORCH_USE_CUDA_DSA")

    network.register_forward_pre_hook(fail)
    with pytest.raises(
        TrainingError, match=r"failed in the middle of the training: .*launch failure\. .*resume"
    ):
        train(store, tmp_path, network=network, epochs=2)

    assert torch.load(tmp_path / "last.pt")["standing"]["epoch"] == 1


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("validation", [1, 2])
def test_a_network_that_gives_no_numbers_in_validation_ends_the_training(store, tmp_path, value, validation):
    """Whatever chooses the best epoch: such an epoch has no score, and its weights predict nothing."""
    network = make_network()
    seen = []

    def spoil(module, _, logits):
        seen.extend([] if module.training else [module.training])
        spoilt = logits.clone()
        if len(seen) == 3 * (validation - 1) + 2:  # of three batches the second
            spoilt[-1, 0, 0, 0] = value
        return spoilt

    network.register_forward_hook(spoil)
    assert -(-len(store.role("val")) // 3) == 3
    with pytest.raises(
        TrainingError, match=rf"NaN or infinity in the validation of epoch {validation}, .* slice"
    ):
        train(store, tmp_path, network=network, epochs=3)

    kept = tmp_path / "last.pt"
    assert kept.exists() == (validation > 1)
    assert not kept.exists() or torch.load(kept)["standing"]["epoch"] == validation - 1


def test_on_a_device_that_is_read_late_a_loss_that_is_not_finite_still_ends_the_epoch(
    store, tmp_path, monkeypatch
):
    monkeypatch.setattr(
        medseg.learning.training.engine.epochs, "RunningLoss", partial(RunningLoss, every=100)
    )
    network = make_network()
    network.register_forward_hook(lambda _, __, logits: logits * torch.nan)
    with pytest.raises(TrainingError, match=r"the loss became nan in epoch 1, batch 1 \(.*slice"):
        train(store, tmp_path, network=network, epochs=2)

    assert not (tmp_path / "last.pt").exists()


@pytest.mark.slow
def test_a_compiled_network_learns_the_same_and_goes_on(store, tmp_path, monkeypatch):
    # traced and differentiated as always; the C++ of the default backend takes half a minute
    monkeypatch.setattr(
        torch.nn.Module, "compile", partialmethod(torch.nn.Module.compile, backend="aot_eager")
    )
    plain = timeless(train(store, tmp_path / "plain", network=Named(), epochs=2)[1].history)
    train(store, tmp_path / "folder", network=Named(), epochs=1, compile=True)
    network, standing = train(store, tmp_path / "folder", network=Named(), epochs=2, compile=True)

    assert list(network.state_dict()) == list(Named().state_dict())
    for row, expected in zip(timeless(standing.history), plain, strict=True):
        assert row == pytest.approx(expected, rel=1e-3, abs=1e-3)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory: you tried"
        ),
        MemoryError("Unable to allocate 4. GiB"),
    ],
)
def test_out_of_memory_names_a_batch_that_would_fit(store, tmp_path, error):
    class Full(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = make_network()

        def forward(self, image):
            raise error

    with pytest.raises(TrainingError, match=r"batch of 3 slices\. Set loading\.batch_size=1 or less"):
        train(store, tmp_path, network=Full())


@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
def test_reduced_precision_is_refused_on_a_processor(store, tmp_path, precision):
    with pytest.raises(DefinitionError, match=f"{precision} needs a CUDA device, got cpu"):
        train(store, tmp_path, precision=precision)
    assert not list(tmp_path.iterdir())


def test_auto_precision_is_full_on_a_processor():
    assert resolve_precision("auto", CPU) == "float32"
    assert resolve_precision("float32", CPU) == "float32"


def test_frozen_weights_stay_and_the_others_learn(store, tmp_path):
    network = make_network()
    network[0].requires_grad_(False)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    optimiser = partial(torch.optim.AdamW, lr=1e-2, weight_decay=0.5)
    train(store, tmp_path, network=network, epochs=1, optimiser=optimiser, clip=1.0)
    assert torch.equal(network[0].weight, before["0.weight"])
    assert torch.equal(network[0].bias, before["0.bias"])
    assert not torch.equal(network[4].weight, before["4.weight"])


def test_tied_weights_can_be_trained_and_kept(store, tmp_path):
    class Tied(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = torch.nn.Conv2d(2, 3, 1), torch.nn.Conv2d(2, 3, 1)
            self.second.weight = self.first.weight

        def forward(self, image):
            return self.first(image) + self.second(image)

    network, _ = train(store, tmp_path, network=Tied(), epochs=2)
    assert network.second.weight is network.first.weight


def test_a_checkpoint_of_another_network_is_refused(store, tmp_path):
    train(store, tmp_path, epochs=1)
    other = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 1))
    with pytest.raises(RunError, match=r"last\.pt.*cannot be used"):
        train(store, tmp_path, network=other)


def test_the_loss_of_an_epoch_counts_every_slice_once(store, tmp_path):
    """With a rate of 0 it is that of the unchanged network, whatever the batches."""
    found = []
    for batch_size in (3, 8):
        network = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 1))
        torch.nn.init.constant_(network[0].weight, 0.3)
        torch.nn.init.zeros_(network[0].bias)
        task = ClassMasks(CLASSES, loss=torch.nn.CrossEntropyLoss)
        still = partial(torch.optim.SGD, lr=0.0)
        folder = tmp_path / str(batch_size)
        _, standing = train(
            store, folder, network=network, task=task, batch_size=batch_size, optimiser=still, epochs=1
        )
        found.append(standing.history[0]["train/loss"])
    assert found[0] == pytest.approx(found[1], rel=1e-6)


class _Losing(_Scripted):
    """Losses of each validation that are given, beside its scores, whatever the network says."""

    def __init__(self, scores, losses, batches=1):
        super().__init__(scores)
        given = [loss for loss in losses for _ in range(batches)]
        object.__setattr__(self, "losses", iter(given))

    def loss(self):
        plain = super().loss()

        class Loss(torch.nn.Module):
            def forward(_, logits, label):  # noqa: N805
                if torch.is_grad_enabled():
                    return plain(logits, label)
                return torch.tensor(next(self.losses))

        return Loss()


def val_batches(store):
    return len(make_batches(store, "val").loader)


@pytest.mark.parametrize(
    ("losses", "patience", "epochs", "best"),
    [
        ([0.9, 0.5, 0.7, 0.6, 0.8], None, 5, 2),
        ([0.9, 0.5, 0.5, 0.5, 0.1], 2, 4, 2),
        ([0.3, 0.4, 0.2, 0.5, 0.6], 2, 5, 3),
        ([0.5, 0.4, 0.3, 0.2, 0.1], 1, 5, 5),
        ([-0.5, -0.9, -0.1, 0.0, 0.2], None, 5, 2),
    ],
)
@pytest.mark.parametrize("stop_after", [0, 2])
def test_the_best_epoch_by_loss_has_the_least_of_validation(
    store, tmp_path, losses, patience, epochs, best, stop_after
):
    scores, count = [0.1, 0.2, 0.3, 0.4, 0.5], val_batches(store)
    plan = {"epochs": 5, "patience": patience, "best_by": "loss"}
    seen = {}

    def keep(network, epoch, _):
        seen[epoch] = {name: value.clone() for name, value in network.state_dict().items()}

    if stop_after:

        def stop(row):
            if row["epoch"] == stop_after:
                raise Interrupted

        watch = Watch(epoch_done=stop, validated=keep)
        with pytest.raises(Interrupted):
            train(store, tmp_path, task=_Losing(scores, losses, count), watch=watch, **plan)
    task = _Losing(scores[stop_after:], losses[stop_after:], count)
    network, standing = train(store, tmp_path, task=task, watch=Watch(validated=keep), **plan)
    assert (standing.epoch, standing.best_epoch) == (epochs, best)
    assert standing.best_worth == pytest.approx(-losses[best - 1])
    assert standing.best_score == scores[best - 1]
    assert [row["val/loss"] for row in standing.history] == pytest.approx(losses[:epochs])
    assert all(torch.equal(value, seen[best][name]) for name, value in network.state_dict().items())


def test_by_score_a_loss_of_validation_that_is_no_number_decides_nothing(store, tmp_path):
    task = _Losing([0.1, 0.9, 0.3], [0.5, 0.9, float("nan")], val_batches(store))
    _, standing = train(store, tmp_path, task=task)
    assert (standing.best_epoch, standing.best_worth, standing.best_score) == (2, 0.9, 0.9)


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
@pytest.mark.parametrize("epoch", [1, 2])
def test_a_loss_of_validation_that_is_no_number_cannot_choose_the_best_epoch(store, tmp_path, loss, epoch):
    losses = [0.5] * (epoch - 1) + [loss] * 3
    task = _Losing([0.1, 0.2, 0.3], losses, val_batches(store))
    with pytest.raises(
        TrainingError, match=rf"validation loss became {loss} in epoch {epoch}.*best_by: score"
    ):
        train(store, tmp_path, task=task, best_by="loss")


def test_of_epochs_without_a_score_the_one_with_the_least_loss_is_kept():
    """As where all masks are rightly empty: such an epoch is no worse than one that predicts too much."""
    plan = Plan(3, torch.optim.SGD)
    assert plan.worth({"epoch": 1, "val/loss": 0.1}) == plan.worth(
        {"epoch": 2, "val/score": 0.0, "val/loss": 0.2}
    )
    rows = ({"epoch": 1.0, "val/loss": 0.1}, {"epoch": 2.0, "val/score": 0.25, "val/loss": 0.2})
    assert [Standing(2, best, 0.0, 0, rows).score_text for best in (1, 2)] == ["not defined", "0.250"]


def test_before_the_first_validation_there_is_no_best_score():
    assert Standing().best_score == float("-inf")
    row = {"epoch": 2.0, "val/score": 0.7, "val/loss": 0.4}
    assert Standing(3, 2, -0.4, 1, ({"epoch": 1.0}, row, {"epoch": 3.0})).best_score == 0.7


@pytest.mark.slow
@pytest.mark.parametrize("weight", [0.0, 0.5])
def test_a_sample_counts_as_its_weight_says(store, tmp_path, weight):
    """One step of plain gradient descent goes as far as the weight says."""
    moved = {}
    for given in (1.0, weight):
        samples = tuple(replace(each, weight=given) for each in store.samples)
        weighted = replace(store, samples=samples)
        torch.manual_seed(0)
        network = torch.nn.Conv2d(2, 3, 3, padding=1)
        before = network.weight.detach().clone()
        train(
            store,
            tmp_path / str(given),
            network=network,
            batches=make_batches(weighted, "train", batch_size=100),
            epochs=1,
            optimiser=partial(torch.optim.SGD, lr=0.1),
        )
        moved[given] = network.weight.detach() - before

    assert moved[1.0].abs().max() > 0
    torch.testing.assert_close(moved[weight], weight * moved[1.0], atol=1e-7, rtol=1e-4)


class Lines(Silent):
    """Keeps what is shown beside each bar in the end."""

    def __init__(self):
        self.shown = {}

    @contextmanager
    def bar(self, label, total, unit=""):
        class Last:
            def advance(_, count=1, **shown):  # noqa: N805 - the lines are those of the display
                self.shown[label] = {**self.shown.get(label, {}), **shown}

            def restart(_, total, label=""):  # noqa: N805
                pass

        yield Last()


def test_a_validation_shows_its_own_score(store, tmp_path):
    lines = Lines()
    _, standing = train(store, tmp_path, watch=Watch(progress=lines))

    scores = {row["epoch"]: f"{row['val/score']:.3f}" for row in standing.history}
    assert {label: shown for label, shown in lines.shown.items() if label.startswith("validation")} == {
        f"validation {epoch:.0f}": {"score": score} for epoch, score in scores.items()
    }
