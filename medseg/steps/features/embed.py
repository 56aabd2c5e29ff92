"""The step that computes the features of all images."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from medseg.errors import DataError, Fault
from medseg.learning.features.table import KEYS, number_table
from medseg.learning.inference.features import FeaturePlace, feature_place, read_features
from medseg.learning.inference.predictor import Predictor
from medseg.learning.transfer.weights import plain_weights, tensors_digest
from medseg.places import read_kept, written_whole
from medseg.slices.store.store import Sample
from medseg.splits.split import Role
from medseg.steps.features.groupings import CLUSTERS, FEATURES, REDUCED, keep_table, place_of
from medseg.steps.step import Fits, Run, Work
from medseg.text import agreed, many

_ROLES = ("train", "val", "test", "unlabelled")


class Embed:
    """Send every prepared slice through the network, and keep what a layer gives: a row of features for each case.

    Maps are averaged over height and width, and cases of several slices over them. Nothing is augmented, and the
    same weights give the same features.

    Args:
        layer: Dotted name of the layer whose output is kept; left out, what the head of the network gets.
    """

    needs: ClassVar[tuple[str, ...]] = ()
    gives: ClassVar[tuple[str, ...]] = (FEATURES,)
    fits: ClassVar[Fits] = {}

    def __init__(self, layer: str | None = None) -> None:
        if layer is not None and (not isinstance(layer, str) or not layer.strip()):
            raise ValueError(f"layer is {layer!r}, expected the name of a layer, or nothing")
        self.layer = layer

    @property
    def roles(self) -> tuple[Role, ...]:
        """None: whoever is there gets features."""
        return ()

    def check(self, predictor: Predictor) -> None:
        """Send two blank images through the network.

        Raises:
            DefinitionError: The layer is not there or gives no features, or it is not known which part is the head.
        """
        feature_place(predictor.network, predictor.input_shape, self.layer)

    def __call__(self, work: Work, run: Run) -> Work:
        """Compute the features, role by role."""
        predictor = work.predictor
        place, count = feature_place(predictor.network, predictor.input_shape, self.layer)
        samples = [sample for role in _ROLES for sample in work.store.role(role)]
        if not samples:
            raise DataError("no slice is there to compute features of. Change slices.keep.")
        features = np.empty((len(samples), count), dtype=np.float32)
        with run.progress.bar("features", len(samples), "slices") as bar:
            for start in range(0, len(samples), predictor.batch_size):
                here = samples[start : start + predictor.batch_size]
                features[start : start + len(here)] = _of_batch(work, here, place)
                bar.advance(len(here))
        _refuse_not_finite(work, samples, features)
        keys = pd.DataFrame([[each.case, each.group, each.role] for each in samples], columns=list(KEYS))
        frame = number_table(keys, features, [f"f{number}" for number in range(count)])
        if keys.duplicated().any():
            frame = frame.groupby(list(KEYS), sort=False, as_index=False).mean()
        keep_table(frame, run, FEATURES)
        facts = {
            "layer": place.layer,
            "given": place.given,
            "network": digest_without(predictor, place.layer),
        }
        with written_whole(run.place / "layer.json") as target:
            target.write_text(json.dumps(facts), encoding="utf-8")
        run.recorder.tags({f"{run.step}.layer": place.layer})
        run.recorder.params({f"{run.step}.features": count})
        run.progress.say(f"{many(count, 'feature')} of each of {many(len(frame), 'case')}: {place.text()}.")
        return self.recall(work, run)

    def recall(self, work: Work, run: Run) -> Work:
        """Point to the table; what was made of older features is no longer of these."""
        table = place_of(run, FEATURES, read_kept(run.place / "layer.json", dict))
        older = {name: each for name, each in work.artifacts.items() if name not in {REDUCED, CLUSTERS}}
        return replace(work, artifacts={**older, FEATURES: table})


def digest_without(predictor: Predictor, layer: str) -> str:
    """Digest of the weights of a network but for those of one layer, which features may be computed before."""
    weights = plain_weights(predictor.network)
    return tensors_digest({name: each for name, each in weights.items() if not name.startswith(f"{layer}.")})


def _of_batch(work: Work, samples: Sequence[Sample], place: FeaturePlace) -> NDArray[np.float32]:
    images = np.stack([work.store.image(sample) for sample in samples])
    return read_features(work.predictor.network, place, images, work.predictor.device)


def _refuse_not_finite(work: Work, samples: Sequence[Sample], features: NDArray[np.float32]) -> None:
    """Refuse features that are no numbers, and name their cases.

    Raises:
        DataError: A fault for each case.
    """
    wrong = np.flatnonzero(~np.isfinite(features).all(axis=1)).tolist()
    cases = [work.cases[name] for name in dict.fromkeys(samples[row].case for row in wrong)]
    faults = [
        Fault(
            case.id,
            case.position,
            "",
            "its features are NaN or infinite",
            "Look at the image and at slices.transforms; where many cases have it, the weights are at fault",
        )
        for case in cases
    ]
    if faults:
        listed = "\n".join(f"  - {fault.text()}." for fault in faults)
        total = len({sample.case for sample in samples})
        raise DataError(
            f"{len(faults)} of {many(total, 'case')} {agreed('have', len(faults))} no features:\n{listed}",
            faults,
        )
