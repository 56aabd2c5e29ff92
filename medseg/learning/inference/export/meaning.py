"""What an ONNX file says of itself: what goes in, what comes out, and what is done around it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import torch

from medseg.learning.inference.flips import described
from medseg.learning.inference.model_card import RESEARCH_ONLY
from medseg.learning.inference.predictor import Predictor
from medseg.learning.tasks.task import Task
from medseg.learning.transfer.weights import plain_weights, tensors_digest

FORMAT = 1
"""Of these entries; a reader refuses what it does not know."""

#: What each way to bring slices to their size does.
_FIT = {
    "pad": "padded and cropped around the centre to",
    "resize": "stretched to",
    "tile": "cut into overlapping tiles of",
}

#: Of what a model knows of its training, what names no run, no path and no case.
_ABOUT = {
    "pipeline": "pipeline",
    "data.kind": "data_kind",
    "data.note": "data_note",
    "version.medseg": "version",
}


def meaning(predictor: Predictor, divisor: int) -> dict[str, str]:
    """Entries of an ONNX file's metadata, by their key; lists and mappings are JSON.

    Args:
        predictor: The model.
        divisor: In which steps height and width may be larger; 0 where they may not.
    """
    task, rule, manifest = predictor.task.spec(), predictor.preparation.rule, predictor.manifest
    flips = [list(flip) for flip in predictor.flips]
    found: dict[str, Any] = {
        "format": FORMAT,
        "use": RESEARCH_ONLY,
        "input": "float32 (batch, channels, height, width): slices, prepared as `preparation` says",
        "output": _output(predictor.task),
        "channels": list(predictor.channels),
        "inputs": list(predictor.inputs),
        "classes": list(predictor.task.classes),
        "maps": list(predictor.task.maps),
        "regions": {name: list(members) for name, members in predictor.task.regions.items()},
        "size": list(rule.size),
        "divisor": divisor,
        **{name: task[name] for name in ("threshold", "thresholds", "temperature") if name in task},
        "flips": flips,
        "flips_in_words": f"mean of the logits over mirror images too: {described(predictor.flips)}"
        if flips
        else "none",
        "preparation": _preparation(predictor),
        "slices": rule.model_dump(mode="json"),
        "batch_size": predictor.batch_size,
        "postprocessing": [f"{manifest.classes[each.index]}: {each.words()}" for each in predictor.cleaning],
        "task": task,
        "label_values": dict(manifest.label_values or {}),
        "data": manifest.name,
        "data_licence": manifest.licence,
        "weights_sha256": tensors_digest(plain_weights(predictor.network)),
        **{name: predictor.about[key] for key, name in _ABOUT.items() if key in predictor.about},
    }
    return {
        f"medseg.{key}": value if isinstance(value, str) else _json(value) for key, value in found.items()
    }


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _output(task: Task) -> str:
    """What the numbers mean: of logits that are all low, classes that exclude one another give a sum of 1."""
    shape = task.target.output(task.out_channels, (1, 1))
    low = task.probabilities(torch.full((1, *shape), -50.0)).sum(dim=1)
    what = "the softmax over axis 1" if bool((low > 0.5).all()) else "the sigmoid of each"
    of = "(batch, maps, height, width)" if len(shape) == 3 else "(batch, classes)"
    divided = " divided by `temperature`" if "temperature" in task.spec() else ""
    return f"logits, float32 {of}; the probabilities are {what}{divided}"


def _preparation(predictor: Predictor) -> str:
    """How volumes become the slices that go in."""
    rule = predictor.preparation.rule
    height, width = rule.size
    steps = [_words(spec) for spec in rule.chain]
    if (reference := predictor.preparation.reference) is not None:
        steps = [f"channels resampled linearly onto the grid of {reference}", *steps]
    what = f"{rule.axis} slices" if predictor.manifest.pictures is None else "pictures"
    size = f"{what}, {_FIT[rule.fit]} {height} x {width} pixels"
    margin = f"; the margin is filled: {rule.pad}" if rule.fit != "resize" else ""
    return "; ".join([*(steps or ["intensities as they are read"]), f"{size}{margin}"])


def _words(spec: Mapping[str, Any]) -> str:
    """A transform by its name and arguments."""
    name = str(spec["_target_"])
    given = [f"{key} {_json(value)}" for key, value in spec.items() if key != "_target_"]
    return f"{name} ({', '.join(given)})" if given else name
