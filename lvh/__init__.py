"""Honest, fast, tracked hyperparameter sweeps for 12-lead ECG: LVH, or any other label.

One configuration, as `lvh run` cross-validates it, but without its files:

>>> import lvh
>>> settings = lvh.settings("data=synthetic", "data.records=42", "cv.folds=3",
...                         "model=logistic", "features=voltage")
>>> data = lvh.load_data(settings)
>>> isinstance(data.cohort, lvh.Cohort), data.cohort.signals.shape  # records, samples, leads
(True, (42, 5000, 12))
>>> isinstance(data.features, lvh.FeatureSet), data.features.X.shape
(True, (42, 71))
>>> result = lvh.cross_validate(settings, data)
>>> isinstance(result, lvh.CVResult), len(result.folds)
(True, 3)
>>> result.scores.mean.ap > result.baselines["no skill"].mean.ap
True

A classifier of scikit-learn, or a function that builds a Keras model, in place of the settings:

>>> from sklearn.ensemble import RandomForestClassifier
>>> forest = lvh.cross_validate(RandomForestClassifier(20), data)
>>> comparison = forest.compare(result)  # difference, interval, p ... of each score
>>> int(comparison.loc["ap", "n_folds"])
3

The latest sweep of this directory (`lvh sweep model.C=0.1,1 ...`):

>>> study = lvh.load_study(None, None, "outputs/folds")
>>> isinstance(study, lvh.StudyResult), study.dimensions, len(study.complete)
(True, ('model.C',), 2)

A model that `lvh export --out model` has saved:

>>> from pathlib import Path
>>> model = lvh.load_model(Path("model"))
>>> isinstance(model, lvh.FinalModel), model.predict(data.cohort).y_score.shape
(True, (42,))
"""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lvh.config.composition import settings_of as settings
    from lvh.config.registration import register_features, register_model, register_source
    from lvh.data.cohort import Cohort
    from lvh.errors import InputError, LvhError
    from lvh.evaluation.arrays import bootstrap_intervals, score
    from lvh.features import FeatureSet
    from lvh.inference import FinalModel
    from lvh.inference import load as load_model
    from lvh.reports.result_views import CVResult, StudyResult
    from lvh.runs.python_api import cross_validate, load_data, load_run, load_study
    from lvh.runs.python_sweep import sweep
    from lvh.runs.sklearn_estimator import estimator
    from lvh.validation.splits import splits

__version__ = "0.2.0"
__all__ = [
    "CVResult",
    "Cohort",
    "FeatureSet",
    "FinalModel",
    "InputError",
    "LvhError",
    "StudyResult",
    "bootstrap_intervals",
    "cross_validate",
    "estimator",
    "load_data",
    "load_model",
    "load_run",
    "load_study",
    "register_features",
    "register_model",
    "register_source",
    "score",
    "settings",
    "splits",
    "sweep",
]

# `python -m lvh.run` and every other command is a module of lvh/cli.
__path__.append(str(Path(__file__).parent / "cli"))

_MODULES = {
    "CVResult": "reports.result_views",
    "Cohort": "data.cohort",
    "FeatureSet": "features",
    "FinalModel": "inference",
    "InputError": "errors",
    "LvhError": "errors",
    "StudyResult": "reports.result_views",
    "bootstrap_intervals": "evaluation.arrays",
    "cross_validate": "runs.python_api",
    "estimator": "runs.sklearn_estimator",
    "load_data": "runs.python_api",
    "load_model": "inference:load",
    "register_features": "config.registration",
    "register_model": "config.registration",
    "register_source": "config.registration",
    "load_run": "runs.python_api",
    "load_study": "runs.python_api",
    "score": "evaluation.arrays",
    "settings": "config.composition:settings_of",
    "sweep": "runs.python_sweep",
    "splits": "validation.splits",
}
"""The module of each public name, and what it is called there if that differs."""

if not TYPE_CHECKING:  # a type checker would accept any name

    def __getattr__(name: str) -> object:
        """Import a public name when it is first used (SPEC 1)."""
        if name not in _MODULES:
            raise AttributeError(f"module 'lvh' has no attribute {name!r}")
        module, _, attribute = _MODULES[name].partition(":")
        globals()[name] = value = getattr(import_module(f"lvh.{module}"), attribute or name)
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *_MODULES})
