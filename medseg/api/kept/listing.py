"""What runs lie in this working folder, and what is known of one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from medseg.api.finding import find_run_folder
from medseg.errors import MedsegError, RunError
from medseg.files.inside import inside
from medseg.files.regular import open_regular, parse_json
from medseg.pipeline.audit.certificate import leaking_kinds
from medseg.pipeline.audit.standing import altered
from medseg.pipeline.claim import alive
from medseg.pipeline.folder import RUNS, RunFolder, State
from medseg.tracking.jsonl import METRICS
from medseg.tracking.mlflow.sending.outbox import UNTRACKED
from medseg.yaml import read_yaml

if TYPE_CHECKING:
    from pandas import DataFrame

_BEGAN = re.compile(r"-(\d{8}-\d{6})-[0-9a-f]{4}$")
_BEST = "val/score"

COLUMNS = (
    "run", "name", "pipeline", "status", "began", "seed", "data", "val_score", "tested", "fold_of", "waiting", "mine",
    "mlflow_run", "leaks", "altered", "part",
)  # fmt: skip


@dataclass(frozen=True)
class Shown:
    """What is known of a run.

    Attributes:
        facts: As the columns of `runs`, and further ones.
        summaries: Its scores with their intervals, by role.
    """

    facts: Mapping[str, Any]
    summaries: Mapping[str, DataFrame]


def runs() -> DataFrame:
    """The runs of this working folder, a row each, the latest first.

    Returns:
        run (name of its folder), pipeline, status (RUNNING, FINISHED, FAILED, KILLED; GONE where the process of
        one that says RUNNING is; DAMAGED where run.json cannot be read), began (local time), seed, data
        (`generated` or `given`), val_score (that of its best epoch; NaN before there is one), tested (whether it
        has scores of a test part), fold_of (name of its cross-validation), waiting (records that the tracking
        server has not had), mine (whether this user signed it), mlflow_run, leaks (kinds that its leak
        certificate names; empty where it names none or there is none), altered (whether that certificate was
        changed after it was written), part (which fold it is, such as `fold1`; of a sweep `run2` or `winner1`).
    """
    from pandas import DataFrame  # noqa: PLC0415 - half a second

    rows = [_row(folder) for folder in _folders()]
    rows.sort(key=lambda row: (str(row["began"] or ""), row["run"]), reverse=True)
    return DataFrame(rows, columns=list(COLUMNS))


def show_run(run: str) -> Shown:
    """What is known of one run; nothing of it is changed, and no server is asked.

    Args:
        run: A run's folder, name or id, or `latest`.

    Raises:
        RunError: There is no such run, or a file of it is damaged.
    """
    from medseg.learning.scores.tables import read_summary  # noqa: PLC0415 - half a second

    folder = find_run_folder(run)
    state = folder.read()
    facts = {
        **_row(folder),
        "folder": str(folder.path.absolute()),
        "tracked_at": state.tracking_uri,
        "data_fingerprint": state.data_fingerprint,
        "split_digest": state.split_digest,
        "done": list(state.done),
        "changed": list(state.changed),
        "left_out": len(state.unprepared),
        "generated_cases": state.mixture,
        "next": _next(folder, state),
    }
    summaries = {}
    for role in ("train", "val", "test"):
        if (folder.path / "scores" / f"{role}_summary.csv").exists():
            path = inside(folder.path, f"scores/{role}_summary.csv")
            try:
                summaries[role] = read_summary(path)
            except (OSError, RunError) as error:
                raise RunError(
                    f"{path.name} of the run {folder.path.name} is damaged. Put it back, or run the pipeline again."
                ) from error
    return Shown(facts, summaries)


def _next(folder: RunFolder, state: State) -> str:
    """What brings it to its end; empty where it has ended, or a process is at it."""
    ended = state.status == "FINISHED" or alive(state, folder.path) or not state.mine
    return "" if ended else folder.way_on(state)


def _folders() -> Iterator[RunFolder]:
    if RUNS.is_dir():
        yield from (RunFolder(path) for path in RUNS.iterdir() if (path / "run.json").is_file())


def _row(folder: RunFolder) -> dict[str, Any]:
    name = folder.path.resolve().name
    row: dict[str, Any] = {
        **dict.fromkeys(COLUMNS),
        "run": name,
        "name": "",
        "began": _began(name),
        "mine": False,
    }
    row["waiting"], row["val_score"], row["seed"] = _waiting(folder), best_score(folder), _seed(folder)
    row["leaks"] = leaking_kinds(folder.path)
    row["altered"] = altered(folder)
    row["tested"] = (folder.path / "scores" / "test.csv").exists()
    try:
        state = folder.read()
    except RunError:
        return {**row, "status": "DAMAGED"}
    return {
        **row,
        "pipeline": state.pipeline,
        "status": _status(folder, state),
        "data": _origin(state),
        "fold_of": state.part_of.name if state.part_of else None,
        "part": state.part_of.ending if state.part_of else None,
        "mine": state.mine,
        "name": state.options.run_name or "",
        "mlflow_run": state.tracked or None,
    }


def _status(folder: RunFolder, state: State) -> str:
    return "GONE" if state.status == "RUNNING" and not alive(state, folder.path) else state.status


def _began(name: str) -> datetime | None:
    found = _BEGAN.search(name)
    with suppress(ValueError):  # digits that are no date
        return datetime.strptime(found[1], "%Y%m%d-%H%M%S").astimezone() if found else None
    return None


def _seed(folder: RunFolder) -> int | None:
    with suppress(MedsegError, OSError):
        seed = read_yaml(inside(folder.path, "definition.yaml")).get("seed")
        return seed if isinstance(seed, int) else None
    return None


def best_score(folder: RunFolder) -> float:
    """The score of the epoch whose weights were kept, of the last training; NaN if there is none."""
    found = float("nan")
    for line in _lines(folder, METRICS):
        if _BEST in line:
            with suppress(ValueError, KeyError, TypeError, OverflowError):
                found = float(parse_json(line)["metrics"][_BEST])
    return found


def _waiting(folder: RunFolder) -> int:
    return sum(bool(line.strip()) for line in _lines(folder, UNTRACKED))


def _lines(folder: RunFolder, name: str) -> Iterator[str]:
    with suppress(MedsegError, OSError), open_regular(inside(folder.path, name)) as file:
        for line in file:
            yield line.decode("utf-8", errors="replace")


def _origin(state: State) -> str:
    if state.generated:
        return "generated"
    return f"{state.mixture} generated" if state.mixture else "given"
