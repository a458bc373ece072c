"""What runs are called in MLflow, and the saved view of an experiment in its UI.

Names are for people; programs find a run by its tags `key` and `level`. The UI of MLflow 3.17 keeps
its saved views (view.json) in tags of the experiment; nothing documents the form.
"""

import json
import time
from collections.abc import Mapping
from pathlib import Path

_VIEW = "lvh"
_TAG = f"mlflow.sharedViewState.{_VIEW}"
_NOTE = "mlflow.note.content"
_ABOUT = (
    "A sweep is a run, its configurations are runs below it, their folds below those. "
    "`tags.level = 'configuration'` finds what can be compared."
)


def configuration_name(
    model: str,
    features: str,
    *,
    convolution: Mapping[str, int],
    protocol: str = "",
    external: str = "",
) -> str:
    """Return the name of a configuration, short, and different for the runs of one sweep.

    `protocol` is named if it leaks, `external` if its records are only scored.

    >>> configuration_name("cnn", "raw", convolution={"kernel": 250, "stride": 10})
    'k250-s10-cnn-raw'
    """
    sizes = [f"{name[0]}{size}" for name, size in convolution.items()]
    source = f"on-{external}" if external else ""
    return "-".join(part for part in (*sizes, model, features, protocol, source) if part)


def sweep_name(title: str) -> str:
    """Return the name of a sweep: what was swept, without the data, which its runs name.

    >>> sweep_name("kernel x stride, 12 runs on LUDB 1.0.1")
    'kernel x stride, 12 runs'
    """
    return title.partition(" on ")[0]


def fold_name(configuration: str, repeat: int, fold: int) -> str:
    """Return the name of a fold; `repeat` and `fold` count from 1.

    >>> fold_name("dnn-ntp", 2, 3)
    'dnn-ntp fold 3 of repeat 2'
    """
    return f"{configuration} fold {fold}" + (f" of repeat {repeat}" if repeat > 1 else "")


def view_page(experiment_id: str) -> str:
    """Return the place of an experiment's view in the UI, below the server's address.

    Without the workflow type MLflow shows columns that are for language models.
    """
    query = f"viewStateShareKey={_VIEW}&workflowType=machine_learning"
    return f"#/experiments/{experiment_id}/runs?{query}"


def view_tags(current: Mapping[str, str]) -> dict[str, str]:
    """Return the tags that give an experiment its view, and a description unless it has one."""
    tags = {} if current.get(_NOTE) else {_NOTE: _ABOUT}
    state = json.dumps(json.loads(Path(__file__).with_name("view.json").read_text()))
    if json.dumps(state) not in current.get(_TAG, ""):
        now = int(time.time() * 1000)  # ms since 1970, as MLflow counts
        times = {"createdAt": now, "updatedAt": now}
        tags[_TAG] = json.dumps({"name": "Configurations by ap", "state": state, **times})
    return tags
