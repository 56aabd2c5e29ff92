"""Studies of DICOM series: channels guessed by what series are called, label maps by what is drawn on them."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from medseg.datasets.finding.scan import scan
from medseg.datasets.manifest.manifest import Manifest
from medseg.datasets.scanning.folder import DICOM, ITK, PICTURE, UNREAD, VOLUME, Folder
from medseg.datasets.scanning.layout import Layout
from medseg.datasets.scanning.meaning import DeclaredLabels, Meaning, UnknownLabels, identifiers
from medseg.datasets.scanning.studies import Study, studies_of
from medseg.errors import DataError
from medseg.images.dicom.series.index import Instance
from medseg.text import brief, many

_MOST_NAMES = 8  # of series that are listed
_LONGEST = 80  # letters of a text of the data that a draft holds
_CODE = 16  # letters of a code, such as that of a modality. Source: DICOM PS3.5, CS
_SHARE = 0.5  # of images that have to be of volumes, and of studies that have to have a channel

_CONTRAST = r"post|gad|contrast|(?<![a-z])(?:gd|ce)(?![a-z])|\+ *c(?![a-z])"

#: How series are called, and the channel: the first that fits counts. They hold no word of the data, which may name
#: somebody.
_WORDS = {
    "flair": "(?i)flair",
    "t1ce": f"(?i)t1.*(?:{_CONTRAST})|(?:{_CONTRAST}).*t1",
    "t2": r"(?i)^(?!.*flair).*t2(?!\*)",
    "t1": f"(?i)^(?!.*flair)(?!.*(?:{_CONTRAST})).*t1",
    "adc": "(?i)(?<![a-z])adc",
    "dwi": r"(?i)^(?!.*(?<![a-z])adc).*(?:dwi|diff|trace)",
    "swi": "(?i)swi|t2[*]",
    "pd": "(?i)(?<![a-z])pd(?![a-z])",
}

#: What is looked for where the description says t1 and not whether a contrast agent was given.
_T1 = "(?i)^(?!.*flair).*t1"
_BY_AGENT = {
    "t1ce": {"SeriesDescription": _T1, "ContrastBolusAgent": "."},
    "t1": {"SeriesDescription": _T1, "ContrastBolusAgent": "^$"},
}

#: Where label maps in NIfTI lie, if they lie beside the series.
_BESIDE = (
    "{folder}/**/*.nii*",
    "**/{PatientID}*.nii*",
    "**/{StudyInstanceUID}*.nii*",
)

_NO_CHANNEL = (
    "the series of a study cannot be told apart by what they are called. Write a manifest with `layout.series`: "
    "docs/dicom.md"
)
_NO_MASKS = (
    "no label maps were found: neither DICOM SEG nor RTSTRUCT of the same study, nor NIfTI named by PatientID or in "
    "the folder of the study. Add them; or, to predict alone, name the folder to `medseg predict`"
)

Channels = dict[str, dict[str, str]]


class DicomStudies:
    """Folders of DICOM series, in any arrangement."""

    def recognise(self, folder: Folder) -> Layout | None:
        """The layout, if most images are slices of volumes."""
        images, dicom = folder.of(VOLUME, ITK, PICTURE, DICOM, UNREAD), folder.of(DICOM)
        if not dicom or len(dicom) < _SHARE * len(images):
            return None
        studies = studies_of(folder)
        sliced = sum(len(study.series[uid]) for study in studies for uid in study.volumes)
        other = sum(len(files) for study in studies for files in study.series.values()) - sliced
        studies = [study for study in studies if study.volumes]
        if not studies or sliced < other:
            return None
        masks = any(study.drawn for study in studies) or folder.of(VOLUME)
        if not masks and _in_classes(studies, folder):
            return None
        volumes = sum(len(study.volumes) for study in studies)
        patients = len({study.patient for study in studies})
        reasons = [
            (
                f"{many(sliced, 'file', 'are')} {volumes} series of {many(len(studies), 'study')} of "
                f"{many(patients, 'patient')}, by their headers"
            )
        ]
        if predicted := sum(study.predicted for study in studies):
            reasons.append(f"no label maps, since medseg predicted them: {many(predicted, 'segmentation')}")
        channels, why = _channels(studies)
        left = [
            each for each in _volumes(studies) if not any(_fits(tags, each[1]) for tags in channels.values())
        ]
        if not channels:
            return Layout("DICOM series", "guess", (*reasons, *_called(left)), cannot=_NO_CHANNEL)
        reasons.append(f"channels: {', '.join(channels)}, {why}")
        reasons += [f"in no channel: {text}" for text in _called(left)]
        fields: dict[str, Any] = {"channels": list(channels)}
        modalities = {name: modality.lower() for name, modality in _modalities(studies, channels).items()}
        for mask, classes, meaning, told in _masks(studies, fields["channels"], channels, folder):
            fields |= {"layout": {"series": channels, "mask": mask}, **classes}
            return Layout(
                "DICOM series",
                "guess",
                (*reasons, told),
                fields,
                meaning=meaning,
                modalities=modalities,
                guesses=(f"series are channels {why}",),
            )
        return Layout("DICOM series", "guess", tuple(reasons), cannot=_NO_MASKS)


def _in_classes(studies: Sequence[Study], folder: Folder) -> bool:
    """Whether folders are those of classes: most hold several patients, where those of patients hold one."""
    patients: defaultdict[Path, set[str]] = defaultdict(set)
    for study in studies:
        for files in study.series.values():
            for each in files:
                patients[each.path.relative_to(folder.root).parent].add(study.patient)
    several = sum(len(whose) > 1 for whose in patients.values())
    return len(patients) > 1 and several > _SHARE * len(patients)


def _channels(studies: Sequence[Study]) -> tuple[Channels, str]:
    """Which series are channels, and by what; none where nothing tells them apart."""
    every = [list(study.volumes.values()) for study in studies]
    if all(len(found) == 1 for found in every):
        modalities = Counter(found[0].tags["Modality"] for found in every)
        if len(modalities) == 1 and _is_code(modality := next(iter(modalities))):
            return {
                identifiers([modality])[0]: {"Modality": f"^{modality}$"}
            }, "since each study has one series"
    words = {name: {"SeriesDescription": text} for name, text in _WORDS.items()}
    shared = _shared(studies)
    ways = ((words, "by words in SeriesDescription"), (shared, "by SeriesDescription, which patients share"))
    for offered, why in ways:
        fitting = {name: tags for name, tags in offered.items() if _usual(every, tags)}
        alike = offered is words and not fitting.keys() & _BY_AGENT.keys()
        if alike and all(_usual(every, tags) for tags in _BY_AGENT.values()):
            return fitting | _BY_AGENT, f"{why}, and ContrastBolusAgent"
        if fitting:
            return fitting, why
    return {}, ""


def _is_code(text: str) -> bool:
    """Whether it may be a modality."""
    return text.isalnum() and len(text) <= _CODE


def _volumes(studies: Sequence[Study]) -> list[tuple[str, Instance]]:
    """One file of each series, with the patient."""
    return [(study.patient, one) for study in studies for one in study.volumes.values()]


def _fits(tags: Mapping[str, str], one: Instance) -> bool:
    return all(re.search(text, one.tags[keyword]) for keyword, text in tags.items())


def _usual(every: Sequence[Sequence[Instance]], tags: Mapping[str, str]) -> bool:
    """Whether most studies have one such series, and few more: these are then faults of their own."""
    counts = [sum(_fits(tags, each) for each in found) for found in every]
    single, several = sum(count == 1 for count in counts), sum(count > 1 for count in counts)
    return single >= _SHARE * len(counts) and single > 2 * several


def _shared(studies: Sequence[Study]) -> Channels:
    """Descriptions that several patients have: they name nobody."""
    patients: defaultdict[str, set[str]] = defaultdict(set)
    for patient, one in _volumes(studies):
        patients[one.tags["SeriesDescription"]].add(patient)
    texts = [text for text, whose in sorted(patients.items()) if text and len(whose) > 1]
    # Of what is longer than any description in DICOM the beginning counts.
    patterns = {f"^{re.escape(text[:_LONGEST])}{'$' * (len(text) <= _LONGEST)}": text for text in texts}
    names = identifiers(list(patterns.values()), "series")
    return {name: {"SeriesDescription": pattern} for name, pattern in zip(names, patterns, strict=True)}


def _called(volumes: Sequence[tuple[str, Instance]]) -> Iterator[str]:
    """What series are called, where several patients have it: a name that one alone has may be the patient's."""
    whose: defaultdict[str, list[str]] = defaultdict(list)
    for patient, one in volumes:
        whose[one.tags["SeriesDescription"]].append(patient)
    nameless = len(whose.pop("", ()))
    shared = {text: found for text, found in whose.items() if len(set(found)) > 1}
    most = sorted(shared, key=lambda text: (-len(shared[text]), text))
    for text in most[:_MOST_NAMES]:
        yield f"SeriesDescription {brief(text)!r}: {len(shared[text])} series of {len(set(shared[text]))} patients"
    others = (
        (len(most) - _MOST_NAMES, "further SeriesDescriptions that several patients have"),
        (
            sum(len(found) for text, found in whose.items() if text not in shared),
            "series called as in no other patient",
        ),
        (nameless, "series without SeriesDescription"),
    )
    yield from (f"{count} {what}" for count, what in others if count > 0)


