from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pytest

from medseg.learning.training.curve_verdict import read_curves

SEEDS = range(4)


def history(train, val, score=None, *, every=1):
    rows = []
    for i, loss in enumerate(train):
        row = {"epoch": float(i + 1), "train/loss": float(loss), "learning_rate": 1e-3}
        if (i + 1) % every == 0 or i + 1 == len(train):
            row |= {"val/loss": float(val[i])} | ({} if score is None else {"val/score": float(score[i])})
        rows.append(row)
    return rows


def cosine(u):
    """Share of the way that a rate which falls as a cosine has gone."""
    return u + np.sin(np.pi * u) / np.pi


def good(u):
    return 0.1 + 1.2 * np.exp(-8 * u), 0.15 + 1.2 * np.exp(-8 * u), 0.9 - 0.7 * np.exp(-8 * u)


def good_cosine(u):
    return good(cosine(u) * 0.6)


def unfinished(u):
    return 0.1 + 1.2 * np.exp(-1.5 * u), 0.15 + 1.2 * np.exp(-1.5 * u), 0.9 - 0.7 * np.exp(-1.5 * u)


def straight(u):
    return 1.5 - u, 1.6 - u, 0.1 + 0.5 * u


def stuck(u):
    return (
        0.69 - 0.03 * (1 - np.exp(-8 * u)),
        0.69 - 0.03 * (1 - np.exp(-8 * u)),
        0.3 + 0.1 * (1 - np.exp(-8 * u)),
    )


def memorising(u):
    """The validation loss falls until 0.4 of the training, and then rises by 0.24."""
    rise = 0.4 * np.maximum(u - 0.4, 0)
    return 0.02 + 1.2 * np.exp(-4 * u), 0.3 + 1.1 * np.exp(-12 * u) + rise, 0.8 - 0.6 * np.exp(-12 * u)


def memorising_cosine(u):
    train, _, score = memorising(u)
    return train, 0.3 + 1.1 * np.exp(-12 * u) + 0.4 * np.maximum(cosine(u) - 0.5, 0), score


CURVES = {
    "good": (good, "good fit"),
    "good, cosine": (good_cosine, "good fit"),
    "unfinished": (unfinished, "not yet converged"),
    "straight": (straight, "not yet converged"),
    "stuck": (stuck, "underfitting"),
    "memorising": (memorising, "overfitting"),
    "memorising, cosine": (memorising_cosine, "overfitting"),
}


def made(name, epochs, *, noise=0.0, seed=0, every=1, alike=0.0):
    """Curves with noise: on the validation loss the most; each resembling the one before by `alike`."""
    rng = np.random.default_rng(seed)
    curves = []
    for curve, size in zip(CURVES[name][0](np.arange(1, epochs + 1) / epochs), (0.25, 1, 0.5), strict=True):
        errors = rng.normal(size=epochs)
        for i in range(1, epochs):
            errors[i] = alike * errors[i - 1] + np.sqrt(1 - alike**2) * errors[i]
        curves.append(curve + noise * size * errors)
    return history(*curves, every=every)


@pytest.mark.parametrize(
    ("epochs", "every"), [(12, 1), (30, 1), (100, 1), (400, 1), (40, 2), (55, 3), (60, 5)]
)
@pytest.mark.parametrize("name", CURVES)
def test_clean_curves_are_read_as_they_were_made(name, epochs, every):
    assert read_curves(made(name, epochs, every=every)).kind == CURVES[name][1]


@pytest.mark.parametrize(("epochs", "every", "noise"), [(100, 1, 0.02), (40, 1, 0.01), (60, 2, 0.01)])
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", CURVES)
def test_noise_changes_no_verdict(name, seed, epochs, every, noise):
    assert read_curves(made(name, epochs, noise=noise, seed=seed, every=every)).kind == CURVES[name][1]


