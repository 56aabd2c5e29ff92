"""How a manifest can contradict itself."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from medseg.class_names import misnamed
from medseg.datasets.manifest.expressions import pattern
from medseg.datasets.manifest.fields import ManifestFields
from medseg.datasets.manifest.group_rule import GroupRule
from medseg.datasets.manifest.patterns import MASK, Layout
from medseg.datasets.manifest.series.layout import SegmentationRule, SeriesLayout
from medseg.datasets.unannotated import UNANNOTATED
from medseg.images.itk.names import NAME as ITK
from medseg.text import composed

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


def complaints(manifest: ManifestFields) -> Iterator[str]:
    """What contradicts itself: each complaint begins with the key, and ends without a full stop."""
    yield from _misnamed(manifest)
    yield from _mislabelled(manifest) if manifest.image_labels is None else _misclassed(manifest)
    yield from _mispictured(manifest)
    yield from _mispatterned(manifest)


def _misnamed(manifest: ManifestFields) -> Iterator[str]:
    of_voxels = () if manifest.image_labels else manifest.classes
    for key, names in (("channels", manifest.channels), ("classes", of_voxels)):
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            yield f"'{key}' holds {twice} more than once"
        odd = [name for name in names if not _NAME.fullmatch(name)]
        if odd:
            yield f"'{key}' holds {odd}; expected letters, digits and '_', with a letter first"
    if manifest.shown is not None and manifest.shown not in manifest.channels:
        yield f"'shown' is {manifest.shown}, which is not among 'channels': {list(manifest.channels)}"
    if MASK in manifest.channels:
        yield f"'channels' holds '{MASK}', which is what medseg calls the label map; choose another name"


def _mislabelled(manifest: ManifestFields) -> Iterator[str]:
    if manifest.layout.tells_classes:
        yield "'layout' tells the class of each image: say 'image_labels: one' or 'image_labels: many'"
    yield from manifest.layout.label_complaints(manifest.classes)
    derived = {manifest.derive.outside, manifest.derive.inside} if manifest.derive else set()
    counted = {manifest.instances} if manifest.instances else set()
    used = set(manifest.label_values.values()) | derived | counted
    if used - set(manifest.classes):
        yield (
            f"'label_values', 'instances' and 'derive' name {sorted(used - set(manifest.classes))}, "
            f"which are not among 'classes': {list(manifest.classes)}"
        )
    if set(manifest.classes) - used:
        lost = [name for name in manifest.classes if name not in used]
        yield f"no label value stands for {lost}: name it under 'label_values', or take it from 'classes'"
    if manifest.derive and manifest.derive.value in manifest.label_values:
        yield f"'label_values' and 'derive.from' both claim the value {manifest.derive.value}"
    stored = [*manifest.label_values, *([manifest.derive.value] if manifest.derive else [])]
    large = sorted(value for value in stored if not -(2**31) <= value < 2**31)
    if large:
        yield f"'label_values' and 'derive.from' hold {large}; expected 32-bit whole numbers, as label maps do"
    if lost_segments := sorted(set(manifest.segments) - set(manifest.classes)):
        yield f"'segments' names {lost_segments}, which are not among 'classes': {list(manifest.classes)}"
    yield from _misignored(manifest)
    if manifest.derive and manifest.derive.outside == manifest.derive.inside:
        yield "'derive' gives one class to outside and inside: name it under 'label_values' instead"


def _misignored(manifest: ManifestFields) -> Iterator[str]:
    """Complaints about what is ignored, in a manifest of label maps."""
    if len(manifest.classes) > UNANNOTATED:
        yield f"'classes' names {len(manifest.classes)}; expected {UNANNOTATED} at most, as label maps hold"
    if not manifest.ignore:
        return
    named = {*manifest.label_values, *([manifest.derive.value] if manifest.derive else [])}
    if both := sorted(named & set(manifest.ignore)):
        yield f"'ignore' holds {both}, which 'label_values' or 'derive.from' names as well: take them out of one"
    if large := sorted(value for value in manifest.ignore if not -(2**31) <= value < 2**31):
        yield f"'ignore' holds {large}; expected 32-bit whole numbers, as label maps do"
    if len(set(manifest.ignore)) < len(manifest.ignore):
        yield f"'ignore' is {list(manifest.ignore)}: name each value once"
    if (why := _never_ignored(manifest)) is not None:
        yield f"'ignore' is {list(manifest.ignore)}, and {why}: take it out"


def _never_ignored(manifest: ManifestFields) -> str | None:
    """Why no pixel of the label maps can be ignored; None if some can."""
    layout = manifest.layout
    if manifest.pictures is not None and manifest.pictures.mask_above is not None:
        return "with 'pictures.mask_above' a mask holds 0 and 1 alone"
    if isinstance(layout, SeriesLayout) and isinstance(layout.mask, SegmentationRule):
        return "structures that are drawn in DICOM have no such value"
    if getattr(layout, "objects", None) is not None:
        return "a file for each object has no such value"
    return None


def _mispictured(manifest: ManifestFields) -> Iterator[str]:
    said = [key for key in ("pictures", "volumes", "format") if getattr(manifest, key) is not None]
    if (kind := manifest.layout.own_kind) and said:
        yield f"'layout' says that files are {kind}, and {said} that they are others: take one out"
    if manifest.pictures is not None and manifest.format is not None:
        yield "'pictures' and 'format' are both given: files are pictures, or of that format"
    if manifest.volumes is not None and manifest.pictures is not None:
        yield "'volumes' says what files of volumes are, and 'pictures' says that there are others"
    if manifest.volumes is not None and manifest.format is not None and not _stacked_itk(manifest):
        yield (
            f"'volumes' says what files of volumes are, and 'format' that there are others: of format {ITK} "
            "'volumes.channels' may be stacked, of others there is none"
        )
    if manifest.truth_within and (manifest.layout.has_truth or not isinstance(manifest.layout, Layout)):
        yield "'volumes.channels' is npz, whose files hold the truth: 'layout' expected 'images' alone"
    stacked = manifest.volumes is not None and manifest.volumes.channels == "stacked"
    if stacked and len(manifest.channels) < 2:
        yield "'volumes.channels' is stacked, and 'channels' names one: leave 'volumes' out, or name all of a file"
    if manifest.pictures is None:
        return
    if manifest.pictures.channels == "rgb" and len(manifest.channels) != 3:
        yield (
            f"'pictures.channels' is rgb, so that 'channels' must name three planes, and it names "
            f"{list(manifest.channels)}"
        )
    lost = sorted(set(manifest.label_values) - {0, 1})
    if manifest.pictures.mask_above is not None and manifest.image_labels is None and lost:
        yield (
            f"'label_values' names {lost}, and with 'pictures.mask_above' a mask holds 0 and 1 alone: name 1 for "
            "what is brighter"
        )
    if manifest.derive:
        yield "'derive' is for volumes: name every class of a picture under 'label_values'"


def _stacked_itk(manifest: ManifestFields) -> bool:
    return manifest.format == ITK and manifest.volumes is not None and manifest.volumes.channels == "stacked"


def _mispatterned(manifest: ManifestFields) -> Iterator[str]:
    try:
        manifest.layout.verify(manifest.channels, together=manifest.together)
    except ValueError as error:
        yield f"'layout': {error}"
    rules = {f"columns.{name}": text for name, text in manifest.columns.items()}
    if isinstance(manifest.group, str):
        rules["group"] = manifest.group
    elif manifest.group is not None:
        yield from manifest.group.complaints(pictures=manifest.pictures is not None)
        rules |= {"group.pattern": manifest.group.pattern} if manifest.group.pattern is not None else {}
    for key, text in rules.items():
        try:
            groups = pattern(composed(text)).groups
        except ValueError as error:
            yield f"'{key}' is no regular expression: {error}"
        else:
            if groups < 1:
                yield f"'{key}' needs a group (...) around what it looks for"
    both = sorted(name for name, count in Counter(manifest.column_names).items() if count > 1)
    if both:
        yield f"'columns', 'table.columns' and 'layout' name {both} more than once"
    column = manifest.group.column if isinstance(manifest.group, GroupRule) else None
    if column is not None and column not in manifest.column_names:
        yield (
            f"'group' wants the column '{column}', which is not among those of 'columns', "
            f"'table.columns' and 'layout.extra': {list(manifest.column_names)}"
        )
    if manifest.group is not None and manifest.layout.patient_column:
        yield "'group' and 'layout.group' are both given: one of them tells the patient"
    if manifest.table and "{case}" not in manifest.table.matches:
        yield "'table.matches' needs {case}, to tell which row belongs to a case"


def _misclassed(manifest: ManifestFields) -> Iterator[str]:
    """Complaints about a manifest that says `image_labels`."""
    for complaint in misnamed(manifest.classes):
        yield f"'classes': {complaint}"
    if manifest.image_labels == "one" and len(manifest.classes) == 1:
        yield f"'classes' holds {list(manifest.classes)} alone, and every image has one class: name at least two"
    if manifest.label_values or manifest.instances or manifest.derive or manifest.ignore:
        yield (
            "'label_values', 'instances', 'derive' and 'ignore' are of label maps, and 'image_labels' says there are "
            "none"
        )
    if manifest.segments:
        yield "'segments' is of label maps, and 'image_labels' says there are none"
    if manifest.pictures is None:
        yield "'image_labels' is for pictures: say how they become channels under 'pictures'"
    elif manifest.pictures.mask_above is not None:
        yield "'pictures.mask_above' is of label maps, and 'image_labels' says there are none"
    yield from manifest.layout.class_complaints(manifest.image_labels or "one", manifest.classes)
