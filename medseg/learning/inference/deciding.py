"""From the logits of prepared slices to the label map of a volume."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray

from medseg.learning.tasks.task import MaskTask
from medseg.slices.preparation import PreparedVolume


def decided(
    task: MaskTask,
    prepared: PreparedVolume,
    rows: NDArray[np.intp],
    logits: Iterable[torch.Tensor],
    *,
    probabilities: bool = False,
) -> tuple[NDArray[np.uint8], NDArray[np.float32] | None]:
    """Label map of a volume on the grid of its file, before post-processing.

    Slices that were not sent to the network, and what was cropped away, are of the first class.

    Args:
        task: What logits mean.
        prepared: All slices of the volume.
        rows: Which of them were sent.
        logits: Theirs, in batches (B, K, H, W).
        probabilities: Whether to give them too.

    Returns:
        (I, J, K) class indices, and (K, I, J, K) probabilities where they are wanted.
    """
    exact, outside = prepared.fitting.exact, task.outside
    labels = np.zeros((1, *prepared.image.shape[:1], *prepared.image.shape[2:]), dtype=np.uint8)
    chances = None
    if probabilities or not exact:
        chances = np.empty((len(outside), *labels.shape[1:]), dtype=np.float32)
        chances[:] = np.array(outside, dtype=np.float32)[:, None, None, None]
    done = 0
    for batch in logits:
        here = rows[done : done + len(batch)]
        labels[0, here] = task.decode(batch).cpu().numpy()
        if chances is not None:
            chances[:, here] = task.probabilities(batch).cpu().numpy().swapaxes(0, 1)
        done += len(batch)
    restored = None if chances is None else prepared.restore(chances, nearest=False, outside=outside)
    if restored is not None:
        np.clip(restored, 0, 1, out=restored)  # interpolating rounds beyond by a bit
    if restored is None or exact:
        native = prepared.restore(labels, nearest=True)[0].astype(np.uint8)
    else:  # where slices were resampled or overlap, what is interpolated is the probability
        native = task.decide(restored)
    return native, restored if probabilities else None


def over_axes(
    task: MaskTask, chances: NDArray[np.float32], others: Iterable[NDArray[np.float32] | None]
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Label map of the mean over several axes.

    Args:
        task: What probabilities mean.
        chances: (N, I, J, K) of the first, on the grid of the file; overwritten.
        others: Those of the others.

    Returns:
        (I, J, K) class indices, and the mean.
    """
    count = 1
    for each in others:
        if each is not None:
            chances += each
            count += 1
    chances /= count
    return task.decide(chances), chances
