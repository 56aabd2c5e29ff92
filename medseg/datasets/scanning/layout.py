"""What a recognised layout says, and what recognises one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from medseg.datasets.scanning.folder import Folder
from medseg.datasets.scanning.meaning import Meaning, UnknownLabels


@dataclass(frozen=True)
class Layout:
    """How the files of a folder belong together, as a manifest says it.

    Attributes:
        name: Of the layout, in words.
        confidence: `sure` where names or a description follow a known rule; `guess` where likeness alone tells.
        reasons: What it was recognised by.
        fields: What a manifest says of it: `channels`, `layout`, and whichever of `pictures`, `volumes`, `group`,
            `columns` and `image_labels` it needs. Patterns alone: no name of a case.
        about: Texts of the data set itself, by their keys in a manifest: `about`, `licence`, `citation`.
        meaning: What the values in its label maps stand for.
        modalities: What the channels are, by name, in lower case, where that is known: `ct`.
        guesses: What was chosen among several, or assumed.
        beside: What the rest of the folder is, by how its names begin.
        described: Names of files that were read for this.
        cannot: Why it cannot be learned from yet; empty where it can.
    """

    name: str
    confidence: Literal["sure", "guess"]
    reasons: tuple[str, ...]
    fields: Mapping[str, Any] = field(default_factory=dict)
    about: Mapping[str, str] = field(default_factory=dict)
    meaning: Meaning = field(default_factory=UnknownLabels)
    modalities: Mapping[str, str] = field(default_factory=dict)
    guesses: tuple[str, ...] = ()
    beside: Mapping[str, str] = field(default_factory=dict)
    described: tuple[str, ...] = ()
    cannot: str = ""


class Recogniser(Protocol):
    """What recognises one layout."""

    def recognise(self, folder: Folder) -> Layout | None:
        """The layout, if the folder has it.

        Raises:
            DataError: It has it several times over; says which part to name.
        """
