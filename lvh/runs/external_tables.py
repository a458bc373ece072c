"""The tables of an external validation in the folder of a run."""

from pathlib import Path

import numpy as np

from lvh.config.run_settings import RunSettings
from lvh.data.cohort import Cohort
from lvh.data.record_filter import qrs_duration
from lvh.evaluation.cv_result import CVResult
from lvh.evaluation.external_validation import FILES, external_validation, refitted_scores
from lvh.features import FeatureSet
from lvh.models.training import Trainer
from lvh.reports.page import write_table


def write_external(
    result: CVResult,
    trainer: Trainer,
    *,
    settings: RunSettings,
    cohort: Cohort,
    features: FeatureSet,
    folder: Path,
) -> list[str]:
    """Judge a model on another source and write `FILES`; return the result in a few lines."""
    (fold,), cv, refits = result.folds, settings.cv, None
    if cv.refits:
        refits = refitted_scores(features, fold.split, trainer, seed=settings.seed, n=cv.refits)
    place = {name: at for at, name in enumerate(cohort.records)}
    at = [place[features.records[one]] for one in fold.split.test.tolist()]
    found = external_validation(
        features,
        result,
        np.asarray(qrs_duration(cohort)[at]),
        recalibrate=cv.recalibrate == "large",
        refits=refits,
    )
    for name, file in FILES.items():
        write_table(folder / file, getattr(found, name))
    return found.sentences()
