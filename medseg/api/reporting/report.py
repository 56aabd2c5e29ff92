"""Reporting runs: one HTML page of all that a reader of their results asks for."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from medseg.api.kept.comparing import Named
from medseg.errors import RunError
from medseg.places import written_whole

if TYPE_CHECKING:
    from medseg.api.reporting.kept import Kept

NAME = "report.html"
"""Of a page that is written into the folder of a run."""

_ENDINGS = (".html", ".htm")


def report(
    run: Named, *others: Named, out: str | Path | None = None, on_common: bool = False, force: bool = False
) -> Path:
    """Write a page about runs that can be passed on: one HTML file, which loads nothing and runs no script.

    It holds what was run and on what, scores with intervals, every patient as a dot, pictures of cases, learning
    curves, calibration, and a model card below the headings of CLAIM 2024. Cases and patients have their public ids;
    no path is in it. Several runs are compared, the others with the first. Nothing of it is tracked.

    Args:
        run: A run's folder, name or id, or `latest`; a cross-validation's folder or name; several runs of one
            definition with other seeds in a list, or in one text with commas between them.
        others: Likewise.
        out: The file, `.html`; by default `report.html` in the folder of the first run.
        on_common: Compare on those patients whom all have tested, where patients or data differ. Default: the page
            says why they cannot be compared.
        force: Write over a file that is there.

    Returns:
        The path of the file.

    Raises:
        RunError: There is no such run, it still goes on, or its files are damaged; or the file is there already.
    """
    from medseg.api.reporting.assembly import found_runs, html  # noqa: PLC0415 - Matplotlib and pandas

    given = (run, *others)
    sides = found_runs(given)
    path = _target(sides[0][0], out, force=force)
    text = html(given, sides, datetime.now(UTC).astimezone().date(), on_common=on_common)
    with written_whole(path) as beside:
        beside.write_text(text, encoding="utf-8")
    return path


def _target(first: Kept, out: str | Path | None, *, force: bool) -> Path:
    """Where the page goes.

    Raises:
        RunError: Not there.
    """
    if out is None and not first.mine:
        raise RunError(
            f"{first.name} was made by somebody else, or edited: nothing is written into its folder. Name another "
            f"place: -o {NAME}"
        )
    path = first.folder / NAME if out is None else Path(out)
    if path.suffix.lower() not in _ENDINGS:
        raise RunError(f"{path.name!r} is no name of a page. Give one that ends in .html: -o {NAME}")
    if path.is_dir():
        raise RunError(f"{path.name!r} is a folder. Name a file in it, such as -o {path.name}/{NAME}")
    if (path.exists() or path.is_symlink()) and not force:
        where = f" in the folder of {first.name}" if out is None else ""
        raise RunError(
            f"{path.name} is there already{where}. Write over it with --force, or name another with -o."
        )
    return path
