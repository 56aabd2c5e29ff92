"""Bars and messages on a terminal; plain lines where there is none."""

from __future__ import annotations

import re
import textwrap
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as RichProgress
from rich.text import Text

from medseg.progress import Bar
from medseg.text import printable

#: Work that took less gets no line where there is no terminal.
_LINE_FROM_S = 2.0

#: Lines that are there to be copied: a command or a path behind a word or two.
_COPIED = re.compile(r"[A-Z][\w ,()]*: +(medseg |/|[A-Za-z]:\\)")

#: A command in the middle of a sentence: up to three words in small letters, then options with what they are
#: given, placeholders, names and places.
_COMMAND = re.compile(
    r"\b(?:medseg|mlflow|pip|torchrun)(?: [a-z][\w-]*(?=$|[\s,;:)`]|\.(?:\s|$))){0,3}"
    r"(?: (?:--?[a-z][\w-]*(?:=\S+)?(?: [\w./~][^\s,;)]*)?|'[^']*'|[A-Z]{2,}\b"
    r"|[^\s,;:()]*(?:[\d/_=~-]|\.\w)[^\s,;)]*))*"
)
#: Stands for a blank at which no line is broken.
_JOINED = "\0"


def print_line(console: Console, text: str, style: str = "") -> None:
    """Print a line: as it is, however long, in files and pipes; in a terminal it is broken between words.

    What is there to be copied stays whole: a terminal joins again what it breaks itself.
    """
    shown = printable(text)
    if console.is_terminal and not _COPIED.match(shown):
        shown = "\n".join(broken for line in shown.split("\n") for broken in _broken(line, console.width))
    console.print(Text(shown, style=style), soft_wrap=True)


def print_whole(console: Console, text: str) -> None:
    """Print what a program reads, such as CSV and JSON, as it is."""
    console.print(Text(printable(text)), soft_wrap=True)


def _broken(line: str, width: int) -> list[str]:
    """A line in pieces of a width; longer words stay whole, and commands: a terminal joins what it breaks itself."""
    indent = line[: len(line) - len(line.lstrip())]
    further = f"{indent}  " if line.lstrip().startswith("- ") else indent
    whole = _COMMAND.sub(lambda found: found.group().replace(" ", _JOINED), line)
    pieces = textwrap.wrap(
        whole,
        width,
        subsequent_indent=further,
        break_long_words=False,
        break_on_hyphens=False,
        expand_tabs=False,
        replace_whitespace=False,
    )
    return [piece.replace(_JOINED, " ") for piece in pieces] or [line]


def display(console: Console) -> TerminalDisplay | PlainDisplay:
    """What suits the console."""
    return TerminalDisplay(console) if console.is_terminal else PlainDisplay(console)


class _Rate(ProgressColumn):
    """How fast it goes."""

    def render(self, task: Task) -> Text:
        unit, speed = task.fields.get("unit", ""), task.finished_speed or task.speed
        return Text(_rate(speed, unit) if unit and speed else "", style="progress.data.speed")


def _rate(speed: float, unit: str) -> str:
    """Parts a second; of slow ones, seconds a part."""
    return f"{speed:.1f} {unit}/s" if speed >= 1 else f"{1 / speed:.1f} s each"


class _PlainBar:
    def __init__(self) -> None:
        self.done = 0.0
        self.shown: dict[str, str] = {}

    def advance(self, count: float = 1, **shown: str) -> None:
        """Count."""
        self.done += count
        self.shown = shown or self.shown

    def restart(self, total: float, label: str = "") -> None:  # noqa: ARG002
        """Begin again."""
        self.done = 0.0

    def line(self, label: str, unit: str, seconds: float) -> str:
        """What is left of it at its end; empty if it took no time to speak of, or nothing was done."""
        if seconds < _LINE_FROM_S or not self.done:
            return ""
        rate = f", {_rate(self.done / seconds, unit)}" if unit else ""
        extra = "".join(f", {name} {value}" for name, value in self.shown.items())
        done = f"{self.done:g} {unit.removesuffix('s') if self.done == 1 else unit} in " if unit else ""
        return f"{label}: {done}{seconds:.1f} s{rate}{extra}"


class _TerminalBar(_PlainBar):
    def __init__(self, owner: RichProgress, task: object) -> None:
        super().__init__()
        self.owner, self.task = owner, task

    def advance(self, count: float = 1, **shown: str) -> None:
        """Move on; what is shown stays until the next."""
        super().advance(count, **shown)
        extra = "  ".join(f"{name} {value}" for name, value in shown.items())
        self.owner.update(self.task, advance=count, **({"extra": extra} if extra else {}))  # type: ignore[arg-type]

    def restart(self, total: float, label: str = "") -> None:
        """Begin again."""
        super().restart(total, label)
        words = {"description": label} if label else {}
        self.owner.reset(self.task, total=total, **words)  # type: ignore[arg-type]


class TerminalDisplay:
    """Live bars with rates, elapsed and remaining time; several at once, outermost first."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._open = 0
        self._live: RichProgress | None = None
        self._lock = threading.Lock()

    @contextmanager
    def bar(self, label: str, total: float | None, unit: str = "") -> Iterator[Bar]:
        """Show a bar until the block ends, and then a line if that took a while."""
        with self._lock:
            if self._live is None:
                self._live = self._new()
                self._live.start()
            self._open += 1
            live = self._live
        task = live.add_task(label, total=total, unit=unit, extra="")
        bar, started = _TerminalBar(live, task), time.perf_counter()
        try:
            yield bar
            if line := bar.line(label, unit, time.perf_counter() - started):
                self.say(line)
        finally:
            with self._lock:
                live.remove_task(task)
                self._open -= 1
                if self._open == 0:
                    live.stop()
                    self._live = None

    def _new(self) -> RichProgress:
        return RichProgress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            _Rate(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[extra]}"),
            console=self.console,
            transient=True,
        )

    def say(self, text: str, *, loud: bool = False) -> None:
        """Print above the bars."""
        print_line(self.console, text, "bold yellow" if loud else "")


class PlainDisplay:
    """One line for each job that took a while: for log files and pipes."""

    def __init__(self, console: Console) -> None:
        self.console = console

    @contextmanager
    def bar(self, label: str, total: float | None, unit: str = "") -> Iterator[Bar]:  # noqa: ARG002
        """Print a line when the block ends."""
        bar, started = _PlainBar(), time.perf_counter()
        yield bar
        if line := bar.line(label, unit, time.perf_counter() - started):
            self.say(line)

    def say(self, text: str, *, loud: bool = False) -> None:
        """Print a line."""
        print_line(self.console, f"*** {text} ***" if loud else text)
