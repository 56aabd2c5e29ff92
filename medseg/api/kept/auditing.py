"""The leak certificate of a run, made again from what it left and from its data."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medseg.api.finding import find_run_folder
from medseg.api.kept.keeping import track
from medseg.api.strangers import refuse_changed_declaration
from medseg.datasets.manifest.manifest import Manifest
from medseg.errors import DefinitionError, MedsegError, RunError
from medseg.files.inside import inside, refuse_ways_out
from medseg.files.regular import open_text
from medseg.pipeline.claim import alive
from medseg.pipeline.declaration.definition import PipelineDefinition
from medseg.pipeline.folder import RunFolder, State
from medseg.pipeline.made import damaged, keep_certificate
from medseg.pipeline.options import RunOptions
from medseg.progress import LOADING, Progress, Silent, quiet_libraries

if TYPE_CHECKING:
    from medseg.pipeline.audit.certificate import Certificate
    from medseg.pipeline.audit.looking import Loaded
    from medseg.pipeline.duplicates import SharedCopies
    from medseg.pipeline.gather import Gathered
    from medseg.splits.split import Split

_FOLDER = "audit"
_COLUMNS = ["case", "group", "position", "role"]


def audit_run(
    run: str | Path,
    *,
    data: str | Path | None = None,
    canary: bool = False,
    device: str = "auto",
    allow: Sequence[str] = (),
    jobs: int | None = None,
    progress: Progress | None = None,
) -> Certificate:
    """Look for leaks in a run, and write the certificate into its folder.

    Roles, slices and steps are those that the run kept; its images are read again, if they are where they were. What
    an earlier certificate of the same slices has found stays said: where less is looked at this time, it is taken
    over. Into the folder of somebody else's run nothing is written, and its data must be given.

    Args:
        run: A run's folder, name or id, or `latest`.
        data: Where the data lie now; by default where they were.
        canary: Train once more, on labels that are shuffled by patient: what is scored must be chance. For classes of
            whole images.
        device: Of the canary: auto, cpu or cuda.
        allow: Packages that declared objects may come from, beside the usual ones.
        jobs: Cases that are read at a time.
        progress: Where it is shown.

    Raises:
        RunError: There is no such run, it has no split or slices yet, these are damaged, `data` is no folder, or a
            canary cannot be made.
    """
    shown, folder = progress or Silent(), find_run_folder(str(run))
    options = RunOptions.of(
        device=device, skip_bad=True, allow_duplicates=True, allow=tuple(allow), jobs=jobs
    )
    with shown.bar(LOADING, 1) as bar:
        from medseg.pipeline.audit.canary import with_canary  # noqa: PLC0415 - torch and MONAI
        from medseg.pipeline.audit.earlier import Earlier, with_earlier  # noqa: PLC0415
        from medseg.pipeline.audit.standing import ALTERED, altered  # noqa: PLC0415

        bar.advance()
    _refuse_no_folder(data)
    looked = _Looked.of(folder, options, None if data is None else Path(data), shown)
    found = looked.certificate()
    if canary:
        if looked.images is None:
            raise RunError(f"a canary needs the data of the run. {looked.why}")
        gathered, shared = looked.images
        with quiet_libraries():
            found = with_canary(found, looked.definition, looked.manifest, gathered, shared, options, shown)
    before = Earlier.of(folder.path)
    if changed := altered(folder):
        shown.say(f"{ALTERED.capitalize()}: of it, leaks alone are taken over.", loud=True)
    found = with_earlier(found, before, mine=looked.state.mine and not changed)
    if looked.state.mine:
        _keep(folder, looked.state, found, shown.say)
    else:
        shown.say(f"{folder.path.name} was made by somebody else: the certificate is not written to it.")
    return found


@dataclass(frozen=True)
class _Looked:
    """What is known of a run that is audited."""

    folder: RunFolder
    state: State
    definition: PipelineDefinition
    manifest: Manifest
    options: RunOptions
    images: tuple[Gathered, SharedCopies] | None
    why: str

    @classmethod
    def of(cls, folder: RunFolder, options: RunOptions, data: Path | None, shown: Progress) -> _Looked:
        refuse_ways_out(folder.path)
        state = folder.read()
        refuse_changed_declaration(folder, state)
        if state.mine and (
            broken := [name for name in damaged(folder) if name in ("split.json", "slices.csv")]
        ):
            raise RunError(
                f"damaged or missing in the run {folder.path.name}: {', '.join(broken)}. To make it again: "
                f"medseg pipeline resume {folder.called}"
            )
        definition = PipelineDefinition.from_yaml(inside(folder.path, "definition.yaml"))
        manifest = Manifest.from_yaml(inside(folder.path, "manifest.yaml"))
        try:
            with quiet_libraries():
                images, why = _gathered(folder, state, definition, manifest, options, data, shown), ""
        except (MedsegError, OSError) as error:
            images, why = None, f"Its images were not compared: {_first_line(error)}"
        return cls(folder, state, definition, manifest, options, images, why)

    def certificate(self) -> Certificate:
        from medseg.pipeline.audit.looking import Images, certify  # noqa: PLC0415

        slices = list(_slices(self.folder))
        steps = {name: self._built(spec, f"steps.{name}") for name, spec in self.definition.steps.items()}
        if self.images is None:
            split, images = _recorded(self.folder, slices), None
        else:
            gathered, shared = self.images
            split, images = shared.split, Images(shared.used, gathered.report.facts, shared.duplicates)
        return certify(
            self.folder.path.resolve().name,
            self.definition,
            self.manifest,
            data=self.state.data_fingerprint,
            digest=self.state.split_digest,
            split=split,
            slices=slices,
            steps={name: step for name, step in steps.items() if name in self.state.done},
            images=images,
            task=self._built(self.definition.task, "task"),
            undone={name: step for name, step in steps.items() if name not in self.state.done},
            ended=self._ended(),
            unseen=[self.why] if self.why else [],
        )

    def _ended(self) -> str:
        gone = self.state.status == "RUNNING" and not alive(self.state, self.folder.path)
        return "GONE" if gone else self.state.status

    def _built(self, spec: Any, at: str) -> Any:
        from medseg.component import build  # noqa: PLC0415

        try:
            return build(spec, at=at, kind=None, allowed=self.options.allowed)
        except DefinitionError:  # of a package that the caller does not allow
            return None


def _gathered(
    folder: RunFolder,
    state: State,
    definition: PipelineDefinition,
    manifest: Manifest,
    options: RunOptions,
    data: Path | None,
    shown: Progress,
) -> tuple[Gathered, SharedCopies]:
    """The cases of the run with the roles that it kept.

    Raises:
        RunError: They are not those that it learned from, or nobody says where they are.
        DataError: They cannot be listed.
    """
    from medseg.pipeline import gather  # noqa: PLC0415 - torch and MONAI
    from medseg.pipeline.duplicates import SharedCopies, copies  # noqa: PLC0415
    from medseg.pipeline.preparing import faults_of  # noqa: PLC0415
    from medseg.pipeline.sharing import KeptSplit  # noqa: PLC0415

    generated = state.data is None and data is None
    root = data or (Path(state.data) if state.mine and state.data is not None else None)
    if root is None and not generated:
        raise RunError(
            "the run was made by somebody else, and its data are looked at where --data names them."
        )
    root = gather.find_data(definition, manifest, root, options, shown)
    report = gather.check_data(
        manifest,
        definition.channels,
        root,
        options,
        shown,
        generated=generated,
        reference=definition.reference,
    )
    found = gather.gather(report, skip_bad=True).without(faults_of(state.unprepared))
    if state.data_fingerprint != found.report.fingerprint():
        raise RunError("the data are not those that the run learned from.")
    together = copies(found.cases, found.report)
    pairs = [{pair.first, pair.second} for pair in together.pairs]
    split = KeptSplit(folder.path / "split.json", state.split_digest).read(found.cases, pairs)
    if split is None:
        raise RunError("the roles that the run kept are not of these cases.")
    return found, SharedCopies(together, split, found.cases)


def _slices(folder: RunFolder) -> Iterator[Loaded]:
    """Every slice that the run has loaded, as it kept them.

    Raises:
        RunError: It has kept none, or the file is damaged.
    """
    from medseg.pipeline.audit.looking import Loaded  # noqa: PLC0415

    path = inside(folder.path, "slices.csv")
    if not path.is_file() or not (folder.path / "split.json").is_file():
        raise RunError(
            f"the run {folder.path.name} has no roles and slices yet, so that there is nothing to audit. "
            f"{folder.way_on(folder.read())}"
        )
    try:
        with open_text(path) as file:
            rows = csv.DictReader(file)
            if rows.fieldnames != _COLUMNS:
                raise ValueError("other columns")
            for row in rows:
                yield Loaded(row["case"], row["group"], int(row["position"]), row["role"])
    except (OSError, ValueError, TypeError, csv.Error) as error:
        raise RunError(
            f"slices.csv of the run {folder.path.name} is damaged. Start the pipeline again."
        ) from error


def _recorded(folder: RunFolder, slices: Sequence[Loaded]) -> Split:
    """The split by its file alone, for a run whose data are not at hand."""
    from medseg.datasets.roles import ROLES, UNLABELLED  # noqa: PLC0415
    from medseg.splits.file import read_split_file  # noqa: PLC0415
    from medseg.splits.split import Split  # noqa: PLC0415

    given = read_split_file(inside(folder.path, "split.json"))
    groups = {each.case: each.group for each in slices}
    if given.get("by") == "slice":
        return Split(
            "slice",
            given["seed"],
            given["ratios"],
            groups,
            dict.fromkeys(given.get(UNLABELLED, ()), UNLABELLED),
        )
    roles = {case: role for role in (*ROLES, UNLABELLED) for case in given.get(role, ())}
    return Split("group", 0, {}, groups, roles)


def _keep(folder: RunFolder, state: State, found: Certificate, say: Callable[[str], None]) -> None:
    from medseg.pipeline.audit.certificate import leak_tags  # noqa: PLC0415

    with folder.turn():
        files = found.write(folder.path)
        if not alive(state, folder.path):  # whose process writes the state itself
            keep_certificate(folder)
        track(folder, state, files, _FOLDER, "certificate", say, tags=leak_tags(found))


def _refuse_no_folder(data: str | Path | None) -> None:
    if data is not None and not Path(data).is_dir():
        raise RunError(
            f"there is no folder {data}, which --data names. Name the folder of the data of the run; without --data "
            "they are looked for where they were."
        )


def _first_line(error: Exception) -> str:
    text = (
        (error.strerror or "they cannot be read")
        if isinstance(error, OSError)
        else str(error).splitlines()[0]
    )
    return text if text.endswith(".") else f"{text}."
