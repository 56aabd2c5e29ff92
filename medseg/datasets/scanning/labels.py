"""What the label maps of a data set hold together, and how a manifest says what it means."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from medseg.datasets.manifest.manifest import Manifest
from medseg.datasets.scanning.meaning import Meaning, Names
from medseg.datasets.scanning.seen import Seen

#: More values than these number objects, in pictures.
_MOST_CLASSES = 12
_ABOVE = 127


@dataclass(frozen=True)
class Labels:
    """What label maps hold.

    Attributes:
        voxels: Of each stored value.
        cases: How many label maps hold it.
        read: How many were read.
        of: How many there are.
        names: What the values stand for.
        objects: Whether values number objects.
        grey: How many hold shades, which only a threshold makes labels of.
    """

    voxels: Mapping[int, int]
    cases: Mapping[int, int]
    read: int
    of: int
    names: Names
    objects: bool = False
    grey: int = 0

    @property
    def nothing(self) -> bool:
        """Whether no label map that was read marks anything."""
        return not self.grey and not set(self.voxels) - {0, *self.names.ignored}

    def fields(self, pictures: Mapping[str, Any] | None) -> dict[str, Any]:
        """`classes`, `label_values` and so on of a manifest."""
        if self.grey:
            made: dict[str, Any] = {
                "classes": ["background", "foreground"],
                "label_values": {0: "background", 1: "foreground"},
            }
            return {**made, "pictures": {**(pictures or {}), "mask_above": _ABOVE}}
        if self.objects:
            return {
                "classes": ["background", "foreground"],
                "label_values": {0: "background"},
                "instances": "foreground",
            }
        values = dict(self.names.values)
        ignored = {"ignore": list(self.names.ignored)} if self.names.ignored else {}
        return {"classes": list(dict.fromkeys(values.values())), "label_values": values, **ignored}


def read_labels(seen: Sequence[Seen], meaning: Meaning, manifest: Manifest) -> Labels:
    """What the label maps that were read hold together.

    Args:
        seen: What the files of cases hold.
        meaning: What the layout says of values.
        manifest: Whether the data are pictures, and have a file for each object.
    """
    voxels: Counter[int] = Counter()
    cases: Counter[int] = Counter()
    mapped = [each for each in seen if each.labels is not None]
    for each in mapped:
        voxels.update(each.labels or {})
        cases.update((each.labels or {}).keys())
    pictures = manifest.pictures is not None
    grey = sum(each.grey for each in seen) if pictures else 0
    numbered = pictures and (
        len(voxels) > _MOST_CLASSES or any(not each.problem and each.labels is None for each in seen)
    )
    objects = bool(manifest.layout.many) or numbered
    return Labels(
        dict(sorted(voxels.items())),
        dict(cases),
        len(mapped),
        len(seen),
        meaning.names(voxels.keys()),
        objects,
        grey if grey > 0.1 * len(seen) and not manifest.layout.many else 0,
    )


def is_binary(labels: Labels) -> bool:
    """Whether pictures have a foreground and a background, and nothing else."""
    return labels.objects or bool(labels.grey) or len(labels.names.values) == 2
