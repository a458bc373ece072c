"""What runs are called in MLflow, and the saved views of an experiment in its UI.

Names are for people; programs find a run by its tags `key` and `level`. The UI of MLflow 3.17 keeps
saved views in tags of the experiment; nothing documents the form.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from lvh.evaluation.results import Plain

ALL = "lvh"
"""Key of the view of all configurations; that of a sweep has the name of its study."""
_SCORES = ("ap", "std_ap", "accuracy", "roc_auc")
_MOST_COLUMNS = 8  # of swept dimensions


def run_name(
    base: str, values: Mapping[str, Plain], *, among: Sequence[str] = (), digits: int | None = None
) -> str:
    """Return the name of a configuration: its base, and values that others do not have.

    `among` are all names of such values; `digits` of real numbers are shown, None for all.

    >>> run_name("cnn-raw", {"kernel": 250, "model.dropout": 0.5})
    'cnn-raw kernel=250 dropout=0.5'
    """
    names = short_names([*among, *values])
    return " ".join([base, *(f"{names[k]}={value_text(v, digits)}" for k, v in values.items())])


def short_names(names: Sequence[str], taken: Sequence[str] = ()) -> dict[str, str]:
    """Return the last part of each name; the full name where two would be the same.

    Other columns of a table have the names that are `taken`: see `column_names`.
    """
    last, full = {name: name.rpartition(".")[2] for name in names}, column_names(names, taken)
    count = Counter([*last.values(), *taken])
    return {name: short if count[short] == 1 else full[name] for name, short in last.items()}


def column_names(names: Sequence[str], taken: Sequence[str]) -> dict[str, str]:
    """Return the column of each parameter in a table of which some names are `taken`.

    >>> column_names(["C", "loss"], ["trial", "loss"])
    {'C': 'C', 'loss': 'params.loss'}
    """
    return {name: f"params.{name}" if name in taken else name for name in names}


def value_text(value: Plain, digits: int | None = 6) -> str:
    """Return a value as a user types it in an override, a float rounded to some digits."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if not isinstance(value, float):
        return str(value)
    text = f"{value:.{digits or 15}g}"
    return text if digits or float(text) == value else repr(value)


def fold_name(configuration: str, repeat: int, fold: int) -> str:
    """Return the name of a fold; `repeat` and `fold` count from 1."""
    return f"{configuration} fold {fold}" + (f" of repeat {repeat}" if repeat > 1 else "")


def view_page(experiment_id: str, key: str = ALL) -> str:
    """Return the place of a view of an experiment in the UI, below the server's address."""
    query = f"viewStateShareKey={key}&workflowType=machine_learning"
    return f"#/experiments/{experiment_id}/runs?{query}"


def view_state(dimensions: Mapping[str, bool], condition: str) -> dict[str, Any]:
    """Return a view of the runs under a condition, the best by ap first.

    `dimensions` are MLflow's parameters that were swept, and whether their values are numbers.
    """
    swept = list(dimensions)[:_MOST_COLUMNS] or ["model", "features"]
    columns = [f"params.`{name}`" for name in dict.fromkeys([*swept, "model"])]
    columns += [f"metrics.`{name}`" for name in _SCORES]
    sections = (
        ("lvh", f"{', '.join(swept)} and ap", True),
        ("lvh-metrics", "Model metrics", False),
        ("lvh-system", "System metrics", False),
    )
    return {
        "searchFilter": condition,
        "orderByKey": "metrics.`ap`",
        "orderByAsc": False,
        "selectedColumns": columns,
        "columnOrder": columns,
        "columnWidths": dict.fromkeys(columns, 95),
        "runsHiddenMode": "SHOW_ALL",
        "compareRunCharts": _charts(swept, [name for name in swept if dimensions.get(name)]),
        "compareRunSections": [
            {"uuid": key, "name": name, "display": shown, "isReordered": False, "deleted": False}
            for key, name, shown in sections
        ],
    }


def _charts(swept: Sequence[str], numbers: Sequence[str]) -> list[dict[str, Any]]:
    """Draw ap by all dimensions, by the first two of numbers, and by the seconds it took."""
    params = [{"key": name, "type": "PARAM"} for name in numbers]
    ap, seconds = ({"key": name, "type": "METRIC"} for name in ("ap", "seconds"))
    axes = {"selectedParams": list(swept), "selectedMetrics": ["ap"], "showAllRuns": True}
    scatter = {"type": "SCATTER", "yaxis": ap, "runsCountToCompare": 100}
    charts: dict[str, dict[str, Any]] = {"parallel": {"type": "PARALLEL", **axes}}
    if len(params) > 1:
        charts["contour"] = {"type": "CONTOUR", "xaxis": params[0], "yaxis": params[1], "zaxis": ap}
    if len(params) == 1:
        charts["swept"] = {**scatter, "xaxis": params[0]}
    charts["scatter"] = {**scatter, "xaxis": seconds}
    where = {"metricSectionId": "lvh", "isGenerated": False, "deleted": False}
    return [{"uuid": f"lvh-{name}", **where, **chart} for name, chart in charts.items()]
