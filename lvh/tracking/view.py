"""The saved view of an experiment in the MLflow UI: what a person compares, at once.

The UI of MLflow 3.17 keeps its saved views in tags of the experiment; nothing documents the form.
"""

import json
import time
from collections.abc import Mapping

VIEW = "lvh"
"""Key of the view that every experiment is made with."""

_TAG = f"mlflow.sharedViewState.{VIEW}"
_NOTE = "mlflow.note.content"
_ABOUT = (
    "A sweep is a run, its configurations are runs below it, their folds below those. "
    "`tags.level = 'configuration'` finds what can be compared."
)
_COLUMNS = (
    *("params.`kernel`", "params.`stride`", "params.`model`"),
    *("metrics.`ap`", "metrics.`std_ap`", "metrics.`accuracy`", "metrics.`roc_auc`"),
)
_WIDTH = 95  # pixels: a score with four digits
_OWN, _METRICS, _SYSTEM = "lvh", "lvh-metrics", "lvh-system"


def view_page(experiment_id: str) -> str:
    """Return the place of an experiment's view in the UI, below the server's address.

    Without the workflow type MLflow shows what is for language models beside it.
    """
    query = f"viewStateShareKey={VIEW}&workflowType=machine_learning"
    return f"#/experiments/{experiment_id}/runs?{query}"


def view_tags(known: Mapping[str, str]) -> dict[str, str]:
    """Return the tags that give an experiment its view, and a description unless it has one.

    Args:
        known: Tags that the experiment has; its view may be that of an earlier version.
    """
    tags = {} if known.get(_NOTE) else {_NOTE: _ABOUT}
    state = json.dumps(_state())
    if _state_of(known.get(_TAG, "")) != state:
        now = int(time.time() * 1000)  # ms since 1970, as MLflow counts
        times = {"createdAt": now, "updatedAt": now}
        tags[_TAG] = json.dumps({"name": "Configurations by ap", "state": state, **times})
    return tags


def _state_of(tag: str) -> object:
    try:
        return json.loads(tag)["state"]
    except (ValueError, KeyError, TypeError):
        return None


def _state() -> dict[str, object]:
    return {
        "searchFilter": "tags.level = 'configuration'",
        "orderByKey": "metrics.`ap`",
        "orderByAsc": False,
        "selectedColumns": _COLUMNS,
        "columnOrder": _COLUMNS,
        "columnWidths": dict.fromkeys(_COLUMNS, _WIDTH),
        "runsHiddenMode": "SHOW_ALL",
        "compareRunCharts": _charts(),
        # the last two are where the UI puts a chart of every metric: folded, for there are many
        "compareRunSections": [
            _section(_OWN, "Kernel, stride and ap", display=True),
            _section(_METRICS, "Model metrics", display=False),
            _section(_SYSTEM, "System metrics", display=False),
        ],
    }


def _charts() -> list[dict[str, object]]:
    kernel, stride = ({"key": name, "type": "PARAM"} for name in ("kernel", "stride"))
    ap, seconds = ({"key": name, "type": "METRIC"} for name in ("ap", "seconds"))
    charts: dict[str, dict[str, object]] = {
        "PARALLEL": {
            "selectedParams": ["kernel", "stride"],
            "selectedMetrics": ["ap"],
            "showAllRuns": True,
        },
        "CONTOUR": {"xaxis": kernel, "yaxis": stride, "zaxis": ap},
        "SCATTER": {"xaxis": seconds, "yaxis": ap, "runsCountToCompare": 100},
    }
    shared = {"metricSectionId": _OWN, "isGenerated": False, "deleted": False}
    return [
        {"type": kind, "uuid": f"lvh-{kind.lower()}", **shared, **chart}
        for kind, chart in charts.items()
    ]


def _section(uuid: str, name: str, *, display: bool) -> dict[str, object]:
    return {"uuid": uuid, "name": name, "display": display, "isReordered": False, "deleted": False}
