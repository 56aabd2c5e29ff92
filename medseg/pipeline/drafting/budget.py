"""How wide a network is, how many slices are in a batch, and for how many epochs it is trained."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

#: Numbers in the feature maps of a batch of 12 that fit into 8 GB. Source: nnU-Net, its reference for 2-D U-Nets.
_REFERENCE, _REFERENCE_BATCH = 85e6, 12

_MOST_OF_DATA = 0.05  # share of all pixels that a batch may hold. Source: nnU-Net
_MOST, _LEAST = 32, 2
_STEPS = 3000  # of a training whose pace is not known, about
_EPOCHS = (5, 250)

LEAST_STEPS = 300
"""With fewer a network has hardly begun to learn. Source: own trial on ACDC."""

#: So many slices a training should see, each as often as it comes; with fewer, larger pixels lead further. Source:
#: own trials on ACDC without a GPU, batches of 8: 16,000 slices of 128 x 128 pixels gave a mean Dice of 0.81 in the
#: time of 7,600 of 192 x 192, of which 6,400 gave 0.79; of 15,700 of these it was 0.83.
_ENOUGH_SLICES = 10_000

_MOST_STEPS, _MOST_EPOCHS = 30_000, 1000
_FEWEST_EPOCHS = 10  # each may be the one that is kept
_OF_VALIDATION = 0.1  # of the time of training
_FILLED = 0.95  # of the minutes: figures and files take some

_WIDEST = 512


def widths(base: int, halvings: int) -> list[int]:
    """Features of each level: doubled with every halving."""
    return [min(base * 2**level, _WIDEST) for level in range(halvings + 1)]


def batch_size(features: Sequence[int], size: Sequence[int], slices: int) -> int:
    """A power of two of slices a batch.

    Args:
        features: Of each level of the network.
        size: Of a slice, (H, W).
        slices: How many there are for training.
    """
    numbers = sum(4 * width * size[0] * size[1] / 4**level for level, width in enumerate(features))
    fits = round(_REFERENCE / numbers * _REFERENCE_BATCH)
    most = min(fits, int(_MOST_OF_DATA * slices), _MOST)
    return 2 ** int(math.log2(max(most, _LEAST)))


def epochs(slices: int, batch: int) -> int:
    """So many that a training has about 3000 steps, within 5 and 250."""
    least, most = _EPOCHS
    return max(least, min(most, round(_STEPS / max(math.ceil(slices / batch), 1))))


@dataclass(frozen=True)
class Pace:
    """What a training takes on this machine.

    Attributes:
        trained: Seconds of a slice that is trained on.
        validated: Seconds of a slice that is validated.
        gib: Memory of a batch and of the network.
        kept: Memory of a slice that is kept, in GiB.
    """

    trained: float
    validated: float
    gib: float
    kept: float = 0.0


@dataclass(frozen=True)
class Course:
    """How long a training is.

    Attributes:
        epochs: How many.
        steps: Of all of them.
        slices: Training slices that an epoch holds; None for all.
        validate_every: Epochs from one validation to the next.
        minutes: What it should take; None where that was not measured.
        gib: Memory that it should take.
    """

    epochs: int
    steps: int
    slices: int | None = None
    validate_every: int = 1
    minutes: float | None = None
    gib: float = 0.0


def unmeasured(slices: int, batch: int, most: int = _EPOCHS[1]) -> Course:
    """About 3000 steps, in no more than `most` epochs."""
    count = min(epochs(slices, batch), most)
    return Course(count, count * math.ceil(slices / batch))


def course(pace: Pace, minutes: float, *, slices: int, validated: int, batch: int) -> Course:
    """The longest training that fits into the minutes, with at least ten epochs if it can be.

    Args:
        pace: As measured.
        minutes: What it may take.
        slices: For training.
        validated: For validation.
        batch: Slices a step.
    """
    seconds = minutes * 60 * _FILLED
    of_validation = validated * pace.validated
    share = seconds / (1 + _OF_VALIDATION) / _FEWEST_EPOCHS
    most = max(int(share / pace.trained) // batch, 1) * batch
    each = min(slices, most)
    of_training = each * pace.trained
    every = max(1, math.ceil(of_validation / (_OF_VALIDATION * of_training)))
    count = int(seconds / (of_training + of_validation / every))
    steps = math.ceil(each / batch)
    count = max(1, min(count, _MOST_EPOCHS, _MOST_STEPS // steps))
    every = min(every, max(count // 2, 1))  # twice at least, so that there is a best one
    while count > 1 and count * of_training + math.ceil(count / every) * of_validation > seconds:
        count -= 1
    took = count * of_training + math.ceil(count / every) * of_validation
    gib = pace.gib + (slices + validated) * pace.kept
    return Course(count, count * steps, each if each < slices else None, every, took / 60, gib)


def sees_enough(pace: Pace, minutes: float) -> bool:
    """Whether the minutes hold as many slices as a training should see."""
    return minutes * 60 * _FILLED >= _ENOUGH_SLICES * pace.trained
