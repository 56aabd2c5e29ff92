"""A data manifest: what a data set means, where it comes from, and how its files are found."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from pydantic import BaseModel, ValidationError, model_validator

from medseg.datasets.manifest.class_folders import PartlyLabelledFolders
from medseg.datasets.manifest.complaints import complaints
from medseg.datasets.manifest.csv_layout import CsvLayout
from medseg.datasets.manifest.declared_layout import DeclaredLayout
from medseg.datasets.manifest.fields import (
    DECLARED,
    FOLDERS,
    LIST,
    PARTLY,
    PATTERNS,
    RULE,
    SERIES,
    ManifestFields,
)
from medseg.datasets.manifest.group_rule import GroupRule
from medseg.datasets.manifest.label_columns import JoinedColumn
from medseg.datasets.manifest.patterns import IMAGE, Layout
from medseg.datasets.manifest.rules import (
    DeriveRule,
    HounsfieldWindow,
    PictureRule,
    SegmentRule,
    TableRule,
    VolumeRule,
)
from medseg.datasets.manifest.series.layout import SegmentationRule, SeriesLayout
from medseg.errors import DefinitionError, ManifestError
from medseg.images.itk.names import NAME as ITK
from medseg.named import find_manifest
from medseg.text import plain

if TYPE_CHECKING:
    from medseg.datasets.manifest.label_map import LabelRule
    from medseg.images.formats import FileKind

#: Fields that change what is learned from the data; the others only tell about them.
_MEANING = (
    *("channels", "image_labels", "classes", "label_values", "instances", "derive", "pictures"),
    *("layout", "group", "columns", "table"),
)


class Manifest(ManifestFields):
    """A data set's manifest, whose fields are those of `ManifestFields` and agree with one another."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for complaint in complaints(self):
            raise ValueError(complaint)
        return self

    def part(self, channel: str) -> str:
        """The part of a case that holds a channel: the channel itself, or `image` if one file holds all."""
        return IMAGE if self.together else channel

    @property
    def truth(self) -> Literal["masks", "one", "many"]:
        """What the truth of an image is: a label map, one class, or any number of classes."""
        return self.image_labels or "masks"

    @property
    def groups_are(self) -> Literal["patient", "group"]:
        """What a group of cases is called: pictures may be of articles or plates, volumes are of patients."""
        return "patient" if self.pictures is None else "group"

    @property
    def open_classes(self) -> bool:
        """Whether the classes are yet to be found in the data: see `medseg.datasets.finding.scan.found_classes`."""
        return self.image_labels is not None and not self.classes

    def with_classes(self, names: Sequence[str]) -> Self:
        """The manifest with these classes of whole images.

        Raises:
            ManifestError: They cannot be its classes.
        """
        if self.image_labels is None:
            raise ManifestError(
                f"manifest '{self.name}': its classes are those of label maps, and {list(names)} cannot replace them"
            )
        try:
            return type(self).model_validate({**self.model_dump(by_alias=True), "classes": tuple(names)})
        except ValidationError as error:
            raise ManifestError(f"manifest '{self.name}': {_complaints(error)}") from error

    def label_rule(self) -> LabelRule:
        """How stored label values become class indices; of whole images the classes alone."""
        from medseg.datasets.manifest.label_map import Derive, LabelRule  # noqa: PLC0415 - numpy takes 0.1 s to import

        rule = self.derive
        derive = None if rule is None else Derive(rule.value, rule.outside, rule.inside)
        return LabelRule(self.classes, dict(self.label_values), derive, self.instances, self.ignore)

    def files(self) -> FileKind:
        """How the files of this data set are read and written.

        Raises:
            ManifestError: No installed package brings its `format`.
        """
        from medseg.images.formats import NiftiFiles, PictureFiles, StackedNiftiFiles  # noqa: PLC0415 - nibabel takes a while
        from medseg.images.itk.kind import ItkFiles, StackedItkFiles  # noqa: PLC0415
        from medseg.images.npz import NpzFiles  # noqa: PLC0415
        from medseg.images.own_format import installed_format  # noqa: PLC0415

        rule = self.pictures
        values = {name: value for value, name in sorted(self.label_values.items(), reverse=True)}
        own = self.layout.files(values)
        if own is not None or self.format not in (None, ITK):
            return own or installed_format(str(self.format))
        if self.format == ITK:
            return ItkFiles() if self.volumes is None else StackedItkFiles(self.channels)
        if self.truth_within:
            return NpzFiles(self.channels)
        if self.volumes is not None:
            return StackedNiftiFiles(planes=self.channels)
        if rule is None:
            return NiftiFiles()
        flat = rule.frames is None
        return PictureFiles(rule.channels, self.channels, rule.mask_above, flat=flat, window=rule.shown)

    def fingerprint(self) -> str:
        """32 hexadecimal digits of what the manifest means; texts, name and `ids` do not enter."""
        meaning = self.model_dump(mode="json", include=set(_MEANING), by_alias=True)
        # Left out otherwise: manifests from before these keys keep their fingerprint.
        if self.format is not None:
            meaning["format"] = self.format
        if self.ignore:
            meaning["ignore"] = sorted(self.ignore)
        if self.volumes is not None:
            meaning["volumes"] = self.volumes.model_dump(mode="json")
        written = json.dumps(meaning, sort_keys=True, ensure_ascii=True)
        return hashlib.blake2b(written.encode(), digest_size=16).hexdigest()

    @classmethod
    def from_json(cls, described: object) -> Manifest:
        """Build a manifest from what JSON holds, such as a saved model's description.

        Raises:
            ManifestError: It contradicts itself; all complaints with their keys.
        """
        try:
            return cls.model_validate_json(json.dumps(described))
        except ValidationError as error:
            raise ManifestError(f"its manifest: {_complaints(error)}") from error

    @classmethod
    def named(cls, name: str) -> Manifest:
        """Read the manifest with this name: yours or one that came with medseg, found as a pipeline finds its own.

        Looked for in `data_manifests/` of the working folder, in your configuration, in installed packages, and
        in medseg itself. A path is taken as it is.

        Raises:
            DefinitionError: There is none; lists those that there are, and the nearest name.
            ManifestError: It contradicts itself.
        """
        return cls.from_yaml(find_manifest(name).path)

    @classmethod
    def from_yaml(cls, path: str | Path) -> Manifest:
        """Read a manifest.

        Raises:
            ManifestError: The file cannot be read, or contradicts itself; all complaints with their keys.
        """
        from medseg.yaml import read_yaml  # noqa: PLC0415 - only where files are read

        path = Path(path)
        try:
            return cls.model_validate(read_yaml(path))
        except ValidationError as error:
            raise ManifestError(f"manifest '{path.name}': {_complaints(error)}") from error
        except DefinitionError as error:
            raise ManifestError(str(error)) from error


