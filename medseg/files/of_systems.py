"""Files and folders that systems leave beside those of the user: they are no data, wherever they lie."""

from __future__ import annotations

#: Of Windows, macOS and KDE, in lower case.
_FILES = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini", ".ds_store", ".localized", ".directory"})

#: Folders: of macOS in archives, and of Synology's disks.
_FOLDERS = frozenset({"__MACOSX", "@eaDir"})


def is_of_system(name: str) -> bool:
    """Whether a file or folder of this name was left by a system; `._name` is what macOS puts beside a copy."""
    return name.lower() in _FILES or name in _FOLDERS or name.startswith("._")
