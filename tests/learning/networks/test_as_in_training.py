from __future__ import annotations

import torch

from medseg.learning.networks.as_in_training import BatchStatistics2d, SeededDropout


def test_the_batch_itself_is_normalised_in_prediction_too():
    values = torch.randn(4, 3, 5, 5) * 7 + 2
    found = BatchStatistics2d(3).eval()(values)
    over = {"dim": (0, 2, 3)}
    torch.testing.assert_close(found.mean(**over), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(found.std(**over, correction=0), torch.ones(3), atol=1e-4, rtol=0)


def test_dropout_stays_active_in_prediction_and_keeps_the_mean():
    found = SeededDropout(0.2, seed=3).eval()(torch.ones(100_000))
    assert set(found.tolist()) == {0.0, 1.25}
    assert abs(float(found.mean()) - 1) < 0.01


def test_the_seed_alone_decides_what_is_dropped_in_prediction():
    layer, values = SeededDropout(0.5, seed=3).eval(), torch.ones(2, 64)
    torch.manual_seed(1)
    first = layer(values)
    torch.manual_seed(2)
    torch.testing.assert_close(layer(values), first, rtol=0, atol=0)
    assert not torch.equal(SeededDropout(0.5, seed=4).eval()(values), first)


def test_prediction_leaves_the_generator_of_the_training_alone():
    before = torch.get_rng_state()
    SeededDropout(0.5, seed=3).eval()(torch.ones(8))
    assert torch.equal(torch.get_rng_state(), before)


def test_training_draws_anew_each_time():
    layer, values = SeededDropout(0.5, seed=3).train(), torch.ones(2, 64)
    assert not torch.equal(layer(values), layer(values))
