"""What the README and the other documents name is there: commands, options, pipelines, pages."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

import medseg

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SHIPPED = sorted(path.stem for path in (ROOT / "pipelines").glob("*.yaml"))
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "docs").glob("*.ipynb"))]


def text_of(page: Path) -> str:
    """A page, or the prose of a notebook."""
    text = page.read_text(encoding="utf-8")
    if page.suffix != ".ipynb":
        return text
    return "\n".join(
        "".join(cell["source"]) for cell in json.loads(text)["cells"] if cell["cell_type"] == "markdown"
    )


def blocks(kind: str, page: Path) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", text_of(page), re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    lines = [line for page in PAGES for block in blocks("sh", page) for line in block.splitlines()]
    parts = [part.strip() for line in lines for part in line.split("#")[0].split("&&")]
    return [part for part in parts if part.startswith("medseg ")]


def test_the_readme_has_commands() -> None:
    assert len(commands()) >= 8


@pytest.mark.parametrize("command", commands())
def test_each_command_of_the_documents_exists_with_its_options(command: str) -> None:
    import typer

    from medseg.cli.main import app

    _, *words = shlex.split(command)
    at: Any = typer.main.get_command(app)
    while hasattr(at, "commands"):
        name = words.pop(0)
        assert name in at.commands, command
        at = at.commands[name]
    known = {text for parameter in at.params for text in (*parameter.opts, *parameter.secondary_opts)}
    assert {word for word in words if word.startswith("-")} <= known, command
    for place, word in enumerate(words):
        if word == "--set":  # a setting that a reader copies must lead somewhere
            name = words[0] if words[0] in SHIPPED else "brats2d"
            medseg.load_pipeline(name, set=[words[place + 1]])


def test_each_pipeline_of_the_readme_is_shipped() -> None:
    cells = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \|", README, re.MULTILINE)
    named = [name for cell in cells for name in re.findall(r"\w+", cell)]

    assert sorted(named) == SHIPPED


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_documents_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", text_of(page)):
        assert target.startswith("http") or (page.parent / target).exists(), target


def test_the_readme_says_research_use_only() -> None:
    assert "Research use only" in README
    assert "not a medical device" in README
