"""What certificates of several runs say together."""

from __future__ import annotations

import json
from pathlib import Path

from medseg.pipeline.audit.certificate import digest_of
from medseg.pipeline.audit.together import leak_lines, leak_tag
from medseg.pipeline.folder import RunFolder


def run(folder: Path, leaks: dict[str, str] | None) -> RunFolder:
    """A folder with a certificate; None is one that was spoilt."""
    folder.mkdir()
    content = {"leaks": leaks}
    text = "{" if leaks is None else json.dumps({**content, "sha256": digest_of(content)})
    (folder / "audit.json").write_text(text, encoding="utf-8")
    return RunFolder(folder)


def test_each_leak_is_told_once_with_the_runs_that_have_it(tmp_path: Path) -> None:
    leaks = [{}, {"images": "Two are one."}, {"images": "Two are one.", "fitted": "A step was."}, None]
    runs = {f"fold {number}": run(tmp_path / str(number), each) for number, each in enumerate(leaks, 1)}

    alike, fitted, spoilt = leak_lines(runs)
    assert alike == "LEAK in fold 2 and fold 3: Two are one. Scores may be too good (audit.txt)."
    assert fitted.startswith("LEAK in fold 3: A step was.")
    assert spoilt.startswith("CERTIFICATE ALTERED in fold 4: its leak certificate was changed")
    assert leak_tag(list(runs.values())) == {"leaks": "images, fitted"}
    assert leak_tag([runs["fold 1"]]) == {"leaks": "none found"}


def test_of_many_runs_one_is_named(tmp_path: Path) -> None:
    runs = {f"run {number}": run(tmp_path / str(number), {"split": "By slice."}) for number in range(5)}
    assert leak_lines(runs)[0].startswith("LEAK in 5 of 5 runs, such as run 0: By slice.")
