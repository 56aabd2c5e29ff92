"""From the numbers in a label map to class indices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.data.meta_tensor import MetaTensor
from monai.transforms.transform import MapTransform

from medseg.datasets.manifest.label_map import LabelRule
from medseg.images.whole import whole
from medseg.slices.transforms import as_array


class EncodeLabelsd(MapTransform):
    """Replace the stored values of a label map (1, I, J, K) by class indices, uint8.

    A value that has no meaning is refused, never taken for background; one that the rule ignores becomes 255.

    Args:
        keys: Of the label maps.
        rule: `{stored value: name of its class}`, the classes counted in the order of their names' first mention; or
            the rule of a manifest (`manifest.label_rule()`).
        image_key: Of the raw image on the same grid, before its intensities are changed; read only by a rule that
            tells two classes apart by the image.
        objects_key: Where the stored values are kept, as int32, if the rule numbers objects; None keeps none.
        allow_missing_keys: Leave out keys that are not there.

    Raises:
        DataError: The map holds a value that the rule does not name, or numbers that are not whole.
    """

    def __init__(
        self,
        keys: str | Sequence[str],
        rule: LabelRule | Mapping[int, str],
        image_key: str = "image",
        objects_key: str | None = None,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        if isinstance(rule, Mapping):
            rule = LabelRule(tuple(dict.fromkeys(rule.values())), dict(rule))
        self.rule, self.image_key, self.objects_key = rule, image_key, objects_key

    def __call__(self, data: Mapping[Any, Any]) -> dict[Any, Any]:
        """Encode each key."""
        done = dict(data)
        for key in self.key_iterator(done):
            stored = done[key]
            values = whole(as_array(torch.as_tensor(stored))[0])
            image = as_array(torch.as_tensor(done[self.image_key])) if self.rule.derive else values[None]
            done[key] = _alike(
                stored, torch.from_numpy(np.ascontiguousarray(self.rule.encode(values, image)))[None]
            )
            if self.objects_key is not None and self.rule.instances is not None:
                marked = self.rule.marked(values)
                done[self.objects_key] = _alike(stored, torch.from_numpy(marked.astype(np.int32))[None])
        return done


def _alike(before: Any, after: torch.Tensor) -> torch.Tensor:
    """With the geometry of what it was made of."""
    return MetaTensor(after).copy_meta_from(before) if isinstance(before, MetaTensor) else after
