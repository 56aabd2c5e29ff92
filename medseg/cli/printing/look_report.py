"""What was seen in an unknown folder, on the terminal of the user whose folder it is."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from rich.console import Console

from medseg.cli.display import print_line
from medseg.pipeline.drafting.budget import LEAST_STEPS
from medseg.text import many

if TYPE_CHECKING:
    from medseg.api.dicomweb.scanning import Announced
    from medseg.api.drafting.unknown_folder import NewPipeline
    from medseg.datasets.scanning.look import Look
    from medseg.pipeline.drafting.budget import Course

_LISTED = 12  # of values of labels, and of faults, before they are counted


def print_look(console: Console, look: Look) -> None:
    """Files, layout, cases, labels, grids, intensities, and every file that belongs to nothing."""
    for line in (*_files(look), *_layout(look), *_cases(look), *_labels(look), *_images(look), *_rest(look)):
        print_line(console, line)


def print_new(console: Console, made: NewPipeline, data: Path) -> None:
    """Where the drafts are, what a person must decide, and the next command."""
    print_look(console, made.look)
    lines = [f"Wrote {made.manifest} and {made.definition}: each choice has its reason beside it."]
    lines += _length(made.course)
    lines += [f"To decide (TODO in {made.manifest}): {question}" for question in made.questions]
    listing = made.look.listing
    bad = " --skip-bad" if made.look.faults or made.look.problems else ""
    if bad:
        lines.append("Some cases have faults, listed above: --skip-bad leaves them out.")
    if listing is not None and made.look.patients < 3:
        lines.append(
            f"Patients: {made.look.patients}. Training, validation and test need one each, so that a run begins with "
            "three."
        )
    folder = shlex.quote(str(data))
    lines.append(f"See whether a run would begin: medseg pipeline check {made.name} --data {folder}{bad}")
    lines.append(f"Train: medseg pipeline run {made.name} --data {folder}{bad}")
    for line in lines:
        print_line(console, line)


def print_announced(console: Console, found: Announced, address: str) -> None:
    """How many studies an archive has, of which modalities, and how to look at one."""
    more = " at least" if found.more else ""
    lines = [f"Studies:{more} {found.studies}, with {many(found.images, 'image')} by what the archive says"]
    lines += [f"  {name}: in {count} of them" for name, count in found.modalities.most_common(_LISTED)]
    lines.append(f"Look at one, by its StudyInstanceUID: medseg data scan {shlex.quote(address)} --study UID")
    for line in lines:
        print_line(console, line)


def _length(course: Course) -> Iterator[str]:
    """What the training should take, where it was measured."""
    if course.minutes is None:
        return
    yield (
        f"Measured here: training should take {course.minutes:.3g} minutes ({many(course.epochs, 'epoch')}, "
        f"{course.steps} steps) and {course.gib:.2g} GiB of memory; preparing and scoring the data come beside."
    )
    if course.steps < LEAST_STEPS:
        yield (
            f"Fewer than {LEAST_STEPS} steps are too few for a good model, even with the smallest network that is "
            "tried: give it more time with --minutes, or take a machine with a GPU."
        )


def next_line(data: Path) -> str:
    """The command that drafts a pipeline for a folder that was looked at."""
    return f"Draft a pipeline: medseg pipeline new NAME --data {shlex.quote(str(data))}"


def _files(look: Look) -> Iterator[str]:
    kinds = look.folder.kinds
    listed = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
    yield f"Files: {kinds.total()}{f' ({listed})' if listed else ''}"
    for fault in look.folder.faults if look.listing is None else ():  # the listing has them too
        yield f"  - {fault.found}: {fault.path}. {fault.remedy}"


def _layout(look: Look) -> Iterator[str]:
    layout = look.layout
    if layout is None:
        yield "Layout: none was recognised"
        return
    yield f"Layout: {layout.name} ({layout.confidence})"
    yield from (f"  because {reason}" for reason in layout.reasons)
    yield from (f"  guessed: {guess}" for guess in layout.guesses)
    if layout.cannot:
        yield f"  cannot be learned from yet: {layout.cannot}"
    patterns = layout.fields.get("layout", {})
    yield from (f"  {key}: {pattern}" for key, pattern in patterns.items() if key != "case")


def _cases(look: Look) -> Iterator[str]:
    if look.listing is None:
        return
    yield f"Cases: {len(look.listing.cases)} of {many(look.patients, 'patient')}"
    faults = look.listing.faults
    for fault in faults[:_LISTED]:
        yield f"  - {fault.text(show_path=True)}"
    if len(faults) > _LISTED:
        yield f"  - and {len(faults) - _LISTED} more faults, which `medseg data check` lists"
    for problem, count in look.problems.most_common(_LISTED):
        yield f"  - {count} {'case' if count == 1 else 'cases'}: {problem}"
    if look.classes:
        yield f"Classes: {', '.join(look.classes)}"


def _labels(look: Look) -> Iterator[str]:
    labels = look.labels
    if labels is None:
        return
    if labels.objects or labels.grey:
        what = (
            "masks number objects"
            if labels.objects
            else f"{many(labels.grey, 'mask', 'hold')} shades, cut at 127"
        )
        yield f"Labels: {what}; {many(labels.read, 'mask', 'were')} read"
        return
    yield f"Labels: {labels.names.why}; {labels.read} label maps were read"
    for value, voxels in list(labels.voxels.items())[:_LISTED]:
        unnamed = "(ignored)" if value in labels.names.ignored else "?"
        name = labels.names.values.get(value, unnamed)
        todo = "  (name to be decided)" if value in labels.names.open else ""
        yield f"  {value} {name}: {voxels} voxels in {many(labels.cases[value], 'label map')}{todo}"
    absent = [name for value, name in labels.names.values.items() if value not in labels.voxels]
    if absent:
        yield f"  in no label map that was read: {', '.join(absent)}"


def _images(look: Look) -> Iterator[str]:
    seen = [each for each in look.seen if each.shape is not None and each.spacing is not None]
    if not seen:
        return
    for what, of in (("Sizes", "shape"), ("Spacings", "spacing")):
        axes = list(zip(*(getattr(each, of) for each in seen), strict=True))
        words = " x ".join(f"{median(axis):.4g} ({min(axis):.4g} to {max(axis):.4g})" for axis in axes)
        yield f"{what}: {words}, from the patient's left, posterior and inferior on; of {many(len(seen), 'case')}"
    orientations = sorted({each.orientation for each in seen})
    yield f"Orientations as stored: {', '.join(orientations)}"
    whole = [each for each in seen if each.foreground]
    for channel in whole[0].foreground if whole else ():
        values = sorted(value for each in whole for value in each.foreground.get(channel, ()))
        if values:
            low, middle, high = (values[int(share * (len(values) - 1))] for share in (0.005, 0.5, 0.995))
            where = "where labelled" if look.labels is not None else "of all pixels"
            spread = f"{low:.4g} to {high:.4g} (99 %), median {middle:.4g}"
            yield f"Intensities of {channel} {where}: {spread}; {many(len(whole), 'case')}"


def _rest(look: Look) -> Iterator[str]:
    from medseg.datasets.scanning.look import gathered  # noqa: PLC0415  # imports NumPy and nibabel

    if not look.rest and look.folder.entries:
        yield "Every file belongs to a case."
    for words, names in look.rest.items():
        yield f"{len(names)} {'file' if len(names) == 1 else 'files'}: {words}"
        yield from (f"  {name}" for name in gathered(names))
