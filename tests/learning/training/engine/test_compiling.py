from __future__ import annotations

import pytest
import torch

from medseg.errors import TrainingError
from medseg.learning.training.engine.compiling import compiled


@pytest.fixture(autouse=True)
def nothing_compiled_before(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    torch._dynamo.reset()


class Network(torch.nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layer = torch.nn.Linear(3, 3)

    def forward(self, given):
        return torch.relu(self.layer(given)) * 2


def graphs():
    return torch._dynamo.utils.counters["stats"]["unique_graphs"]


@pytest.mark.slow
def test_a_compiled_network_gives_the_same_under_the_same_names() -> None:
    plain, other, given = Network(), Network(), torch.randn(4, 3)
    with compiled(other, wanted=True):
        before = graphs()
        torch.testing.assert_close(other(given), plain(given))
        assert graphs() == before + 1
        assert list(other.state_dict()) == list(plain.state_dict())

    assert other._compiled_call_impl is None
    assert torch.equal(other(given), plain(given))


def test_nothing_is_compiled_unless_it_is_asked_for() -> None:
    plain = Network()
    before = graphs()
    with compiled(plain, wanted=False):
        plain(torch.randn(2, 3))

    assert graphs() == before


def test_without_a_compiler_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    from torch._inductor import config

    monkeypatch.setattr(config.cpp, "cxx", ("/nowhere/g++",))
    plain = Network()
    with (
        pytest.raises(TrainingError, match=r"torch cannot compile .*Leave `compile` out"),
        compiled(plain, wanted=True),
    ):
        plain(torch.randn(2, 3))

    assert plain._compiled_call_impl is None


def test_what_torch_would_leave_as_it_is_is_refused() -> None:
    with (
        pytest.raises(TrainingError, match="torch leaves its own Sequential as it is"),
        compiled(torch.nn.Sequential(torch.nn.ReLU()), wanted=True),
    ):
        pass
