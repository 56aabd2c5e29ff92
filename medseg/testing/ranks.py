"""Processes that meet as those of torchrun do, for tests: forked from one that has imported all that they need."""

from __future__ import annotations

import importlib.util
import multiprocessing
import os
import pickle
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

_MODULE = "asked_of_ranks"
_IMPORTED = ("medseg.steps.fit", "medseg.machine.ranks.connected", "torch._dynamo")
_CONTEXT = multiprocessing.get_context("forkserver")


@contextmanager
def ranks(
    world: int, file: Path, function: str, *given: Any, **environment: str
) -> Iterator[Sequence[BaseProcess]]:
    """Start processes that call a function of a Python file.

    Those that still live at the end of the block are killed.

    Args:
        world: How many.
        file: Is imported in each, so that the others find what the first asks of them.
        function: Its name; each process calls it, and it calls `across`.
        given: Its arguments.
        environment: What differs for all from what torchrun sets; an empty value unsets a variable.
    """
    _CONTEXT.set_forkserver_preload(list(_IMPORTED))
    common = {
        **os.environ,
        "WORLD_SIZE": str(world),
        "LOCAL_WORLD_SIZE": str(world),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(free_port()),
        "OMP_NUM_THREADS": "1",
    }
    sent = pickle.dumps(given)  # opened where the file is imported
    started = [
        _CONTEXT.Process(
            target=_do,
            args=(common | {"RANK": str(rank), "LOCAL_RANK": str(rank)} | environment, file, function, sent),
        )
        for rank in range(world)
    ]
    try:
        for each in started:
            each.start()
        yield started
    finally:
        for each in started:
            if each.is_alive():
                each.kill()
            each.join()


def ended(started: Sequence[BaseProcess], seconds: float = 120.0) -> list[int | None]:
    """Wait until all have ended, and give their exit codes; None for one that has not."""
    for each in started:
        each.join(seconds)
    return [each.exitcode for each in started]


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def _do(environment: dict[str, str], file: Path, function: str, sent: bytes) -> None:
    import torch  # noqa: PLC0415

    from medseg.errors import MedsegError  # noqa: PLC0415

    torch.set_num_threads(1)
    for name, value in environment.items():
        if value:
            os.environ[name] = value
        else:
            os.environ.pop(name, None)
    asked: Callable[..., Any] = getattr(_imported(file), function)
    given = pickle.loads(sent)  # noqa: S301 - of the test
    try:
        asked(*given)
    except MedsegError as error:
        print(f"Error: {error}", file=sys.stderr)  # noqa: T201 - what the command line does
        raise SystemExit(2) from None


def _imported(file: Path) -> Any:
    spec = importlib.util.spec_from_file_location(_MODULE, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file.name} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[_MODULE] = module
    spec.loader.exec_module(module)
    return module
