"""One run in MLflow; slow to import for that.

A sweep is a run, its configurations are runs below it, their folds below those. Each
configuration carries all its parameters and mean scores itself, since the UI's filters and
plots see a run alone. A look at the data is a run beside them, on a level of its own.
"""

import json
import logging
import time
from collections.abc import Mapping
from contextlib import nullcontext, suppress
from dataclasses import asdict
from pathlib import Path

import numpy as np

from lvh.models.backends.imports import hidden
from lvh.tracking.environment import tell_mlflow

tell_mlflow()
with hidden({"pandas"}):
    from mlflow import MlflowClient
    from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, Run
    from mlflow.exceptions import MlflowException

from filelock import FileLock
from sqlalchemy.exc import SQLAlchemyError

from lvh.evaluation.cross_validation import CVResult, FoldResult
from lvh.evaluation.results import Plain
from lvh.files import written_whole
from lvh.tracking import Level, OpenedRun, RunToOpen
from lvh.tracking.view import view_page, view_tags
from lvh.validation.metrics import NAMES

FAULTS = (MlflowException, SQLAlchemyError, OSError, ImportError)
"""What a store raises when it cannot be reached, read or written."""

_LOCK_SECONDS = 120
_KEY = "key"
_PARENT = "mlflow.parentRunId"
_OPEN = ("RUNNING", "SCHEDULED")

logging.getLogger("alembic").setLevel(logging.WARNING)
logging.getLogger("mlflow.store").setLevel(logging.CRITICAL)  # it raises what it logs: told once


