"""Whether an image and its label map still show the same places, whatever was done to intensities."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch

_BLOCK = 2  # pixels: what smooths an image leaves blocks of them recognisable
_LEVELS = (
    0.3,
    1.0,
    0.5,
    0.8,
)  # of the image where the label is 0, 1, 2, 3: no order, so that no mirror hides

#: A quarter of a slice shows its labels if their F ratio (analysis of variance) is above this; of labels that lie
#: elsewhere it is 1 on average, and above this in one of a million draws.
_LEAST_F = 10.0


def pattern(shapes: Mapping[str, tuple[int, ...]], scale: float) -> dict[str, torch.Tensor]:
    """Blocks of four labels in no order, and an image that is as bright as its label says.

    Args:
        shapes: `image` (C, H, W) and `label` (1, H, W).
        scale: Of the intensities.
    """
    channels, height, width = shapes["image"]
    random = torch.Generator().manual_seed(0)
    blocks = torch.randint(len(_LEVELS), (-(-height // _BLOCK), -(-width // _BLOCK)), generator=random)
    label = blocks.repeat_interleave(_BLOCK, 0).repeat_interleave(_BLOCK, 1)[:height, :width]
    image = scale * torch.tensor(_LEVELS)[label]
    return {"image": image.repeat(channels, 1, 1), "label": label[None].to(torch.uint8)}


def parted(image: torch.Tensor, label: torch.Tensor) -> bool:
    """Whether intensities and labels that came from one `pattern` have nothing to do with one another any more.

    Looked at in quarters, since turns leave the middle where it is; quarters of one label or one intensity, such as
    those that were cut out, say nothing.

    Args:
        image: (C, H, W).
        label: (1, H, W).
    """
    for channel in image:
        shown = [_f_ratio(*quarter) > _LEAST_F for quarter in _quarters(channel.double(), label[0])]
        if shown and sum(shown) < len(shown) / 2:
            return True
    return False


def _quarters(channel: torch.Tensor, label: torch.Tensor) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    middle = [max(1, size // 2) for size in label.shape]
    for rows in (slice(None, middle[0]), slice(middle[0], None)):
        for columns in (slice(None, middle[1]), slice(middle[1], None)):
            values, labels = channel[rows, columns].reshape(-1), label[rows, columns].reshape(-1)
            varied = values.numel() and values.std() > 1e-6 * (1 + values.abs().max())
            if varied and len(labels.unique()) > 1:
                yield values, labels


def _f_ratio(values: torch.Tensor, labels: torch.Tensor) -> float:
    """Variance between labels over that within them, each by its degrees of freedom."""
    found, which = labels.unique(return_inverse=True)
    count = torch.bincount(which).double()
    means = torch.zeros(len(found), dtype=values.dtype).index_add(0, which, values) / count
    between = (count * (means - values.mean()) ** 2).sum() / (len(found) - 1)
    within = ((values - means[which]) ** 2).sum() / max(1, len(values) - len(found))
    return float(between / within) if within > 0 else float("inf")
