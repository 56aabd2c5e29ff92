"""Finding the cases of a data set: by names, or by the headers of DICOM files; no image is read."""

from __future__ import annotations

import difflib
import stat
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from medseg.class_names import misnamed
from medseg.component import SHIPPED, Allowed, named
from medseg.datasets.case import Case, safe_name
from medseg.datasets.finding.class_faults import classes_of
from medseg.datasets.finding.draft import Complaint, Draft, Finder, Found
from medseg.datasets.finding.patients import Patients, searched
from medseg.datasets.finding.text_table import Table
from medseg.datasets.manifest.group_rule import GroupRule
from medseg.datasets.manifest.manifest import Manifest
from medseg.datasets.manifest.patterns import MASK
from medseg.datasets.pseudonym import pseudonym, secret_key
from medseg.errors import DataError, DefinitionError, Fault
from medseg.images.itk.apart import whole
from medseg.progress import Progress, Silent
from medseg.text import agreed, many


@dataclass(frozen=True)
class Listing:
    """What was found in a data set.

    Attributes:
        cases: Those that have every file that was asked for, sorted by public id.
        faults: What is wrong, in the order of the listing.
        incomplete: Cases that lack a file or have one twice; faults say so. Never to be learned from, but
            the files that are there can be checked.
        pairs: With `pair: order`, names of each image and the label map that it was paired with, for the user
            to look through. Private where ids are identifying.
        notes: What to know before anything is learned from the cases, though it is no fault: sentences without
            a full stop, that name nobody.
        files: How many files there are of each use, in words, those of no use among them; empty where the layout
            of the data set does not tell.
        left: Names of files that belong to no case, which a note counts, below the folder of the data set. Private
            where ids are identifying.
        skipped: What is wrong with images without a label: these are left out, and keep nobody from learning.
        own: What the data set itself calls each case, and its patient, by public id. Private likewise.
    """

    cases: tuple[Case, ...]
    faults: tuple[Fault, ...] = ()
    incomplete: tuple[Case, ...] = ()
    pairs: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    files: Mapping[str, int] = field(default_factory=dict)
    skipped: tuple[Fault, ...] = ()
    left: tuple[str, ...] = ()
    own: Mapping[str, tuple[str, str]] = field(default_factory=dict, repr=False)


def scan(
    manifest: Manifest,
    root: Path,
    *,
    truth: bool = True,
    only: Sequence[str] | None = None,
    allowed: Allowed = SHIPPED,
    progress: Progress | None = None,
) -> Listing:
    """List the cases below a folder.

    Args:
        manifest: Says how files are named.
        root: The data set's folder, a folder within it, one case's folder, or a single image file; where files tell
            themselves what they belong to, also several (`medseg.files.many.together`).
        truth: Whether a case must have a truth, be it a label map or its class; else none is looked for.
        only: The channels that a case must have, in this order; by default all of the manifest's.
        allowed: Where a layout that the manifest declares may come from.
        progress: Where to say how far it is.

    Raises:
        DefinitionError: `only` names a channel that the manifest does not have.
        DataError: Ids are identifying, and the key of their pseudonyms cannot be used.
    """
    channels = _channels_asked(manifest, only)
    root = root if isinstance(root, Path) else Path(root)  # a path that stands for several files stays so
    fault = _unusable(root, manifest)
    if fault is not None:
        return Listing((), (fault,))
    parts = dict.fromkeys(manifest.part(channel) for channel in channels)
    if truth and manifest.image_labels is None and (manifest.layout.has_truth or manifest.truth_within):
        parts[MASK] = None
    found = _finder(manifest, allowed).find(root, tuple(parts), truth=truth, progress=progress or Silent())
    if not found.drafts:
        return Listing((), tuple(found.faults), files=found.files)
    return _listed(manifest, root, found, channels, truth=truth)


def found_classes(manifest: Manifest, root: Path, allowed: Allowed = SHIPPED) -> tuple[str, ...]:
    """The classes of whole images: those of the manifest, or where it names none, those that the data tell.

    Found ones are sorted by code point; where the data have a role of training, they are those of its images.
    No image is opened.

    Raises:
        DataError: There are too few of them, or they cannot be classes; `faults` say why.
    """
    if not manifest.open_classes:
        return manifest.classes
    root = Path(root)
    fault = _unusable(root, manifest)
    parts = tuple(dict.fromkeys(manifest.part(channel) for channel in manifest.channels))
    found = (
        Found(faults=[fault])
        if fault
        else _finder(manifest, allowed).find(root, parts, truth=True, progress=Silent())
    )
    tells = manifest.layout.tells
    sound = [draft for draft in found.drafts if not draft.broken]
    names = classes_of(manifest, sound, tells.names if sound and tells else ())
    if len(names) < (2 if manifest.image_labels == "one" else 1) or any(misnamed(names)):
        lines = "\n".join(each.text() for each in found.faults)
        raise DataError(f"the classes cannot be found in the data:\n{lines}", found.faults)
    return names


def _finder(manifest: Manifest, allowed: Allowed) -> Finder:
    layout = manifest.layout
    finder: Finder = named(layout.finder)(manifest, layout.built(allowed))
    return finder


def _channels_asked(manifest: Manifest, only: Sequence[str] | None) -> tuple[str, ...]:
    for channel in only or ():
        if channel not in manifest.channels:
            near = difflib.get_close_matches(channel, manifest.channels, n=1)
            hint = f"; did you mean '{near[0]}'?" if near else ""
            raise DefinitionError(
                f"channel '{channel}' is not one of the manifest '{manifest.name}', "
                f"which has {list(manifest.channels)}{hint}"
            )
    return tuple(manifest.channels if only is None else only)