class MlflowRun:
    """A run in an MLflow store."""

    def __init__(self, opening: RunToOpen) -> None:
        """Open the store, find or make the experiment, and create the run or take it up again."""
        self.uri = opening.uri
        self._name = opening.name
        self._context = "exploration" if opening.level == "data" else "cross-validation"
        # a level of its own, so that no filter for configurations or folds finds what leaks
        self._leakage = opening.tags.get("leakage", "")
        # several processes that make one schema at once break it
        with (
            nullcontext()
            if opening.database is None
            else FileLock(f"{opening.database}.lock", timeout=_LOCK_SECONDS)
        ):
            if opening.database is not None and not opening.database.exists():
                _make_store(opening.database)
            self._client = MlflowClient(tracking_uri=opening.uri)
            self._experiment_id = self._experiment(opening)
        known = None if opening.key.anew else self._known(opening)
        run = known or self._created(opening)
        self._run_id = run.info.run_id
        self._has_data = bool(run.inputs and run.inputs.dataset_inputs)
        # a configuration that ended well is complete: nothing is recorded twice
        resumes_folds = known is not None and opening.level == "configuration"
        self._complete = resumes_folds and run.info.status == "FINISHED"
        self._folds = self._recorded_folds() if resumes_folds and not self._complete else set()
        if known is not None and not self._complete:
            self._client.update_run(self._run_id, status="RUNNING")
            for tag in {"error", "incomplete"} & run.data.tags.keys():
                self._client.delete_tag(self._run_id, tag)
        place = view_page(self._experiment_id)
        self.opened = OpenedRun(self._run_id, place, resumed=known is not None)
        if not self._complete:
            missing = {k: v for k, v in opening.params.items() if k not in run.data.params}
            _log_batch(self._client, self._run_id, [], missing)

    def log_data(self, name: str, fingerprint: str, note: str, n_used: int) -> None:
        """Record the data set and its digest as the run's input."""
        if self._complete or self._has_data:
            return
        inputs = [as_input(data_set(name, fingerprint, note, n_used), self._context)]
        try:
            self._client.log_inputs(self._run_id, datasets=inputs)
        except MlflowException:  # another process has just made the same data set known
            self._client.log_inputs(self._run_id, datasets=inputs)

    def log_fold(self, fold: FoldResult) -> None:
        """Record one fold as a run below this one."""
        repeat, number = fold.split.repeat + 1, fold.split.fold + 1
        if self._complete or (str(repeat), str(number)) in self._folds:
            return
        ended = _now()
        run = self._client.create_run(
            self._experiment_id,
            start_time=ended - int(fold.seconds * 1000),
            run_name=f"{self._name} fold {number}" + (f" of repeat {repeat}" if repeat > 1 else ""),
            tags=_tags("fold", self._run_id, self._leakage),
        )
        history = fold.history
        metrics = _metrics(
            {
                **asdict(fold.metrics),
                "seconds": fold.seconds,
                "kept_epoch": history.kept_epoch,
                "threshold": fold.threshold,
            }
        )
        curves = {
            "train_loss": history.loss,
            "train_accuracy": history.accuracy,
            "validation_loss": history.validation_loss,
            "validation_accuracy": history.validation_accuracy,
        }
        for name, values in curves.items():
            for epoch, value in enumerate(values, start=1):
                metrics += _metrics({name: value}, step=epoch)
        run_id = run.info.run_id
        chosen = {"chosen": history.chosen} if history.chosen else {}
        _log_batch(self._client, run_id, metrics, {"repeat": repeat, "fold": number, **chosen})
        self._client.set_terminated(run_id, end_time=ended)

    def log_result(self, result: CVResult) -> None:
        """Record each score's mean, deviation and interval, and the baselines' means.

        Means have the plain names, and no other name sorts between the first of them: the UI
        shows the first few only.
        """
        if self._complete:
            return
        values: dict[str, float] = {}
        for name in NAMES:
            interval = result.summary.pooled[name]
            values[name] = getattr(result.summary.mean, name)
            values[f"std_{name}"] = getattr(result.summary.std, name)
            values[f"pooled_{name}"] = interval.estimate
            values[f"pooled_{name}_low"] = interval.low
            values[f"pooled_{name}_high"] = interval.high
            for baseline, summary in result.baselines.items():
                prefix = baseline.replace(" + ", "_").replace(" ", "_")
                values[f"baseline_{prefix}_{name}"] = getattr(summary.mean, name)
        values |= {f"p_{name}": p for name, p in result.p_values.items()}
        values["seconds"] = sum(fold.seconds for fold in result.folds)
        values["folds_done"] = len(result.folds)
        _log_batch(self._client, self._run_id, _metrics(values), {})
        told = f"NOT HONEST: {self._leakage}. " if self._leakage else ""
        told += _description(result)
        self._client.set_tag(self._run_id, "mlflow.note.content", told)

    def log_folder(self, folder: Path) -> None:
        """Record every file of a folder as an artifact."""
        if not self._complete:
            self._client.log_artifacts(self._run_id, str(folder))

    def set_tag(self, name: str, value: str) -> None:
        """Mark the run."""
        if not self._complete:
            self._client.set_tag(self._run_id, name, value[:5000])

    def close_below(self) -> None:
        """End the open runs below this one as KILLED."""
        for run in self._below(self._run_id):
            if run.info.status in _OPEN:
                self.close(run.info.run_id, "")

    def close(self, run_id: str, error: str) -> None:
        """End another run, unless it has ended: as FAILED if there is an error, else KILLED."""
        for run in [*self._below(run_id), self._client.get_run(run_id)]:
            if run.info.status in _OPEN:
                self._client.set_terminated(run.info.run_id, "FAILED" if error else "KILLED")
        if error:
            self._client.set_tag(run_id, "error", error[:5000])

    def end(self, status: str, error: str) -> None:
        """End the run, or leave it open; an error becomes a tag."""
        if self._complete:
            return
        if error:
            self._client.set_tag(self._run_id, "error", error[:5000])
        if status in _OPEN:
            self._client.update_run(self._run_id, status=status)
        else:
            self._client.set_terminated(self._run_id, status)

    def _known(self, opening: RunToOpen) -> Run | None:
        """Find the latest run with the same key below the same parent."""
        found = self._search(f"tags.{_KEY} = '{opening.key.text}'")
        return next((run for run in found if run.data.tags.get(_PARENT) is None), None)

    def _created(self, opening: RunToOpen) -> Run:
        place = _tags(opening.level, None, self._leakage)
        tags = {**place, _KEY: opening.key.text}
        source = {"mlflow.source.name": "lvh.run"}
        return self._client.create_run(
            self._experiment_id,
            run_name=opening.name,
            tags={**tags, **source, **opening.tags},
        )

    def _recorded_folds(self) -> set[tuple[str, str]]:
        """Return repeat and number of the folds that are recorded; take away torn ones."""
        folds = set()
        for run in self._below(self._run_id):
            if run.info.status == "FINISHED":
                folds.add((run.data.params["repeat"], run.data.params["fold"]))
            else:
                self._client.set_terminated(run.info.run_id, "KILLED")
                self._client.delete_run(run.info.run_id)
        return folds

    def _below(self, run_id: str) -> list[Run]:
        return self._search(f"tags.{_PARENT} = '{run_id}'")

    def _search(self, wanted: str) -> list[Run]:
        """Return the runs of the experiment that are wanted, the latest first."""
        runs: list[Run] = []
        token = None
        while True:
            page = self._client.search_runs([self._experiment_id], wanted, page_token=token)
            runs += page
            token = page.token
            if not token:
                return runs

    def _experiment(self, opening: RunToOpen) -> str:
        """Find or make the experiment, and give it its view."""
        name, database = opening.settings.experiment, opening.database
        experiment = self._client.get_experiment_by_name(name)
        if experiment is None:
            location = None if database is None else (database.parent / "mlartifacts").as_uri()
            try:
                return str(self._client.create_experiment(name, location, view_tags({})))
            except MlflowException:  # another process was faster
                experiment = self._client.get_experiment_by_name(name)
                if experiment is None:
                    raise
        experiment_id = str(experiment.experiment_id)
        with suppress(MlflowException):  # another process sets the same
            for tag, value in view_tags(experiment.tags).items():
                self._client.set_experiment_tag(experiment_id, tag, value)
        return experiment_id


