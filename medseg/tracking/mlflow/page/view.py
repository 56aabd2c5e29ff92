"""How the page of an experiment begins: with the columns that tell its runs apart."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

VIEWS = "MEDSEG_PAGE_VIEWS"
"""Environment variable of the server: what the page remembers of each experiment, as JSON, by its keys there."""

_MOST = 8  # columns of metrics that fit beside the names
_NARROWEST, _OF_A_LETTER = 36, 8  # pixels of a column, so that the whole name of a score is seen
_PARTS = {"test": 0, "val": 1, "epoch": 2, "system": 4}  # others come before the last
_RUNS, _EXPERIMENTS = 50, 50  # the latest that are looked at


@dataclass(frozen=True)
class Start:
    """Where the page begins.

    Attributes:
        path: The part of its address after the port, of the runs that are beside the latest one.
        views: What the page remembers in the browser, by key, where the user has not chosen otherwise.
    """

    path: str
    views: Mapping[str, str]


def start_of(client: Any) -> Start:
    """Where the page begins: with the experiment of the latest run, and each with its scores.

    Args:
        client: An `MlflowClient`.
    """
    experiments = [each.experiment_id for each in client.search_experiments(max_results=_EXPERIMENTS)]
    latest = client.search_runs(experiments, order_by=["attributes.start_time DESC"], max_results=1)
    views = {}
    for experiment in experiments:
        runs = client.search_runs([experiment], max_results=_RUNS)
        columns = headline_columns({name for run in runs for name in run.data.metrics})
        if columns:
            chosen = {f"metrics.`{name}`": _NARROWEST + _OF_A_LETTER * len(name) for name in columns}
            views[f'MLflowLocalStorage-1.1-ExperimentPage-["{experiment}"]-ReactComponentState'] = json.dumps(
                _UNCHOSEN
                | {
                    "selectedColumns": ["attributes.`User`", *chosen],
                    "columnOrder": list(chosen),
                    "columnWidths": chosen,
                }
            )
    place = f"/{latest[0].info.experiment_id}/runs" if latest else ""
    return Start(f"/#/experiments{place}?workflowType=machine_learning", views)


def headline_columns(metrics: Collection[str]) -> list[str]:
    """The metrics that a table of runs shows, the mean of all classes before those of each.

    Args:
        metrics: Names of all metrics of the runs.
    """
    shown = [
        name
        for name in metrics
        if name.startswith(("test/", "val/")) and not name.endswith(("/low", "/high", "/loss"))
    ]
    return sorted(shown, key=rank)[:_MOST]


def rank(name: str) -> tuple[int, bool, str]:
    """Order of a metric: of the test part first, then of the validation, then all else, the system's load last.

    Within a part what sums all classes up comes before each of them.
    """
    part = _PARTS.get(name.partition("/")[0], len(_PARTS) - 1)
    of_all = name.count("/") == 1 or name.endswith("/mean")
    return part, not of_all, name


# What the page of an experiment remembers where nobody chose anything, as MLflow 3.17 writes it.
_UNCHOSEN = {
    "searchFilter": "",
    "orderByKey": "attributes.start_time",
    "orderByAsc": False,
    "startTime": "ALL",
    "lifecycleFilter": "Active",
    "datasetsFilter": [],
    "modelVersionFilter": "All Runs",
    "runsExpanded": {},
    "runsPinned": [],
    "runsHidden": [],
    "runsVisibilityMap": {},
    "runsHiddenMode": "FIRST_10_RUNS",
    "viewMaximized": False,
    "runListHidden": False,
    "isAccordionReordered": False,
    "useGroupedValuesInCharts": True,
    "hideEmptyCharts": True,
    "groupBy": None,
    "groupsExpanded": {},
    "autoRefreshEnabled": True,
    "globalLineChartConfig": {"xAxisKey": "step", "lineSmoothness": 0, "selectedXAxisMetricKey": ""},
}
