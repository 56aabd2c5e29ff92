"""A manifest and a definition for a folder that was looked at: written, and read back as a run reads them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from medseg.datasets.manifest.manifest import Manifest
from medseg.datasets.scanning.look import Look
from medseg.errors import DefinitionError
from medseg.named import MANIFESTS, PIPELINES, Kind
from medseg.pipeline.declaration.definition import PipelineDefinition
from medseg.pipeline.drafting.choice import open_questions, written
from medseg.pipeline.drafting.manifest_choices import manifest_choices
from medseg.pipeline.drafting.plan import Machine, definition_choices
from medseg.places import written_whole
from medseg.yaml import parse_yaml

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


@dataclass(frozen=True)
class Draft:
    """A manifest and a definition.

    Attributes:
        name: Of both.
        manifest: Its text.
        definition: Its text.
        questions: What a person must decide.
    """

    name: str
    manifest: str
    definition: str
    questions: tuple[str, ...]


def drafted(name: str, look: Look, machine: Machine) -> Draft:
    """Draft them; nothing is written.

    Raises:
        DataError: There is nothing to be learned from; says what to do.
    """
    of_manifest = list(manifest_choices(name, look))
    of_definition = list(definition_choices(name, look, machine))
    draft = Draft(
        name,
        written(of_manifest),
        written(of_definition),
        tuple(open_questions([*of_manifest, *of_definition])),
    )
    Manifest.from_json(parse_yaml(draft.manifest, f"{name}.yaml"))
    PipelineDefinition.from_dict(parse_yaml(draft.definition, f"{name}.yaml"), f"{name}.yaml")
    return draft


def places(name: str) -> tuple[Path, Path]:
    """Where manifest and definition of a name belong in the working folder.

    Raises:
        DefinitionError: It can be none.
    """
    if not _NAME.fullmatch(name):
        raise DefinitionError(
            f"{name!r} can be no name of a pipeline: expected letters, digits and '_', with a letter first, such as "
            "liver2."
        )
    return _place(MANIFESTS, name), _place(PIPELINES, name)


def _place(kind: Kind, name: str) -> Path:
    return Path(kind.folder) / f"{name}.yaml"


def refuse_to_overwrite(name: str) -> None:
    """Refuse a name whose files are there.

    Raises:
        DefinitionError: One of them is.
    """
    there = [str(path) for path in places(name) if path.exists() or path.is_symlink()]
    if there:
        verb = "is" if len(there) == 1 else "are"
        raise DefinitionError(
            f"{' and '.join(there)} {verb} there already. Take another name, or overwrite with --force (in a script "
            "force=True)."
        )


def write(draft: Draft) -> tuple[Path, Path]:
    """Write manifest and definition to the working folder; gives their places."""
    manifest, definition = places(draft.name)
    for path, text in ((manifest, draft.manifest), (definition, draft.definition)):
        with written_whole(path) as beside:
            beside.write_text(text, encoding="utf-8", newline="\n")
    return manifest, definition
