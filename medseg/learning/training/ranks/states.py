"""States of a training that travel from one process to others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch


def on_cpu(state: Any) -> Any:
    """The same, nested as it is, with its tensors in main memory: on a GPU they would come to that of the sender."""
    if isinstance(state, torch.Tensor):
        return state.detach().cpu()
    if isinstance(state, Mapping):
        return {key: on_cpu(value) for key, value in state.items()}
    if type(state) in (list, tuple):
        return type(state)(map(on_cpu, state))
    return state