@pytest.mark.parametrize("noise", [0.05, 0.2])
@pytest.mark.parametrize("alike", [0.0, 0.5])
@pytest.mark.parametrize("name", ["good", "good, cosine", "stuck"])
def test_strong_noise_is_hardly_ever_taken_for_overfitting(name, alike, noise):
    found = Counter(
        read_curves(made(name, epochs, noise=noise, seed=seed, alike=alike)).kind
        for seed in range(40)
        for epochs in (20, 60)
    )
    assert found["overfitting"] <= 4


@pytest.mark.parametrize("seed", SEEDS)
def test_overfitting_begins_where_the_curve_turns(seed):
    clean = read_curves(made("memorising", 100))
    noisy = read_curves(made("memorising", 100, noise=0.01, seed=seed))
    lowest = min(made("memorising", 100), key=lambda row: row["val/loss"])["epoch"]
    assert abs(clean.since - (lowest + 1)) <= 1  # smoothing rounds a corner
    assert 25 <= noisy.since <= 55


def test_since_is_a_validated_epoch():
    found = read_curves(made("memorising", 60, every=4))
    assert found.since % 4 == 0
    assert 24 <= found.since <= 32


@pytest.mark.parametrize("name", CURVES)
@pytest.mark.parametrize("seed", SEEDS)
def test_spikes_decide_nothing(name, seed):
    rng = np.random.default_rng(seed)
    rows = made(name, 60, noise=0.003, seed=seed)
    for place in rng.choice(np.arange(5, 60), 5, replace=False):
        rows[place]["val/loss"] *= rng.uniform(2, 10)
        rows[place]["val/score"] *= 0.3
    assert read_curves(rows).kind == CURVES[name][1]


@pytest.mark.parametrize("name", CURVES)
@pytest.mark.parametrize("factor", [1e-3, 1.0, 50.0])
def test_the_scale_of_the_losses_does_not_matter(name, factor):
    rows = made(name, 50)
    scaled = [row | {key: row[key] * factor for key in ("train/loss", "val/loss")} for row in rows]
    assert read_curves(scaled).kind == read_curves(rows).kind
    assert read_curves(scaled).since == read_curves(rows).since


@pytest.mark.parametrize("count", range(5))
def test_few_validations_are_too_few(count):
    found = read_curves(made("good", 20)[:count])
    assert (found.kind, found.since) == ("too short", None)
    assert str(count) in found.reason
    assert "steps.fit.epochs" in found.next_step


def test_few_validations_of_many_epochs_are_too_few():
    assert read_curves(made("good", 40, every=10)).kind == "too short"


def test_a_short_training_that_learns_by_heart_is_overfitting():
    train = [0.60, 0.40, 0.30, 0.20, 0.15, 0.10, 0.08, 0.06]
    val = [0.66, 0.52, 0.41, 0.33, 0.30, 0.28, 0.33, 0.41]
    found = read_curves(history(train, val, [0.85] * 8))
    assert (found.kind, found.since) == ("overfitting", 7)


@pytest.mark.parametrize("epochs", [8, 12, 30])
@pytest.mark.parametrize("late", [2, 3])
def test_two_epochs_of_a_rising_validation_loss_over_a_falling_training_loss_are_overfitting(epochs, late):
    u = np.arange(1, epochs + 1) / epochs
    train = 0.06 + 0.64 * (1 - u) ** 1.5
    val = 0.4 + 0.3 * np.exp(-6 * u)
    val[-late:] += 0.06 * np.arange(1, late + 1)
    found = read_curves(history(train, val, 0.85 - 0.2 * np.exp(-6 * u)))
    assert found.kind == "overfitting"
    assert abs(found.since - (epochs - late + 1)) <= 1  # smoothing rounds a corner
    assert "the training loss went from" in found.reason
    assert "Nothing needs to change" not in found.next_step


@pytest.mark.parametrize("count", [5, 6, 7, 8, 12, 20])
@pytest.mark.parametrize("late", [2, 3])
@pytest.mark.parametrize("step", [0.03, 0.06, 0.15])
@pytest.mark.parametrize("score", [None, 0.9])
def test_a_sharp_turn_within_few_validations_is_overfitting(count, late, step, score):
    train = np.geomspace(0.7, 0.06, count)
    val = np.concatenate([np.linspace(0.6, 0.3, count - late), 0.3 + step * np.arange(1, late + 1)])
    found = read_curves(history(train, val, None if score is None else np.linspace(0.6, score, count)))
    assert (found.kind, found.since) == ("overfitting", count - late + 1)