def _modalities(studies: Sequence[Study], channels: Channels) -> dict[str, str]:
    """The modality of each channel, as far as it is one."""
    found = {}
    for name, tags in channels.items():
        kinds = {one.tags["Modality"] for _, one in _volumes(studies) if _fits(tags, one)}
        if len(kinds) == 1:
            found[name] = brief(kinds.pop(), _CODE)
    return found


def _masks(
    studies: Sequence[Study], names: Sequence[str], channels: Channels, folder: Folder
) -> Iterator[tuple[Any, Mapping[str, Any], Meaning, str]]:
    """What the label maps are, the classes that this names, what values mean, and why: the likeliest first."""
    drawn = [study for study in studies if study.drawn]
    if drawn:
        kinds = Counter(each.tags["Modality"] for study in drawn for each in study.drawn)
        kind, *others = (name for name, _ in kinds.most_common())
        if others and all(len(study.drawn) == 1 for study in drawn):
            kind = f"({'|'.join(sorted(kinds))})"
        structures = _structures(drawn, kind)
        classes = {
            "classes": ["background", *structures],
            "label_values": dict(enumerate(["background", *structures])),
        }
        mask: dict[str, Any] = {"structures": structures}
        mask |= {"tags": {"Modality": f"^{kind}$"}} if len(kinds) > 1 else {}
        why = (
            "the label maps are called so"
            if "*" not in structures.values()
            else "all that is drawn is one class"
        )
        meaning = DeclaredLabels(dict(enumerate(structures, start=1)), why=why)
        taken = [f"{count} {name}" for name, count in kinds.most_common() if re.fullmatch(kind, name)]
        yield mask, classes, meaning, f"{' and '.join(taken)} are label maps"
    if folder.of(VOLUME):
        found = {mask: _complete(mask, names, channels, folder) for mask in _BESIDE}
        best = max(found, key=lambda mask: found[mask])
        if found[best]:
            yield best, {}, UnknownLabels(), f"{many(found[best], 'study', 'have')} one NIfTI file as {best}"


