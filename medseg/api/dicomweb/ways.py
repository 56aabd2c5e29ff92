"""Where a prediction takes its cases from, and where its label maps go, by what was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from medseg.api.dicomweb.destination import Destination, IntoArchive, Nowhere
from medseg.api.dicomweb.source import Files, Source, Studies
from medseg.errors import RunError


@dataclass(frozen=True)
class Ways:
    """Both of them."""

    source: Source
    destination: Destination


def ways(
    inputs: Sequence[str | Path], source: str, studies: Sequence[str], to: str, *, has_out: bool
) -> Ways:
    """From where, and where to.

    Args:
        inputs: Files and folders.
        source: Address of the archive that the studies lie in; empty for none.
        studies: StudyInstanceUID of each.
        to: Address of the archive that segmentations go to; empty for none.
        has_out: Whether they are written to a folder of the user's.

    Raises:
        RunError: They do not go together.
        DataError: An address is none, dicomweb-client is missing, or the environment says half of who asks.
    """
    if inputs and source:
        raise RunError("files and an archive are given at once. Leave out INPUT, or --from and --study.")
    if not inputs and not source:
        raise RunError(
            "nothing to predict is named: name files or folders, or an archive with --from and --study."
        )
    if bool(studies) is not bool(source):
        raise RunError("--from names an archive and --study a study in it: give both, or none.")
    if not has_out and not to:
        raise RunError("nowhere to write to is named: name a folder with -o, or an archive with --to.")
    if not (source or to):
        return Ways(Files(tuple(Path(each) for each in inputs)), Nowhere())
    return _to_archives(inputs, source, studies, to)


def _to_archives(inputs: Sequence[str | Path], source: str, studies: Sequence[str], to: str) -> Ways:
    from medseg.images.dicom.web.open import archives  # noqa: PLC0415 - imports pydicom and requests
    from medseg.images.dicom.web.rows import is_uid  # noqa: PLC0415

    if strange := [number for number, study in enumerate(studies, 1) if not is_uid(study)]:
        raise RunError(
            f"--study no. {strange[0]} is no UID: expected up to 64 digits and dots, the StudyInstanceUID."
        )
    opened = archives(*filter(None, (source, to)))
    taken: Source = (
        Studies(opened[source], tuple(dict.fromkeys(studies)))
        if source
        else Files(tuple(Path(each) for each in inputs))
    )
    return Ways(taken, IntoArchive(opened[to]) if to else Nowhere())
