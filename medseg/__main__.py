"""`python -m medseg`: the command line, where the `medseg` program is not on the path."""

from __future__ import annotations

from medseg.cli.main import app

if __name__ == "__main__":
    app(prog_name="python -m medseg")
