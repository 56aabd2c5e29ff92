"""What the leak certificates of several runs say together: of folds, of the runs of a sweep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from medseg.errors import RunError
from medseg.pipeline.audit.certificate import NONE_FOUND, leaking_kinds, leaks_of
from medseg.pipeline.audit.standing import ALTERED, altered
from medseg.pipeline.folder import RunFolder

_NAMED = 3  # runs that a sentence names


def leak_lines(runs: Mapping[str, RunFolder]) -> Sequence[str]:
    """A sentence each leak, with the runs that have it, and one on certificates that say nothing any more.

    Args:
        runs: By what they are called.
    """
    found: dict[str, list[str]] = {}
    for name, run in runs.items():
        try:
            leaks = leaks_of(run.path)
        except RunError:  # which is told as a certificate that was changed
            leaks = {}
        for leak in leaks.values():
            found.setdefault(f"{leak} Scores may be too good (audit.txt).", []).append(name)
    lines = [f"LEAK in {_named(names, len(runs))}: {leak}" for leak, names in found.items()]
    changed = [name for name, run in runs.items() if altered(run)]
    return [
        *lines,
        *([f"CERTIFICATE ALTERED in {_named(changed, len(runs))}: {ALTERED}."] if changed else []),
    ]


def leak_tag(runs: Sequence[RunFolder]) -> dict[str, str]:
    """What trackers learn of all of them: the kinds of leak that any has, as a run itself says it."""
    kinds = dict.fromkeys(kind for run in runs for kind in leaking_kinds(run.path).split(", ") if kind)
    return {"leaks": ", ".join(kinds) or NONE_FOUND}


def _named(names: Sequence[str], every: int) -> str:
    if len(names) > _NAMED:
        return f"{len(names)} of {every} runs, such as {names[0]}"
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]
