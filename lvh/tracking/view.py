"""The saved view of an experiment in the MLflow UI: what a person compares, at first sight.

The UI of MLflow 3.17 keeps its saved views in tags of the experiment; nothing documents the form.
"""

import json
import time
from collections.abc import Mapping

_VIEW = "lvh"
_TAG = f"mlflow.sharedViewState.{_VIEW}"
_NOTE = "mlflow.note.content"
_ABOUT = (
    "A sweep is a run, its configurations are runs below it, their folds below those. "
    "`tags.level = 'configuration'` finds what can be compared."
)
_COLUMNS = [f"params.`{name}`" for name in ("kernel", "stride", "model")]
_COLUMNS += [f"metrics.`{name}`" for name in ("ap", "std_ap", "accuracy", "roc_auc")]
_KERNEL, _STRIDE = ({"key": name, "type": "PARAM"} for name in ("kernel", "stride"))
_AP, _SECONDS = ({"key": name, "type": "METRIC"} for name in ("ap", "seconds"))
_CHARTS: dict[str, dict[str, object]] = {
    "PARALLEL": {
        "selectedParams": ["kernel", "stride"],
        "selectedMetrics": ["ap"],
        "showAllRuns": True,
    },
    "CONTOUR": {"xaxis": _KERNEL, "yaxis": _STRIDE, "zaxis": _AP},
    "SCATTER": {"xaxis": _SECONDS, "yaxis": _AP, "runsCountToCompare": 100},
}
_SECTIONS = (  # the UI puts a chart of every metric into the last two, which are closed
    ("lvh", "Kernel, stride and ap", True),
    ("lvh-metrics", "Model metrics", False),
    ("lvh-system", "System metrics", False),
)
_STATE = json.dumps(
    {
        "searchFilter": "tags.level = 'configuration'",
        "orderByKey": "metrics.`ap`",
        "orderByAsc": False,
        "selectedColumns": _COLUMNS,
        "columnOrder": _COLUMNS,
        "columnWidths": dict.fromkeys(_COLUMNS, 95),  # pixels: a score with four digits
        "runsHiddenMode": "SHOW_ALL",
        "compareRunCharts": [
            {
                "type": kind,
                "uuid": f"lvh-{kind.lower()}",
                "metricSectionId": "lvh",
                "isGenerated": False,
                "deleted": False,
                **chart,
            }
            for kind, chart in _CHARTS.items()
        ],
        "compareRunSections": [
            {"uuid": uuid, "name": name, "display": open_, "isReordered": False, "deleted": False}
            for uuid, name, open_ in _SECTIONS
        ],
    }
)


def view_page(experiment_id: str) -> str:
    """Return the place of an experiment's view in the UI, below the server's address.

    Without the workflow type MLflow shows columns that are for language models.
    """
    query = f"viewStateShareKey={_VIEW}&workflowType=machine_learning"
    return f"#/experiments/{experiment_id}/runs?{query}"


def view_tags(known: Mapping[str, str]) -> dict[str, str]:
    """Return the tags that give an experiment its view, and a description unless it has one.

    Args:
        known: Tags that the experiment has; its view may be that of an earlier version.
    """
    tags = {} if known.get(_NOTE) else {_NOTE: _ABOUT}
    if json.dumps(_STATE) not in known.get(_TAG, ""):
        now = int(time.time() * 1000)  # ms since 1970, as MLflow counts
        times = {"createdAt": now, "updatedAt": now}
        tags[_TAG] = json.dumps({"name": "Configurations by ap", "state": _STATE, **times})
    return tags
