"""How much main memory this process may still take."""

from __future__ import annotations

from pathlib import Path

import psutil

_GROUPS, _OWN = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")

Limits = tuple[tuple[Path, Path], ...]
"""Files of the limit and of the use of memory, one pair a control group."""


def own_limits(own: Path = _OWN, groups: Path = _GROUPS) -> Limits:
    """Limits of this process's control groups and of all above them: any may be the tightest.

    Args:
        own: Which groups the process is in, as Linux tells.
        groups: Where the kernel shows them: version 2 there, version 1 below `memory`.
    """
    try:
        lines = [line.split(":", 2) for line in own.read_text(encoding="utf-8").splitlines()]
    except OSError:  # no Linux
        lines = []
    found: dict[tuple[Path, Path], None] = {}
    for root, kinds, limit, usage in (
        (groups, "", "memory.max", "memory.current"),
        (groups / "memory", "memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
    ):
        mine = [line[2].strip("/") for line in lines if len(line) == 3 and kinds in line[1].split(",")]
        for path in [root, *(root / each for each in mine)]:
            within = [path, *(above for above in path.parents if above.is_relative_to(root))]
            found |= {(folder / limit, folder / usage): None for folder in within}
    return tuple(found)


def available_memory(limits: Limits | None = None) -> int:
    """Bytes of main memory that this process may still take: the machine's, or its control group's if less.

    Files that the kernel keeps in memory while nobody else wants it count as used in a control group; those
    that were not read lately (`inactive_file`) are given up first, so they are free here.

    Args:
        limits: By default `own_limits`.
    """
    free = int(psutil.virtual_memory().available)
    for limit, usage in own_limits() if limits is None else limits:
        try:
            allowed, used = limit.read_text().strip(), usage.read_text().strip()
        except OSError:
            continue
        if allowed.isdigit() and used.isdigit():
            held = max(int(used) - _given_up_first(usage.with_name("memory.stat")), 0)
            free = min(free, max(int(allowed) - held, 0))
    return free


def _given_up_first(statistics: Path) -> int:
    try:
        rows = dict(line.split() for line in statistics.read_text().splitlines() if line.count(" ") == 1)
    except OSError:
        return 0
    found = rows.get("total_inactive_file", rows.get("inactive_file", "0"))  # version 1, with its children; 2
    return int(found) if found.isdigit() else 0
