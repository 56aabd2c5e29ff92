"""Finding the series of DICOM studies by their headers, in folders of any arrangement."""

from __future__ import annotations

import os.path
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from medseg.datasets.finding.doubtful import may_be_image, own_ending, refusal
from medseg.datasets.finding.draft import Complaint, Draft, Found
from medseg.datasets.finding.walk import Walk, leave_archives, leave_out
from medseg.datasets.manifest.expressions import Pattern, compiled
from medseg.datasets.manifest.patterns import MASK
from medseg.datasets.manifest.series.layout import (
    FOLDER,
    PLACEHOLDER,
    SegmentationRule,
    SeriesLayout,
    Tags,
    fits,
)
from medseg.errors import DataError, Fault
from medseg.files.many import files_of, together
from medseg.images.dicom.series.directory import is_directory, missing, of_disc
from medseg.images.dicom.series.index import Instance, instance_of
from medseg.images.dicom.sniff import is_dicom
from medseg.images.refusal import found_and_remedy
from medseg.progress import Progress
from medseg.text import brief, composed, many, short_name

if TYPE_CHECKING:
    from medseg.datasets.manifest.manifest import Manifest

_MAKER = "Manufacturer"  # of segmentations; a manifest that asks for it may take those of our own models
_MISSING = "no {what} of the study fits {key} of the manifest"
_DIGITS = 12  # of a number that a header writes as a text; Source: DICOM PS3.5, IS
_ADD = "Add it, widen the expressions in the manifest, or leave the case out."
_TWICE = "{count} {what} of the study fit {key} of the manifest{numbers}"
_LISTED = "Copy the disc anew; or take the DICOMDIR out, if what it says is not so on purpose."
_NARROW = "Narrow the expressions by further attributes of the one that is meant, or leave the case out."


@dataclass
class _Study:
    """The DICOM files of one study, by their names below the root."""

    patient: str
    uid: str
    files: dict[str, Instance] = field(default_factory=dict)


@dataclass
class _Headers:
    """What the headers of a folder tell.

    Attributes:
        studies: By patient and study.
        others: Files that are no DICOM, or a directory of some, by their names below the root.
        broken: What is wrong with files that are to be DICOM, and what to do about it.
        within: Cases by the folders that files of their studies lie in.
    """

    studies: dict[tuple[str, str], _Study] = field(default_factory=dict)
    others: dict[str, Path] = field(default_factory=dict)
    broken: dict[Path, tuple[str, str]] = field(default_factory=dict)
    within: defaultdict[Path, list[Draft]] = field(default_factory=lambda: defaultdict(list))

    def cut(self) -> dict[str, tuple[int, int]]:
        """Series that lack files which a DICOMDIR lists: how many of how many, by their UID."""
        there = [*self.others, *(name for study in self.studies.values() for name in study.files)]
        found: dict[str, tuple[int, int]] = {}
        for name, path in self.others.items():
            if is_directory(name) and is_dicom(path):
                try:
                    found |= missing(path, name, there)
                except DataError as error:
                    self.broken[path] = found_and_remedy(error, _LISTED)
        return found

    def strays(self, masks: Collection[Path]) -> list[str]:
        """Names of the others that are no label maps; those of them that may be slices are broken from now on."""
        beside: defaultdict[Path, set[str]] = defaultdict(set)
        for study in self.studies.values():
            for each in study.files.values():
                beside[each.path.parent].add(own_ending(each.path))
        strays = {name: path for name, path in self.others.items() if path not in masks}
        doubtful = (path for path in strays.values() if may_be_image(path, beside.get(path.parent, ())))
        self.broken |= {path: refusal(path) for path in doubtful}
        return [name for name, path in strays.items() if path not in self.broken and not is_dicom(path)]


