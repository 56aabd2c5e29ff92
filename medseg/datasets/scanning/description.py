"""What a data set's own `dataset.json` says, as nnU-Net and the Medical Segmentation Decathlon write it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from medseg.datasets.scanning.folder import Folder
from medseg.datasets.scanning.meaning import DeclaredLabels, Meaning, UnknownLabels, identifiers
from medseg.files.regular import read_json

NAME = "dataset.json"

_LONGEST = 1000

_TEXTS = {"about": "description", "licence": "licence", "citation": "reference"}


@dataclass(frozen=True)
class Description:
    """A `dataset.json`.

    Attributes:
        file: Its name below the folder; empty where there is none that can be read.
        channels: Names of the channels in order, as identifiers; none where it names none.
        modalities: The same as it spells them, in lower case, by channel.
        meaning: What the label values stand for.
        about: Texts for a manifest.
        problem: Why it could not be used, if it is there.
    """

    file: str = ""
    channels: tuple[str, ...] = ()
    modalities: Mapping[str, str] = field(default_factory=dict)
    meaning: Meaning = field(default_factory=UnknownLabels)
    about: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""


def described(folder: Folder, prefix: str) -> Description:
    """What the `dataset.json` in a folder of the data says."""
    entry = folder.by_name.get(f"{prefix}{NAME}")
    if entry is None:
        return Description(problem=f"there is no {NAME}")
    try:
        said = read_json(entry.path)
    except (OSError, ValueError, RecursionError):
        said = None
    if not isinstance(said, dict):
        return Description(problem=f"{NAME} cannot be read: it is no JSON object")
    names = _ordered(said.get("channel_names", said.get("modality")))
    channels = tuple(identifiers(names, "channel"))
    return Description(
        entry.name,
        channels,
        {channel: name.strip().lower() for channel, name in zip(channels, names, strict=True)},
        _meaning(said.get("labels")),
        _about(said),
    )


def _about(said: Mapping[str, Any]) -> dict[str, str]:
    given = {**said, "licence": said.get("licence", said.get("license"))}
    return {key: text for key, of in _TEXTS.items() if (text := _text(given.get(of)))}


def _text(value: Any) -> str:
    """One line of text; empty for anything else."""
    words = " ".join(value.split()) if isinstance(value, str) else ""
    return words if words.isprintable() and len(words) <= _LONGEST else ""


def _ordered(channels: Any) -> list[str]:
    """Names of channels in the order of their numbers."""
    if isinstance(channels, dict) and all(str(key).isdigit() for key in channels):
        return [str(channels[key]) for key in sorted(channels, key=int)]
    if isinstance(channels, list):
        return [str(each) for each in channels]
    return []


def _meaning(labels: Any) -> Meaning:
    """Names of values, from `{"1": "liver"}` of the Decathlon `{"liver": 1}` of nnU-Net, which may ignore some."""
    if not isinstance(labels, dict):
        return UnknownLabels(f"{NAME} names no labels")
    if all(str(key).lstrip("-").isdigit() for key in labels):
        return DeclaredLabels({int(key): str(name) for key, name in labels.items()})
    single: dict[int, str] = {}
    unions: dict[str, tuple[int, ...]] = {}
    ignored: list[int] = []
    for name, value in labels.items():
        values = value if isinstance(value, list) else [value]
        if not values or not all(isinstance(each, int) for each in values):
            return UnknownLabels(f"{NAME} has labels that are no whole numbers")
        if name.strip().lower() == "ignore":
            ignored += values
        elif len(values) == 1:
            single.setdefault(values[0], name)
        else:
            unions[name] = tuple(values)
    return DeclaredLabels(single, unions, ignored=tuple(ignored))
