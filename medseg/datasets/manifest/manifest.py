"""A data manifest: what a data set means, where it comes from, and how its files are found."""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    Discriminator,
    Field,
    StrictInt,
    Tag,
    ValidationError,
    field_validator,
    model_validator,
)

from medseg.class_names import ImageLabels
from medseg.datasets.manifest.class_folders import ClassFolders
from medseg.datasets.manifest.class_rules import misclassed
from medseg.datasets.manifest.csv_layout import CsvLayout
from medseg.datasets.manifest.group_rule import GroupRule
from medseg.datasets.manifest.label_columns import JoinedColumn
from medseg.datasets.manifest.patterns import IMAGE, MASK, Layout
from medseg.datasets.manifest.rules import DeriveRule, HounsfieldWindow, PictureRule, Strict, TableRule
from medseg.errors import DefinitionError, ManifestError
from medseg.named import find_manifest
from medseg.text import composed

if TYPE_CHECKING:
    from medseg.datasets.manifest.label_map import LabelRule
    from medseg.images.formats import FileKind

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")

#: Fields that change what is learned from the data; the others only tell about them.
_MEANING = (
    *("channels", "image_labels", "classes", "label_values", "instances", "derive", "pictures"),
    *("layout", "group", "columns", "table"),
)


#: Tags of the kinds of layout and of group; never shown.
_PATTERNS, _LIST, _FOLDERS, _RULE = "<patterns>", "<list>", "<folders>", "<rule>"


def _kind(layout: object) -> str:
    keys = layout if isinstance(layout, dict) else vars(layout) if isinstance(layout, BaseModel) else {}
    return _LIST if "csv" in keys else _FOLDERS if "class_folders" in keys else _PATTERNS


AnyLayout = Annotated[
    Annotated[Layout, Tag(_PATTERNS)]
    | Annotated[CsvLayout, Tag(_LIST)]
    | Annotated[ClassFolders, Tag(_FOLDERS)],
    Discriminator(_kind),
]
"""Patterns of file names, a table of paths, or folders of classes."""


def _how(group: object) -> str:
    return _RULE if isinstance(group, dict | GroupRule) else _PATTERNS


