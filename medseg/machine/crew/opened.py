"""Opening what `--on` says, once for a command however many of its parts ask for it."""

from __future__ import annotations

import logging
import shlex
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from medseg.errors import RunError
from medseg.machine.crew.cluster import Cluster, scheduler_address
from medseg.machine.crew.crew import Crew, Here
from medseg.machine.crew.place import BATCH, Place
from medseg.machine.workers import looks_here
from medseg.text import many

_CONNECTING = 30  # seconds in which a scheduler answers
_WORKERS = 4  # of a batch system, where nobody says how many

_changing = threading.RLock()
_open: dict[tuple[str, int], tuple[Crew, int]] = {}
_ends: dict[tuple[str, int], ExitStack] = {}


@contextmanager
def opened(
    on: str, jobs: int, say: Callable[[str], object] = lambda _: None, keys: Callable[[], Path] = Path.cwd
) -> Iterator[Crew]:
    """Give who does the tasks; what was opened by a block around this one is given again, and stays open.

    Args:
        on: What the caller says; empty for this machine.
        jobs: Tasks at a time on this machine.
        say: Tells the user what is waited for.
        keys: Makes a folder that its user alone may enter, on this machine and on every worker's: for the keys of
            connections with workers that we start.

    Raises:
        RunError: A package is missing, or a scheduler does not answer or refuses.
    """
    if not on:
        yield Here(jobs)
        return
    place = Place.of(on)
    if place.kind == "local":
        yield Here(place.count or jobs, said=True)
        return
    key = (on, jobs)
    with _changing:
        if key not in _open:
            with ExitStack() as begun:
                _open[key] = (begun.enter_context(_cluster(place, say, keys)), 0)
                _ends[key] = begun.pop_all()
        crew, users = _open[key]
        _open[key] = (crew, users + 1)
    try:
        yield crew
    finally:
        with _changing:
            users = _open[key][1] - 1
            _open[key] = (crew, users)
            if not users:
                del _open[key]
                _ends.pop(key).close()


def _imported(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise RunError(
            f"{name} cannot be imported: {error}. --on with dask or a batch system needs the extra medseg[cluster]: "
            'pip install "distributed>=2026.3" "dask-jobqueue>=0.9".'
        ) from error


@contextmanager
def _cluster(place: Place, say: Callable[[str], object], keys: Callable[[], Path]) -> Iterator[Cluster]:
    distributed = _imported("distributed")
    with _quiet(), ExitStack() as begun:
        if place.kind in BATCH:
            yield begun.enter_context(_batch(distributed, place, say, keys))
            return
        address, file = scheduler_address(place.address)
        try:
            client = distributed.Client(
                address=address,
                scheduler_file=None if file is None else str(file),
                timeout=_CONNECTING,
                set_as_default=False,
            )
        except (OSError, ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split()).rstrip(".")
            raise RunError(
                f"no scheduler answers at {place.address}: {reason}. Start one (`dask scheduler --host 127.0.0.1`, "
                "and workers: `dask worker ADDRESS`), or correct the address."
            ) from error
        begun.callback(client.close)
        yield Cluster(client, f"the scheduler at {place.address}")


@contextmanager
def _batch(
    distributed: Any, place: Place, say: Callable[[str], object], keys: Callable[[], Path]
) -> Iterator[Cluster]:
    """Jobs of a batch system as workers: how they are submitted is said where dask-jobqueue looks."""
    dask, jobqueue = _imported("dask"), _imported("dask_jobqueue")
    kind = {"slurm": jobqueue.SLURMCluster, "lsf": jobqueue.LSFCluster, "pbs": jobqueue.PBSCluster}[
        place.kind
    ]
    said = dask.config.get(f"jobqueue.{place.kind}", {})
    usual: dict[str, Any] = {"cores": 1, "processes": 1, "memory": "4 GiB"}
    given = {name: each for name, each in usual.items() if said.get(name) is None}
    options = {
        "dashboard": False,
        "dashboard_address": "127.0.0.1:0",
        **(said.get("scheduler-options") or {}),
    }
    trouble: list[str] = []
    with ExitStack() as begun:
        private = begun.enter_context(tempfile.TemporaryDirectory(dir=keys(), ignore_cleanup_errors=True))
        if said.get("log-directory") is None:
            given["log_directory"] = private
        if said.get("python") is None and not looks_here():
            given["python"] = f"{shlex.quote(sys.executable)} -P"  # a job begins in the working folder
        # the death of a worker ends a round of its task, of which there are two: see `Cluster`
        begun.enter_context(dask.config.set({"distributed.scheduler.allowed-failures": 0}))
        try:
            cluster = kind(
                job_cls=_telling(kind.job_cls, trouble),
                security=_security(distributed, Path(private)),
                protocol="tls://",
                scheduler_options=options,
                silence_logs="critical",
                **given,
            )
            begun.callback(_closed, cluster)
            client = distributed.Client(cluster, timeout=_CONNECTING, set_as_default=False)
        except (OSError, ValueError, RuntimeError, ImportError) as error:
            raise _unsubmitted(place.kind, str(error)) from error
        begun.callback(client.close)
        count = place.count or _WORKERS

        def awake() -> None:
            if len(cluster.worker_spec) < count:
                say(f"Asking {place.kind} for {many(count, 'worker')}.")
            cluster.scale(count)  # jobs that were lost are submitted again
            if trouble and not cluster.scheduler_info["workers"]:
                raise _unsubmitted(place.kind, trouble[0])

        yield Cluster(client, place.kind, awake=awake, asleep=lambda: cluster.scale(0))


def _security(distributed: Any, folder: Path) -> Any:
    """Keys of encrypted connections, made for this one command, unless the user has told dask his own."""
    own = distributed.Security()
    if own.tls_ca_file:
        return own
    made = distributed.Security.temporary()
    texts = {"ca": made.tls_ca_file, "cert": made.tls_scheduler_cert, "key": made.tls_scheduler_key}
    paths = {name: folder / f"{name}.pem" for name in texts}
    for name, path in paths.items():
        path.touch(mode=0o600)
        path.write_text(texts[name], encoding="utf-8")
    roles = {
        f"tls_{role}_{part}": str(paths[part])
        for role in ("scheduler", "worker", "client")
        for part in ("cert", "key")
    }
    return distributed.Security(tls_ca_file=str(paths["ca"]), require_encryption=True, **roles)


def _telling(kind: Any, trouble: list[str]) -> Any:
    """A kind of jobs that tells why one could not be submitted, where dask-jobqueue only logs it."""

    class Telling(kind):
        async def start(self) -> None:
            try:
                await super().start()
            except (OSError, RuntimeError, ValueError) as error:
                trouble.append(str(error))

    return Telling


def _closed(cluster: Any) -> None:
    with suppress(OSError, RuntimeError, TimeoutError, AssertionError):
        cluster.close(timeout=20)


def _unsubmitted(kind: str, said: str) -> RunError:
    reason = " ".join(said.split())[:500].rstrip(".")
    return RunError(
        f"{kind} does not take jobs: {reason}. Give the command on a machine that may submit jobs; how they are "
        f"submitted (queue, account, memory) is said in ~/.config/dask/jobqueue.yaml under jobqueue.{kind}."
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep dask from talking over the display; what matters reaches the user as an error."""
    loggers = [logging.getLogger(name) for name in ("distributed", "dask_jobqueue", "tornado")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"distributed|dask_jobqueue|dask")
            yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
