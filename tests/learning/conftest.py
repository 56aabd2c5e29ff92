from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def one_thread():
    """Compute on one thread: tiny networks are faster so, and sums come in one order."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
