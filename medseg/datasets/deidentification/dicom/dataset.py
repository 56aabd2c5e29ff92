"""One DICOM data set by the table of the profile, with all its sequences."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pydicom.charset import python_encoding
from pydicom.datadict import dictionary_has_tag
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag, Tag
from pydicom.uid import UID

from medseg.datasets.deidentification.choice import Choice
from medseg.datasets.deidentification.dicom.profile import Action, Rule, is_graphic, table
from medseg.datasets.deidentification.dicom.spellings import parts_of, spellings
from medseg.datasets.deidentification.substitutes import Substitutes, shifted
from medseg.images.dicom.elements import most_elements, too_many

#: Replaced by the patient's public name, wherever they stand.
_PATIENT = {Tag("PatientID"), Tag("PatientName")}

#: Descriptions that may stay where they hold nothing but words that name nobody.
_DESCRIPTIONS = {
    Tag(keyword)
    for keyword in (
        *("SeriesDescription", "StudyDescription", "ProtocolName", "ContrastBolusAgent"),
        *("ROIName", "ROIObservationLabel"),
    )
}
_BIRTH = {Tag("PatientBirthDate"), Tag("PatientBirthTime")}
_TIMES = {"DA", "DT", "TM"}
_NUMBERS = {"FL", "FD", "SL", "SS", "SV", "UL", "US", "UV", "AT"}

#: Free text: emptied also where the table does not name it.
_FREE = {"LT", "ST", "UT", "UR", "PN"}
_SHORT = {"LO", "SH", "UC", "AE"}
_TYPED = re.compile(
    r".*(Comments?|Description(Trial)?|Notes|Text|Explanation|InAlternativeCalendar|Location)"
    r"|.*(OrderNumber|ReasonsFor|DiagnosticTasks|Itinerary|BoardingPass|RecognitionCode|RecordedSound).*"
    r"|OwnerID|PrintJobID|HangingProtocolCreator|SelectorUCValue|PatientBreedDescription|BreedRegistrationNumber"
)
"""Keywords of short texts that somebody typed, or that number an order, a journey or an animal."""

#: Not in the table; whoever has the key reads the former identity from it.
_SEALED = Tag("EncryptedAttributesSequence")

_CHARACTERS = Tag("SpecificCharacterSet")

#: Codes by which pixels are decoded, and the kind of the images.
_OF_PIXELS, _MODALITY = 0x0028, Tag("Modality")

#: The group of numbers of series, acquisitions and images, all of which may be empty.
_RELATIONS = 0x0020

_DUMMIES: Mapping[str, str | int | bytes] = {
    **dict.fromkeys(("LO", "SH", "UC", "ST", "LT", "UT", "PN"), "removed"),
    **dict.fromkeys(("CS", "AE"), "REMOVED"),
    **dict.fromkeys(("DS", "IS"), "0"),
    **dict.fromkeys(_NUMBERS, 0),
    "DA": "19000101",
    "TM": "000000",
    "DT": "19000101000000",
    "AS": "000Y",
    "UR": "https://removed.invalid",
}

#: Whose values are looked for in the texts that stay.
_NAMING = {
    Tag(keyword)
    for keyword in (
        *("PatientName", "PatientID", "OtherPatientIDs", "OtherPatientNames", "PatientBirthName", "StudyID"),
        *("AccessionNumber", "ReferringPhysicianName", "OperatorsName", "PerformingPhysicianName"),
        "InstitutionName",
    )
}
_SHORTEST = 4  # letters of a part of a name that is looked for: shorter ones stand in many words


def identifiers(data: Dataset) -> frozenset[str]:
    """Parts of names and numbers of a patient and of those around, in lower case and all spellings, of all levels.

    Raises:
        RefusedError: It holds more attributes than any file needs.
    """
    most, texts = most_elements(data), []
    for count, element in enumerate(_readable(data)):
        if count > most:
            raise too_many(most)
        if element.tag in _NAMING:
            texts.append(str(element.value))
    return frozenset().union(*(parts_of(text, _SHORTEST) for text in texts))


def _readable(data: Dataset) -> Iterator[DataElement]:
    """All attributes whose values can be read, those of sequences too."""
    for tag in data.keys():  # noqa: SIM118 - a data set iterates over its elements
        try:
            element = data[tag]
        except Exception:  # noqa: BLE001, S112 - pydicom raises whatever a damaged value makes it meet
            continue
        yield element
        if element.VR == "SQ":
            for item in element.value:
                yield from _readable(item)


def _values(element: DataElement) -> list[Any]:
    return list(element.value) if isinstance(element.value, MultiValue) else [element.value]


def _is_own(uid: str) -> bool:
    """Whether a UID is none of those that the standard lists, which have names."""
    return bool(uid) and UID(uid).name == uid


class DatasetCleaner:
    """Cleans one data set in place, and counts what it did.

    Attributes:
        counts: How many attributes were removed, emptied, replaced, shifted.
    """

    def __init__(
        self, choice: Choice, substitutes: Substitutes, patient: str, naming: frozenset[str]
    ) -> None:
        """Take the rules.

        Args:
            choice: Options.
            substitutes: Names and UIDs in place of others.
            patient: What tells the patient apart.
            naming: What may stand in no text that stays; see `identifiers`.
        """
        self._choice, self._substitutes, self._naming = choice, substitutes, naming
        self._name, self._days = substitutes.patient(patient), substitutes.days(patient)
        self.counts: Counter[str] = Counter()
        self._do: Mapping[Action, Callable[[Dataset, DataElement], None]] = {
            "X": self._remove,
            "Z": self._empty,
            "D": self._replace,
            "U": self._uids,
            "U*": self._walk,
        }

    def clean(self, data: Dataset) -> None:
        """Apply the table to all attributes of a data set, and of those within."""
        for tag in list(data.keys()):
            try:
                element = data[tag]
            except Exception:  # noqa: BLE001 - pydicom raises whatever a damaged value makes it meet
                self._drop(data, tag)
                continue
            self._attribute(data, element)

    def _attribute(self, data: Dataset, element: DataElement) -> None:
        tag, rule = element.tag, table().get(element.tag)
        if tag.is_private or tag.element == 0 or is_graphic(tag) or not dictionary_has_tag(tag):
            self._remove(data, element)
        elif tag in _PATIENT and not element.is_empty:
            element.value = self._name
            self.counts["replaced"] += 1
        elif rule is None:
            self._unlisted(data, element)
        elif self._stays(element, rule):
            self._walk(data, element)
        elif self._choice.shift_dates and element.VR in _TIMES and tag not in _BIRTH:
            self._shift(data, element)
        else:
            self._do[rule.action](data, element)

    def _stays(self, element: DataElement, rule: Rule) -> bool:
        described = element.tag in _DESCRIPTIONS and self._choice.harmless(str(element.value))
        uid = rule.action == "U" and self._choice.keep_uids
        return described or uid or (rule.device and self._choice.keep_device)

    def _unlisted(self, data: Dataset, element: DataElement) -> None:
        """What the table leaves as it is: names, free text and dates are emptied all the same."""
        if element.tag == _CHARACTERS:
            self._characters(element)
        elif element.VR == "UN" or element.tag == _SEALED:
            self._remove(data, element)
        elif element.VR == "SQ":
            self._walk(data, element)
        elif element.VR == "CS":
            self._codes(element)
        elif element.VR == "UI":
            self._unlisted_uids(data, element)
        elif element.VR in _TIMES and self._choice.shift_dates:
            self._shift(data, element)
        elif element.VR in _FREE | _TIMES or self._remarks(element) or self._names(element):
            self._empty(data, element)

    def _unlisted_uids(self, data: Dataset, element: DataElement) -> None:
        if not self._choice.keep_uids and not element.keyword.endswith("ClassUID"):
            self._uids(data, element)

    def _remarks(self, element: DataElement) -> bool:
        """Whether a short text is by what it is called what somebody typed, and is more than words that may stay."""
        typed = element.VR in _SHORT and _TYPED.fullmatch(element.keyword) is not None
        return typed and not self._choice.harmless(str(element.value))

    def _names(self, element: DataElement) -> bool:
        """Whether a short text, or the number of a series or image, holds a part of a name or number."""
        if element.VR not in _SHORT and (element.VR != "IS" or element.tag.group != _RELATIONS):
            return False
        return any(part in text for text in spellings(str(element.value)) for part in self._naming)

    def _characters(self, element: DataElement) -> None:
        """Only character sets that there are: any other text is one that somebody put there."""
        if not element.is_empty and any(each not in python_encoding for each in _values(element)):
            element.value = "ISO_IR 100"
            self.counts["replaced"] += 1

    def _codes(self, element: DataElement) -> None:
        """Codes of which a word is a part of a name or number: the standard lets programs add some of their own."""
        if element.tag.group == _OF_PIXELS or element.tag == _MODALITY or element.is_empty:
            return
        values = [str(each) for each in _values(element)]
        new = ["REMOVED" if self._naming & parts_of(each, _SHORTEST) else each for each in values]
        if new != values:
            element.value = new if len(new) > 1 else new[0]
            self.counts["replaced"] += 1

    def _drop(self, data: Dataset, tag: BaseTag) -> None:
        del data[tag]
        self.counts["removed"] += 1

    def _remove(self, data: Dataset, element: DataElement) -> None:
        self._drop(data, element.tag)

    def _empty(self, data: Dataset, element: DataElement) -> None:  # noqa: ARG002 - as the others
        if not element.is_empty:
            element.value = Sequence() if element.VR == "SQ" else None
            self.counts["emptied"] += 1

    def _walk(self, data: Dataset, element: DataElement) -> None:  # noqa: ARG002 - as the others
        if element.VR == "SQ":
            for item in element.value:
                self.clean(item)

    def _uids(self, data: Dataset, element: DataElement) -> None:
        """New UIDs for all that the standard does not define itself."""
        if element.VR != "UI":
            self._replace(data, element)
            return
        values = _values(element)
        new = [self._substitutes.uid(str(each)) if _is_own(str(each)) else each for each in values]
        if new != values:
            element.value = new if len(new) > 1 else new[0]
            self.counts["replaced"] += 1

    def _shift(self, data: Dataset, element: DataElement) -> None:
        if element.VR == "TM" or element.is_empty:
            return
        try:
            new = [shifted(str(each), self._days) for each in _values(element)]
        except (ValueError, OverflowError):
            self._replace(data, element)
            return
        element.value = new if len(new) > 1 else new[0]
        self.counts["shifted"] += 1

    def _replace(self, data: Dataset, element: DataElement) -> None:
        if element.is_empty:
            return
        if element.VR == "UI":
            self._uids(data, element)
            return
        if element.VR == "SQ":
            for item in element.value:
                self._replace_all(item)
        else:
            element.value = _DUMMIES.get(element.VR, b"\0\0")
        self.counts["replaced"] += 1

    def _replace_all(self, item: Dataset) -> None:
        """Dummies for all that an item holds: what it says may be of a person, whatever its attributes are called."""
        for tag in list(item.keys()):
            try:
                element = item[tag]
            except Exception:  # noqa: BLE001 - as in `clean`
                self._drop(item, tag)
                continue
            if tag.is_private or not dictionary_has_tag(tag) or element.VR == "UN":
                self._remove(item, element)
            else:
                self._replace(item, element)
