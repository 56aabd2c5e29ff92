"""A data manifest: what a data set means, where it comes from, and how its files are found."""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictInt, ValidationError, model_validator

from medseg.cases.layout import MASK, Layout, Matcher
from medseg.errors import DefinitionError, ManifestError

if TYPE_CHECKING:
    from medseg.cases.labels import LabelRule

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")

#: Fields that change what is learned from the data; the others only tell about them.
_MEANING = ("channels", "classes", "label_values", "derive", "layout", "group", "columns", "table")


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
        derive: Classes that are told apart by the images, if any.
        layout: How files are named.
        group: Regular expression searched in the case's id; its first group is the patient. None: each case
            is a patient.
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
    derive: DeriveRule | None = None
    layout: Layout
    group: str | None = None
    columns: dict[str, str] = {}
    table: TableRule | None = None
    sample: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Manifest:
        for complaint in (*self._misnamed(), *self._mislabelled(), *self._mispatterned()):
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
        used = set(self.label_values.values()) | derived
        if used - set(self.classes):
            yield (
                f"'label_values' and 'derive' name {sorted(used - set(self.classes))}, "
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

    def _mispatterned(self) -> Iterator[str]:
        try:
            self.layout.compiled(self.channels)
        except ValueError as error:
            yield f"'layout': {error}"
        rules = {f"columns.{name}": text for name, text in self.columns.items()}
        if self.group is not None:
            rules["group"] = self.group
        for key, text in rules.items():
            try:
                groups = re.compile(text).groups
            except re.error as error:
                yield f"'{key}' is no regular expression: {error}"
            else:
                if groups < 1:
                    yield f"'{key}' needs a group (...) around what it looks for"
        both = sorted(set(self.columns) & set(self.table.columns if self.table else ()))
        if both:
            yield f"'columns' and 'table.columns' both name {both}"
        if self.table and "{case}" not in self.table.matches:
            yield "'table.matches' needs {case}, to tell which row belongs to a case"

    @property
    def column_names(self) -> tuple[str, ...]:
        """Every column that a case has beside its images."""
        return (*self.columns, *(self.table.columns if self.table else ()))

    def matcher(self) -> Matcher:
        """The layout as regular expressions."""
        return self.layout.compiled(self.channels)

    def label_rule(self) -> LabelRule:
        """How stored label values become class indices."""
        from medseg.cases.labels import Derive, LabelRule  # noqa: PLC0415 - numpy takes 0.1 s to import

        rule = self.derive
        derive = None if rule is None else Derive(rule.value, rule.outside, rule.inside)
        return LabelRule(self.classes, dict(self.label_values), derive)

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
        key = ".".join(str(part) for part in item["loc"])
        if item["type"] == "extra_forbidden":
            text = f"there is no such key{_nearest(str(item['loc'][-1]))}"
        else:
            text = item["msg"].removeprefix("Value error, ")
        lines.append(f"'{key}': {text}" if key else text)
    return "; ".join(lines)


def _nearest(key: str) -> str:
    known = [
        field.alias or name
        for model in (Manifest, Layout, DeriveRule, TableRule)
        for name, field in model.model_fields.items()
    ]
    near = difflib.get_close_matches(key, known, n=1)
    return f"; did you mean '{near[0]}'?" if near else ""
