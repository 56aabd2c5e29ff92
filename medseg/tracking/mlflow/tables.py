"""Tables of scores as MLflow's evaluation view reads them, which shows patients by runs."""

# ruff: noqa: PLC0415 - numpy and pandas take half a second to import
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from medseg.places import passing_folder

_TAG = "mlflow.loggedArtifacts"  # the view finds tables by it
_FOLDER = "tables"


def send_table(client: Any, run_id: str, path: Path) -> None:
    """Log a CSV as `mlflow.log_table` would, but in place of one that was logged before, which that would add to.

    Args:
        client: An `MlflowClient`.
        run_id: The run.
        path: Of the CSV: `test.csv` becomes the table `tables/test.json`.
    """
    from medseg.learning.scores.tables import read_scores

    table = read_scores(path)  # names stay text: pandas takes 001 for a number, and NA for nothing
    with passing_folder("medseg-table") as place:
        target = place / f"{path.stem}.json"
        table.to_json(target, orient="split", index=False)
        client.log_artifact(run_id, str(target), _FOLDER)
    entry = {"path": f"{_FOLDER}/{path.stem}.json", "type": "table"}
    known = json.loads(client.get_run(run_id).data.tags.get(_TAG, "[]"))
    if entry not in known:
        client.set_tag(run_id, _TAG, json.dumps([*known, entry]))
