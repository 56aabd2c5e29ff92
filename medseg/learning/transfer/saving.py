"""Writing weights and the state of a training: what the system refuses comes as the `OSError` that it is.

torch and safetensors raise errors of their own where a disk is full, which say nothing of it, or in words alone.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

_NUMBER = re.compile(r"\(os error (\d+)\)")


def save_weights(weights: Mapping[str, torch.Tensor], path: Path) -> None:
    """Write weights by name as safetensors.

    Raises:
        OSError: The file cannot be written, as where no space is left.
    """
    try:
        save_file(dict(weights), path)
    except SafetensorError as error:
        number = _NUMBER.search(str(error))
        if number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from error


def save_state(state: Mapping[str, Any], path: Path) -> None:
    """Write what holds tensors in torch's own form.

    Raises:
        OSError: As `save_weights`.
    """
    try:
        with path.open("wb") as handle:  # given a path, torch forgets the system's error
            torch.save(dict(state), handle)
    except (RuntimeError, OSError) as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, OSError):
            cause = cause.__context__
        if cause is None:
            raise
        raise OSError(cause.errno, cause.strerror, str(path)) from error
