"""Columns of a table that tell the classes of an image."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from pydantic import BaseModel, ConfigDict, Field

from medseg.class_names import class_name

#: What programs write for an empty cell, as R and pandas do; `None` may well be a class.
_NOTHING = frozenset({"", "NA", "N/A", "#N/A", "<NA>", "NaN", "nan", "NULL", "null"})


class JoinedColumn(BaseModel):
    """One column that holds any number of classes, such as `oedema|fracture`.

    Attributes:
        column: Its name.
        separator: What stands between two classes.
        empty_is_none: Whether an empty cell means that the image has none of the classes; else it is a fault,
            because nobody may have looked.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    column: str
    separator: str = Field(default="|", min_length=1)
    empty_is_none: bool = False


@dataclass(frozen=True)
class RowLabels:
    """What a row says of the classes of its image.

    Attributes:
        labels: They, as compared (NFC, no spaces around); None if the row cannot be used.
        wrong: What is wrong with the row, to stand behind `row 7 of the list`; empty if nothing is.
        remedy: What to do about it.
    """

    labels: tuple[str, ...] | None
    wrong: str = ""
    remedy: str = ""


class LabelColumns(Protocol):
    """How a row names the classes of its image.

    A cell that holds what programs write for an empty one, such as NA, is empty.
    """

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that must be there."""

    @property
    def names(self) -> tuple[str, ...]:
        """The classes, where the columns alone tell them; else none."""

    def read(self, row: Mapping[str, str], known: Collection[str] = ()) -> RowLabels:
        """The classes of an image.

        Args:
            row: Text by column.
            known: The classes that the manifest names, if it names them: one of them may be called NA.
        """

    def silent(self, row: Mapping[str, str], known: Collection[str] = ()) -> bool:
        """Whether a row says nothing of the classes of its image; arguments as of `read`."""


@dataclass(frozen=True)
class OneClass:
    """A column that holds the one class of the image."""

    column: str
    names: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """The one column."""
        return (self.column,)

    def read(self, row: Mapping[str, str], known: Collection[str] = ()) -> RowLabels:
        """Its class; an empty cell is none."""
        name = class_name(row[self.column])
        if not _is_empty(name, known):
            return RowLabels((name,))
        return RowLabels(
            None,
            f"has no class in column '{self.column}'",
            f"Name the class there, or remove the row.{_or_a_class(name)}",
        )

    def silent(self, row: Mapping[str, str], known: Collection[str] = ()) -> bool:
        """Whether the cell is empty."""
        return _is_empty(class_name(row[self.column]), known)


@dataclass(frozen=True)
class Flags:
    """A column for each class: 1 where the image has it, else 0."""

    columns: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The classes are called as the columns."""
        return tuple(class_name(column) for column in self.columns)

    def read(self, row: Mapping[str, str], known: Collection[str] = ()) -> RowLabels:
        """The classes whose column holds 1."""
        del known  # a cell holds no name
        values = {column: _flag(row[column]) for column in self.columns}
        odd = [column for column, value in values.items() if value is None]
        if odd:
            blank = [column for column in odd if _is_empty(row[column].strip())]
            problem = (
                f"holds nothing in {_named(blank)}" if blank else f"holds neither 0 nor 1 in {_named(odd)}"
            )
            return RowLabels(
                None, problem, "Write 1 where the image has the class and 0 where not, or remove the row."
            )
        return RowLabels(tuple(class_name(column) for column, value in values.items() if value))

    def silent(self, row: Mapping[str, str], known: Collection[str] = ()) -> bool:
        """Whether all cells are empty."""
        del known  # a cell holds no name
        return all(_is_empty(row[column].strip()) for column in self.columns)


@dataclass(frozen=True)
class Joined:
    """A column that holds any number of classes."""

    rule: JoinedColumn
    names: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """The one column."""
        return (self.rule.column,)

    def read(self, row: Mapping[str, str], known: Collection[str] = ()) -> RowLabels:
        """The classes between the separators, where a place may be empty; an empty cell as the rule says."""
        cell = row[self.rule.column]
        empty = _is_empty(class_name(cell), known)  # as a whole first: N/A may hold the separator
        pieces = [class_name(piece) for piece in ([cell] if empty else cell.split(self.rule.separator))]
        named = tuple(dict.fromkeys(piece for piece in pieces if not _is_empty(piece, known)))
        if named or self.rule.empty_is_none:
            return RowLabels(named)
        return RowLabels(
            None,
            f"has no class in column '{self.rule.column}'",
            "Name the classes there or remove the row; if an empty cell means that the image has none of them, say "
            f"`empty_is_none: true` below 'layout.labels' of the manifest.{_or_a_class(*pieces)}",
        )

    def silent(self, row: Mapping[str, str], known: Collection[str] = ()) -> bool:
        """Whether the cell is empty."""
        return _is_empty(class_name(row[self.rule.column]), known)


def label_columns(label: str | None, labels: Sequence[str] | JoinedColumn | None) -> LabelColumns | None:
    """What a layout writes under `label` and `labels`; None if it tells no class."""
    if isinstance(labels, JoinedColumn):
        return Joined(labels)
    if labels is not None:
        return Flags(tuple(labels))
    return None if label is None else OneClass(label)


def _is_empty(text: str, known: Collection[str] = ()) -> bool:
    """Whether a cell says nothing, unless what it holds is a class."""
    return text in _NOTHING and text not in known


def _or_a_class(*pieces: str) -> str:
    """What else to do where a cell that counts as empty is not."""
    written = next((piece for piece in pieces if piece), "")
    return f" If {written} is a class, name all classes below 'classes' of the manifest." if written else ""


def _flag(text: str) -> bool | None:
    """Whether a cell holds 1, or 0; None for anything else. Programs write whole numbers as 1.0 as well."""
    try:
        return {0.0: False, 1.0: True}.get(float(text))
    except ValueError:
        return None


def _named(columns: Sequence[str]) -> str:
    return f"column{'' if len(columns) == 1 else 's'} {', '.join(repr(column) for column in columns)}"
