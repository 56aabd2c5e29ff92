"""The definition of a folder that was looked at, choice by choice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from medseg.datasets.roles import ROLE
from medseg.datasets.scanning.labels import is_binary
from medseg.datasets.scanning.look import Look
from medseg.pipeline.drafting.augmentation import augmentation, class_augmentation
from medseg.pipeline.drafting.budget import Course, batch_size, course, sees_enough, unmeasured, widths
from medseg.pipeline.drafting.choice import Choice
from medseg.pipeline.drafting.cutting import Cut, cut_pictures, cut_volumes, cut_whole_pictures
from medseg.pipeline.drafting.machine import Machine, Scale, Time
from medseg.text import many

#: Peak of the learning rate. Source: own trial on ACDC, where it and the warm-up mattered most in a short training.
_PEAK = 6.0e-3
_PEAK_OF_CLASSES = 1.0e-3

_BATCH_DICE = 8
_TRAINING = 0.7  # share of the cases
_SEED = 1


_VALIDATION = 0.15
_EPOCHS_OF_CLASSES = 30  # where the pace is not known
_MOST_EPOCHS = 250


@dataclass(frozen=True)
class Plan:
    """A definition, and what it comes to.

    Attributes:
        choices: Its keys.
        course: How long the training is.
        seen: Slices that it sees, each as often as it comes.
        sees_enough: Whether its time holds enough of them; of pictures that have a class that is not known.
    """

    choices: tuple[Choice, ...]
    course: Course
    seen: int
    sees_enough: bool


def cut_of(look: Look, side: float) -> Cut:
    """How slices are cut from what a folder holds; all but pictures with masks are made smaller by `side`."""
    if look.labels is None:
        return cut_whole_pictures(look, side)
    return cut_pictures(look) if look.fields.get("pictures") is not None else cut_volumes(look, side)


def planned(name: str, look: Look, machine: Machine, scale: Scale, time: Time | None = None) -> Plan:
    """Every key of the definition, with its reason.

    Args:
        name: Of the definition and its manifest.
        look: At the folder; it holds cases.
        machine: What the training will run on.
        scale: How large it may be.
        time: What it may take; None plans about 3000 steps.
    """
    cut = cut_of(look, scale.side)
    size = _Size.of(look, cut, scale, machine)
    length = size.course(time)
    head = [
        Choice("name", name),
        Choice("about", f"Drafted by `medseg pipeline new`: {_about(look)}."),
        Choice("seed", _SEED),
        Choice("manifest", name),
        Choice("channels", list(look.fields["channels"])),
        *cut.choices,
        *_split(look),
        *_loading(size, length),
    ]
    body = _of_classes(cut, length) if look.labels is None else _of_masks(look, cut, size, length, machine)
    enough = time is None or look.labels is None or sees_enough(time.pace, time.minutes)
    return Plan((*head, *body), length, length.steps * size.batch, enough)


@dataclass(frozen=True)
class _Size:
    """How large a training is.

    Attributes:
        slices: For training, about.
        validated: For validation, about.
        features: Of each level of a network for masks.
        batch: Slices a step.
        most: Epochs, where the pace is not known.
    """

    slices: int
    validated: int
    features: tuple[int, ...]
    batch: int
    most: int

    @classmethod
    def of(cls, look: Look, cut: Cut, scale: Scale, machine: Machine) -> _Size:
        slices, validated = (max(int(share * cut.slices), 1) for share in (_TRAINING, _VALIDATION))
        features = tuple(widths(scale.base, cut.halvings))
        if look.labels is None:
            batch, most = 2 ** (max(slices // 8, 2).bit_length() - 1), _EPOCHS_OF_CLASSES
            batch = min(16, batch)
        else:
            batch, most = batch_size(features, cut.size, slices), _MOST_EPOCHS
            batch = min(batch, machine.largest_batch)
        return cls(slices, validated, features, max(int(batch * scale.part), 2), most)

    def course(self, time: Time | None) -> Course:
        if time is None:
            return unmeasured(self.slices, self.batch, self.most)
        return course(time.pace, time.minutes, slices=self.slices, validated=self.validated, batch=self.batch)


def _loading(size: _Size, length: Course) -> Iterator[Choice]:
    yield Choice(
        "loading.batch_size",
        size.batch,
        f"about {size.slices} slices for training; a batch holds a twentieth of them at most",
    )
    if length.slices is not None:
        why = "of all of them, each is seen before one is seen again: so that the time holds ten epochs"
        yield Choice("loading.slices_per_epoch", length.slices, why)


def _about(look: Look) -> str:
    cases = len(look.listing.cases) if look.listing else 0
    return f"{many(cases, 'case')} of {many(look.patients, 'patient')}"


def _of_masks(look: Look, cut: Cut, size: _Size, length: Course, machine: Machine) -> Iterator[Choice]:
    assert look.labels is not None  # noqa: S101 - they are the truth
    binary = look.fields.get("pictures") is not None and is_binary(look.labels)
    yield from augmentation(cut, list(look.labels.names.values.values()))
    yield from _binary_task() if binary else _class_task(look, size.batch)
    yield from _unet(size.features, machine, binary=binary)
    yield from _training(length, _PEAK, mirrored=cut.mirrored, binary=binary)


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
        f"halved until a side has 4 to 7 pixels, 5 times at most; {machine.why(features[0])}",
    )
    yield Choice("network.strides", [2] * (len(features) - 1))
    why = "with more, the last map would be normalised, and say no amount" if binary else ""
    yield Choice("network.num_res_units", 0 if binary else machine.units, why)
    yield Choice("network.norm", "instance")


def _training(
    length: Course, peak: float, *, masks: bool = True, mirrored: bool = False, binary: bool = False
) -> Iterator[Choice]:
    yield Choice("steps.fit._target_", "medseg.steps.Fit")
    within = (
        ""
        if length.minutes is None
        else f", as many as fit into {length.minutes:.3g} minutes on this machine"
    )
    yield Choice(
        "steps.fit.epochs",
        length.epochs,
        f"about {length.steps} steps{within}; fewer for a first look: --set steps.fit.epochs=1",
    )
    if length.validate_every > 1:
        why = "so that validating takes no more than a tenth of the time"
        yield Choice("steps.fit.validate_every", length.validate_every, why)
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
    if length.minutes is not None:
        yield Choice(
            "steps.fit.expected",
            {"minutes": max(round(length.minutes, 1), 0.1), "gib": float(f"{max(length.gib, 0.001):.3g}")},
            "measured on this machine; the run says how far it was off",
        )
    if mirrored:
        why = "predicts mirror images too, if that helps on the validation cases; takes up to four times as long"
        yield Choice("steps.flips", {"_target_": "medseg.steps.AverageFlips"}, why)
    if binary:
        yield Choice(
            "steps.threshold",
            {"_target_": "medseg.steps.TuneThreshold", "score": "f1"},
            "on the validation cases alone",
        )
    if masks:
        why = "the largest component, smallest sizes, filled holes: what helps on the validation cases"
        yield Choice("steps.post", {"_target_": "medseg.steps.PostProcess"}, why)
    yield Choice("steps.evaluate", {"_target_": "medseg.steps.Evaluate", "role": "test"})


def _of_classes(cut: Cut, length: Course) -> Iterator[Choice]:
    yield from class_augmentation(cut)
    yield Choice("task._target_", "medseg.learning.ImageClasses", "classes are those of the data")
    yield Choice("network._target_", "monai.networks.nets.DenseNet121")
    yield Choice("network.spatial_dims", 2)
    yield from _training(length, _PEAK_OF_CLASSES, masks=False)
