"""Where a prediction takes its cases from, and where its label maps go, by what was asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from medseg.api.dicomweb.destination import Destination, IntoArchive, Nowhere
from medseg.api.dicomweb.source import Files, Source, Studies, is_archive
from medseg.errors import RunError


@dataclass(frozen=True)
class Ways:
    """Both of them."""

    source: Source
    destination: Destination


@contextmanager
def ways(
    inputs: Sequence[str | Path], source: str, studies: Sequence[str], to: str, *, has_out: bool
) -> Iterator[Ways]:
    """From where, and where to; in a `with` block, at whose end connections are let go.

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
    if source and not is_archive(source):
        raise RunError("--from names an archive, as dicomweb:URL. Name files and folders without --from.")
    if to and not is_archive(to):
        raise RunError("--to names an archive, as dicomweb:URL. Name a folder that is written to with -o.")
    files = Files(tuple(Path(each) for each in inputs))
    if not (source or to):
        yield Ways(files, Nowhere())
        return
    from medseg.images.dicom.web.open import archives  # noqa: PLC0415 - imports pydicom and requests

    refuse_strange(studies)
    with archives(*filter(None, (source, to))) as opened:
        destination = IntoArchive(opened[to]) if to else Nowhere()
        if not source:
            yield Ways(files, destination)
            return
        is_new = not to or opened[source].address.origin != opened[to].address.origin
        yield Ways(Studies(opened[source], tuple(dict.fromkeys(studies)), warns=is_new), destination)


def refuse_strange(studies: Sequence[str]) -> None:
    """Refuse what can be no UID: it becomes a part of a URL.

    Raises:
        RunError: One is none.
    """
    from medseg.images.dicom.web.rows import is_uid  # noqa: PLC0415 - imports pydicom

    for number, study in enumerate(studies, 1):
        if not is_uid(study):
            raise RunError(
                f"--study no. {number} is no UID: expected the StudyInstanceUID, up to 64 digits and dots."
            )
