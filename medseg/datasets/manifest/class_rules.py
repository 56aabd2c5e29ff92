"""What can be wrong with a manifest of classes of whole images."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from medseg.class_names import misnamed
from medseg.datasets.manifest.class_folders import ClassFolders
from medseg.datasets.manifest.csv_layout import CsvLayout

if TYPE_CHECKING:
    from medseg.datasets.manifest.manifest import Manifest


def misclassed(manifest: Manifest) -> Iterator[str]:
    """Complaints about a manifest that says `image_labels`."""
    for complaint in misnamed(manifest.classes):
        yield f"'classes': {complaint}"
    if manifest.image_labels == "one" and len(manifest.classes) == 1:
        yield f"'classes' holds {list(manifest.classes)} alone, and every image has one class: name at least two"
    if manifest.label_values or manifest.instances or manifest.derive:
        yield "'label_values', 'instances' and 'derive' are of label maps, and 'image_labels' says there are none"
    if manifest.pictures is None:
        yield "'image_labels' is for pictures: say how they become channels under 'pictures'"
    elif manifest.pictures.mask_above is not None:
        yield "'pictures.mask_above' is of label maps, and 'image_labels' says there are none"
    if manifest.layout.has_truth:
        yield "'layout' tells label maps, and 'image_labels' says there are none: take out 'mask' or 'objects'"
    if isinstance(manifest.layout, ClassFolders):
        if manifest.image_labels == "many":
            yield "'image_labels' is many, and a folder tells one class: wanted a table (csv) with 'labels'"
    elif isinstance(manifest.layout, CsvLayout):
        yield from _mistold(manifest, manifest.layout)
    else:
        yield "'layout' tells no class: wanted 'class_folders: true', or a table (csv) with 'label' or 'labels'"


def _mistold(manifest: Manifest, layout: CsvLayout) -> Iterator[str]:
    one = manifest.image_labels == "one"
    if (layout.label is not None, layout.labels is not None) != (one, not one):
        wanted = "'label' and not 'labels'" if one else "'labels' and not 'label'"
        yield f"'image_labels' is {manifest.image_labels}: 'layout' wanted {wanted}"
    names = layout.tells.names if layout.tells is not None else ()
    for complaint in misnamed(names):
        yield f"'layout.labels': {complaint}"
    if names and manifest.classes and sorted(names) != sorted(manifest.classes):
        yield f"'layout.labels' names {list(names)}, wanted a column for each of {list(manifest.classes)}"