def _structures(drawn: Sequence[Study], kind: str) -> dict[str, str]:
    """A class for each name of a structure that several patients have; else one for all that is drawn.

    Args:
        drawn: Studies in which something is drawn.
        kind: Modalities of what counts, an expression.
    """
    from medseg.images.dicom.series.names import names_of  # noqa: PLC0415 - imports pydicom

    patients: defaultdict[str, set[str]] = defaultdict(set)
    for study in drawn:
        for each in (one for one in study.drawn if re.fullmatch(kind, one.tags["Modality"])):
            try:
                for name in names_of(each.path):
                    patients[name.strip().lower()].add(study.patient)
            except DataError:
                continue
    shared = sorted(name for name, whose in patients.items() if len(whose) > 1 and "*" not in name)
    if not shared:
        return {"foreground": "*"}
    # Of what is longer than any name in DICOM the beginning counts.
    names = list(dict.fromkeys(name if len(name) <= _LONGEST else f"{name[:_LONGEST]}*" for name in shared))
    return dict(zip(identifiers(["background", *names])[1:], names, strict=True))


def _complete(mask: str, names: Sequence[str], channels: Channels, folder: Folder) -> int:
    """How many studies have all channels and one label map by a pattern."""
    texts = dict.fromkeys(("name", "about", "source", "licence", "citation", "obtain"), "-")
    described = {
        **texts,
        "ids": "pseudonyms",
        "channels": list(names),
        "classes": ["background"],
        "label_values": {0: "background"},
        "layout": {"series": channels, "mask": mask},
    }
    return len(scan(Manifest.model_validate(described), folder.root).cases)
