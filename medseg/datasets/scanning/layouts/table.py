"""A table that lists the paths of images, and of label maps or classes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from medseg.datasets.finding.text_table import Rows, open_table
from medseg.datasets.roles import MEANINGS
from medseg.datasets.scanning.colours import coloured, spread
from medseg.datasets.scanning.folder import DICOM, ITK, PICTURE, TABLE, VOLUME, Entry, Folder
from medseg.datasets.scanning.layout import Layout
from medseg.datasets.scanning.layouts.parts import is_mask
from medseg.datasets.scanning.meaning import identifiers
from medseg.errors import Fault
from medseg.images.itk.names import NAME
from medseg.text import composed

_SHARE = 0.5  # of rows whose paths lead to a file, or of values that mean a role
_PATIENT = re.compile(r"(patient|subject|person|case|group)([-_ ]?(id|no|number|name))?", re.I)
_LABEL = re.compile(r"(label|class|diagnosis|target|category|finding)s?", re.I)
_MOST_CLASSES = 50


class PathTable:
    """A CSV or Excel file in the folder whose columns hold paths."""

    def recognise(self, folder: Folder) -> Layout | None:
        """The layout of the first table that leads to images."""
        for entry in folder.of(TABLE):
            if not entry.folders:
                rows = open_table(entry.path, "the table")
                made = None if isinstance(rows, Fault) else _layout(folder, entry, rows)
                if made is not None:
                    return made
        return None


def unread_tables(folder: Folder) -> tuple[Fault, ...]:
    """Why tables in the folder, which might list its images, cannot be read."""
    tables = (entry for entry in folder.of(TABLE) if not entry.folders)
    read = (open_table(entry.path, "the table") for entry in tables)
    return tuple(each for each in read if isinstance(each, Fault))


def _layout(folder: Folder, table: Entry, rows: Rows) -> Layout | None:
    leading = {column: _led_to(folder, rows, column) for column in rows.columns}
    paths = {
        column: found for column, found in leading.items() if len(found) >= _SHARE * max(len(rows.lines), 1)
    }
    masks = [column for column in paths if is_mask(column) or _holds_masks(paths[column])]
    images = [column for column in paths if column not in masks]
    if not images or len(masks) > 1:
        return None
    kinds = {entry.kind for column in images for entry in paths[column]}
    fields = _channels(images, kinds, paths)
    if fields is None:
        return None
    said = _others(rows, [column for column in rows.columns if column not in paths])
    label = said.pop("label", None) if not masks else None
    said.pop("label", None)
    if not masks and label is None:
        return None
    one = images[0] if len(images) == 1 else dict(zip(fields["channels"], images, strict=True))
    fields["layout"] = {
        "csv": table.name,
        "image": one,
        **({"mask": masks[0]} if masks else {"label": label}),
        **said,
    }
    if label is not None:
        fields["image_labels"] = "one"
    told = ", ".join(f"{column!r}" for column in (*images, *masks))
    return Layout(
        "a table of paths",
        "sure",
        (f"the columns {told} of {table.name} lead to files",),
        fields,
        guesses=(f"columns were chosen by their names and values: {fields['layout']}",),
        described=(table.name,),
    )


def _led_to(folder: Folder, rows: Rows, column: str) -> list[Entry]:
    found = []
    for _, row in rows.lines:
        name = composed(row[column].strip().replace("\\", "/"))
        entry = folder.by_name.get(str(PurePosixPath(name))) if name else None
        if entry is not None and entry.kind in (VOLUME, ITK, PICTURE, DICOM):
            found.append(entry)
    return found


def _holds_masks(entries: Sequence[Entry]) -> bool:
    return all(is_mask(entry.stem) or any(map(is_mask, entry.folders)) for entry in spread(entries, 50))


def _channels(
    images: Sequence[str], kinds: set[str], paths: Mapping[str, Sequence[Entry]]
) -> dict[str, Any] | None:
    if kinds == {VOLUME}:
        return {"channels": identifiers(images, "image")}
    if kinds == {ITK}:
        return {"channels": identifiers(images, "image"), "format": NAME}
    if kinds & {VOLUME, ITK}:
        return None
    if len(images) == 1 and coloured(paths[images[0]]):
        return {"channels": ["red", "green", "blue"], "pictures": {"channels": "rgb"}}
    channels = ["picture"] if len(images) == 1 else identifiers(images, "image")
    return {"channels": channels, "pictures": {"channels": "grey"}}


def _others(rows: Rows, columns: Sequence[str]) -> dict[str, Any]:
    """Columns of patient, class and role, by their names and values."""
    said: dict[str, Any] = {}
    for column in columns:
        filled = [value for _, row in rows.lines if (value := row[column].strip())]
        values = set(filled)
        roles = sum(value.lower() in MEANINGS for value in filled)
        if roles and roles >= _SHARE * len(filled):  # what the others say, the split refuses
            said["extra"] = [column]
        elif _PATIENT.fullmatch(column.strip()):
            said.setdefault("group", column)
        elif _LABEL.fullmatch(column.strip()) and 2 <= len(values) <= _MOST_CLASSES:
            said.setdefault("label", column)
    return said
