"""Showing a network the slices on either side of each slice, as further channels (2.5D)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.data.meta_tensor import MetaTensor
from monai.transforms.transform import MapTransform
from monai.utils.enums import TraceKeys

from medseg.images.refusal import RefusedError
from medseg.slices.dictionary.fit import FitSlicesd
from medseg.slices.rule import neighbour_offsets


class StackNeighboursd(MapTransform):
    """Give each slice of (C, S, H, W) the slices on either side of it as further channels: (C * (2 n + 1), S, H, W).

    The channels of the slice itself come first, then those of the slice before it, of the one behind it, of the
    second before it, and so on. Before the first slice and behind the last one these repeat. Of slices that were cut
    into tiles a tile comes with the same tile of the slices on either side. The voxels of a slice stay where they
    are, so that maps are led back as without this transform.

    Args:
        keys: Of slices as `CutSlicesd` and `FitSlicesd` make them.
        neighbours: How many slices on either side, 1 or more.
        allow_missing_keys: Leave out keys that are not there.

    Raises:
        RefusedError: The array has no four axes.
    """

    def __init__(
        self, keys: str | Sequence[str], neighbours: int = 1, allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        if neighbours < 1:
            raise ValueError(f"neighbours is {neighbours}, expected 1 or more")
        self.neighbours = int(neighbours)

    def __call__(self, data: Mapping[Any, Any]) -> dict[Any, Any]:
        """Stack each key."""
        done = dict(data)
        for key in self.key_iterator(done):
            slices = torch.as_tensor(done[key])
            if slices.ndim != 4:
                raise RefusedError(
                    f"an array of shape {tuple(slices.shape)}, where StackNeighboursd takes slices (C, S, H, W)",
                    "Put it after CutSlicesd; a picture has no neighbours.",
                )
            plain = slices.as_tensor() if isinstance(slices, MetaTensor) else slices
            rows = _rows(plain.shape[1], _tiles(slices), self.neighbours)
            stacked = torch.cat([plain[:, each] for each in rows])
            done[key] = (
                MetaTensor(stacked).copy_meta_from(slices) if isinstance(slices, MetaTensor) else stacked
            )
        return done


def _rows(count: int, tiles: int, neighbours: int) -> list[torch.Tensor]:
    """For each offset the place of what is seen there from each of `count` places, of which a slice has `tiles`."""
    slices, tile = np.divmod(np.arange(count), tiles)
    last = count // tiles - 1
    return [
        torch.from_numpy(np.clip(slices + offset, 0, last) * tiles + tile)
        for offset in neighbour_offsets(neighbours)
    ]


def _tiles(slices: torch.Tensor) -> int:
    """Into how many tiles each slice was cut, as the trace of `FitSlicesd` tells."""
    traced = slices.applied_operations if isinstance(slices, MetaTensor) else []
    fitted = (each for each in reversed(traced) if each[TraceKeys.CLASS_NAME] == FitSlicesd.__name__)
    known = next(fitted, None)
    return 1 if known is None else slices.shape[1] // int(known[TraceKeys.EXTRA_INFO]["shape"][0])
