"""A trained network with all that inference needs, saved as data and weights without code."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from medseg.component import Allowed, build
from medseg.datasets.case import Case
from medseg.datasets.manifest.manifest import Manifest
from medseg.datasets.reading.volume import Volume
from medseg.errors import MedsegError, ModelError, OtherSettingsError
from medseg.geometry.axes import AXES
from medseg.learning.inference.cleaning import Cleaning, as_given, cleaned, cleanings_of
from medseg.learning.inference.deciding import decided, over_axes
from medseg.learning.inference.flips import Flips, mean_logits
from medseg.learning.inference.model_card import model_card
from medseg.learning.inference.prediction import Classification, Prediction
from medseg.learning.inference.saved_model import (
    FORM,
    described_in,
    fill,
    part_of,
    refuse_contradictions,
    unbuilt,
)
from medseg.learning.inference.training_profile import TrainingProfile, profile_volume
from medseg.learning.outputs.main_output import with_main_output
from medseg.learning.tasks.task import TASK, LabelTask, MaskTask, Task
from medseg.learning.training.loading import AT_ONCE
from medseg.learning.transfer.saving import save_weights
from medseg.learning.transfer.weights import plain_weights
from medseg.places import written_whole
from medseg.slices.preparation import Preparation


@dataclass(frozen=True)
class Predictor:
    """A trained network with the preparation of its input and the meaning of its output.

    For research use only; not a medical device.

    Attributes:
        network: In eval mode, on `device`.
        network_spec: The declaration that builds it.
        task: What its output means.
        preparation: From volumes to the slices that it takes.
        manifest: What data it learned from: channels, label values, licence, citation.
        profile: How its training data looked.
        about: Name of the pipeline, versions, kind of data, run; shown in the model card.
        device: Where it computes.
        batch_size: Slices at a time; bounds memory, and matters to networks that normalise by the batch.
        flips: Mirror images of a slice that are predicted too; the logits are the mean over them.
        cleaning: Post-processing of the label maps of whole cases, in this order.
        others: Models of the same channels and classes that cut volumes along other axes, with nothing of their own
            but network, preparation, mirror images and batch size: probabilities of a volume are the mean over all.
    """

    network: torch.nn.Module
    network_spec: Mapping[str, Any]
    task: Task
    preparation: Preparation
    manifest: Manifest
    profile: TrainingProfile | None = None
    about: Mapping[str, str] = field(default_factory=dict)
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    batch_size: int = AT_ONCE
    flips: Flips = ()
    cleaning: tuple[Cleaning, ...] = ()
    others: tuple[Predictor, ...] = ()

    def __post_init__(self) -> None:
        """Let the network give the one output that counts, where it has several."""
        if isinstance(self.network, torch.nn.Module):  # else whatever a script computes with
            with_main_output(self.network)

    @property
    def networks(self) -> torch.nn.Module:
        """What holds all weights: the network, or a list of it and those of `others`."""
        return (
            torch.nn.ModuleList([self.network, *(each.network for each in self.others)])
            if self.others
            else self.network
        )

    @property
    def channels(self) -> tuple[str, ...]:
        """Channels of the input, in order."""
        return self.preparation.channels

    @property
    def inputs(self) -> tuple[str, ...]:
        """What the network sees of a slice, in order: its channels, and those of its neighbours."""
        return self.preparation.inputs

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of a slice that the network gets."""
        return len(self.inputs), *self.preparation.rule.size

    def probabilities(self, slices: NDArray[np.float32]) -> NDArray[np.float32]:
        """Class probabilities of prepared slices.

        Args:
            slices: (B, C, H, W) float32, prepared as in training; any B, and any H and W the network takes.

        Returns:
            (B, K, H, W) in [0, 1], one for each of the task's `maps`; of whole images (B, K).

        Raises:
            ModelError: The array has another number of dimensions or channels, or the network returned NaN or
                infinity.
        """
        self._refuse_other(slices)
        if not len(slices):
            height, width = slices.shape[2:]
            shape = self.task.target.output(self.task.out_channels, (height, width))
            return np.zeros((0, *shape), dtype=np.float32)
        found = [self.task.probabilities(logits).cpu().numpy() for logits in self._logits(slices)]
        return np.concatenate(found)

    def logits(self, slices: NDArray[np.float32]) -> NDArray[np.float32]:
        """The logits (B, K, H, W), of whole images (B, K), of prepared slices (B, C, H, W), B at least 1.

        Raises:
            ModelError: As `probabilities`.
        """
        self._refuse_other(slices)
        return np.concatenate([logits.float().cpu().numpy() for logits in self._logits(slices)])

    def labels(self, slices: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Class indices (B, H, W) of prepared slices (B, C, H, W), B at least 1.

        Raises:
            ModelError: As `probabilities`.
        """
        self._refuse_other(slices)
        decode = self._mask_task().decode
        found = [decode(logits).cpu().numpy() for logits in self._logits(slices)]
        return np.concatenate(found).astype(np.uint8)

    def _refuse_other(self, slices: NDArray[np.float32]) -> None:
        if self.others:
            raise ModelError(
                "the model averages volumes over several axes: slices along one of them have no answer. Ask it about "
                "volumes: predict_volume, or medseg predict."
            )
        if slices.ndim != 4 or slices.shape[1] != len(self.inputs):
            raise ModelError(
                f"the model takes slices (B, {len(self.inputs)}, H, W) with the channels "
                f"{list(self.inputs)}, got an array of shape {slices.shape}"
            )

    def _logits(self, slices: NDArray[np.float32]) -> Iterator[torch.Tensor]:
        self.network.eval()
        for start in range(0, len(slices), self.batch_size):
            batch = torch.from_numpy(np.ascontiguousarray(slices[start : start + self.batch_size]))
            with torch.inference_mode():
                logits = mean_logits(self.network, batch.float().to(self.device), self.flips)
            if not torch.isfinite(logits).all():  # its decision would be the first class, or any
                raise OtherSettingsError(
                    "the network returned NaN or infinity. Training diverged, or the input is far outside the "
                    "training data."
                )
            yield logits

    def read(self, case: Case) -> Volume:
        """Read one case with its truth.

        Raises:
            DataError: A file of the case cannot be used.
        """
        return self.preparation.read(case, self.manifest.label_rule())

    def read_image(self, case: Case) -> Volume:
        """Read one case without its truth.

        Raises:
            DataError: A file of the case cannot be used.
        """
        return self.preparation.read(case, labels=None)

    def predict(self, case: Case, *, probabilities: bool = False) -> Prediction:
        """Read and segment one case.

        Raises:
            DataError: A file of the case cannot be used; its truth, if any, is not read.
        """
        return self.predict_volume(self.read_image(case), probabilities=probabilities)

    def predict_volume(self, volume: Volume, *, probabilities: bool = False) -> Prediction:
        """Segment one volume.

        Slices in which every channel holds nothing but background are not sent to the network: they, and
        what was cropped away, are of the first class. Of several axes each says so of its own slices.

        Args:
            volume: Channels in the order of `channels`, raw intensities.
            probabilities: Whether to give probabilities too (K times the memory of the volume).

        Raises:
            ModelError: The model gives no label maps, or its network returned NaN or infinity.
            DataError: A transform cannot be applied to it.
        """
        task, wanted = self._mask_task(), probabilities or bool(self.others)
        prepared = self.preparation.apply(volume)
        rows = np.flatnonzero(prepared.content)
        logits = self._logits(prepared.image[rows])
        native, chances = decided(task, prepared, rows, logits, probabilities=wanted)
        if self.others and chances is not None:
            del prepared, logits  # as large as the volume, and the others have their own
            along = (each.predict_volume(volume, probabilities=True).probabilities for each in self.others)
            native, chances = over_axes(task, chances, along)
        native = self._cleaned(native, volume)
        given = chances if probabilities else None
        return Prediction(native, given, volume, self._millilitres(native, volume), self._warnings(volume))

    def classify(self, volume: Volume) -> Classification:
        """Say which classes one case has.

        The probabilities are the mean over its slices that show something; over all where none does.

        Args:
            volume: Channels in the order of `channels`, raw intensities.

        Raises:
            ModelError: The model gives label maps, or its network returned NaN or infinity.
            DataError: A transform cannot be applied to it.
        """
        task = self._label_task()
        prepared = self.preparation.apply(volume)
        chances = self.probabilities(prepared.image[prepared.telling]).mean(axis=0)
        return Classification(chances, task.chosen(chances), volume, self._warnings(volume))

    def _mask_task(self) -> MaskTask:
        if not isinstance(self.task, MaskTask):
            raise ModelError("the model tells classes of whole images: it gives no label maps.")
        return self.task

    def _label_task(self) -> LabelTask:
        if not isinstance(self.task, LabelTask):
            raise ModelError("the model gives label maps: it tells no class of a whole image.")
        return self.task

    def _cleaned(self, labels: NDArray[np.uint8], volume: Volume) -> NDArray[np.uint8]:
        """Post-process a label map on the grid of the files."""
        if not self.cleaning:
            return labels
        grid, along = volume.geometry, AXES[self.preparation.rule.axis].along
        return grid.from_ras(cleaned(grid.to_ras(labels), self.cleaning, grid.voxel_volume, along))

    def _millilitres(self, labels: NDArray[np.uint8], volume: Volume) -> dict[str, float]:
        each = volume.geometry.voxel_volume / 1000
        counts = np.bincount(labels.ravel(), minlength=len(self.task.classes)) * each
        found = {name: float(counts[i]) for i, name in enumerate(self.task.classes)}
        found |= {name: float(counts[list(members)].sum()) for name, members in self.task.regions.items()}
        return found

    def _warnings(self, volume: Volume) -> tuple[str, ...]:
        odd = tuple(dict.fromkeys((*volume.geometry.assumed, *volume.notes)))
        unlike = () if self.profile is None else self.profile.warnings(profile_volume(volume, self.channels))
        return *odd, *unlike

    def save(self, folder: Path) -> Path:
        """Write `model.json`, `weights.safetensors` and a model card, as one folder that is never half there."""
        weights = plain_weights(self.networks)
        described = {
            "form": FORM,
            "about": dict(self.about),
            "network": dict(self.network_spec),
            "task": self.task.spec(),
            "truth": self.task.target.truth,
            "maps": list(self.task.maps),
            "channels": list(self.channels),
            "slices": self.preparation.rule.model_dump(mode="json"),
            "manifest": self.manifest.model_dump(mode="json", by_alias=True, exclude_none=True),
            "profile": None if self.profile is None else self.profile.to_dict(),
            **({"flips": [list(flip) for flip in self.flips]} if self.flips else {}),
            **({"cleaning": as_given(self.cleaning)} if self.cleaning else {}),
            **({"batch_size": self.batch_size} if self.batch_size != AT_ONCE else {}),
            **({"others": [_as_part(each) for each in self.others]} if self.others else {}),
        }
        with written_whole(folder) as target:
            target.mkdir()
            (target / "model.json").write_text(json.dumps(described, indent=1), encoding="utf-8")
            save_weights(weights, target / "weights.safetensors")
            (target / "README.md").write_text(model_card(described), encoding="utf-8")
        return folder

    @classmethod
    def load(
        cls, folder: Path | str, *, device: str | torch.device = "cpu", allowed: Allowed | None = None
    ) -> Predictor:
        """Load what `save` wrote. Nothing is unpickled, and only allowed components are built.

        Raises:
            ModelError: The folder is no saved model, is of another form, or its weights do not fit.
        """
        place, may = Path(folder), allowed or Allowed()
        described = described_in(place)
        try:
            task = build(described["task"], at="task", kind=TASK, allowed=may)
            manifest = Manifest.from_json(described["manifest"])
            alike = (tuple(described["channels"]), manifest.files(), may)
            parts = [part_of(each, *alike) for each in (described, *described.get("others", []))]
            known = described["profile"]
            profile = None if known is None else TrainingProfile.from_dict(known)
            about = dict(described["about"])
            cleaning = cleanings_of(described.get("cleaning", []), len(task.classes))
            for part in parts:
                with_main_output(part.network)  # before it is tried
                refuse_contradictions(part.network, task, part.preparation, manifest, profile)
        except (LookupError, TypeError, ValueError, AttributeError, MedsegError) as error:
            reason = " ".join(str(error).split())[:500].rstrip(".")
            raise unbuilt(described, may, reason) from error
        first, *others = [
            cls(
                *(each.network, each.spec, task, each.preparation, manifest),
                about=about,
                device=torch.device(device),
                batch_size=each.batch_size,
                flips=each.flips,
            )
            for each in parts
        ]
        model = replace(first, profile=profile, cleaning=cleaning, others=tuple(others))
        fill(model.networks, place / "weights.safetensors")
        for each in (model, *model.others):
            each.network.to(each.device).eval()
        return model


def _as_part(model: Predictor) -> dict[str, Any]:
    """What one of several axes does not share with the first, as `part_of` takes it."""
    return {
        "network": dict(model.network_spec),
        "slices": model.preparation.rule.model_dump(mode="json"),
        "flips": [list(flip) for flip in model.flips],
        "batch_size": model.batch_size,
    }
