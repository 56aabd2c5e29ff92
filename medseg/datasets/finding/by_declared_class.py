"""Finding the files of cases by a class of somebody's own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from medseg.datasets.finding.draft import Complaint, Draft, Found
from medseg.datasets.manifest.patterns import MASK
from medseg.errors import DefinitionError, Fault, MedsegError
from medseg.progress import Progress

if TYPE_CHECKING:
    from medseg.datasets.manifest.manifest import Manifest


class OwnLayout(Protocol):
    """What a class that a manifest declares as its layout does."""

    def find(self, root: Path, manifest: Manifest) -> Iterable[Draft]:
        """The cases below a root: each with its id, and for each part one `(name to show, path)`."""


@dataclass(frozen=True)
class DeclaredFinder:
    """Finds files as a class says, and tells what its cases lack."""

    manifest: Manifest
    layout: OwnLayout

    def find(
        self,
        root: Path,
        parts: Sequence[str],
        *,
        truth: bool,
        progress: Progress,  # noqa: ARG002 - names of files are listed quickly
    ) -> Found:
        """The cases, with those of the parts that were asked for.

        Raises:
            DefinitionError: The class fails, or gives something else than drafts of cases.
        """
        found = Found(self._drafts(root))
        if not found.drafts:
            name = type(self.layout).__name__
            remedy = f"Name the folder of the data set with --data. To get the data: {self.manifest.obtain}"
            found.faults.append(
                Fault("", 0, "", f"{name}, the layout of the manifest, found no case", remedy, root)
            )
        for draft in found.drafts:
            draft.complaints += self._lacking(draft, [part for part in parts if truth or part != MASK], root)
            draft.files = {part: draft.files[part] for part in parts if part in draft.files}
            draft.unlabelled = truth and self.manifest.image_labels is not None and draft.labels is None
        return found

    def _drafts(self, root: Path) -> list[Draft]:
        name = type(self.layout).__name__
        try:
            drafts = list(self.layout.find(root, self.manifest))
        except MedsegError:
            raise
        except Exception as error:
            raise DefinitionError(
                f"at layout: {name}.find failed: {type(error).__name__}. Correct the class, or its arguments."
            ) from error
        strange = [type(each).__name__ for each in drafts if not isinstance(each, Draft)]
        if strange:
            raise DefinitionError(
                f"at layout: {name}.find gave {strange[0]}, expected medseg.datasets.finding.draft.Draft."
            )
        return drafts

    def _lacking(self, draft: Draft, parts: Sequence[str], root: Path) -> Iterator[Complaint]:
        for part in parts:
            if not draft.files.get(part):
                problem = f"the layout {type(self.layout).__name__} found no file for it"
                yield Complaint(part, problem, "Add the file, or leave the case out.", root)
