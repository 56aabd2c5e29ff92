"""Looking at a pipeline's network: layer by layer, and as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from medseg.api.opening import check_pipeline
from medseg.progress import Progress

if TYPE_CHECKING:
    from medseg.figures.network_drawing import LayerBox
    from medseg.learning.inspection.layer_table import NetworkDescription
    from medseg.learning.training.memory import MemoryNeed
    from medseg.pipeline.resolve import Resolved


@dataclass(frozen=True)
class Described:
    """A network and what it takes.

    Attributes:
        resolved: The pipeline with all its parts.
        network: Its layers.
        need: Memory that training takes.
        picture: Where it is drawn.
    """

    resolved: Resolved
    network: NetworkDescription
    need: MemoryNeed
    picture: Path


def describe_pipeline(
    name: str | Path,
    out: str | Path | None = None,
    *,
    set: Sequence[str] = (),  # noqa: A002  # as on the command line
    allow: Sequence[str] = (),
    data: str | Path | None = None,
    progress: Progress | None = None,
) -> Described:
    """Send one blank image through the network of a pipeline, and draw it.

    Args:
        name: A pipeline.
        out: The picture to write, PNG; by default `<name>_network.png` in the working folder.
        set: `path=value` strings that change the definition.
        allow: Packages that declared objects may come from, beside the usual ones.
        data: Folder of the data, where they tell the classes.
        progress: Where it is shown.

    Raises:
        DefinitionError: The definition is wrong.
    """
    resolved = check_pipeline(name, set=set, allow=allow, data=data, progress=progress)
    import numpy as np  # noqa: PLC0415
    import torch  # noqa: PLC0415

    from medseg.figures.network_drawing import network_drawing  # noqa: PLC0415
    from medseg.figures.saving import save_figure  # noqa: PLC0415
    from medseg.learning.inspection.layer_table import describe  # noqa: PLC0415
    from medseg.learning.training.memory import measure_need  # noqa: PLC0415

    definition, network = resolved.definition, resolved.predictor.network
    height, width = definition.slices.size
    shape = (len(definition.inputs), height, width)
    found = describe(network, shape)
    ones = np.ones(len(resolved.predictor.task.classes), dtype=np.int64)
    task = resolved.predictor.task
    label = torch.from_numpy(task.target.blank(len(task.classes), (height, width)))
    need = measure_need(network, task.weighted(ones).loss(), shape, label=label)
    kind = definition.network["_target_"].rpartition(".")[2]
    title = f"{definition.name}: {kind}, {found.trainable:,} trainable parameters"
    figure = network_drawing(_boxes(found), title=title)
    picture = save_figure(figure, Path(out or f"{definition.name}_network.png"))
    return Described(resolved, found, need, picture)


def _boxes(found: NetworkDescription) -> list[LayerBox]:
    """The layers that compute something, with their links counted anew."""
    from medseg.figures.network_drawing import LayerBox  # noqa: PLC0415

    used = [place for place, layer in enumerate(found.layers) if layer.shape]
    new = {place: number for number, place in enumerate(used)}
    boxes = []
    for place in used:
        layer = found.layers[place]
        # the layer just before is drawn by an arrow; a link is what comes from further back
        links = tuple(new[each] for each in layer.joins if each in new and new[each] < new[place] - 1)
        boxes.append(LayerBox(layer.name, layer.kind, layer.shape or (), layer.parameters, links))
    return boxes
