"""What is kept of a defect says where in the code it came from, and quotes no text where names are hidden."""

from __future__ import annotations

import io
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
import typer
from rich.console import Console

from medseg.cli.guard import DEFECT, guarded

SECRET = "enaJ"[::-1]  # which no line of this code holds


def fail_far_away(name: str) -> None:
    raise KeyError(name)


def chained() -> None:
    try:
        raise ValueError(f"/data/{SECRET}")
    except ValueError as error:
        raise RuntimeError(f"case {SECRET}") from error


def while_handling() -> None:
    try:
        raise ValueError(f"/data/{SECRET}")
    except ValueError:
        fail_far_away(SECRET)


def in_another_process() -> None:
    with ProcessPoolExecutor(1, mp_context=get_context("fork")) as pool:
        pool.submit(fail_far_away, SECRET).result()


DEFECTS = {"one": lambda: fail_far_away(SECRET), "caused": chained, "while": while_handling}


@pytest.mark.parametrize("defect", [*DEFECTS.values(), in_another_process], ids=[*DEFECTS, "elsewhere"])
@pytest.mark.parametrize("shown", [False, True, None])
def test_texts_are_kept_only_where_names_may_be_shown(
    defect: Callable[[], None], shown: bool | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    said = Console(file=io.StringIO(), width=400)

    with pytest.raises(typer.Exit) as ended, guarded(said, show_paths=shown):
        defect()

    (path,) = tmp_path.iterdir()
    kept, printed = path.read_text(), said.file.getvalue()
    assert ended.value.exit_code == DEFECT
    assert "Error" in kept
    assert "guard.py" in kept
    assert "in fail_far_away" in kept or defect is chained
    assert (SECRET in kept) == (shown is not False)
    assert SECRET not in printed
    assert ("--show-paths" in printed) == (shown is False)
