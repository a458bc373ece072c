"""Small final models that several tests save, and WFDB records that they predict."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from record_files import write_wfdb

from lvh.config.command_line import CommandLine
from lvh.config.composition import compose, settings_of
from lvh.config.run_settings import RunSettings
from lvh.data.cohort import LEADS, Cohort
from lvh.features import FORMS, FeatureSet, fill_missing
from lvh.inference import Calibration, Description, Settings, save
from lvh.inference.mlflow_model import write_mlmodel
from lvh.inference.model_description import FORMAT, data_fields
from lvh.inference.training_records import training_records
from lvh.models import MODELS
from lvh.models.training import FitJob
from lvh.runs.experiment_data import ExperimentData, load_data, new_trainer
from lvh.runs.run import run_configuration
from lvh.tracking.tracker import Tracker

SMALL = ("data=synthetic", "data.records=42", "cv.folds=3", "tracking=off")
FEW = {
    "extra_trees": ["model.trees=20"],
    "boosting": ["model.trees=20"],
    "nested_selection": ["model.folds=2", "model.candidates=[logistic C:0.1,svm C:1 gamma:null]"],
    "voting": ["model.members=[logistic C:0.1,svm C:1 gamma:null]"],
}


@pytest.fixture
def own_store() -> Iterator[None]:
    """MLflow keeps the address of a store in a variable, where the next test would find it."""
    import mlflow

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", "")
        patch.delenv("MLFLOW_TRACKING_URI")
        yield
        mlflow.set_tracking_uri(None)
        mlflow.set_registry_uri(None)


class Trained(NamedTuple):
    """A configuration that was cross-validated in this process."""

    settings: RunSettings
    data: ExperimentData
    folder: Path


def train(folder: Path, *overrides: str) -> Trained:
    composed = compose(CommandLine((*SMALL, *overrides)))
    data, tracker = load_data(composed.settings), Tracker(composed.settings.tracking)
    run_configuration(composed, data, folder, tracker=tracker, verbosity="line")
    (folder / "config.yaml").write_text(composed.yaml)
    return Trained(composed.settings, data, folder)


def settings(model: str, features: str, *overrides: str) -> RunSettings:
    typed = [f"model={model}", f"features={features}", "data=synthetic", "train.epochs=2"]
    typed += [*FEW.get(model, []), *overrides]
    return settings_of(*typed)


def fit(of: RunSettings, cohort: Cohort, n_members: int = 2):
    """Fit to all records; return the features, the trainer's scores and the members' states."""
    features = FORMS[of.features.name].extract(cohort, of.features)
    (X,) = fill_missing(features.fill, features.X)
    trainer = new_trainer(of, features, cohort.fs)
    scores, states = [], []
    for seed in range(n_members):
        job = FitJob(
            X=X,
            y=features.y,
            subjects=features.subjects,
            seed=np.random.SeedSequence(seed),
        )
        trainer.fit([job], lambda at, epoch: None)
        scores.append(trainer.predict([X])[0])
        states += trainer.state()
    return features, np.column_stack(scores), states


def describe(
    of: RunSettings, cohort: Cohort, features: FeatureSet, n_members: int = 2, **changed: Any
) -> Description:
    described = Description(
        format=FORMAT,
        name=of.name,
        settings=Settings(of.features, of.model, of.cv, of.train, of.backend),
        **data_fields(cohort, features),
        calibration=Calibration((0.1, 0.9), ((-0.5, 0.5), (0.5, 1.5)), 40, 1),
        threshold=0.5,
        seeds=tuple(range(n_members)),
        chosen=(),
        n_folds=3,
        scores={"model": {}},
        run_key="",
        study="",
        n_candidates=1,
        chosen_by="",
        versions={},
        files={},
    )
    return replace(described, **changed)


def save_model(folder: Path, of: RunSettings, cohort: Cohort, n_members: int = 2, **changed: Any):
    """Save a final model as `lvh export` does; return its features and expected scores."""
    features, scores, states = fit(of, cohort, n_members)
    described = describe(of, cohort, features, n_members, **changed)
    described = save(folder, described, states, training_records(cohort, features))
    write_mlmodel(folder, described)
    return features, scores


def is_network(model: str) -> bool:
    return hasattr(MODELS[model], "check")


def write_record(folder: Path, cohort: Cohort, record: int = 0, **more: Any) -> Path:
    """Write a record as anyone's device would; `name`, `signal`, `fs` and `leads` may differ."""
    path = folder / more.pop("name", "r")
    signal, fs = more.pop("signal", cohort.signals[record]), more.pop("fs", cohort.fs)
    at = [LEADS.index(lead) for lead in more.get("leads", LEADS)]
    write_wfdb(path, signal[:, at], fs, **more)
    return path
