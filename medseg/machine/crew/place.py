"""What `--on` says: where the tasks of a command are done."""

from __future__ import annotations

import re
from dataclasses import dataclass

BATCH = ("slurm", "lsf", "pbs")
"""Batch systems whose jobs can be workers, as dask-jobqueue knows them."""

MOST_WORKERS = 10_000
_ADDRESS = re.compile(r"(tcp|tls|ucx|ws|wss)://\S+:\d+|\S+\.json")
_WAYS = "local:N, dask:ADDRESS, slurm:N, lsf:N or pbs:N, such as local:4 or dask:tcp://127.0.0.1:8786"


@dataclass(frozen=True)
class Place:
    """Where tasks are done.

    Attributes:
        kind: `local`, `dask`, or one of `BATCH`.
        count: How many workers; None of a scheduler that has its own, or where `--jobs` says it.
        address: Of a scheduler of dask, or the path of the JSON file that says it; else empty.
    """

    kind: str
    count: int | None = None
    address: str = ""

    @classmethod
    def of(cls, text: str) -> Place:
        """Read what a caller says.

        Raises:
            ValueError: It is no place; says what it can be.
        """
        kind, colon, rest = text.partition(":")
        if kind == "dask" and _ADDRESS.fullmatch(rest):
            return cls(kind, address=rest)
        if kind == "dask":
            raise ValueError(
                "expected the address of a scheduler after dask:, such as dask:tcp://127.0.0.1:8786, "
                "dask:tls://HOST:8786, or the path of its scheduler file, which ends in .json"
            )
        if kind in BATCH and not colon:
            return cls(kind)
        if kind in ("local", *BATCH) and rest.isascii() and rest.isdigit() and 0 < int(rest) <= MOST_WORKERS:
            return cls(kind, int(rest))
        raise ValueError(f"expected {_WAYS}; N is 1 to {MOST_WORKERS:,}")


def place(text: str) -> str:
    """The text, if it says a place or is empty.

    Raises:
        ValueError: It says none.
    """
    if text:
        Place.of(text)
    return text
