"""Small models that several tests keep, and records in WFDB's format that they score."""

import warnings
from dataclasses import asdict
from pathlib import Path

import numpy as np

from lvh.config.composition import settings_of
from lvh.config.run_settings import RunSettings
from lvh.data.cohort import LEADS, Cohort
from lvh.features import FORMS, fill_missing
from lvh.inference import Calibration, Description, Evidence, keep
from lvh.models import MODELS
from lvh.models.training import Lesson

FEW = {
    "extra_trees": ["model.trees=20"],
    "boosting": ["model.trees=20"],
    "nested_selection": ["model.folds=2", "model.candidates=[logistic C:0.1,svm C:1 gamma:null]"],
    "voting": ["model.members=[logistic C:0.1,svm C:1 gamma:null]"],
}


def settings(model: str, features: str, *overrides: str) -> RunSettings:
    typed = [f"model={model}", f"features={features}", "data=synthetic", "train.epochs=2"]
    typed += [*FEW.get(model, []), *overrides]
    return settings_of(*typed)


def taught(of: RunSettings, cohort: Cohort, n_members: int = 2):
    """Learn from all records; return the features, the learner's scores and what to keep."""
    from lvh.runs.run import new_trainer as learner

    features = FORMS[of.features.name].extract(cohort, of.features)
    (X,) = fill_missing(features.fill, features.X)
    own = learner(of, features, cohort.fs)
    scores, parts = [], []
    for seed in range(n_members):
        none = X[:0]
        given = (X, features.y, features.subjects, none, features.y[:0])
        own.fit([Lesson(*given, np.random.SeedSequence(seed))], lambda at, epoch: None)
        scores.append(own.predict([X])[0])
        parts.append(own.taught(0))
    return features, np.column_stack(scores), parts


def describe(of: RunSettings, cohort: Cohort, features, n_members: int = 2, **changed):
    fill = ()
    if features.kind != "signal":
        missing = np.full((1, features.X.shape[1]), np.nan, np.float32)
        fill = tuple(fill_missing(features.fill, features.X, missing)[1][0].tolist())
        fill = fill[: features.input_shape[0]]
    given = {
        "format": 2,
        "name": of.name,
        "data": cohort.name,
        "fingerprint": cohort.fingerprint,
        "note": cohort.note,
        "n_records": len(features.y),
        "n_positive": int(features.y.sum()),
        "features": asdict(of.features),
        "model": asdict(of.model),
        "backend": of.backend,
        "precision": of.train.precision,
        "fs": cohort.fs,
        "leads": cohort.leads,
        "names": features.names,
        "input_shape": features.input_shape,
        "fill": fill,
        "calibration": Calibration((0.1, 0.9), ((-0.5, 0.5), (0.5, 1.5)), 40, 1),
        "threshold": 0.5,
        "threshold_origin": "fixed",
        "seeds": tuple(range(n_members)),
        "epochs": 2,
        "epochs_origin": "as in the folds",
        "nested_selection": (),
        "evidence": Evidence("kfold", 3, 1, {"model": {}}),
        "n_samples": cohort.signals.shape[1],
        "chosen_run": "",
        "run_key": "",
        "study": "",
        "n_candidates": 1,
        "chosen_by": "",
        "versions": {},
        "files": {},
    }
    return Description(**{**given, **changed})


def kept(folder: Path, of: RunSettings, cohort: Cohort, n_members: int = 2):
    """Keep a model; return its features and the scores that it has to come to."""
    features, scores, parts = taught(of, cohort, n_members)
    keep(folder, describe(of, cohort, features, n_members), parts)
    return features, scores


def is_network(model: str) -> bool:
    return hasattr(MODELS[model], "check")


def write_record(
    folder: Path,
    cohort: Cohort,
    record: int = 0,
    *,
    fs: float | None = None,
    signal: np.ndarray | None = None,
    leads: tuple[str, ...] = LEADS,
    units: str = "mV",
    gain: float = 1000.0,
    comments: tuple[str, ...] = (),
    name: str = "r",
) -> Path:
    """Write a record by the wfdb package, as anyone's device would."""
    held = cohort.signals[record] if signal is None else signal
    at = [LEADS.index(lead) for lead in leads]
    with warnings.catch_warnings(action="ignore"):  # of pandas
        import wfdb

        wfdb.wrsamp(
            name,
            fs=cohort.fs if fs is None else fs,
            units=[units] * len(leads),
            sig_name=[lead.upper() for lead in leads],
            p_signal=held[:, at].astype(np.float64),
            fmt=["16"] * len(leads),
            adc_gain=[gain] * len(leads),
            baseline=[0] * len(leads),
            comments=list(comments),
            write_dir=str(folder),
        )
    return folder / name
