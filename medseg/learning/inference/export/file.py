"""Writing a model as an ONNX file."""

from __future__ import annotations

import copy
from pathlib import Path

from medseg.learning.inference.export.alone import refuse_several_axes
from medseg.learning.inference.export.checked import Graph, checked_graph, largest_difference
from medseg.learning.inference.export.meaning import meaning
from medseg.learning.inference.export.packages import import_onnx
from medseg.learning.inference.predictor import Predictor
from medseg.places import written_whole


def write_onnx(predictor: Predictor, path: Path) -> Graph:
    """Write the network of a model, with what its input and output mean as metadata.

    The file appears when onnxruntime has read it and has given torch's logits on batches of three shapes.

    Args:
        predictor: The model. Preparation, flips and post-processing stay outside; the metadata say them.
        path: Of the file.

    Returns:
        What was written.

    Raises:
        ModelError: onnx or onnxruntime is not installed, or the network cannot be written as ONNX.
        NotWrittenError: The file cannot be written.
    """
    refuse_several_axes(predictor)
    network = copy.deepcopy(predictor.network).cpu().eval()
    graph = checked_graph(network, predictor.input_shape)
    onnx = import_onnx()
    model = onnx.load_from_string(graph.content)
    onnx.helper.set_model_props(model, meaning(predictor, graph.divisor))
    model.graph.name = "medseg"
    onnx.checker.check_model(model)
    with written_whole(path) as target:
        onnx.save(model, str(target))
        largest_difference(network, target, graph.shapes)
    return graph