def data_set(name: str, fingerprint: str, note: str, n_used: int) -> Dataset:
    """Describe a data set as MLflow's."""
    profile = json.dumps({"records_used": n_used, "fingerprint": fingerprint, "note": note})
    # eight digits are what the UI has room for; the whole digest is in the profile
    return Dataset(name, fingerprint[:8], source_type="lvh", source=name, profile=profile)


def as_input(of: Dataset, context: str) -> DatasetInput:
    """Make a data set a run's input."""
    return DatasetInput(of, [InputTag("mlflow.data.context", context)])


def _make_store(database: Path) -> None:
    """Make the tables, which takes seconds, so that whoever is shot meanwhile leaves no half."""
    with written_whole(database) as temporary:
        MlflowClient(tracking_uri=f"sqlite:///{temporary}").search_experiments(max_results=1)


def _description(result: CVResult) -> str:
    ap, std = result.summary.mean.ap, result.summary.std.ap
    baselines = ", ".join(f"{name} {one.mean.ap:.3f}" for name, one in result.baselines.items())
    interval = result.summary.pooled["ap"]
    return (
        f"Mean ap over {len(result.folds)} folds {ap:.3f}, std {std:.3f}; baselines: {baselines}. "
        f"Pooled ap {interval.estimate:.3f}, 95 % interval {interval.low:.3f} to "
        f"{interval.high:.3f}."
    )


def _tags(level: Level, parent: str | None, leakage: str) -> dict[str, str]:
    tags: dict[str, str] = {"level": f"leaking {level}" if leakage else level}
    if leakage:
        tags["leakage"] = leakage
    if parent is not None:
        tags[_PARENT] = parent
    return tags


def _metrics(values: Mapping[str, float], step: int = 0) -> list[Metric]:
    now = _now()
    return [
        Metric(name, float(value), now, step)
        for name, value in values.items()
        if np.isfinite(value)  # some stores refuse NaN; an absent score says the same
    ]


def _log_batch(
    client: MlflowClient, run_id: str, metrics: list[Metric], params: Mapping[str, Plain]
) -> None:
    entries = [Param(key, _text(value)) for key, value in params.items()]
    while entries or metrics:  # a call takes 100 parameters, and 1000 of anything
        client.log_batch(run_id, metrics=metrics[:900], params=entries[:100])
        entries, metrics = entries[100:], metrics[900:]


def _now() -> int:
    return int(time.time() * 1000)  # ms since 1970, as MLflow counts


def _text(value: Plain) -> str:
    return "null" if value is None else str(value)[:6000]
