"""What a run kept of itself, in its folder or on a tracking server: enough to make it again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from medseg.api.finding import own_address
from medseg.api.strangers import refuse_changed_declaration
from medseg.datasets.manifest.manifest import Manifest
from medseg.errors import RunError
from medseg.files.inside import inside
from medseg.files.regular import read_json
from medseg.pipeline.declaration.anew import anew
from medseg.pipeline.declaration.definition import PipelineDefinition
from medseg.pipeline.declaration.public import GIVEN
from medseg.pipeline.folder import RunFolder, State
from medseg.pipeline.made import refuse_damaged
from medseg.pipeline.options import RunOptions
from medseg.places import read_kept

_SPLIT = "split.json"


@dataclass(frozen=True)
class Recorded:
    """A finished run.

    Attributes:
        name: Of the run.
        folder: Holds `model/` and `scores/`.
        tags: Those of a tracker.
        data: Fingerprint of the content of its data.
        split: Digest of its roles.
        uri: Address of its tracker; None for the usual one.
        root: Folder of its data; None for a generated sample.
        unprepared: Cases that it left out since they could not be prepared, as `State.unprepared`.
        roles: Its `split.json`, where only a tracking server has it otherwise.
    """

    name: str
    folder: Path
    tags: Mapping[str, Any]
    data: str
    split: str
    uri: str | None
    root: Path | None
    unprepared: Sequence[Any] = ()
    roles: Path | None = None
    _options: RunOptions | None = None

    @classmethod
    def of_folder(cls, folder: RunFolder) -> Self:
        """A run of this user, from its folder.

        Raises:
            RunError: It is of somebody else, is not finished, or its files are damaged or edited.
            TrackingError: Its tracking address is incomplete, or its database is gone.
        """
        state = folder.read()
        _refuse(folder, state)
        tags = read_kept(inside(folder.path, "tags.json"), dict)
        uri = own_address(
            state.name,
            state.tracking_uri,
            folder.path,
            own=state.options.own_store,
            tracked=bool(state.tracked),
        )
        root = None if state.data is None else Path(state.data)
        return cls(
            folder.path.name,
            folder.path,
            tags,
            state.data_fingerprint,
            state.split_digest,
            uri,
            root,
            state.unprepared,
            _options=state.options,
        )

    @classmethod
    def of_store(cls, uri: str, run: str, below: Path, data: Path | None) -> Self:
        """A run whose folder is not here, from what a tracking server has of it.

        Args:
            uri: Address of the server.
            run: Id or name of the run.
            below: Takes what is fetched.
            data: Folder of the data here.

        Raises:
            RunError: There is no such run, it is not finished or has no model, or its data are not named.
            TrackingError: The server does not answer.
        """
        from medseg.tracking.mlflow.fetching import fetch_kept  # noqa: PLC0415 - MLflow

        found = fetch_kept(uri, run, below)
        generated = found.tags.get("data.kind") == "generated"
        if data is None and not generated:
            raise RunError(
                f"the folder of the run {found.name} is not here, and the tracking server does not know where its "
                "data lie. Say it: --data FOLDER"
            )
        digests = (found.tags.get("data.fingerprint", ""), found.tags.get("split.hash", ""))
        return cls(found.name, found.folder, found.tags, *digests, uri, data, roles=found.roles)

    @property
    def anew(self) -> str:
        """The command that runs its definition with what is there now; empty where only a server has it."""
        return "" if self._options is None else f": {anew(self.folder, data=self.root is not None)}"

    def options(self, *, allow: Sequence[str], device: str | None, jobs: int | None) -> RunOptions:
        """How it is made again; what is None is as it was."""
        said = {"allow": tuple(allow), "device": device, "jobs": jobs, "on": ""}
        if self._options is not None:
            asked = self._options.but(**said)
        else:
            where = device or str(self.tags.get("device", "auto")).split(" ", maxsplit=1)[0]
            bad = self.tags.get("data.left_out", "0") != "0"
            # Roles are compared with those of then, so that copies are in different ones only if they were.
            asked = RunOptions.of(skip_bad=bad, allow_duplicates=True).but(**{**said, "device": where})
        return replace(asked, register="", run_name=None, tags=(*asked.tags, f"reproduces={self.name}"))

    def declaration(self) -> tuple[PipelineDefinition, Manifest]:
        """Definition and manifest.

        Raises:
            RunError: A server lacks what stays on the machine of whoever made the run, such as files of weights.
            DefinitionError, ManifestError: They cannot be read.
        """
        definition = PipelineDefinition.from_yaml(inside(self.folder, "definition.yaml"))
        if self._options is not None:
            return definition, Manifest.from_yaml(inside(self.folder, "manifest.yaml"))
        weights = [name for name, step in definition.steps.items() if step.get("weights") == GIVEN]
        if weights:
            raise RunError(
                f"the run {self.name} began with weights from a file (steps.{weights[0]}.weights), which the "
                "tracking server does not have. Make it again on the machine that has its folder."
            )
        if self.roles is not None and GIVEN in json.dumps(definition.split.model_dump()):
            roles = definition.split.model_validate({"file": self.roles.as_posix()})
            definition = definition.model_copy(update={"split": roles})
        try:
            described = read_json(inside(self.folder, "model/model.json"))
            return definition, Manifest.from_json(described["manifest"])
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise RunError(f"model.json of the run {self.name} is damaged on the tracking server.") from error


def _refuse(folder: RunFolder, state: State) -> None:
    if not state.mine:
        raise RunError(
            f"the run {folder.path.name} was made by somebody else, or its file was edited. To run what it says: "
            f"{anew(folder.path, data=state.data is not None)}"
        )
    if state.status != "FINISHED":
        raise RunError(
            f"the run {state.name} is not finished, so that there is nothing to compare with. {folder.way_on(state)}"
        )
    refuse_changed_declaration(folder, state)
    for below in ("model/", "scores/", _SPLIT, "tags.json"):
        refuse_damaged(folder, below)
