"""The fold store, records of runs, the folder of a run, and MLflow, which is written from them."""

from lvh.tracking.address import TrackingSettings, check_embedded, embedded, resolved_uri
from lvh.tracking.tracker import Tracker

__all__ = ["Tracker", "TrackingSettings", "check_embedded", "embedded", "resolved_uri"]