class Manifest(Strict):
    """What a data set means, where it comes from, and how its files are found.

    Attributes:
        name: Short name; that of the file.
        about: One or more sentences.
        source: Where the data come from.
        licence: Under which terms, and what they forbid.
        citation: What to cite.
        obtain: How to get the data; shown where none are given.
        ids: Whether the ids in file names are pseudonyms already, or must never be shown.
        channels: Names of the images of a case, in order.
        image_labels: Whether the truth is classes of whole images: `one` each, or `many` at once. None: it is a
            label map.
        classes: Names in order; an index into it is the class of a voxel, or of an image. Of images it may be
            left out: they are found in the data.
        label_values: Class name of each stored value.
        instances: Class of every whole value above 0 that `label_values` does not name: label maps then number
            the objects of that class.
        derive: Classes that are told apart by the images, if any.
        pictures: How picture files become channels; None for NIfTI files.
        layout: How files are named, the table that lists their paths, or that they lie in folders by class.
        group: Regular expression searched in the case's id, which must find the patient as its first group. Or a
            rule `{tag: ..., pattern: ..., column: ...}` of what may tell the patient. None: each case is a patient,
            unless a table of paths tells more.
        columns: Further columns of a case: a regular expression searched in `<root's name>/<relative path>`
            of the first channel, whose first group is the value; empty where it finds nothing.
        table: A table with further columns, if any.
        sample: What generates data of this kind, if anything does.
    """

    name: str
    about: str
    source: str
    licence: str
    citation: str
    obtain: str
    ids: Literal["pseudonyms", "identifying"] = "identifying"
    channels: tuple[str, ...] = Field(min_length=1)
    image_labels: ImageLabels | None = None
    classes: tuple[str, ...] = ()
    label_values: dict[StrictInt, str] = Field(default_factory=dict)
    instances: str | None = None
    derive: DeriveRule | None = None
    pictures: PictureRule | None = None
    layout: AnyLayout
    group: (
        Annotated[Annotated[str, Tag(_PATTERNS)] | Annotated[GroupRule, Tag(_RULE)], Discriminator(_how)]
        | None
    ) = None
    columns: dict[str, str] = Field(default_factory=dict)
    table: TableRule | None = None
    sample: dict[str, Any] | None = None

    @field_validator("classes")
    @classmethod
    def _compared_in_nfc(cls, classes: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(composed(name) for name in classes)

    @model_validator(mode="after")
    def _consistent(self) -> Manifest:
        for complaint in (
            *self._misnamed(),
            *(self._mislabelled() if self.image_labels is None else misclassed(self)),
            *self._mispictured(),
            *self._mispatterned(),
        ):
            raise ValueError(complaint)
        return self

    def _misnamed(self) -> Iterator[str]:
        of_voxels = () if self.image_labels else self.classes
        for key, names in (("channels", self.channels), ("classes", of_voxels)):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                yield f"'{key}' holds {twice} more than once"
            odd = [name for name in names if not _NAME.fullmatch(name)]
            if odd:
                yield f"'{key}' holds {odd}; wanted letters, digits and '_', with a letter first"
        if MASK in self.channels:
            yield f"'channels' holds '{MASK}', which is what medseg calls the label map; choose another name"

    def _mislabelled(self) -> Iterator[str]:
        tells_class = isinstance(self.layout, CsvLayout) and self.layout.tells is not None
        if tells_class or isinstance(self.layout, ClassFolders):
            yield "'layout' tells the class of each image: say 'image_labels: one' or 'image_labels: many'"
        derived = {self.derive.outside, self.derive.inside} if self.derive else set()
        counted = {self.instances} if self.instances else set()
        used = set(self.label_values.values()) | derived | counted
        if used - set(self.classes):
            yield (
                f"'label_values', 'instances' and 'derive' name {sorted(used - set(self.classes))}, "
                f"which are not among 'classes': {list(self.classes)}"
            )
        if set(self.classes) - used:
            lost = [name for name in self.classes if name not in used]
            yield f"no label value stands for {lost}: name it under 'label_values', or take it from 'classes'"
        if self.derive and self.derive.value in self.label_values:
            yield f"'label_values' and 'derive.from' both claim the value {self.derive.value}"
        stored = [*self.label_values, *([self.derive.value] if self.derive else [])]
        large = sorted(value for value in stored if not -(2**31) <= value < 2**31)
        if large:
            yield f"'label_values' and 'derive.from' hold {large}; wanted 32-bit whole numbers, as label maps do"
        if self.derive and self.derive.outside == self.derive.inside:
            yield "'derive' gives one class to outside and inside: name it under 'label_values' instead"

    def _mispictured(self) -> Iterator[str]:
        if self.pictures is None:
            return
        if self.pictures.channels == "rgb" and len(self.channels) != 3:
            yield (
                f"'pictures.channels' is rgb, so that 'channels' must name three planes, and it names "
                f"{list(self.channels)}"
            )
        if self.derive:
            yield "'derive' is for volumes: name every class of a picture under 'label_values'"

    def _mispatterned(self) -> Iterator[str]:
        try:
            self.layout.verify(self.channels, together=self.together)
        except ValueError as error:
            yield f"'layout': {error}"
        rules = {f"columns.{name}": text for name, text in self.columns.items()}
        if isinstance(self.group, str):
            rules["group"] = self.group
        elif self.group is not None:
            yield from self.group.complaints(pictures=self.pictures is not None)
            rules |= {"group.pattern": self.group.pattern} if self.group.pattern is not None else {}
        for key, text in rules.items():
            try:
                groups = re.compile(text).groups
            except re.error as error:
                yield f"'{key}' is no regular expression: {error}"
            else:
                if groups < 1:
                    yield f"'{key}' needs a group (...) around what it looks for"
        both = sorted(name for name, count in Counter(self.column_names).items() if count > 1)
        if both:
            yield f"'columns', 'table.columns' and 'layout' name {both} more than once"
        column = self.group.column if isinstance(self.group, GroupRule) else None
        if column is not None and column not in self.column_names:
            yield (
                f"'group' wants the column '{column}', which is not among those of 'columns', "
                f"'table.columns' and 'layout.extra': {list(self.column_names)}"
            )
        if self.group is not None and isinstance(self.layout, CsvLayout) and self.layout.group:
            yield "'group' and 'layout.group' are both given: one of them tells the patient"
        if self.table and "{case}" not in self.table.matches:
            yield "'table.matches' needs {case}, to tell which row belongs to a case"

    @property
    def column_names(self) -> tuple[str, ...]:
        """Every column that a case has beside its images."""
        return (*self.columns, *(self.table.columns if self.table else ()), *self.layout.row_columns)

    @property
    def together(self) -> bool:
        """Whether one file holds all channels."""
        return self.pictures is not None and self.pictures.channels == "rgb"

    def part(self, channel: str) -> str:
        """The part of a case that holds a channel: the channel itself, or `image` if one file holds all."""
        return IMAGE if self.together else channel

    @property
    def truth(self) -> Literal["masks", "one", "many"]:
        """What the truth of an image is: a label map, one class, or any number of classes."""
        return self.image_labels or "masks"

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
            raise ManifestError(f"manifest '{self.name}': {_told(error)}") from error

    def label_rule(self) -> LabelRule:
        """How stored label values become class indices; of whole images the classes alone."""
        from medseg.datasets.manifest.label_map import Derive, LabelRule  # noqa: PLC0415 - numpy takes 0.1 s to import

        rule = self.derive
        derive = None if rule is None else Derive(rule.value, rule.outside, rule.inside)
        return LabelRule(self.classes, dict(self.label_values), derive, self.instances)

    def files(self) -> FileKind:
        """How the files of this data set are read and written."""
        from medseg.images.formats import NiftiFiles, PictureFiles  # noqa: PLC0415 - nibabel takes a while

        rule = self.pictures
        if rule is None:
            return NiftiFiles()
        return PictureFiles(rule.channels, self.channels, rule.mask_above, window=rule.shown)

    def fingerprint(self) -> str:
        """32 hexadecimal digits of what the manifest means; texts, name and `ids` do not enter."""
        meaning = self.model_dump(mode="json", include=set(_MEANING), by_alias=True)
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
            raise ManifestError(f"its manifest: {_told(error)}") from error

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
            raise ManifestError(f"manifest '{path.name}': {_told(error)}") from error
        except DefinitionError as error:
            raise ManifestError(str(error)) from error


def _told(error: ValidationError) -> str:
    lines = []
    for item in error.errors(include_url=False, include_input=False):
        key = ".".join(str(part) for part in item["loc"] if part not in _TAGS)
        if item["type"] == "extra_forbidden":
            text = f"there is no such key{_nearest(str(item['loc'][-1]), item['loc'])}"
        else:
            text = item["msg"].removeprefix("Value error, ")
        lines.append(f"'{key}': {text}" if key else text)
    return "; ".join(lines)


_TAGS: dict[str, tuple[type[BaseModel], ...]] = {
    _PATTERNS: (Layout,),
    _LIST: (CsvLayout, JoinedColumn),
    _FOLDERS: (ClassFolders,),
    _RULE: (GroupRule,),
}


def _nearest(key: str, place: Sequence[int | str]) -> str:
    models = next(
        (_TAGS[part] for part in place if part in _TAGS),
        (Manifest, DeriveRule, TableRule, PictureRule, HounsfieldWindow),
    )
    known = [field.alias or name for model in models for name, field in model.model_fields.items()]
    near = difflib.get_close_matches(key, known, n=1)
    return f"; did you mean '{near[0]}'?" if near else ""
