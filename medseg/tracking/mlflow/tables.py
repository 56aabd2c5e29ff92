"""Tables of scores as MLflow's evaluation view reads them, which shows patients by runs."""

# ruff: noqa: PLC0415 - numpy and pandas take half a second to import
from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medseg.places import passing_folder

if TYPE_CHECKING:
    from pandas import DataFrame

_TAG = "mlflow.loggedArtifacts"  # the view finds tables by it
_FOLDER = "tables"


def one_row_a_case(table: DataFrame) -> DataFrame:
    """A table as the view shows it best: it has one row for a case, and compares runs by the column after that.

    Args:
        table: Scores, with a column `case` and perhaps `group`; and perhaps `name`, the class, of which a case has
            several.

    Returns:
        One row a case, with columns `<score>/<name>`, Dice first where there is one, and the background, which is the
        first of several classes, as the last; `group` last of all. Of classes of images the prediction comes before
        the truth. Rows stay as they are where a case has one class twice.
    """
    if "name" in table and not table.duplicated(["case", "name"]).any():
        scores = sorted(
            table.columns.difference(["case", "group", "name"], sort=False), key=lambda name: name != "dice"
        )
        first, *others = dict.fromkeys(table["name"])
        groups = table.drop_duplicates("case").set_index("case")[table.columns.intersection(["group"])]
        of_cases = {name: rows.set_index("case") for name, rows in table.groupby("name", sort=False)}
        wide = groups[[]]
        for score in scores:
            for name in (*others, first):
                wide = wide.join(of_cases[name][score].rename(f"{score}/{name}" if name else score))
        table = wide.join(groups).reset_index()
    first = [name for name in ("case", "predicted") if name in table]
    last = [name for name in ("group",) if name in table]
    return table[[*first, *table.columns.difference([*first, *last], sort=False), *last]]


def send_table(client: Any, run_id: str, path: Path) -> str:
    """Log a CSV as `mlflow.log_table` would, but in place of one that was logged before, which that would add to.

    Args:
        client: An `MlflowClient`.
        run_id: The run.
        path: Of the CSV: `test.csv` becomes the table `tables/test.json`.

    Returns:
        The place of the table among the artifacts of the run.
    """
    from medseg.learning.scores.tables import read_scores

    table = one_row_a_case(
        read_scores(path)
    )  # names stay text: pandas takes 001 for a number, and NA for nothing
    with passing_folder("medseg-table") as place:
        target = place / f"{path.stem}.json"
        table.to_json(target, orient="split", index=False)
        client.log_artifact(run_id, str(target), _FOLDER)
    sent = f"{_FOLDER}/{path.stem}.json"
    entry = {"path": sent, "type": "table"}
    known = json.loads(client.get_run(run_id).data.tags.get(_TAG, "[]"))
    if entry not in known:
        client.set_tag(run_id, _TAG, json.dumps([*known, entry]))
    return sent
