"""What `medseg runs list`, `show` and `sync` print."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Mapping, Sequence
from math import isnan
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from medseg.cli.display import print_whole
from medseg.cli.printing.origin import origin_in_title
from medseg.cli.tables import say, summary_table
from medseg.pipeline.audit.standing import ALTERED
from medseg.text import many, printable

if TYPE_CHECKING:
    from pandas import DataFrame

    from medseg.api.kept.listing import Shown
    from medseg.api.kept.syncing import Synced


def print_runs(console: Console, found: DataFrame, form: str) -> None:
    """The runs of a working folder."""
    printed: Mapping[str, Callable[[], None]] = {
        "csv": lambda: print_whole(console, found.to_csv(index=False).rstrip("\n")),
        "json": lambda: print_whole(console, found.to_json(orient="records", date_format="iso", indent=1)),
        "text": lambda: _runs(console, found),
    }
    printed[form]()


#: What the columns of runs take beside names and data, that of what waits, and a leak or a change beside a status.
_BESIDE, _WAITING, _LEAK, _ALTERED = 35, 9, 6, 9


def _runs(console: Console, found: DataFrame) -> None:
    if found.empty:
        say(console, "There are no runs in this folder. Start one: medseg pipeline run NAME")
        return
    console.print(_run_table(found, console.width))
    others = [row for row in found.to_dict("records") if not row["mine"]]
    own = [row for row in found.to_dict("records") if row["mine"]]
    if others:
        say(console, f"{many(len(others), 'run')} of somebody else, of an earlier medseg, or edited.")
    if any(row["leaks"] for row in found.to_dict("records")):
        say(console, "LEAK: its scores are too good. See why: medseg runs audit RUN", "bold red")
    if any(row["altered"] for row in found.to_dict("records")):
        say(console, f"ALTERED: {ALTERED}. Look again: medseg runs audit RUN", "bold red")
    if any(row["status"] == "GONE" for row in own):
        say(console, "GONE: its process is no longer there. Go on with it: medseg pipeline resume RUN")
    if any(_waits(row) for row in own):
        say(console, "Records wait for the tracking server. Send them: medseg runs sync")
    if any(row["status"] == "GONE" or _waits(row) for row in others):
        say(
            console,
            "What is GONE or waiting of somebody else's is yours once you go on with it: medseg pipeline resume RUN "
            "--data FOLDER --tracking-uri ADDRESS",
        )


def _run_table(found: DataFrame, width: int) -> Table:
    """Names stay whole, to be copied, where there is room: what is long of the data breaks first."""
    longest, waiting = max(map(len, map(str, found["run"]))), bool(found["waiting"].any())
    leaking, altered = (bool(found[head].fillna("").astype(bool).any()) for head in ("leaks", "altered"))
    room = width - longest - _BESIDE - _WAITING * waiting - _LEAK * leaking - _ALTERED * altered
    table = _table()
    table.add_column("run", overflow="fold", min_width=min(longest, width // 2))
    for head in ("status", "seed", "val score"):
        table.add_column(head, justify="left" if head == "status" else "right", no_wrap=True)
    table.add_column("data", max_width=max(9, room))
    if waiting:
        table.add_column("waiting", justify="right", no_wrap=True)
    # A run that is damaged has no values, which pandas makes NaN beside those of the others.
    for row in found.astype(object).where(found.notna(), None).to_dict("records"):
        called = "-".join(filter(None, (row["name"], row["part"])))
        name = f"{row['run']} ({called})" if called else row["run"]
        marks = [row["status"], *(["LEAK"] if row["leaks"] else []), *(["ALTERED"] if row["altered"] else [])]
        cells = [name, ", ".join(marks), _whole(row["seed"]), _shown(row["val_score"]), row["data"] or "-"]
        cells += [str(row["waiting"] or "-")] if waiting else []
        table.add_row(*(Text(printable(cell)) for cell in cells))
    return table


def _waits(row: Mapping[Hashable, Any]) -> bool:
    """Whether records wait that nobody sends: those of a run that is going on are on their way."""
    return bool(row["waiting"]) and row["status"] != "RUNNING"


def print_run(console: Console, found: Shown, form: str) -> None:
    """One run; as CSV its scores alone."""
    if form == "json":
        summaries = {
            role: json.loads(frame.to_json(orient="records")) for role, frame in found.summaries.items()
        }
        print_whole(
            console,
            json.dumps({**found.facts, "scores": summaries}, indent=1, default=str, ensure_ascii=False),
        )
        return
    if form == "csv":
        import pandas as pd  # noqa: PLC0415 - half a second

        parts = [frame.assign(role=role) for role, frame in found.summaries.items()]
        print_whole(
            console, pd.concat(parts).to_csv(index=False).rstrip("\n") if parts else "role,name,score"
        )
        return
    for name, value in found.facts.items():
        if value not in (None, "", []) and (name, value) != ("altered", False):
            say(console, f"{name.replace('_', ' ') + ':':18}{_shown(value)}")
    if found.facts["leaks"]:
        say(console, f"LEAK ({found.facts['leaks']}): its scores are too good (audit.txt).", "bold red")
    if found.facts["altered"]:
        say(console, f"ALTERED: {ALTERED}. Look again: medseg runs audit RUN", "bold red")
    for role, frame in found.summaries.items():
        origin = origin_in_title(found.facts["data"] == "generated", found.facts["generated_cases"] or "")
        console.print(summary_table(frame, f"{role}{origin}"))


def print_synced(console: Console, errors: Console, found: Sequence[Synced]) -> None:
    """What was sent, and what was not."""
    if not found:
        say(console, "Nothing waits for the tracking server.")
    for each in found:
        if not each.sent:
            say(errors, f"Not sent of {each.name}: {each.note}", "bold red")
        else:
            say(console, f"Sent: {each.name}{f', but of it {each.note}' if each.note else ''}")


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return "-" if isnan(value) else f"{value:.3f}"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _whole(value: Any) -> str:
    """A whole number, which pandas makes a float beside a missing one."""
    return "-" if value is None or isnan(value) else str(int(value))


def _table() -> Table:
    return Table(header_style="bold", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
