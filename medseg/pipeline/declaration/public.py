"""What of a definition a tracker may know: no path, and no value that may tell who a patient is."""

from __future__ import annotations

from typing import Any

from medseg.datasets.manifest.manifest import Manifest
from medseg.pipeline.declaration.definition import PipelineDefinition

GIVEN = "given"

_OWN = "own"  # the weights that a network brings itself: no path


def public_definition(definition: PipelineDefinition, manifest: Manifest) -> dict[str, Any]:
    """The definition as plain data, with what must not leave the machine taken out.

    The manifest stands by its name, a split file and files of weights as `given`. Where ids are identifying,
    the values by which columns choose validation and test patients are taken out too. The run's own folder
    keeps all of it.
    """
    known = definition.to_dict()
    known["manifest"] = manifest.name
    split = known["split"]
    if split.get("file") is not None:
        split["file"] = GIVEN
    for step in known["steps"].values():
        if isinstance(step.get("weights"), str) and step["weights"] != _OWN:
            step["weights"] = GIVEN
    if manifest.ids == "identifying":
        for role in ("val", "test"):
            if isinstance(split.get(role), dict):
                split[role] = dict.fromkeys(split[role], GIVEN)
    return known
