"""Noise, by a generator of the device that the batch is on.

MONAI draws each field of noise by NumPy on the processor, which takes longer than all other transforms together.
Here its own state gives a seed, and torch the noise: it depends on the place of a slice alone, but is another on a
GPU than on a processor, and may be another on another GPU.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from monai.transforms.transform import RandomizableTransform
from monai.utils.misc import MAX_SEED
from numpy.typing import NDArray

from medseg.learning.augmentation.batched.brightness import keeps_float32
from medseg.learning.augmentation.batched.form import Drawn, OfImage


class GaussianNoise(OfImage):
    """`RandGaussianNoised`: its mean and spread, and noise of our own."""

    arguments = ("keys", "prob", "mean", "std", "dtype", "allow_missing_keys", "sample_std")

    def knows(self) -> bool:
        return super().knows() and keeps_float32(self.transform.rand_gaussian_noise.dtype)

    def draw(self, seed: int) -> Mapping[str, Any] | None:
        if not self.chosen(seed):
            return None
        inner = self.transform.rand_gaussian_noise
        inner.R.seed(seed)
        RandomizableTransform.randomize(inner, None)  # its own would draw the field
        spread = inner.R.uniform(0, inner.std) if inner.sample_std else inner.std
        return {"spread": float(spread), "seed": int(inner.R.randint(MAX_SEED, dtype="uint32"))}

    def changed(self, images: torch.Tensor, drawn: Drawn) -> torch.Tensor:
        mean, spreads = self.transform.rand_gaussian_noise.mean, drawn.host["spread"].tolist()
        fields = standard_normal(drawn.host["seed"], images[0])
        for image, spread, field in zip(images, spreads, fields, strict=True):
            image.add_(field.mul_(spread).add_(mean))
        return images


def standard_normal(seeds: NDArray[np.int64], like: torch.Tensor) -> Iterator[torch.Tensor]:
    """A field of noise of mean 0 and spread 1 for each seed, of the shape and on the device of an image."""
    generator = torch.Generator(like.device)
    for seed in seeds.tolist():
        generator.manual_seed(seed)
        yield torch.randn(like.shape, generator=generator, device=like.device)
