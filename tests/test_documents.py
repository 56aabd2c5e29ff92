"""Commands and scripts of the documents, run as they are written.

A block that is not run says why in a comment above it: `<!-- not run: why -->`, or, for those of its commands that
begin with some words, `<!-- not run, pip: why -->`.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import requests
from typer.core import TyperGroup
from typer.exceptions import TyperException
from typer.main import get_command
from typer.testing import CliRunner

from medseg.api import RunResult
from medseg.cli.main import app
from medseg.tracking.mlflow.recorder import MlflowRecorder

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")  # MLflow's own

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]

#: Pages that a test of their own follows, word for word.
FOLLOWED = {
    "your-data.md": "test_your_data.py",
    "places.md": "the last test of this file",
    "extending.md": "test_extending.py",
    "scores.md": "steps/evaluation/test_added_scores.py",
    "research-scripts.md": "test_research_scripts.py",
}

_BLOCK = re.compile(
    r"^(?:<!-- not run(?:, (?P<only>[^:]+))?: (?P<why>.+?) -->\n)?```(?P<kind>sh|python)\n(?P<text>.*?)^```",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    page: str
    kind: str
    text: str
    only: str | None
    why: str | None

    @property
    def commands(self) -> list[str]:
        """Its commands, less those that are not run."""
        if self.why and not self.only:
            return []
        parts = [p.strip() for line in self.text.splitlines() for p in line.partition(" #")[0].split("&&")]
        return [part for part in parts if part and not (self.only and part.startswith(self.only))]


def blocks(kind: str) -> list[Block]:
    return [
        Block(page.name, kind, found["text"], found["only"], found["why"])
        for page in PAGES
        for found in _BLOCK.finditer(page.read_text(encoding="utf-8"))
        if found["kind"] == kind
    ]


def test_each_reason_not_to_run_something_stands_above_a_block() -> None:
    written = sum(page.read_text(encoding="utf-8").count("<!-- not run") for page in PAGES)
    assert written == sum(block.why is not None for kind in ("sh", "python") for block in blocks(kind)) + 2
    # the two that CONTRIBUTING.md shows as examples
    reasons = [block.why for kind in ("sh", "python") for block in blocks(kind) if block.why]
    named = [path for why in reasons for path in re.findall(r"tests/[\w/.]+", why)]
    assert named
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_what_is_run_is_of_pages_that_are_followed_here_or_elsewhere() -> None:
    run = {block.page for block in blocks("sh") if block.commands}
    run |= {block.page for block in blocks("python") if not block.why}
    assert run - FOLLOWED.keys() == {"README.md"}


def of_medseg() -> list[tuple[str, str]]:
    """Every call of medseg in a block of shell, run or not, with its page."""
    found = []
    for block in blocks("sh"):
        for line in block.text.replace("\\\n", " ").splitlines():
            for part in re.split(r"&&|\||;", re.split(r"(?:^|\s)#", line)[0]):
                before, name, words = part.partition("medseg ")
                if name and (not before.strip() or before.endswith("-m ") or "=" in before.split()[-1]):
                    found.append((block.page, words.strip()))
    return found


def test_each_command_that_a_page_shows_is_one() -> None:
    """Options are there, and take what is given; nothing is run."""
    medseg, wrong = get_command(app), []
    every = of_medseg()
    for page, words in every:
        try:
            parse(medseg, shlex.split(words))
        except TyperException as error:
            wrong.append(f"{page}: medseg {words}: {error}")

    assert not wrong
    assert len(every) > 100
    for words in ("data chek x", "data check", "data check x y", "data check x --date y", "data key-map"):
        with pytest.raises(TyperException):
            parse(medseg, words.split())


def parse(command: Any, words: list[str]) -> None:
    """As a call does, up to the last command, which is not called."""
    context: Any = None
    while isinstance(command, TyperGroup):
        context = command.make_context(command.name, [*words], parent=context)
        _, command, words = command.resolve_command(context, words)
    command.make_context(command.name, words, parent=context)


GENERATOR = '''
from medseg.testing.cases import write_brats

class TinyPatients:
    """Tiny patients in place of generated brains, which take minutes."""

    version = 1

    def write(self, out, *, cases, seed, progress, jobs=1):
        return write_brats(out, cases=cases, seed=seed)
'''


@pytest.fixture
def reader(workspace: Path, monkeypatch: pytest.MonkeyPatch, tiny: tuple[str, ...]) -> Iterator[Path]:
    """A reader's folder whose `brats2d` is tiny: the working folder and installed packages come before medseg's own.

    So nothing of what the documents say has to be changed. There are so many cases that processes check them, where
    there are processors for it.
    """
    from medseg import allowed
    from medseg.pipeline.declaration.overrides import override
    from medseg.yaml import read_yaml, to_yaml

    site = workspace.parent / "site"
    about = site / "tinymakers-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: tinymakers\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[medseg.allow]\ntinymakers = tinymakers\n")
    (site / "tinymakers.py").write_text(GENERATOR)
    definition = override(read_yaml(ROOT / "pipelines" / "brats2d.yaml"), list(tiny))
    definition["sample"] = {"cases": 9, "seed": 3}
    manifest = (ROOT / "data_manifests" / "brats2019.yaml").read_text(encoding="utf-8")
    for folder, name, text in (
        ("pipelines", "brats2d", to_yaml(definition)),
        (
            "data_manifests",
            "brats2019",
            manifest.replace("medseg.samples.BrainTumours", "tinymakers.TinyPatients"),
        ),
    ):
        (workspace / folder).mkdir()
        (workspace / folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(site))
    monkeypatch.syspath_prepend(str(site))
    allowed._installed.cache_clear()
    yield workspace
    allowed._installed.cache_clear()


def looks_right(said: str, reader: Path) -> None:
    assert "whole_tumour" in said
    assert "patients" in said
    assert "healthy" not in said.partition("whole_tumour_ml")[0]  # regions of the tumour, nothing mixed in
    assert "Brats_00" in said
    assert (reader / "predictions" / "volumes.csv").exists()


def scripts() -> list[str]:
    return [block.text for block in blocks("python") if not block.why and block.page == "README.md"]


@pytest.mark.slow
def test_a_script_of_the_readme_saved_as_a_file_runs_outside_the_checkout(reader: Path) -> None:
    (text,) = scripts()
    (reader / "script.py").write_text(text, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=reader, capture_output=True, text=True, check=False, timeout=500
    )
    assert done.returncode == 0, done.stderr
    assert "bootstrapping" not in done.stderr
    looks_right(done.stdout, reader)


@pytest.mark.slow
def test_a_script_of_the_readme_runs_in_a_notebook(reader: Path) -> None:
    import nbclient
    import nbformat

    (text,) = scripts()
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(part) for part in text.split("\n\n")])
    nbclient.NotebookClient(
        book, timeout=500, kernel_name="python3", resources={"metadata": {"path": str(reader)}}
    ).execute()
    outputs = [output for cell in book.cells for output in cell.outputs if output.output_type == "stream"]
    looks_right("".join(output.text for output in outputs if output.name == "stdout"), reader)


@pytest.mark.slow
def test_commands_of_the_readme_run_in_their_order(reader: Path, patients: Path) -> None:
    """The one thing that is changed is where the reader's data lie."""
    run = [command for block in blocks("sh") if block.page == "README.md" for command in block.commands]
    assert len(run) >= 8
    for command in run:
        name, *words = shlex.split(command.replace("/data/BraTS2019", str(patients)))
        assert name == "medseg", command
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 0, (command, result.output)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _posted(url: str, body: str, header: str, process: subprocess.Popen[bytes]) -> Any:
    """What the server says, once it is up."""
    for _ in range(300):
        assert process.poll() is None, "the server ended"
        try:
            answer = requests.post(url, body, headers=dict([header.split(": ")]), timeout=100)
        except requests.exceptions.ConnectionError:
            time.sleep(1)
        else:
            assert answer.status_code == 200, answer.text
            return answer.json()
    raise AssertionError("the server did not answer")


