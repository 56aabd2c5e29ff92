"""Which library computes the forward pass of a model."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

import torch

from medseg.errors import DefinitionError
from medseg.learning.inference.export.checked import checked_graph
from medseg.learning.inference.export.session import OnnxNetwork
from medseg.learning.inference.predictor import Predictor


class Engine(Protocol):
    """A library that computes networks."""

    def device(self, asked: str, *, heat_maps: bool) -> str:
        """Where it computes, of auto, cpu and cuda.

        Raises:
            DefinitionError: It does not compute there, or gives no heat maps and they are asked for.
        """

    def computing(self, predictor: Predictor) -> Predictor:
        """A model whose forward pass it computes; all else is as it was.

        Raises:
            ModelError: It cannot compute this network.
        """


class Torch:
    """torch, which the model was trained by."""

    def device(self, asked: str, *, heat_maps: bool) -> str:
        """Where it was asked for."""
        del heat_maps
        return asked

    def computing(self, predictor: Predictor) -> Predictor:
        """The model as it is."""
        return predictor


class OnnxRuntime:
    """onnxruntime, on the CPU, with as many threads as torch.

    The network is written as ONNX in memory, and compared with torch first. Needs the extra `medseg[onnx]`.
    """

    def device(self, asked: str, *, heat_maps: bool) -> str:
        """The CPU."""
        if asked == "cuda":
            raise DefinitionError(
                "onnx computes on the CPU. Leave out --device cuda, or take --engine torch."
            )
        if heat_maps:
            raise DefinitionError(
                "heat maps need torch's gradients. Leave out --heat-maps, or take --engine torch."
            )
        return "cpu"

    def computing(self, predictor: Predictor) -> Predictor:
        """The model with another network in it."""
        network = copy.deepcopy(predictor.network).cpu().eval()
        graph = checked_graph(network, predictor.input_shape)
        others = tuple(self.computing(each) for each in predictor.others)
        computed, where = OnnxNetwork(graph.content).eval(), torch.device("cpu")
        return replace(predictor, network=computed, device=where, others=others)


_ENGINES: Mapping[str, Engine] = {"torch": Torch(), "onnx": OnnxRuntime()}


def engine_named(name: str) -> Engine:
    """The engine of this name.

    Raises:
        DefinitionError: There is none.
    """
    if name not in _ENGINES:
        raise DefinitionError(f"the engine is {name!r}, expected {' or '.join(_ENGINES)}.")
    return _ENGINES[name]
