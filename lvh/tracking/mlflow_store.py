"""Write records to MLflow: a sweep is a run; below it are its configurations, then their folds.

Each configuration carries all its parameters and mean scores itself, since the UI's filters and
plots see a run alone. Writing a record a second time changes nothing. A run counts as KILLED until
all of it is written, so a killed process leaves none RUNNING. The last functions look up runs.
"""

import json
import logging
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from lvh.tracking import set_mlflow_variables

set_mlflow_variables()
from filelock import FileLock
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, Run, RunTag, ViewType

from lvh.errors import InputError, TrackingFault
from lvh.tracking import TrackingSettings, checked_uri, embedded, store_faults, tables_of
from lvh.tracking.fold_store import FoldStore, StoredFold
from lvh.tracking.run_names import ALL, fold_name, view_page, view_state
from lvh.tracking.run_record import SHOWN, RunRecord, SweepRecord, load_run, load_sweep

_LOCK_SECONDS = 120
_ARTIFACTS = "mlartifacts"
_MOST_RUNS = 50_000  # of a page; MLflow takes no larger number
_PARENT, _NOTE = "mlflow.parentRunId", "mlflow.note.content"
_BELOW = f"tags.`{_PARENT}` = '{{}}'"
_RECORD = "record"
"""Tag with the digest of the record that a run shows, set when all of it has been written."""
_STATUS = {"failed": "FAILED", "killed": "KILLED"}
"""Status of a run by that of its record; all others are FINISHED."""
_ABOUT = (
    "A sweep is a run, its configurations are runs below it, their folds below those. "
    "`tags.level = 'configuration'` finds what can be compared."
)
_UNFINISHED = "This sweep is not finished. The same command continues it."
_SAVED = "mlflow.sharedViewState."
_VIEW, _CONFIGURATIONS = "Configurations by ap", "tags.level = 'configuration'"
_PLACES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)
"""Columns of MLflow's tables that hold where artifacts are."""

logging.getLogger("alembic").setLevel(logging.WARNING)
logging.getLogger("mlflow").setLevel(logging.WARNING)
logging.getLogger("mlflow.store").setLevel(logging.CRITICAL)  # it raises what it logs


