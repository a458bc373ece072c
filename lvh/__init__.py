"""Honest, fast, tracked hyperparameter sweeps for detecting LVH in 12-lead ECG.

What the command `lvh` does from a shell, in Python:

>>> import lvh
>>> settings = lvh.settings("data=synthetic", "data.records=42", "model=logistic",
...                         "features=voltage", "cv.folds=3")
>>> result = lvh.cross_validate(settings, lvh.load_data(settings))
>>> len(result.folds), 0.5 < result.summary.mean.roc_auc <= 1
(3, True)

Names are imported when they are first used.
"""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lvh.data.cohort import Cohort as Cohort
    from lvh.errors import InputError as InputError
    from lvh.errors import LvhError as LvhError
    from lvh.evaluation.cross_validation import CVResult as CVResult
    from lvh.evaluation.results import StudyResult as StudyResult
    from lvh.features import FeatureSet as FeatureSet
    from lvh.inference import KeptModel as KeptModel
    from lvh.inference import load as load_model
    from lvh.runs.notebook import cross_validate as cross_validate
    from lvh.runs.notebook import prepare as load_data
    from lvh.runs.notebook import settings as settings
    from lvh.search.study_results import load as load_study
    from lvh.validation.metrics import bootstrap_intervals as bootstrap_intervals
    from lvh.validation.metrics import score as score
    from lvh.validation.splits import splits as splits

__version__ = "0.1.0"

# `python -m lvh.run` and every other command is a module of lvh/cli.
__path__.append(str(Path(__file__).parent / "cli"))

_MODULES = {
    "CVResult": "evaluation.cross_validation",
    "Cohort": "data.cohort",
    "FeatureSet": "features",
    "InputError": "errors",
    "KeptModel": "inference",
    "LvhError": "errors",
    "StudyResult": "evaluation.results",
    "bootstrap_intervals": "validation.metrics",
    "cross_validate": "runs.notebook",
    "load_data": "runs.notebook:prepare",
    "load_model": "inference:load",
    "load_study": "search.study_results:load",
    "score": "validation.metrics",
    "settings": "runs.notebook",
    "splits": "validation.splits",
}
"""The module of each public name, and what it is called there if that differs."""
__all__ = [*_MODULES]

if not TYPE_CHECKING:  # a type checker would accept any name

    def __getattr__(name: str) -> object:
        """Import a public name when it is first used (SPEC 1)."""
        if name not in _MODULES:
            raise AttributeError(f"module 'lvh' has no attribute {name!r}")
        module, _, attribute = _MODULES[name].partition(":")
        globals()[name] = found = getattr(import_module(f"lvh.{module}"), attribute or name)
        return found

    def __dir__() -> list[str]:
        return sorted({*globals(), *_MODULES})
