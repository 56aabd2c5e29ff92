"""What can go wrong, and what to catch.

MedsegError               something the user can mend; the command line ends with exit code 2
├── DefinitionError       a pipeline definition is wrong; nothing has run yet
├── ManifestError         a data manifest cannot be read, or contradicts itself
├── DataError             the data cannot be used; carries the faults
├── StoreError            slices cannot be prepared, or a prepared store cannot be read
├── TrainingError         a training cannot go on: a process that ended, a device that was lost
│   ├── ShortOfMemoryError    a batch does not fit: more free memory, or another setting
│   └── OtherSettingsError    it would end so again, as with a NaN loss: it needs other settings; a ModelError too
├── ModelError            a saved model cannot be loaded, or does not fit its input
├── RunError              a run cannot be found, continued or written
└── TrackingError         the tracking server cannot be used

Every message says what was found, what was expected, where, and what to do. No message holds a path or an
identifier of a patient: those travel in `Fault.path`, and are printed only by a caller who may.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


class MedsegError(Exception):
    """Something the user can mend."""


class DefinitionError(MedsegError):
    """A pipeline definition is wrong; nothing has run yet."""


class ManifestError(MedsegError):
    """A data manifest cannot be read, or contradicts itself."""


class StoreError(MedsegError):
    """Slices cannot be prepared, or a prepared store cannot be read."""


class TrainingError(MedsegError):
    """A training cannot go on."""


class ModelError(MedsegError):
    """A saved model cannot be loaded, or does not fit its input."""


class ShortOfMemoryError(TrainingError):
    """A batch does not fit into the memory that is free: it goes on where more is, or with another setting.

    Attributes:
        setting: What of the definition to set to what, such as `loading.batch_size=4`; empty where no batch fits.
    """

    def __init__(self, message: str, *, setting: str = "") -> None:
        super().__init__(message)
        self.setting = setting


class OtherSettingsError(TrainingError, ModelError):
    """What was learned is of no use, and would end so again: a new run needs other settings.

    Attributes:
        setting: What of the step that learns to set to what, such as `best_by=score`; `optimiser.lr` alone is to be
            lowered.
    """

    def __init__(self, message: str, *, setting: str = "optimiser.lr") -> None:
        super().__init__(message)
        self.setting = setting


class RunError(MedsegError):
    """A run cannot be found, continued or written."""


class TrackingError(MedsegError):
    """The tracking server cannot be used."""


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong with the data.

    Attributes:
        case: Public name of the case (the pseudonym, where ids are identifying); empty if none.
        position: Place of the case in the listing, from 1; 0 if the fault belongs to no case.
        part: The channel, or `mask`; empty if the fault belongs to the whole case.
        found: What was found, and what was expected. Holds no path and no identifier.
        remedy: What to do about it.
        path: The file or folder. Private: shown only where ids are pseudonyms or on request.
    """

    case: str
    position: int
    part: str
    found: str
    remedy: str
    path: Path | None = None

    def text(self, *, show_path: bool = False) -> str:
        """One line; the path is in it only with `show_path`."""
        where = [f"case {self.case}" if self.case else "data set"]
        if self.position:
            where.append(f"no. {self.position} in the listing")
        if self.part:
            where.append(self.part)
        if show_path and self.path is not None:
            where.append(str(self.path))
        return f"{', '.join(where)}: {self.found}. {self.remedy}"


class DataError(MedsegError):
    """The data cannot be used.

    Attributes:
        faults: All of them, in the order of the listing; may be empty when the message says it all.
        show_paths: Whether their paths may be shown to everybody, since the ids in them are pseudonyms.
    """

    def __init__(self, message: str, faults: Sequence[Fault] = (), *, show_paths: bool = False) -> None:
        super().__init__(message)
        self.faults, self.show_paths = tuple(faults), show_paths