def _unusable(root: Path, manifest: Manifest) -> Fault | None:
    try:
        mode = root.stat().st_mode
    except PermissionError:
        remedy = "Give this user the right to enter every folder on the way to it."
        return Fault("", 0, "", "the folder may not be reached by this user", remedy, root)
    except OSError:
        remedy = f"Name the folder that holds the data. To get them: {manifest.obtain}"
        return Fault("", 0, "", "the folder is not there", remedy, root)
    if stat.S_ISDIR(mode) or stat.S_ISREG(mode):
        return None
    return Fault("", 0, "", "the path is neither a folder nor a file", "Name the data set's folder.", root)


def _listed(manifest: Manifest, root: Path, found: Found, channels: Sequence[str], *, truth: bool) -> Listing:
    name = _Names(manifest)
    table = Table.read(manifest, root)
    drafts = sorted(((name.case(draft.raw), draft) for draft in found.drafts), key=lambda each: each[0])
    counts = Counter(public for public, _ in drafts)
    cases: list[Case] = []
    incomplete: list[Case] = []
    faults, skipped, own = [*found.faults, *table.faults], list[Fault](), dict[str, tuple[str, str]]()
    for position, (public, draft) in enumerate(drafts, start=1):
        extra = {**_searched(manifest, draft), **table.row(draft.raw), **draft.extra}
        patient = name.patients.of(draft, extra)
        group, own[public] = name.group(patient), (draft.raw, patient)
        wrong = [*draft.complaints]
        near = next((places[0][1] for places in draft.files.values()), root)
        if counts[public] > 1:
            problem = f"{counts[public]} cases have ids that make one public name"
            wrong.append(Complaint("", problem, "Rename one: `/` and `_` count as the same.", near))
        if group is None:
            remedy = "Correct 'group' of the manifest: it must tell the patient of every case."
            wrong.append(Complaint("", "its id names no patient", remedy, near))
        case = _case(manifest, draft, channels, public, group or "", position, extra)
        if case.files:
            (incomplete if wrong or draft.broken else cases).append(case)
        of_case = [Fault(public, position, each.part, each.found, each.remedy, each.path) for each in wrong]
        (skipped if draft.unlabelled else faults).extend(of_case)
    notes: tuple[str, ...] = (*_by_order(found), *found.notes)
    if truth:  # in prediction nothing is shared out
        notes = (*_alone(manifest, drafts, table), *name.patients.notes(), *notes)
    return Listing(
        tuple(cases),
        tuple(faults),
        tuple(incomplete),
        tuple(found.pairs),
        notes,
        found.files,
        tuple(skipped),
        tuple(found.left),
        own,
    )


def _alone(manifest: Manifest, drafts: Sequence[tuple[str, Draft]], table: Table) -> Iterator[str]:
    """That a column, which alone is to tell what belongs together, is empty.

    Of images with classes in a table `Patients.notes` says it.
    """
    rule = manifest.group
    if isinstance(rule, GroupRule) and rule.column and not rule.tag and not rule.pattern:
        column = rule.column
        values = [
            {**_searched(manifest, each), **table.row(each.raw), **each.extra}[column] for _, each in drafts
        ]
    elif manifest.layout.patient_column and not manifest.image_labels:
        column = manifest.layout.patient_column
        values = [draft.group for _, draft in drafts]
    else:
        return
    empty = sum(not value.strip() for value in values)
    if empty:
        beside = manifest.table
        of_table = beside is not None and column in beside.columns and not table.there
        where = f", since the table '{beside.path}' is not there" if beside is not None and of_table else ""
        noun = "cases" if manifest.pictures is None else "pictures"
        yield (
            f"{empty} of {many(len(values), 'case')} {agreed('have', empty)} no {column}{where}: each counts as a "
            f"group of its own, so related {noun} may be in training and in test"
        )


def _by_order(found: Found) -> Iterator[str]:
    if found.pairs:
        yield (
            f"{many(len(found.pairs), 'image', 'were')} paired with label maps by order, not by name: look through "
            "the pairs that `medseg data check` lists"
        )


def _case(
    manifest: Manifest,
    draft: Draft,
    channels: Sequence[str],
    public: str,
    group: str,
    position: int,
    extra: Mapping[str, str],
) -> Case:
    parts = {channel: manifest.part(channel) for channel in channels}
    images = {
        channel: whole(draft.files[part][0][1]) for channel, part in parts.items() if part in draft.files
    }
    truth = tuple(whole(path) for _, path in draft.files.get(MASK, ()))
    many = MASK in manifest.layout.many
    mask = truth[0] if truth and not many else None
    objects = truth if many else ()
    return Case(public, group, images, mask, draft.labels, position, extra, objects, draft.unlabelled)


def _searched(manifest: Manifest, draft: Draft) -> dict[str, str]:
    """Columns that are read from the path of the first file."""
    relative = next((places[0][0] for places in draft.files.values()), "")
    at = f"manifest '{manifest.name}', 'columns."
    return {column: searched(rule, relative, f"{at}{column}'") for column, rule in manifest.columns.items()}


class _Names:
    """Public names of cases and patients."""

    def __init__(self, manifest: Manifest) -> None:
        self.patients = Patients(manifest)
        self._key = secret_key() if manifest.ids == "identifying" else None

    def case(self, raw: str) -> str:
        return safe_name(raw) if self._key is None else pseudonym("case", raw, self._key)

    def group(self, patient: str) -> str | None:
        """Public name of the patient; None if the manifest's rule finds none."""
        if not patient:
            return None
        return patient if self._key is None else pseudonym("patient", patient, self._key)