@pytest.fixture
def registered(finished: RunResult, empty_tracking: Path, tmp_path: Path) -> Path:
    """A folder whose tracking store has the model of the run as the champion of its pipeline."""
    home = tmp_path / "registered"
    shutil.copytree(finished.folder / "model", home / "run" / "model")
    shutil.copyfile(empty_tracking, home / "mlflow.db")
    uri = f"sqlite:///{(home / 'mlflow.db').as_posix()}"
    told: dict[str, Any] = {"name": "run", "folder": home / "run", "register": ("brats2d", "champion")}
    recorder = MlflowRecorder.start(uri, experiment="brats2d", system=False, **told)
    recorder.metrics({"val/score": 0.5}, 1)
    recorder.model(home / "run" / "model")
    recorder.close("FINISHED")
    return home


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # MLflow's own
@pytest.mark.parametrize("which", ["of a run", "registered"])
def test_a_model_is_served_by_the_command_of_the_page_and_gives_what_predict_gives(
    which: str, finished: RunResult, registered: Path, tmp_path: Path
) -> None:
    of_run, make, ask, by_alias = [
        line
        for block in blocks("sh")
        if block.page == "places.md" and not block.why
        for line in block.text.splitlines()
    ]
    serve, home = (
        (of_run, finished.folder.parents[1]) if which == "of a run" else (by_alias, registered)
    )  # the folder with mlflow.db
    port = str(_free_port())
    setting, *words = shlex.split(
        serve.replace("RUN", finished.run_id).replace("PIPELINE", "brats2d").replace("5001", port)
    )
    assert words[0] == "mlflow"
    image = np.random.default_rng(2).random((2, 4, 32, 32), dtype=np.float32)
    curl, url, _, header, _, body = shlex.split(ask.replace("5001", port))
    python, _, program, _, written = shlex.split(make)
    assert (curl, python, body) == ("curl", "python", f"@{written}")
    blank = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    channels = dict(zip(finished.predictor.channels, image.swapaxes(0, 1).tolist(), strict=True))
    (key,) = json.loads(blank)
    assert json.loads(blank)[key].keys() == channels.keys()
    environment = {**os.environ, **dict([setting.split("=")]), "OMP_NUM_THREADS": "1"}
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *words],
            cwd=home,
            env=environment,
            stdout=log,
            stderr=log,
        )
        try:
            assert np.shape(_posted(url, blank, header, process)["predictions"]["outside"]) == (1, 240, 240)
            told = _posted(url, json.dumps({key: channels}), header, process)
        finally:
            if process.poll() is None:
                workers = psutil.Process(process.pid).children(recursive=True)
                for each in (process, *workers):
                    each.kill()
                process.wait()
                psutil.wait_procs(workers)
    found = np.stack([told["predictions"][name] for name in finished.predictor.task.maps], axis=1)
    assert np.allclose(found, finished.predictor.probabilities(image), atol=1e-5)