def _complaints(error: ValidationError) -> str:
    lines = []
    for item in error.errors(include_url=False, include_input=False):
        key = ".".join(str(part) for part in item["loc"] if part not in _TAGS)
        if item["type"] in {"extra_forbidden", "unexpected_keyword_argument"}:
            text = f"there is no such key{_nearest(str(item['loc'][-1]), item['loc'])}"
        else:
            text = plain(item["msg"])
        lines.append(f"'{key}': {text}" if key else text)
    return "; ".join(lines)


_TAGS: dict[str, tuple[type[BaseModel], ...]] = {
    PATTERNS: (Layout,),
    LIST: (CsvLayout, JoinedColumn),
    PARTLY: (PartlyLabelledFolders,),
    FOLDERS: (PartlyLabelledFolders,),
    DECLARED: (DeclaredLayout,),
    SERIES: (SeriesLayout, SegmentationRule),
    RULE: (GroupRule,),
}


def _nearest(key: str, place: Sequence[int | str]) -> str:
    models = next(
        (_TAGS[part] for part in place if part in _TAGS),
        (Manifest, DeriveRule, SegmentRule, TableRule, PictureRule, VolumeRule, HounsfieldWindow),
    )
    known = [field.alias or name for model in models for name, field in model.model_fields.items()]
    near = difflib.get_close_matches(key, known, n=1)
    return f"; did you mean '{near[0]}'?" if near else ""
