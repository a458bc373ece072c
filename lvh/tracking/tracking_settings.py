"""What a run is asked to be in a store, and what others may know of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from lvh.evaluation.results import Plain

Level = Literal["sweep", "configuration", "fold", "data"]
Status = Literal["RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED"]


@dataclass(frozen=True, slots=True)
class TrackingSettings:
    """Where results are tracked.

    Attributes:
        name: `mlflow` or `off`.
        uri: MLflow tracking URI; None for `mlflow.db` in the working directory.
        experiment: Name of the MLflow experiment.
    """

    name: Literal["mlflow", "off"] = "mlflow"
    uri: str | None = None
    experiment: Annotated[str, Field(min_length=1)] = "lvh"


@dataclass(frozen=True, slots=True)
class RunKey:
    """What a run is known by, so that the same command takes it up again.

    Attributes:
        text: Equal for equal runs below one parent.
        anew: Make a new run even if there is one.
    """

    text: str
    anew: bool = False


@dataclass(frozen=True, slots=True)
class RunToOpen:
    """A run to be created in a store, or taken up again.

    Attributes:
        uri: Of the store.
        database: File of an embedded store, None for any other.
        settings: Name the experiment and the run's parent.
        level: Which level of the tree the run stands on.
        name: Shown in the UI.
        params: Of the run.
        tags: Of the run, beside `level`.
        key: Of the run.
    """

    uri: str
    database: Path | None
    settings: TrackingSettings
    level: Level
    name: str
    params: Mapping[str, Plain]
    tags: Mapping[str, str]
    key: RunKey


@dataclass(frozen=True, slots=True)
class OpenedRun:
    """A run as others may refer to it.

    Attributes:
        run_id: Its identity in the store.
        page: Place of its experiment's saved view in the UI, below the server's address.
        resumed: Whether an earlier process had opened it.
    """

    run_id: str
    page: str
    resumed: bool = False
