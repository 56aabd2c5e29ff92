"""Whether the classes that a data set's images have are those that can be learned from it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from medseg.cases.finding import Draft
from medseg.cases.image_labels import misnamed, ordered, shown
from medseg.errors import Fault

if TYPE_CHECKING:
    from medseg.cases.manifest import Manifest

ROLE = "role"
"""The column that holds the role of an image, where the data share images out."""


@dataclass(frozen=True)
class Wording:
    """What tells the class of an image.

    Attributes:
        noun: Such as `folder`.
        fewer: What to do about too few classes.
        absent: What to do about a class without an image.
        unknown: What to do about an image of a class that is none of the data set's.
        misnamed: What to do about names that cannot be those of classes.
    """

    noun: str
    fewer: str
    absent: str
    unknown: str
    misnamed: str


def learnt(drafts: Sequence[Draft]) -> list[Draft]:
    """The drafts that classes are learned from: those of the role of training, or all if none has it."""
    trained = [draft for draft in drafts if _role(draft) == "train"]
    return trained or list(drafts)


def classes_of(manifest: Manifest, drafts: Sequence[Draft], named: Sequence[str] = ()) -> tuple[str, ...]:
    """The manifest's classes; where it names none, those that the data name, sorted by code point.

    Args:
        manifest: Which.
        drafts: The images.
        named: Classes that the data name besides those of single images, such as by columns.
    """
    if manifest.classes:
        return manifest.classes
    return tuple(sorted({*named, *(name for draft in learnt(drafts) for name in draft.labels or ())}))


def judged(
    manifest: Manifest, drafts: Sequence[Draft], words: Wording, root: Path, named: Sequence[str] = ()
) -> Iterator[Fault]:
    """What is wrong with the classes; drafts of a class that is none of the data set's are marked broken."""
    classes = classes_of(manifest, drafts, named)
    least = 2 if manifest.image_labels == "one" else 1
    if len(classes) < least:
        met = (
            f"there is one class only, {shown(classes)}: nothing can be told apart"
            if classes
            else f"no {words.noun} tells a class"
        )
        yield Fault("", 0, "", met, words.fewer, root)
    if not manifest.classes:
        for complaint in misnamed(classes):
            yield Fault("", 0, "", complaint, words.misnamed, root)
    have = {name for draft in learnt(drafts) for name in draft.labels or ()}
    for name in classes:
        if name not in have:
            met = f"no picture{_in_training(drafts)} is of the class {shown([name])}"
            yield Fault("", 0, "", met, words.absent, root)
    yield from _strangers(manifest, drafts, classes, words)
    for draft in drafts:
        draft.labels = None if draft.labels is None else ordered(draft.labels, classes)


def missing_elsewhere(drafts: Sequence[Draft], classes: Sequence[str]) -> Iterator[str]:
    """Classes that have no image in a role other than training: of note, for their scores will be empty."""
    have: defaultdict[str, set[str]] = defaultdict(set)
    for draft in drafts:
        have[_role(draft)].update(draft.labels or ())
    for role in (each for each in ("val", "test") if each in have):
        lost = [name for name in classes if name not in have[role]]
        if lost:
            yield f"the role {role} has no picture of {shown(lost)}"


def _strangers(
    manifest: Manifest, drafts: Sequence[Draft], classes: Sequence[str], words: Wording
) -> Iterator[Fault]:
    """Images of classes that are none of the data set's: one fault for each class and role."""
    found: defaultdict[tuple[str, str], list[Draft]] = defaultdict(list)
    for draft in drafts:
        for name in draft.labels or ():
            if name not in classes:
                found[name, draft.extra.get(ROLE, "")].append(draft)
    for (name, role), each in sorted(found.items(), key=lambda item: item[0]):
        for draft in each:
            draft.broken = True
        # A column taken by mistake may hold names of people; a folder's name was given to be a class.
        told = shown([name]) if manifest.ids == "pseudonyms" or words.noun == "folder" else "something"
        where = f" in '{role}'" if role else ""
        count = f"{len(each)} picture{'' if len(each) == 1 else 's'}"
        if manifest.classes:
            met = f"the {words.noun} of {count}{where} says {told}, which is none of the classes {list(classes)}"
        else:
            met = f"the {words.noun} of {count}{where} says {told}, a class that training does not know"
        near = next((places[0][1] for places in each[0].files.values()), None)
        yield Fault("", 0, "", met, words.unknown, near)


def _in_training(drafts: Sequence[Draft]) -> str:
    return " for training" if any(_role(draft) == "train" for draft in drafts) else ""


def _role(draft: Draft) -> str:
    from medseg.cases.split_column import MEANINGS  # noqa: PLC0415 - imports what manifests do not need

    return MEANINGS.get(draft.extra.get(ROLE, "").strip().lower(), "")
