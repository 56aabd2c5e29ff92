"""How slices reach the network: batches, cache and random augmentation."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from medseg.component import Spec

AT_ONCE = 16
"""Slices that a model predicts at a time, where nobody says otherwise."""

MOST_AT_ONCE = 4096


class Loading(BaseModel):
    """How slices are loaded during training.

    Attributes:
        batch_size: Slices in a batch.
        predict_batch: Slices in a batch of prediction: of `Evaluate`, and of the saved model. It matters for the time
            and the memory alone, but for a network that normalises by the statistics of the batch.
        cache: Where slices wait between epochs: `memory` (RAM), `disk` (read from the store each time) or
            `gpu`; `auto` takes what fits.
        workers: Processes that load beside the training; 0 for none, `auto` for what cache and processors
            suggest.
        slices_per_epoch: Training slices that an epoch holds, where all of them would be too many; every one is
            seen before one is seen again. Left out, all.
        augment: Specs of random MONAI transforms on slices (C, H, W), in order, applied in training alone.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    batch_size: Annotated[int, Field(gt=0)] = 32
    predict_batch: Annotated[int, Field(gt=0, le=MOST_AT_ONCE)] = AT_ONCE
    cache: Literal["auto", "memory", "disk", "gpu"] = "auto"
    workers: Annotated[int, Field(ge=0)] | Literal["auto"] = "auto"
    slices_per_epoch: Annotated[int, Field(gt=0)] | None = None
    augment: list[Spec] = []