@dataclass(frozen=True)
class SeriesFinder:
    """Finds cases in the headers of DICOM files: each study with a series of any channel is one."""

    manifest: Manifest
    layout: SeriesLayout

    def find(self, root: Path, parts: Sequence[str], *, truth: bool, progress: Progress) -> Found:  # noqa: ARG002
        """The studies below a root, each with the series of its channels; headers alone are read."""
        root = of_disc(root)
        walk = Walk(root, (), all=True)
        found = Found(faults=walk.faults)
        read = self._read(walk, progress)
        cut = read.cut()
        above = composed((root.resolve().parent if root.is_file() else root.resolve()).name)
        channels = [part for part in parts if part != MASK]
        used, masks = set[Path](), set[Path]()
        for study in read.studies.values():
            draft = self._draft(study, channels, above)
            if not draft.files:
                continue
            draft.complaints += _cut(draft, study, cut)
            if MASK in parts:
                self._add_mask(draft, study, read.others, above)
            found.drafts.append(draft)
            used |= {
                path for places in draft.files.values() for _, first in places for path in files_of(first)
            }
            masks |= {path for _, path in self._beside(study, read.others) if own_ending(path) == ".nii"}
            for folder in {each.path.parent for each in study.files.values()}:
                read.within[folder].append(draft)
        left = read.strays(masks)
        _complain(found, read)
        named = self.manifest.ids == "pseudonyms"
        leave_out(
            found, leave_archives(found, sorted(left), named=named), "no DICOM", "no DICOM", named=named
        )
        self._tell(found, walk, read, used, masks)
        return found

    def _read(self, walk: Walk, progress: Progress) -> _Headers:
        read = _Headers()
        with progress.bar("reading headers", None, "files") as bar:
            for name, path in walk.paths():
                bar.advance()
                try:
                    instance = instance_of(path, self._keywords)
                except DataError as error:
                    read.broken[path] = found_and_remedy(error)
                    continue
                if instance is None:
                    read.others[name] = path
                else:
                    study = read.studies.setdefault(instance.study, _Study(*instance.study))
                    study.files[name] = instance
        return read

    @property
    def _keywords(self) -> tuple[str, ...]:
        mask = self.layout.mask
        named = [keyword for tags in self.layout.series.values() for keyword in tags]
        named += mask.tags if isinstance(mask, SegmentationRule) else []
        named += (
            [name for name in PLACEHOLDER.findall(mask) if name != FOLDER] if isinstance(mask, str) else []
        )
        return tuple(dict.fromkeys(named))

    def _draft(self, study: _Study, channels: Sequence[str], above: str) -> Draft:
        """A case with a series for each channel, and what is wrong with these."""
        patient, uid = short_name(study.patient), short_name(study.uid)
        draft = Draft("/".join(filter(None, (patient, uid))), group=composed(patient))
        lacking, first = [], next(iter(study.files.values())).path
        for channel in channels:
            fitting: defaultdict[str, list[tuple[str, Instance]]] = defaultdict(list)
            for name, instance in study.files.items():
                if instance.is_image and self._fits(
                    instance, self.layout.series[channel], f"series.{channel}"
                ):
                    fitting[instance.series].append((name, instance))
            key = f"'layout.series.{channel}'"
            if not fitting:
                lacking.append(
                    Complaint(channel, _MISSING.format(what="series", key=key), _ADD, first.parent)
                )
                continue
            (name, one), *_ = next(iter(fitting.values()))
            if len(fitting) > 1:
                draft.complaints.append(
                    Complaint(channel, _several(fitting, "series", key), _NARROW, one.path)
                )
            paths = [instance.path for _, instance in next(iter(fitting.values()))]
            draft.files[channel] = [(f"{above}/{name}", together(paths))]
        draft.complaints += (*lacking, *_shared(draft)) if draft.files else ()
        return draft

    def _add_mask(self, draft: Draft, study: _Study, others: Mapping[str, Path], above: str) -> None:
        mask = self.layout.mask
        places = (
            self._drawn(study, mask) if isinstance(mask, SegmentationRule) else self._beside(study, others)
        )
        near = next(iter(draft.files.values()))[0][1]
        what = "segmentation or structure set" if isinstance(mask, SegmentationRule) else "file"
        if not places:
            text = _MISSING.format(what=what, key="'layout.mask'")
            draft.complaints.append(Complaint(MASK, text, _ADD, near.parent))
            return
        name, path = places[0]
        if len(places) > 1:
            many = " or ".join(f"{each}s" for each in what.split(" or "))
            text = _TWICE.format(count=len(places), what=many, key="'layout.mask'", numbers="")
            draft.complaints.append(Complaint(MASK, text, _NARROW, path))
        # What is drawn in DICOM becomes a label map only on the slices of an image: of the first channel.
        drawn = isinstance(mask, SegmentationRule)
        draft.files[MASK] = [(f"{above}/{name}", together([path, *files_of(near)]) if drawn else path)]

    def _drawn(self, study: _Study, rule: SegmentationRule) -> list[tuple[str, Path]]:
        return [
            (name, instance.path)
            for name, instance in study.files.items()
            if instance.is_labels
            and (not instance.is_predicted or _MAKER in rule.tags)
            and self._fits(instance, rule.tags, "mask.tags")
        ]

    def _beside(self, study: _Study, others: Mapping[str, Path]) -> list[tuple[str, Path]]:
        """Files of other kinds that fit the pattern of label maps, with the texts of the study put in."""
        if not isinstance(self.layout.mask, str):
            return []
        shared = os.path.commonpath([f"/{name}" for name in study.files])
        tags = next(iter(study.files.values())).tags
        texts = {**tags, FOLDER: (shared if len(study.files) > 1 else shared.rpartition("/")[0])[1:]}
        expression, at = (
            _expression(self.layout.mask, texts),
            f"manifest '{self.manifest.name}', 'layout.mask'",
        )
        return [(name, path) for name, path in sorted(others.items()) if expression.fullmatch(name, at)]

    def _fits(self, instance: Instance, tags: Tags, key: str) -> bool:
        return fits(tags, instance.tags, f"manifest '{self.manifest.name}', 'layout.{key}")

    def _tell(
        self, found: Found, walk: Walk, read: _Headers, used: Collection[Path], masks: Collection[Path]
    ) -> None:
        """How many files there are of each use, and that there is no case."""
        studies = read.studies
        instances = [each for study in studies.values() for each in study.files.values()]
        dicom = {each.path for each in instances}
        known = {
            "of cases": len(used),
            "of series that are not asked for": len(dicom.difference(used)),
            "of parts that are not asked for": len({*masks}.difference(used)),
            "that cannot be read as DICOM": len(read.broken),
        }
        found.files = {**known, "of other kinds": walk.files - sum(known.values()), **walk.uses()}
        predicted = sum(each.is_predicted for each in instances)
        rule = self.layout.mask
        if predicted and isinstance(rule, SegmentationRule) and _MAKER not in rule.tags:
            found.notes.append(
                f"{many(predicted, 'segmentation', 'were')} predicted by medseg, and become no label maps; "
                f"if it is to be, ask for {_MAKER} in 'layout.mask.tags' of the manifest"
            )
        if left := len(studies) - len(found.drafts):
            found.notes.append(
                f"{left} of {many(len(studies), 'study')} have a series of no channel, and are no cases"
            )
        if not found.drafts:
            problem = (
                f"no series of the data set '{self.manifest.name}' was found: {many(walk.files, 'file', 'were')} "
                f"seen, {len(dicom)} of them DICOM, of {many(len(studies), 'study')}"
            )
            remedy = (
                "Name the folder of the data set, or mend 'layout.series' of the manifest. To get the data: "
                f"{self.manifest.obtain}"
            )
            found.faults.append(Fault("", 0, "", problem, remedy, walk.root))


