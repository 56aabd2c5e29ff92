"""Whether the leak certificate that lies in the folder of a run is the one that was written there."""

from __future__ import annotations

from medseg.errors import RunError
from medseg.files.inside import own_place
from medseg.pipeline.audit.certificate import JSON, TEXT, digest_of
from medseg.pipeline.folder import RunFolder
from medseg.pipeline.made import is_as
from medseg.places import read_kept

ALTERED = "its leak certificate was changed after it was written, so that what it says counts for nothing"
"""A clause on such a run."""


def altered(folder: RunFolder) -> bool:
    """Whether it was changed, or damaged, after it was written.

    Its digest tells of changes by whoever does not know how that is made; the checksum that a run of this user keeps
    in its signed state, which earlier versions did not, tells of all.

    Args:
        folder: Of the run; one without a certificate has none that was changed.
    """
    if not (folder.path / JSON).exists():
        return False
    try:
        content = read_kept(own_place(folder.path, JSON), dict)
    except (RunError, OSError):
        return True
    if content.get("sha256") != digest_of(content):
        return True
    try:
        state = folder.read()
    except RunError:  # whoever reads it says so
        return False
    noted = {name: of[1:] for name in (JSON, TEXT) if state.mine and (of := state.made.get(name)) is not None}
    return not all(is_as(folder.path, name, (size, sum_of)) for name, (size, sum_of) in noted.items())
