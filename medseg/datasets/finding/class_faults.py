"""Whether the classes that a data set's images have are those that can be learned from it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from medseg.class_names import misnamed, ordered, shown
from medseg.datasets.finding.draft import Draft, Found
from medseg.datasets.roles import MEANINGS, ROLE
from medseg.errors import Fault
from medseg.text import many

if TYPE_CHECKING:
    from medseg.datasets.manifest.manifest import Manifest


#: Fewer names than these are taken for classes, however few images they have: someone may be trying things out.
_LEAST = 9

#: So many images of a class are enough, however many classes there are.
_ENOUGH = 20


@dataclass(frozen=True)
class Wording:
    """What tells the class of an image.

    Attributes:
        noun: Such as `folder`.
        fewer: What to do about too few classes.
        absent: What to do about a class without an image.
        unknown: What to do about an image of a class that is none of the data set's.
        misnamed: What to do about names that cannot be those of classes.
        unlikely: What to do about so many names with so few images each that they are hardly classes.
    """

    noun: str
    fewer: str
    absent: str
    unknown: str
    misnamed: str
    unlikely: str


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


def unlikely(counts: Mapping[str, int]) -> bool:
    """Whether names are hardly those of classes, but of patients or files: many, with few images each.

    That is from 9 names on, where half of the images have names with fewer images than half as many as there are
    names, and than 20. So 10 classes want 5 images each, 30 classes 15, 40 classes and more want 20; some may have
    fewer, where others have many.

    Args:
        counts: Images by name.
    """
    of_images = [count for count in counts.values() for _ in range(max(count, 1))]
    return len(counts) >= _LEAST and median(of_images) < min(len(counts) / 2, _ENOUGH)


def judge(
    found: Found,
    manifest: Manifest,
    words: Wording,
    root: Path,
    *,
    named: Sequence[str] = (),
    beside: Mapping[str, int] | None = None,
    naming: Iterable[Fault] = (),
) -> None:
    """Add to what was found what is wrong with its classes, and what to know of them.

    Drafts of a class that is none of the data set's are marked broken. Where names that neither the manifest nor
    its columns give are hardly classes, they are names of people perhaps: one fault says so, and none names them.

    Args:
        found: The images, and faults that name no class.
        manifest: Of the data.
        words: What tells the class of an image.
        root: Where to look.
        named: Classes that the data name besides those of single images, such as by columns.
        beside: Images that are not among the drafts, by what they would name as their class.
        naming: Faults that name classes.
    """
    given = {*manifest.classes, *named}
    counts = Counter({name: count for name, count in (beside or {}).items() if name not in given})
    images = counts.total()
    for draft in found.drafts:
        strange = set(draft.labels or ()) - given
        counts.update(strange)
        images += bool(strange)
    if unlikely(counts):
        found.faults.append(_no_classes(manifest, counts, images, words, root))
        for draft in found.drafts:
            draft.broken = draft.broken or not counts.keys().isdisjoint(draft.labels or ())
        if not given:
            return
        naming = ()
    found.faults += [*naming, *_judged(manifest, found.drafts, words, root, named)]
    found.notes += _missing_elsewhere(found.drafts, classes_of(manifest, found.drafts, named))


def _no_classes(
    manifest: Manifest, counts: Mapping[str, int], images: int, words: Wording, root: Path
) -> Fault:
    others = f"classes besides {list(manifest.classes)}" if manifest.classes else "classes"
    # Names that are no classes are those of people, as likely as not.
    listed = f": {shown(counts)}" if manifest.ids == "pseudonyms" else ""
    problem = (
        f"the {words.noun}s tell {len(counts)} {others} of {many(images, 'picture')}: these look like patient names, "
        f"not class labels{listed}"
    )
    return Fault("", 0, "", problem, words.unlikely, root)


def _judged(
    manifest: Manifest, drafts: Sequence[Draft], words: Wording, root: Path, named: Sequence[str]
) -> Iterator[Fault]:
    classes = classes_of(manifest, drafts, named)
    least = 2 if manifest.image_labels == "one" else 1
    if len(classes) < least:
        problem = (
            f"there is one class only, {shown(classes)}: there is nothing to distinguish"
            if classes
            else f"no {words.noun} tells a class"
        )
        yield Fault("", 0, "", problem, words.fewer, root)
    if not manifest.classes:
        for complaint in misnamed(classes):
            yield Fault("", 0, "", complaint, words.misnamed, root)
    have = {name for draft in learnt(drafts) for name in draft.labels or ()}
    for name in classes:
        if name not in have:
            problem = f"no picture{_in_training(drafts)} is of the class {shown([name])}"
            yield Fault("", 0, "", problem, words.absent, root)
    yield from _strangers(manifest, drafts, classes, words)
    for draft in drafts:
        draft.labels = None if draft.labels is None else ordered(draft.labels, classes)


def _missing_elsewhere(drafts: Sequence[Draft], classes: Sequence[str]) -> Iterator[str]:
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
            if name not in classes and not draft.broken:
                found[name, draft.extra.get(ROLE, "")].append(draft)
    for (name, role), each in sorted(found.items(), key=lambda item: item[0]):
        for draft in each:
            draft.broken = True
        # A column taken by mistake may hold names of people; a folder's name was given to be a class.
        label = shown([name]) if manifest.ids == "pseudonyms" or words.noun == "folder" else "something"
        where = f" in '{role}'" if role else ""
        count = f"{len(each)} picture{'' if len(each) == 1 else 's'}"
        if manifest.classes:
            problem = f"the {words.noun} of {count}{where} says {label}, which is none of the classes {list(classes)}"
        else:
            problem = f"the {words.noun} of {count}{where} says {label}, a class that training does not know"
        near = next((places[0][1] for places in each[0].files.values()), None)
        yield Fault("", 0, "", problem, words.unknown, near)


def _in_training(drafts: Sequence[Draft]) -> str:
    return " for training" if any(_role(draft) == "train" for draft in drafts) else ""


def _role(draft: Draft) -> str:
    return MEANINGS.get(draft.extra.get(ROLE, "").strip().lower(), "")