@pytest.mark.parametrize(
    ("val", "train"),
    [
        (
            (0.9, 0.7, 0.5, 0.45, 0.55, 0.53, 0.65, 0.64, 0.8, 0.95),
            (0.9, 0.6, 0.4, 0.3, 0.2, 0.15, 0.1, 0.07, 0.05, 0.03),
        ),
        ((1, 0.6, 0.5, 0.62, 0.6, 0.75, 0.9), (1, 0.6, 0.4, 0.2, 0.1, 0.06, 0.04)),
    ],
)
def test_a_rise_with_small_dips_over_a_falling_training_loss_is_overfitting(val, train):
    rows = [
        {"epoch": n + 1, "train/loss": t, "val/loss": v}
        for n, (t, v) in enumerate(zip(train, val, strict=True))
    ]

    assert read_curves(rows).kind == "overfitting"


@pytest.mark.parametrize("count", [8, 12, 20, 40])
@pytest.mark.parametrize("noise", [0.005, 0.01])
def test_a_late_rise_by_half_is_seen_through_noise(count, noise):
    found = Counter()
    for seed in range(20):
        rng = np.random.default_rng(seed)
        late = max(2, count // 5)
        val = 0.3 + 0.4 * np.exp(-5 * np.linspace(0, 1, count))
        val[-late:] = 0.3 + np.linspace(0.05, 0.15, late)
        train = np.geomspace(0.7, 0.06, count) * (1 + noise * rng.normal(size=count))
        found[read_curves(history(train, val * (1 + noise * rng.normal(size=count)))).kind] += 1
    assert found["overfitting"] >= 19


@pytest.mark.parametrize(
    ("train", "val"),
    [
        ((0.9, 0.5, 0.3, 0.18, 0.1, 0.06), (0.8, 0.5, 0.38, 0.33, 0.345, 0.365)),
        (np.geomspace(0.9, 0.06, 8), (0.8, 0.568, 0.443, 0.377, 0.341, 0.322, 0.341, 0.361)),
        (np.linspace(0.9, 0.06, 8), (0.8, 0.7, 0.6, 0.5, 0.4, 0.30, 0.31, 0.33)),
    ],
)
def test_a_rise_by_a_tenth_after_nothing_but_falls_is_overfitting(train, val):
    found = read_curves(history(train, val, [0.9] * len(val)))
    assert (found.kind, found.since) == ("overfitting", len(val) - 1)


@pytest.mark.parametrize("count", [6, 8, 10, 12, 16, 20, 30])
@pytest.mark.parametrize("ending", [(0.305, 0.31), (0.31, 0.325), (0.32, 0.315), (0.32, 0.33)])
def test_what_rose_at_last_is_not_said_to_fall_and_a_rise_by_a_twentieth_is_said(count, ending):
    val = np.concatenate([np.linspace(0.8, 0.30, count - 2), ending])
    found = read_curves(history(np.linspace(0.9, 0.5, count), val, [0.9] * count))
    assert "still falls" not in found.reason
    if found.kind == "good fit" and 0.30 * 1.05 < ending[1] > ending[0]:
        assert (
            f"; the validation loss rose in each of the last 2 validations, from 0.3 to {ending[1]:.3g}, "
            in found.reason
        )
        assert found.next_step.startswith("Watch the validation loss: steps.fit.patience")
    assert "Nothing needs to change" not in found.next_step or ending[1] <= 0.315


@pytest.mark.parametrize("count", [6, 8, 12, 15])
@pytest.mark.parametrize("noise", [0.01, 0.03])
def test_noise_on_few_validations_far_above_the_training_loss_is_no_rise(count, noise):
    found = Counter()
    for seed in range(60):
        errors = 1 + noise * np.random.default_rng(seed).normal(size=count)
        val = (0.3 + 0.5 * np.exp(-np.linspace(0, 7, count))) * errors
        found[read_curves(history(np.geomspace(0.9, 0.06, count), val, [0.9] * count)).kind] += 1
    assert found["overfitting"] <= 3


STAYS_ABOVE = {
    "one jump": [1, 0.63, 0.4, 0.56, 0.56, 0.56],
    "one jump, longer": [1, 0.63, 0.4, 0.56, 0.55, 0.56, 0.56, 0.555],
    "a noisy level": [0.8, 0.5, 0.4, 0.52, 0.47, 0.55, 0.5, 0.53, 0.49, 0.54],
    "a noisy level after a slow fall": [
        *(1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.40),
        *(0.56, 0.53, 0.58, 0.55, 0.57, 0.54, 0.58, 0.55, 0.57, 0.56, 0.54, 0.57, 0.56),
    ],
    "two small rises": [1, 0.63, 0.4, 0.42, 0.438, 0.456],
}


@pytest.mark.parametrize("name", STAYS_ABOVE)
def test_a_validation_loss_that_stays_above_its_lowest_while_training_goes_on_to_fall_is_overfitting(name):
    val = STAYS_ABOVE[name]
    found = read_curves(history(np.geomspace(1, 0.06, len(val)), val, [0.8] * len(val)))
    assert (found.kind, found.since) == ("overfitting", val.index(min(val)) + 2)


@pytest.mark.parametrize("count", [8, 10, 15, 20, 40])
def test_a_jump_beyond_the_noise_is_found_and_a_level_without_one_is_none(count):
    found = Counter()
    for seed in range(60):
        errors = 1 + 0.02 * np.random.default_rng(seed).normal(size=count)
        fall, low = np.linspace(1, 0.42, count // 4), np.full(count // 5, 0.4)
        for rise in (1.0, 1.2):
            val = np.concatenate([fall, low, np.full(count - len(fall) - len(low), 0.4 * rise)]) * errors
            verdict = read_curves(history(np.geomspace(1, 0.06, count), val, [0.9] * count))
            found[rise] += verdict.kind == "overfitting"
    assert found[1.0] <= 3
    assert found[1.2] >= 54


@pytest.mark.parametrize(("count", "noise", "least"), [(20, 0.02, 50), (40, 0.03, 54), (100, 0.03, 57)])
def test_a_slow_rise_within_the_noise_of_its_epochs_is_found(count, noise, least):
    found = Counter()
    u = np.arange(count) / count
    for seed in range(60):
        rng = np.random.default_rng(seed)
        val = 0.8 * np.exp(-6 * u) + 0.3 + 0.4 * np.maximum(0, u - 0.35) + noise * rng.normal(size=count)
        train = 0.95 * np.exp(-6 * u) + 0.05 + noise / 3 * rng.normal(size=count)
        found[read_curves(history(train, val, 0.75 - 0.6 * np.exp(-6 * u))).kind] += 1
    assert found["overfitting"] >= least


def test_losses_that_rise_together_at_a_restart_of_the_learning_rate_are_no_overfitting():
    u = np.arange(60) / 60
    saw = 0.06 * (1 - (6 * u) % 1)
    found = read_curves(
        history(0.06 + np.exp(-9 * u) + saw[::-1], 0.12 + np.exp(-9 * u) + saw[::-1], 0.9 + 0 * u)
    )
    assert found.kind != "overfitting"


def test_a_good_fit_with_a_training_loss_far_below_says_what_would_help():
    u = np.arange(1, 31) / 30
    found = read_curves(history(0.06 + np.exp(-9 * u), 0.2 + np.exp(-9 * u), 0.9 - 0.3 * np.exp(-9 * u)))
    assert found.kind == "good fit"
    assert "more patients" in found.next_step
    assert "Nothing needs to change" not in found.next_step


def test_a_rise_within_the_noise_of_two_epochs_is_none():
    u = np.arange(1, 31) / 30
    rng = np.random.default_rng(4)
    val = 0.2 + 0.5 * np.exp(-8 * u) + 0.05 * rng.normal(size=30)
    val[-2:] = 0.24, 0.25
    assert read_curves(history(0.18 + 0.5 * np.exp(-8 * u), val, 0.9 + 0 * u)).kind == "good fit"


def test_a_training_that_diverges_is_not_called_overfitting():
    u = np.arange(1, 61) / 60
    train, val, score = good(u)
    apart = 1.5 * np.maximum(u - 0.5, 0)
    found = read_curves(history(train + apart, val + apart, score - apart / 2))
    assert (found.kind, found.since) == ("not yet converged", None)
    assert "diverges" in found.reason
    assert "steps.fit.optimiser.lr" in found.next_step


def test_a_low_score_far_from_the_training_loss_is_overfitting_since_no_certain_epoch():
    u = np.arange(1, 61) / 60
    found = read_curves(history(0.05 + np.exp(-20 * u), 0.8 + np.exp(-20 * u), 0.3 - 0.2 * np.exp(-20 * u)))
    assert (found.kind, found.since) == ("overfitting", None)
    assert found.text().startswith("overfitting: ")


def test_memorised_training_data_count_as_a_fall():
    """The training loss can fall no further, and the validation loss rises."""
    u = np.arange(1, 61) / 60
    rows = history(1e-4 + np.exp(-60 * u), 0.3 + np.exp(-60 * u) + 0.3 * u, 0.7 + 0 * u)
    assert read_curves(rows).kind == "overfitting"


def test_a_rise_without_a_fall_of_the_training_loss_is_none():
    u = np.arange(1, 61) / 60
    found = read_curves(history(0.3 + 0 * u, 0.3 + 0.06 * u, 0.9 + 0 * u))
    assert found.kind != "overfitting"


@pytest.mark.parametrize("seed", SEEDS)
def test_curves_that_part_near_each_other_are_overfitting_too(seed):
    """With a validation loss less than half above the training loss, it is the fall of the latter that tells."""
    u = np.arange(1, 61) / 60
    rng = np.random.default_rng(seed)
    train = 0.7 + 0.5 * np.exp(-3 * u) + 0.005 * rng.normal(size=60)
    val = 0.8 + 0.5 * np.exp(-12 * u) + 0.2 * np.maximum(u - 0.3, 0) + 0.005 * rng.normal(size=60)
    assert read_curves(history(train, val, 0.7 + 0 * u)).kind == "overfitting"


def test_a_smooth_rise_is_sure_though_it_is_no_straight_line():
    u = np.arange(1, 56) / 55
    val = 0.3 + 1.1 * np.exp(-10 * u) + 0.3 * np.maximum(cosine(u) - 0.5, 0)
    found = read_curves(history(0.02 + 1.2 * np.exp(-4 * u), val, 0.8 - 0.6 * np.exp(-10 * u), every=2))
    assert found.kind == "overfitting"


def test_little_gained_from_good_weights_is_no_underfitting():
    u = np.arange(1, 41) / 40
    rows = history(0.2 - 0.02 * (1 - np.exp(-9 * u)), 0.21 - 0.02 * (1 - np.exp(-9 * u)), 0.9 + 0 * u)
    assert read_curves(rows).kind == "good fit"


@pytest.mark.parametrize(("name", "kind"), [(name, kind) for name, (_, kind) in CURVES.items()])
def test_losses_alone_suffice(name, kind):
    rows = [{k: v for k, v in row.items() if k != "val/score"} for row in made(name, 60)]
    assert read_curves(rows).kind == kind


def test_a_score_that_still_rises_is_enough_to_go_on():
    u = np.arange(1, 61) / 60
    train, val, _ = good(u)
    found = read_curves(history(train, val, 0.5 + 0.3 * u))
    assert found.kind == "not yet converged"
    assert "score still rises" in found.reason


def test_what_is_not_finite_is_passed_over():
    rows = made("memorising", 60)
    rows[7] |= {"val/loss": float("nan"), "val/score": float("nan")}
    rows[30]["val/loss"] = float("inf")
    assert read_curves(rows).kind == "overfitting"


@pytest.mark.parametrize("loss", ["val/loss", "train/loss"])
@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_a_loss_that_ends_as_no_finite_number_is_a_training_that_diverges(loss, value):
    rows = made("good", 12)
    rows[-1][loss] = value

    found = read_curves(rows)

    assert found.kind == "not yet converged"
    assert f"loss of epoch 12 is {value:g}: the training diverges" in found.reason
    assert "optimiser.lr" in found.next_step


def test_constant_curves_are_read():
    flat = np.ones(20)
    assert read_curves(history(flat, flat, 0.2 * flat)).kind == "underfitting"
    assert read_curves(history(0 * flat, 0 * flat, flat)).kind == "good fit"


@pytest.mark.parametrize("name", CURVES)
def test_the_text_is_one_line_with_numbers_and_the_advice_names_settings(name):
    found = read_curves(made(name, 50), step="head")
    text = found.text()
    assert "\n" not in text
    assert text.startswith(found.kind)
    assert len(re.findall(r"\d\.\d", text)) >= 2
    assert not text.endswith(".")
    assert ("steps.head." in found.next_step) == (found.kind != "good fit")
    assert (f"since epoch {found.since}: " in text) == (found.since is not None)


def test_the_advice_holds_whatever_the_best_epoch_is_chosen_by():
    from medseg.learning.training.curve_verdict import _against_overfitting

    assert "best score" not in _against_overfitting("fit")


@pytest.mark.parametrize("name", CURVES)
def test_a_verdict_that_rests_on_few_patients_says_so(name):
    rows = made(name, 50)
    plain = read_curves(rows)
    for patients, said in ((1, "1 patient was validated"), (3, "only 3 patients were validated")):
        found = read_curves(rows, patients=patients)
        assert (found.kind, found.since, found.next_step) == (plain.kind, plain.since, plain.next_step)
        assert found.text() == f"{plain.text()}; {said}, and others may lead to another verdict"
    assert read_curves(rows, patients=4) == plain
    assert "patient" not in read_curves(rows[:4], patients=1).text()


@pytest.mark.parametrize("length", [16, 30])
def test_a_sharp_rise_of_the_last_two_validations_is_overfitting(length):
    u = np.linspace(0, 1, length - 2)
    noise = 1 + 0.02 * np.random.default_rng(0).normal(size=length - 2)
    val = [*((0.3 + 0.5 * np.exp(-4 * u)) * noise), 0.47, 0.62]
    train = 0.06 + 0.7 * np.exp(-4 * np.linspace(0, 1, length))
    verdict = read_curves(history(train, val))
    assert verdict.kind == "overfitting"
    assert length - 4 <= verdict.since <= length - 1
    val[-2] = val[-3]
    assert read_curves(history(train, val)).kind != "overfitting"  # one spike makes no rise


@pytest.mark.parametrize(
    ("count", "rise"),
    [
        (8, [0.42, 0.435]),
        (10, [0.31, 0.325]),
        (12, [0.395, 0.41]),
        (16, [0.31, 0.32, 0.33]),
        (20, [0.395, 0.415, 0.436]),
        (40, [0.305, 0.31, 0.315, 0.32, 0.325, 0.33, 0.335, 0.34]),
    ],
)
def test_a_smooth_rise_of_a_twentieth_is_overfitting_however_many_validations_there_are(
    count: int, rise: list[float]
) -> None:
    low, falling = rise[0] - (rise[1] - rise[0]), count - len(rise)
    fall = np.linspace(0, 1, falling)
    val = [*(low + (0.9 - low) * (1 - fall) ** 2), *rise]
    train = 0.06 + 0.84 * np.exp(-np.arange(count) / (count / 5))
    history = [
        {"epoch": epoch, "train/loss": float(t), "val/loss": float(v), "val/score": 0.9}
        for epoch, (t, v) in enumerate(zip(train, val, strict=True), start=1)
    ]

    found = read_curves(history)

    assert (found.kind, found.since) == ("overfitting", falling + 1)
