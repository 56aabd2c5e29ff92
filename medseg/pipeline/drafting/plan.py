"""The definition of a folder that was looked at, choice by choice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from medseg.datasets.roles import ROLE
from medseg.datasets.scanning.labels import is_binary
from medseg.datasets.scanning.look import Look
from medseg.pipeline.drafting.augmentation import augmentation, class_augmentation
from medseg.pipeline.drafting.budget import batch_size, epochs, widths
from medseg.pipeline.drafting.choice import Choice
from medseg.pipeline.drafting.cutting import Cut, cut_pictures, cut_volumes, cut_whole_pictures

#: Peak of the learning rate. Source: own trial on ACDC, where it and the warm-up mattered most in a short training.
_PEAK = 6.0e-3
_PEAK_OF_CLASSES = 1.0e-3

_BATCH_DICE = 8
_TRAINING = 0.7  # share of the cases
_SEED = 1


@dataclass(frozen=True)
class Machine:
    """What a plan depends on beside the data.

    Attributes:
        gpu: Whether there is one.
    """

    gpu: bool = False

    @property
    def base(self) -> int:
        """Features of a network's first level."""
        return 32 if self.gpu else 16

    @property
    def why(self) -> str:
        """The reason, in words."""
        return "a GPU is here" if self.gpu else "no GPU is here; 32 on one"


def definition_choices(name: str, look: Look, machine: Machine) -> Iterator[Choice]:
    """Every key of the definition, with its reason.

    Args:
        name: Of the definition and its manifest.
        look: At the folder; it holds cases.
        machine: What the training will run on.
    """
    fields = look.fields
    channels = list(fields["channels"])
    yield Choice("name", name)
    yield Choice("about", f"Drafted by `medseg pipeline new`: {_about(look)}.")
    yield Choice("seed", _SEED)
    yield Choice("manifest", name)
    yield Choice("channels", channels)
    if look.labels is None:
        yield from _of_classes(look)
    elif fields.get("pictures") is not None:
        yield from _of_masks(look, cut_pictures(look), machine, flat=True)
    else:
        yield from _of_masks(look, cut_volumes(look), machine, flat=False)


def _about(look: Look) -> str:
    cases = len(look.listing.cases) if look.listing else 0
    return f"{cases} cases of {look.patients} patients"


def _of_masks(look: Look, cut: Cut, machine: Machine, *, flat: bool) -> Iterator[Choice]:
    assert look.labels is not None  # noqa: S101 - they are the truth
    binary = flat and is_binary(look.labels)
    features = widths(machine.base, cut.halvings)
    slices = max(int(_TRAINING * cut.slices), 1)
    batch = batch_size(features, cut.size, slices)
    yield from cut.choices
    yield from _split(look)
    yield Choice(
        "loading.batch_size",
        batch,
        f"about {slices} slices for training; a batch holds a twentieth of them at most",
    )
    yield from augmentation(cut, list(look.labels.names.values.values()))
    yield from _binary_task() if binary else _class_task(look, batch)
    yield from _unet(features, machine, binary=binary)
    yield from _training(epochs(slices, batch), slices, batch, _PEAK, binary=binary)


def _split(look: Look) -> Iterator[Choice]:
    fields = look.fields
    named = [*fields.get("columns", {}), *fields["layout"].get("extra", ())]
    role = (
        ROLE
        if ROLE in named or (look.labels is None and _has_roles(look))
        else next(iter(fields["layout"].get("extra", ())), None)
    )
    shares = {"val": 0.15, "test": 0.15}
    if role is not None:
        why = "the data share out the cases themselves; a part that they lack is drawn by its ratio"
        yield Choice("split", {"by": "group", "column": role, **shares}, why)
    else:
        yield Choice("split", {"by": "group", **shares}, "patients are drawn; each is in one part alone")


def _has_roles(look: Look) -> bool:
    return look.listing is not None and any(case.extra.get(ROLE) for case in look.listing.cases)


def _class_task(look: Look, batch: int) -> Iterator[Choice]:
    assert look.labels is not None  # noqa: S101 - they are the truth
    yield Choice("task._target_", "medseg.learning.ClassMasks")
    regions = look.labels.names.regions
    if regions:
        order = look.fields["classes"]
        indices = {name: sorted({order.index(each) for each in of}) for name, of in regions.items() if of}
        yield Choice("task.regions", indices, "unions of classes, scored beside them")
    yield Choice("task.loss._target_", "monai.losses.DiceCELoss")
    yield Choice("task.loss.to_onehot_y", True)
    yield Choice("task.loss.softmax", True)
    yield Choice("task.loss.include_background", False, "of the Dice: background is most of every slice")
    if batch >= _BATCH_DICE:
        yield Choice("task.loss.batch", True, "Dice over the whole batch, since many slices lack a class")


def _binary_task() -> Iterator[Choice]:
    yield Choice("task._target_", "medseg.learning.BinaryMask", "foreground against background")


def _unet(features: Sequence[int], machine: Machine, *, binary: bool) -> Iterator[Choice]:
    yield Choice("network._target_", "monai.networks.nets.UNet")
    yield Choice("network.spatial_dims", 2)
    yield Choice(
        "network.channels",
        list(features),
        f"halved until a side has 4 to 7 pixels, 5 times at most; {machine.why}",
    )
    yield Choice("network.strides", [2] * (len(features) - 1))
    why = "with more, the last map would be normalised, and say no amount" if binary else ""
    yield Choice("network.num_res_units", 0 if binary else 2, why)
    yield Choice("network.norm", "instance")


def _training(count: int, slices: int, batch: int, peak: float, *, binary: bool = False) -> Iterator[Choice]:
    steps = count * -(-slices // batch)
    yield Choice("steps.fit._target_", "medseg.steps.Fit")
    yield Choice(
        "steps.fit.epochs", count, f"about {steps} steps; fewer for a first look: --set steps.fit.epochs=1"
    )
    yield Choice("steps.fit.optimiser", {"_target_": "torch.optim.AdamW", "lr": peak, "weight_decay": 1.0e-4})
    yield Choice(
        "steps.fit.schedule",
        {"_target_": "torch.optim.lr_scheduler.OneCycleLR", "max_lr": peak},
        "the rate rises to its peak and falls again over the whole training",
    )
    yield Choice("steps.fit.schedule_each", "iteration")
    yield Choice("steps.fit.clip", 5.0)
    if binary:
        yield Choice("steps.fit.best_by", "loss")
        yield Choice(
            "steps.threshold",
            {"_target_": "medseg.steps.TuneThreshold", "score": "f1"},
            "on the validation cases alone",
        )
    yield Choice("steps.evaluate", {"_target_": "medseg.steps.Evaluate", "role": "test"})


def _of_classes(look: Look) -> Iterator[Choice]:
    cut = cut_whole_pictures(look)
    slices = max(int(_TRAINING * cut.slices), 1)
    batch = max(2, min(16, 2 ** (max(slices // 8, 2).bit_length() - 1)))
    yield from cut.choices
    yield from _split(look)
    yield Choice("loading.batch_size", batch, f"about {slices} pictures for training")
    yield from class_augmentation(cut)
    yield Choice("task._target_", "medseg.learning.ImageClasses", "classes are those of the data")
    yield Choice("network._target_", "monai.networks.nets.DenseNet121")
    yield Choice("network.spatial_dims", 2)
    yield from _training(min(epochs(slices, batch), 30), slices, batch, _PEAK_OF_CLASSES)
