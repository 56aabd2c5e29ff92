"""A data manifest: what a data set means, where it comes from, and how its files are found."""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    StrictInt,
    Tag,
    ValidationError,
    model_validator,
)

from medseg.cases.layout import IMAGE, MASK, Layout
from medseg.cases.path_list import CsvLayout
from medseg.errors import DefinitionError, ManifestError

if TYPE_CHECKING:
    from medseg.cases.files import FileKind
    from medseg.cases.labels import LabelRule

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")

#: Fields that change what is learned from the data; the others only tell about them.
_MEANING = (
    *("channels", "classes", "label_values", "instances", "derive", "pictures"),
    *("layout", "group", "columns", "table"),
)


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DeriveRule(_Strict):
    """Two classes that the data set does not store, told apart by the images.

    Attributes:
        value: Written `from`: the stored value that stands for both.
        outside: Class of voxels where every channel has its background value.
        inside: Class of all other voxels with that stored value.
    """

    value: StrictInt = Field(alias="from")
    outside: str
    inside: str


class TableRule(_Strict):
    """A CSV table beside the data that says more about each case.

    Attributes:
        path: Relative to the data root; looked for in the root's parent as well, so that the folder of the
            images may be given. Where it is not there, its columns are empty.
        key: The column that names the file.
        matches: What stands in it, with `{case}` for the case's id.
        columns: Those that are wanted.
    """

    path: str
    key: str
    matches: str
    columns: tuple[str, ...]


class GroupColumn(_Strict):
    """The patient, as a column of `columns` or `table` tells it.

    Attributes:
        column: The column; where its value is empty, the case is its own patient.
    """

    column: str


class PictureRule(_Strict):
    """How the files of a data set of pictures (PNG, JPEG, TIFF, BMP, npy) become channels.

    Attributes:
        channels: `grey`: each file holds one channel; colours become their brightness. `rgb`: each file holds
            three channels, its red, green and blue planes, in the order of the manifest's `channels`.
        mask_above: A mask's foreground is what is brighter than this, 0 to 65535; it then holds 0 and 1. None
            takes its values as they are.
    """

    channels: Literal["grey", "rgb"]
    mask_above: Annotated[int, Field(ge=0, le=65535)] | None = None


#: Tags of the two kinds of layout; never shown.
_PATTERNS, _LIST = "<patterns>", "<list>"


def _kind(layout: object) -> str:
    is_list = isinstance(layout, CsvLayout) or (isinstance(layout, dict) and "csv" in layout)
    return _LIST if is_list else _PATTERNS


AnyLayout = Annotated[
    Annotated[Layout, Tag(_PATTERNS)] | Annotated[CsvLayout, Tag(_LIST)], Discriminator(_kind)
]
"""Patterns of file names, or a CSV of paths."""


def _how(group: object) -> str:
    return _LIST if isinstance(group, dict | GroupColumn) else _PATTERNS


class Manifest(_Strict):
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
        classes: Names in order; an index into it is the class of a voxel.
        label_values: Class name of each stored value.
        instances: Class of every whole value above 0 that `label_values` does not name: label maps then number
            the objects of that class.
        derive: Classes that are told apart by the images, if any.
        pictures: How picture files become channels; None for NIfTI files.
        layout: How files are named, or the CSV that lists their paths.
        group: Regular expression searched in the case's id; its first group is the patient. Or `{column: ...}`,
            a column that tells the patient. None: each case is a patient, unless a CSV of paths tells more.
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
    classes: tuple[str, ...] = ()
    label_values: dict[StrictInt, str] = {}
    instances: str | None = None
    derive: DeriveRule | None = None
    pictures: PictureRule | None = None
    layout: AnyLayout
    group: (
        Annotated[Annotated[str, Tag(_PATTERNS)] | Annotated[GroupColumn, Tag(_LIST)], Discriminator(_how)]
        | None
    ) = None
    columns: dict[str, str] = {}
    table: TableRule | None = None
    sample: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Manifest:
        for complaint in (
            *self._misnamed(),
            *self._mislabelled(),
            *self._mispictured(),
            *self._mispatterned(),
        ):
            raise ValueError(complaint)
        return self

    def _misnamed(self) -> Iterator[str]:
        for key, names in (("channels", self.channels), ("classes", self.classes)):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                yield f"'{key}' holds {twice} more than once"
            odd = [name for name in names if not _NAME.fullmatch(name)]
            if odd:
                yield f"'{key}' holds {odd}; wanted letters, digits and '_', with a letter first"
        if MASK in self.channels:
            yield f"'channels' holds '{MASK}', which is what medseg calls the label map; choose another name"

    def _mislabelled(self) -> Iterator[str]:
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
            yield f"'columns', 'table.columns' and 'layout.extra' name {both} more than once"
        if isinstance(self.group, GroupColumn) and self.group.column not in self.column_names:
            yield (
                f"'group' wants the column '{self.group.column}', which is not among those of 'columns', "
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

    def label_rule(self) -> LabelRule:
        """How stored label values become class indices."""
        from medseg.cases.labels import Derive, LabelRule  # noqa: PLC0415 - numpy takes 0.1 s to import

        rule = self.derive
        derive = None if rule is None else Derive(rule.value, rule.outside, rule.inside)
        return LabelRule(self.classes, dict(self.label_values), derive, self.instances)

    def files(self) -> FileKind:
        """How the files of this data set are read and written."""
        from medseg.cases.files import NiftiFiles, PictureFiles  # noqa: PLC0415 - nibabel takes a while

        rule = self.pictures
        return NiftiFiles() if rule is None else PictureFiles(rule.channels, self.channels, rule.mask_above)

    def fingerprint(self) -> str:
        """32 hexadecimal digits of what the manifest means; texts, name and `ids` do not enter."""
        meaning = self.model_dump(mode="json", include=set(_MEANING), by_alias=True)
        written = json.dumps(meaning, sort_keys=True, ensure_ascii=True)
        return hashlib.blake2b(written.encode(), digest_size=16).hexdigest()

    @classmethod
    def from_yaml(cls, path: Path) -> Manifest:
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
        key = ".".join(str(part) for part in item["loc"] if part not in {_PATTERNS, _LIST})
        if item["type"] == "extra_forbidden":
            text = f"there is no such key{_nearest(str(item['loc'][-1]), _LIST in item['loc'])}"
        else:
            text = item["msg"].removeprefix("Value error, ")
        lines.append(f"'{key}': {text}" if key else text)
    return "; ".join(lines)


def _nearest(key: str, in_list: bool) -> str:
    models: tuple[type[BaseModel], ...] = (
        (CsvLayout, GroupColumn) if in_list else (Manifest, Layout, DeriveRule, TableRule, PictureRule)
    )
    known = [field.alias or name for model in models for name, field in model.model_fields.items()]
    near = difflib.get_close_matches(key, known, n=1)
    return f"; did you mean '{near[0]}'?" if near else ""
