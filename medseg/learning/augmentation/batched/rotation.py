"""Turning slices by an angle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from monai.networks.utils import to_norm_affine
from monai.transforms.utils import create_rotate, create_translate
from numpy.typing import NDArray
from torch.nn.functional import affine_grid

from medseg.learning.augmentation.batched.brightness import keeps_float32
from medseg.learning.augmentation.batched.form import Drawn, Form, Slices
from medseg.learning.augmentation.batched.sampling import exact_on, sampled_parts


class Rotate(Form):
    """`RandRotated`, of slices that keep their size."""

    arguments = (
        "keys",
        "range_x",
        "range_y",
        "range_z",
        "prob",
        "keep_size",
        "mode",
        "padding_mode",
        "align_corners",
        "dtype",
        "allow_missing_keys",
        "lazy",
    )

    def __init__(self, transform: Any, slices: Slices) -> None:
        super().__init__(transform, slices)
        keys = self.keys()
        self._sampled = (
            sampled_parts(transform.keys, keys, transform.mode, transform.padding_mode) if keys else None
        )
        given = zip(transform.keys, transform.align_corners, strict=True)
        self._corners = {key: corners for key, corners in given if key in slices.keys}

    def knows(self) -> bool:
        plain = all(isinstance(corners, bool) for corners in self._corners.values())
        exact = all(keeps_float32(dtype) for dtype in self.transform.dtype)
        return self._sampled is not None and self.transform.rand_rotate.keep_size and plain and exact

    def draw(self, seed: int) -> Mapping[str, Any] | None:
        inner = self.transform.rand_rotate
        if not self.drew(seed, inner):
            return None
        middle = (np.array(self.slices.shape[1:]) - 1) / 2
        there, back = (create_translate(2, (sign * middle).tolist()) for sign in (1, -1))
        return {"matrix": there @ create_rotate(2, (inner.x,)) @ back}

    def stacked(self, rows: Sequence[int], drawn: Sequence[Mapping[str, Any]]) -> dict[str, NDArray[Any]]:
        found = super().stacked(rows, drawn)
        matrix, size = torch.from_numpy(found.pop("matrix")).to(torch.float32), self.slices.shape[1:]
        for corners in set(self._corners.values()):
            theta = to_norm_affine(matrix, size, size, align_corners=corners)
            found[f"theta_{corners}"] = theta[:, [1, 0]][:, :, [1, 0, 2]].contiguous().numpy()  # x before y
        return found

    def apply(self, batch: dict[str, torch.Tensor], drawn: Drawn) -> None:
        for part in drawn.parts(batch["image"]):
            for one in self._sampled or ():
                corners, shape = self._corners[one.key], (len(part), *batch[one.key].shape[1:])
                theta = part.sent[f"theta_{corners}"]
                grid = affine_grid(theta.to(exact_on(theta.device)), list(shape), align_corners=corners)
                part.change(batch[one.key], partial(one, grid=grid, align_corners=corners))
