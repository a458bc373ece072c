"""From results to MLflow, beside the training: it never waits for the store."""

from lvh.tracking.address import check_embedded, check_path, embedded, resolved_uri
from lvh.tracking.recorder import ask_again, warm_up
from lvh.tracking.tracked import Tracked, tracked_run
from lvh.tracking.tracking_settings import (
    Level,
    OpenedRun,
    RunKey,
    RunToOpen,
    Status,
    TrackingSettings,
)

__all__ = [
    "Level",
    "OpenedRun",
    "RunKey",
    "RunToOpen",
    "Status",
    "Tracked",
    "TrackingSettings",
    "ask_again",
    "check_embedded",
    "check_path",
    "embedded",
    "resolved_uri",
    "tracked_run",
    "warm_up",
]
