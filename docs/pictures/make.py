"""Takes the pictures of `docs/mlflow.md`, from the page that `medseg ui` serves.

    python docs/pictures/make.py URL EXPERIMENT

It needs Chromium. The experiment, by its name, holds runs of which the latest three are shown.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote
from urllib.request import Request, urlopen

HERE = Path(__file__).parent
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def asked(url: str, call: str, **body: object) -> dict[str, list[dict[str, dict[str, str]]]]:
    """What the server answers to one call of MLflow's REST interface."""
    request = Request(f"{url}/ajax-api/2.0/mlflow/{call}", json.dumps(body).encode())  # noqa: S310 - the given one
    request.add_header("Content-Type", "application/json")
    with urlopen(request, timeout=60) as answer:  # noqa: S310 - as before
        found: dict[str, list[dict[str, dict[str, str]]]] = json.load(answer)
    return found


def taken(address: str, name: str, height: int, profile: str) -> None:
    """One picture, once the scripts of the page have run."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        sys.exit(f"no Chromium is installed: one of {', '.join(BROWSERS)}")
    options = ("--headless=new", "--no-sandbox", "--no-first-run", "--disable-gpu", "--disable-dev-shm-usage")
    place = HERE / f"{name}.png"
    subprocess.run(  # noqa: S603 - the browser of this machine
        [
            *(browser, *options, f"--user-data-dir={profile}", f"--window-size=1300,{height}"),
            *("--virtual-time-budget=60000", f"--screenshot={place}", address),
        ],
        check=True,
        capture_output=True,
        timeout=300,
    )
    sys.stdout.write(f"{place}\n")


def main(url: str, experiment: str) -> None:
    """All pictures."""
    experiments = asked(url, "experiments/search", max_results=1000)["experiments"]
    number = next(str(each["experiment_id"]) for each in experiments if str(each["name"]) == experiment)
    runs = asked(url, "runs/search", experiment_ids=[number], max_results=3)["runs"]
    ids = [each["info"]["run_id"] for each in runs]
    models = asked(url, "logged-models/search", experiment_ids=[number], max_results=1)["models"]
    model = models[0]["info"]["model_id"]
    home = f"{url}/#/experiments/{number}"
    listed = f"{home}/runs?workflowType=machine_learning"
    both = f"runs={quote(json.dumps(ids))}&experiments={quote(json.dumps([number]))}"
    pages = {
        "runs": (listed, 420),
        "curves": (f"{listed}&compareRunsMode=CHART", 900),
        "comparison": (f"{url}/#/compare-runs?{both}", 900),
        "cases": (f"{listed}&compareRunsMode=ARTIFACT", 700),
        "run": (f"{home}/runs/{ids[0]}", 900),
        "figures": (f"{home}/runs/{ids[0]}/artifacts/figures/test_masks.png", 900),
        "model": (f"{home}/models/{model}", 900),
    }
    with TemporaryDirectory() as profile:
        for name, (address, height) in pages.items():
            taken(address, name, height, profile)


if __name__ == "__main__":
    main(*sys.argv[1:])