def _complain(found: Found, read: _Headers) -> None:
    """What is broken is a fault of the case in whose folder it lies, for the case may lack it.

    Where no case lies, or several do, it is one of the data set.
    """
    for path, wrong in read.broken.items():
        drafts = read.within.get(path.parent, ())
        if len(drafts) == 1:
            drafts[0].complaints.append(Complaint("", *wrong, path))
        else:
            found.faults.append(Fault("", 0, "", *wrong, path))


def _shared(draft: Draft) -> Iterator[Complaint]:
    """That channels are one series: a network would see one image for two."""
    first: dict[Path, str] = {}
    for channel, ((_, path), *_) in draft.files.items():
        for each in files_of(path):
            other = first.setdefault(each, channel)
            if other != channel:
                keys = f"'layout.series.{other}' and 'layout.series.{channel}'"
                yield Complaint(channel, f"one series fits both {keys} of the manifest", _NARROW, each)
                break


def _cut(draft: Draft, study: _Study, cut: Mapping[str, tuple[int, int]]) -> Iterator[Complaint]:
    """That files of a channel are missing which a DICOMDIR lists: a volume without its ends shows no gap."""
    series = {instance.path: instance.series for instance in study.files.values()}
    for channel, ((_, path), *_) in draft.files.items():
        first = files_of(path)[0]
        if counted := cut.get(series[first]):
            problem = f"the DICOMDIR lists {counted[1]} files of this series, and {counted[0]} of them are not there"
            yield Complaint(channel, problem, _LISTED, first)


def _several(fitting: Mapping[str, Sequence[tuple[str, Instance]]], what: str, key: str) -> str:
    numbers = Counter(each[0][1].tags["SeriesNumber"] for each in fitting.values())
    listed = brief(", ".join(brief(number, _DIGITS) for number in sorted(numbers) if number.isdigit()))
    return _TWICE.format(
        count=len(fitting), what=what, key=key, numbers=f" (SeriesNumber {listed})" if listed else ""
    )


def _expression(mask: str, texts: Mapping[str, str]) -> Pattern:
    """A pattern of file names with texts put in: `**/` stands for any folders, `*` for any part of a name."""
    written = ""
    for token in re.finditer(r"\{\w+\}/?|\*\*/|\*|[^{*]+|.", composed(mask)):
        found = PLACEHOLDER.match(token[0])
        if found:
            text = composed(texts[found[1]])
            slash = token[0].endswith("/")
            written += re.escape(text) + ("/" if slash and text else "")
        else:
            written += {"**/": "(?:.*/)?", "*": "[^/]*"}.get(token[0], re.escape(token[0]))
    return compiled(written)
