"""The forward pass of a network by onnxruntime, in place of the torch network."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NoReturn

import torch

from medseg.errors import ModelError
from medseg.learning.inference.export.packages import import_onnxruntime


class OnnxNetwork(torch.nn.Module):
    """A network that onnxruntime computes on the CPU; it has no parameters and cannot be trained.

    Args:
        graph: A file, or its content: one input (B, C, H, W) and one output, float32.
        threads: How many compute; None for torch's own setting.

    Raises:
        ModelError: onnxruntime is not installed.
    """

    def __init__(self, graph: bytes | Path, threads: int | None = None) -> None:
        super().__init__()
        runtime = import_onnxruntime()
        options = runtime.SessionOptions()
        options.intra_op_num_threads = threads or torch.get_num_threads()
        options.log_severity_level = 3  # errors alone: its notes are of its own fusing of operators
        given = graph if isinstance(graph, bytes) else os.fspath(graph)
        self._session = runtime.InferenceSession(given, options, providers=["CPUExecutionProvider"])
        (self._input,) = (each.name for each in self._session.get_inputs())

    def state_dict(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse: a model that was saved so would have no weights."""
        raise ModelError("a network that onnxruntime computes has no weights to save: save the model itself.")

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits of images (B, C, H, W) in the memory of the CPU."""
        (logits,) = self._session.run(None, {self._input: image.float().cpu().contiguous().numpy()})
        return torch.from_numpy(logits)