class MlflowStore:
    """An experiment in a store of MLflow."""

    def __init__(self, settings: TrackingSettings) -> None:
        """Open the store and the experiment; close what killed processes left open."""
        uri, database = checked_uri(settings), embedded(settings)
        if database is not None:
            _open_embedded(database)
        self._client = MlflowClient(tracking_uri=uri)
        self.experiment_id = self._experiment(settings.experiment, database)
        self._sweeps: dict[str, str] = {}
        self.page = view_page(self.experiment_id)
        """Place of the newest sweep, or of all configurations, in the UI."""
        if f"{_SAVED}{ALL}" not in self._client.get_experiment(self.experiment_id).tags:
            self._set_view(ALL, _VIEW, view_state({}, _CONFIGURATIONS))
        for run in self._search("attributes.status = 'RUNNING' and tags.level != ''"):
            self._client.set_terminated(run.info.run_id, "KILLED")

    def _experiment(self, name: str, database: Path | None) -> str:
        """Find or make the experiment."""
        experiment = self._client.get_experiment_by_name(name)
        if experiment is None:
            location = None if database is None else (database.parent / _ARTIFACTS).as_uri()
            return str(self._client.create_experiment(name, location, {_NOTE: _ABOUT}))
        experiment_id = str(experiment.experiment_id)
        if experiment.lifecycle_stage != "active":
            raise TrackingFault(
                f"tracking.experiment: {name} is in MLflow's trash. Restore it with "
                f"mlflow experiments restore --experiment-id {experiment_id}, or use another "
                "tracking.experiment"
            )
        return experiment_id

    def sync(self, path: Path) -> None:
        """Write a record, unless all of it is there."""
        with FileLock(path.with_name(f".{path.stem}.lock"), timeout=_LOCK_SECONDS):
            if path.parent.name == "sweeps":
                self._sync_sweep(load_sweep(path))
            else:
                self._sync_run(load_run(path))

    def _sync_sweep(self, record: SweepRecord) -> None:
        run_id = self._sweep_run(record.study)
        below_it = _BELOW.format(run_id)
        below = {run.data.tags.get("key"): run for run in self._search(below_it)}
        for file in map(Path, record.runs):
            run = load_run(file)
            belongs = run.sweep is not None and run.sweep.study == record.study
            if belongs and not _is_complete(below.get(file.stem), run):
                self.sync(file)  # with its lock: another command may write it just now
        self._client.update_run(run_id, name=record.title)
        self._set_view(record.study, record.title, view_state(record.dimensions, below_it))
        self._set_view(ALL, _VIEW, view_state(record.dimensions, _CONFIGURATIONS))
        self.page = view_page(self.experiment_id, record.study)
        link = f"[Its configurations as a table, and their charts]({self.page})"
        text = "\n\n".join([link, *(record.sentences or [_UNFINISHED])])
        self._client.set_tag(run_id, _NOTE, text)
        self._end(run_id, record.folder, "FINISHED" if record.complete else "KILLED")

    def _sync_run(self, record: RunRecord) -> None:
        leakage, key = record.tags.get("leakage", ""), record.path.stem
        parent = None if record.sweep is None else self._sweep_run(record.sweep.study)
        tags = {**record.tags, **_place(record.level, parent, leakage), "key": key}
        run = self._find(key)
        if run is None:
            tags.setdefault("mlflow.source.name", "lvh.run")
            started = _now() - round(1000 * (record.seconds + record.setup_seconds))
            run = self._create(record.name, tags, started)
        elif parent is not None and run.data.tags.get(_PARENT) != parent:
            self._client.set_tag(run.info.run_id, _PARENT, parent)
        run_id, store, tracked = run.info.run_id, FoldStore(Path(record.root)), set()
        for one in self._search(_BELOW.format(run_id)):
            if one.info.status == "FINISHED":
                tracked.add((one.data.params["repeat"], one.data.params["fold"]))
            else:
                self._client.delete_run(one.info.run_id)  # only a part of it was written
        folds = [fold for one in record.fold_keys if (fold := store.read(one)) is not None]
        folds = [one for one in folds if (str(one.repeat + 1), str(one.fold + 1)) not in tracked]
        if not folds and _is_complete(run, record):
            return
        for fold in folds:
            self._create_fold(run_id, record.name, fold, leakage)
        if record.status not in ("complete", "leaking"):
            tags["error" if record.status == "failed" else "incomplete"] = record.error
        if record.mean:
            tags[_NOTE] = record.description
        for name in {"error", "incomplete"} & run.data.tags.keys() - tags.keys():
            self._client.delete_tag(run_id, name)
        params = {name: one for name, one in record.params.items() if name not in run.data.params}
        self._client.update_run(run_id, name=record.name)
        self._log(run_id, _metrics(record.scores), params, tags)
        if not (run.inputs and run.inputs.dataset_inputs):
            self._log_data(run_id, record)
        self._end(run_id, record.folder, _STATUS.get(record.status, "FINISHED"), record.digest)

    def _create_fold(self, parent: str, name: str, fold: StoredFold, leakage: str) -> None:
        repeat, number, history, ended = fold.repeat + 1, fold.fold + 1, fold.history, _now()
        tags = _place("fold", parent, leakage)
        started = ended - int(fold.seconds * 1000)
        run = self._create(fold_name(name, repeat, number), tags, started)
        scores = {name: one for name, one in asdict(fold.metrics).items() if name in SHOWN}
        metrics = _metrics(scores | {"threshold": fold.threshold, "seconds": fold.seconds})
        for name in ("loss", "accuracy", "validation_loss", "validation_accuracy"):
            curve = name if name.startswith("validation") else f"train_{name}"
            for epoch, value in enumerate(getattr(history, name), start=1):
                metrics += _metrics({curve: value}, step=epoch)
        chosen = {"chosen": history.chosen} if history.chosen else {}
        self._log(run.info.run_id, metrics, {"repeat": repeat, "fold": number, **chosen}, {})
        self._client.set_terminated(run.info.run_id, end_time=ended)

    def _log(
        self, run_id: str, metrics: list[Metric], params: Mapping[str, Any], tags: dict[str, str]
    ) -> None:
        """Log in few calls: MLflow takes 100 parameters, and 1000 of anything, in each."""
        texts = {name: "null" if one is None else str(one)[:6000] for name, one in params.items()}
        entries = [Param(name, text) for name, text in texts.items()]
        marks = [RunTag(name, value[:5000]) for name, value in tags.items()]
        for at in range(0, max(len(entries), 1 + len(metrics) // 8), 100):
            part, of_metrics = slice(at, at + 100), metrics[8 * at : 8 * at + 800]
            self._client.log_batch(run_id, of_metrics, entries[part], marks[part])

    def _log_data(self, run_id: str, record: RunRecord) -> None:
        data, digest = record.data, record.data.fingerprint
        profile = {"records_used": data.n, "label": data.label, "note": data.note}
        text = json.dumps({**profile, "fingerprint": digest})
        # eight digits are what the UI has room for
        dataset = Dataset(data.name, digest[:8], source_type="lvh", source=data.name, profile=text)
        context = "exploration" if record.level == "data" else "cross-validation"
        inputs = [DatasetInput(dataset, [InputTag("mlflow.data.context", context)])]
        self._client.log_inputs(run_id, datasets=inputs)

    def _end(self, run_id: str, folder: str, status: str, digest: str = "") -> None:
        if folder and Path(folder).is_dir():
            self._client.log_artifacts(run_id, folder)
        self._client.set_tag(run_id, _RECORD, digest)
        self._client.set_terminated(run_id, status)

    def _create(self, name: str, tags: dict[str, str], started: int | None = None) -> Run:
        """Create a run that counts as killed until all of it is written."""
        run = self._client.create_run(self.experiment_id, started, tags, name)
        self._client.set_terminated(run.info.run_id, "KILLED")
        return run

    def _sweep_run(self, study: str) -> str:
        """Find or make the run of a sweep; of several made at once the first one stays."""
        if study not in self._sweeps:
            run = self._find(study)
            if run is None:
                tags = {**_place("sweep", None, ""), "key": study, _NOTE: _UNFINISHED}
                new = self._create(study, {**tags, "mlflow.source.name": "lvh.run"})
                run = self._find(study) or new
                if run.info.run_id != new.info.run_id:
                    self._client.delete_run(new.info.run_id)
            self._sweeps[study] = run.info.run_id
        return self._sweeps[study]

    def _find(self, key: str) -> Run | None:
        """Return the first run with a key; one that was deleted by hand is restored."""
        runs = self._search(f"tags.key = '{key}'", ViewType.ALL)
        runs.sort(key=lambda run: (run.info.lifecycle_stage, run.info.start_time, run.info.run_id))
        if not runs:
            return None
        if runs[0].info.lifecycle_stage != "active":
            self._client.restore_run(runs[0].info.run_id)
        return runs[0]

    def _search(self, condition: str, view: int = ViewType.ACTIVE_ONLY) -> list[Run]:
        among, runs, token = [self.experiment_id], list[Run](), None
        while token != "":
            page = self._client.search_runs(among, condition, view, _MOST_RUNS, page_token=token)
            runs += page
            token = page.token or ""
        return runs

    def _set_view(self, key: str, name: str, state: Mapping[str, Any]) -> None:
        """Save a view in the experiment, unless it is there."""
        tag, text, now = f"{_SAVED}{key}", json.dumps(state), _now()
        saved = self._client.get_experiment(self.experiment_id).tags.get(tag, "{}")
        if json.loads(saved).get("state") != text:
            value = {"name": name, "state": text, "createdAt": now, "updatedAt": now}
            self._client.set_experiment_tag(self.experiment_id, tag, json.dumps(value))


def _open_embedded(database: Path) -> None:
    """Make an embedded store if it is new; correct the place of its artifacts if it was moved."""
    # several processes that make one schema at once break it
    with FileLock(f"{database}.lock", timeout=_LOCK_SECONDS):
        unfinished = database.with_name(f".{database.name}.new")
        for part in database.parent.glob(f"{unfinished.name}*"):  # by a process that was killed
            part.unlink()
        if not database.exists():
            MlflowClient(tracking_uri=f"sqlite:///{unfinished}").search_experiments(max_results=1)
            unfinished.replace(database)
        _move_artifacts(database)


def _move_artifacts(database: Path) -> None:
    """Correct where artifacts are said to be, in a database that was moved or copied."""
    folder, names = database.parent / _ARTIFACTS, tables_of(database)
    here = folder.as_uri()
    # without the folder of artifacts, those of earlier runs are still where they were
    places = _PLACES if folder.is_dir() else _PLACES[:1]
    with closing(sqlite3.connect(database)) as connection, connection:
        rows = connection.execute(
            "select distinct artifact_location from experiments "
            "where artifact_location like 'file:%/mlartifacts' and artifact_location != ?",
            (here,),
        )
        for (before,) in rows.fetchall():
            for table, column in places:
                if table in names:
                    connection.execute(
                        f"update {table} set {column} = replace({column}, ?, ?) "
                        f"where {column} = ? or {column} like ? || '/%'",
                        (before, here, before, before),
                    )


def _is_complete(run: Run | None, record: RunRecord) -> bool:
    """Return whether a run in the store shows all of a record."""
    if run is None or run.data.tags.get(_RECORD) != record.digest:
        return False
    return bool(run.info.status == _STATUS.get(record.status, "FINISHED"))


def _place(level: str, parent: str | None, leakage: str) -> dict[str, str]:
    """Return the tags that give a run its place; leaking runs have levels of their own."""
    tags = {"level": f"leaking {level}" if leakage else level}
    tags |= {"leakage": leakage} if leakage else {}
    return tags if parent is None else {**tags, _PARENT: parent}


def _metrics(values: Mapping[str, float], step: int = 0) -> list[Metric]:
    now = _now()
    return [
        Metric(name, float(value), now, step)
        for name, value in values.items()
        if np.isfinite(value)  # some stores refuse NaN; an absent score says the same
    ]


def _now() -> int:
    return int(time.time() * 1000)  # ms since 1970, as MLflow counts


@contextmanager
def files_of(run_id: str, settings: TrackingSettings, name: str = "") -> Iterator[Path]:
    """Give a file of a tracked run, or all of its files in a folder."""
    with TemporaryDirectory() as folder:
        with _client(settings, f"run {run_id}") as client:
            client.download_artifacts(run_id, name, folder)
        yield Path(folder) / name


def experiment_id(settings: TrackingSettings) -> str:
    """Return the ID of the experiment; raise InputError where there is none."""
    with _client(settings, settings.experiment) as client:
        experiment = client.get_experiment_by_name(settings.experiment)
    if experiment is None:
        raise InputError(
            f"--experiment: expected one that is there. Received: {settings.experiment}"
        )
    return str(experiment.experiment_id)


def key_of(run_id: str, settings: TrackingSettings) -> str:
    """Return the key of a run, which for a sweep is its study; empty if it is none of ours."""
    with _client(settings, f"run {run_id}") as client:
        return str(client.get_run(run_id).data.tags.get("key", ""))


def run_with_key(key: str, settings: TrackingSettings) -> str | None:
    """Return the latest run with a key; None if there is none."""
    with _client(settings, settings.experiment) as client:
        among = [experiment_id(settings)]
        runs = client.search_runs(among, f"tags.key = '{key}'", max_results=1)
    return str(runs[0].info.run_id) if runs else None


def log_explanation(run_id: str, folder: Path, settings: TrackingSettings) -> None:
    """Record every file of an explanation as an artifact of the run that it explains."""
    with _client(settings, f"run {run_id}") as client:
        client.log_artifacts(run_id, str(folder), "explanation")


@contextmanager
def _client(settings: TrackingSettings, what: str) -> Iterator[MlflowClient]:
    with store_faults(settings, what):
        yield MlflowClient(tracking_uri=checked_uri(settings, to_read=True))
