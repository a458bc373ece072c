"""How a model does on the records of another source, in the measures that TRIPOD+AI asks for.

Collins et al., "TRIPOD+AI statement", BMJ 385, 2024; Vickers and Elkin, "Decision curve analysis",
Medical Decision Making 26, 2006.
"""

from collections.abc import Callable
from dataclasses import astuple, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from lvh.config.run_settings import RunSettings
from lvh.data.cohort import Cohort
from lvh.data.record_filter import qrs_duration
from lvh.evaluation.cross_validation import train_folds
from lvh.evaluation.cv_result import CVResult
from lvh.features import FeatureSet
from lvh.models.training import Trainer
from lvh.reports.page import write_table
from lvh.validation.calibration import logit, recalibration, sigmoid
from lvh.validation.metrics import NAMES, THRESHOLD, Floats, Labels, intervals, resampled
from lvh.validation.metrics import weighted_scores as weighted
from lvh.validation.splits import Split

TABLES = ("external", "net_benefit", "subgroups")
_RESAMPLES = 300
_THRESHOLDS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5)
_AS_GIVEN, _RECALIBRATED = "as predicted", "recalibrated in the large"
_SCORES, _BENEFIT = ("roc_auc", "ap", "accuracy", "brier"), "net benefit at "
_AGES = ([0, 40, 60, 75, np.inf], ["below 40", "40 to below 60", "60 to below 75", "75 and more"])
_SENTENCES = """\
AUC {roc_auc}; AP {ap} at the prevalence of the test records ({test:.3f}), {ap_at_training} at \
that of the training records ({training:.3f})
calibration: slope {slope} (1 is right), intercept {intercept} (0 is right; \
{intercept_at_training} at the training prevalence), observed : expected {observed_to_expected}
accuracy {accuracy}, the larger class of the test records alone {larger:.3f}"""


class ExternalValidation(NamedTuple):
    """Measures and net benefits at both prevalences, subgroups, and the result in a few lines."""

    external: pd.DataFrame
    net_benefit: pd.DataFrame
    subgroups: pd.DataFrame
    sentences: list[str]


def write_external(
    result: CVResult,
    trainer: Callable[[], Trainer],
    cohort: Cohort,
    features: FeatureSet,
    *,
    settings: RunSettings,
    folder: Path,
) -> list[str]:
    """Judge a model on another source and write `TABLES`; return the result in a few lines."""
    (fold,), cv, refits = result.folds, settings.cv, None
    if cv.refits:
        refits = refitted_scores(features, fold.split, trainer(), seed=settings.seed, n=cv.refits)
    qrs = pd.Series(qrs_duration(cohort), index=cohort.records)
    qrs = qrs[np.array(features.records)[fold.split.test]].to_numpy()
    shifts = cv.recalibrate == "large"
    found = external_validation(features, result, qrs, recalibrate=shifts, refits=refits)
    for name in TABLES:
        write_table(folder / f"{name}.csv", getattr(found, name))
    return found.sentences


def refitted_scores(
    features: FeatureSet, split: Split, trainer: Trainer, *, seed: int, n: int
) -> Floats:
    """Return scores, shape (n, n_test), by `n` models, each of resampled training subjects."""
    _, member = np.unique(features.subjects[split.train], return_inverse=True)
    places = [split.train[member == number] for number in range(member.max() + 1)]
    generator = np.random.default_rng([seed, split.repeat, split.fold])
    rows: list[Floats] = []
    while len(rows) < n:
        drawn = [places[at] for at in generator.integers(len(places), size=len(places))]
        fold = replace(split, train=np.concatenate(drawn))
        if np.ptp(features.y[fold.train]):
            (result,) = train_folds(features, [fold], trainer, seed=seed)
            rows.append(result.y_score)
    return np.array(rows)


def external_validation(
    features: FeatureSet,
    result: CVResult,
    qrs: Floats,
    *,
    recalibrate: bool = False,
    refits: Floats | None = None,
) -> ExternalValidation:
    """Judge the scores of another source's records, whose `qrs` is in s or NaN.

    Without `refits` of `refitted_scores`, the intervals leave the training sample out.
    """
    (fold,), y = result.folds, result.y_true
    shares = {"test": float(y.mean()), "training": float(features.y[fold.split.train].mean())}

    def judge(y_score: Floats, weights: Floats) -> "pd.Series[float]":
        return _judge(y, y_score, weights, shares["training"], fold.threshold, recalibrate)

    scores = [fold.y_score] * _RESAMPLES if refits is None else refits
    weights = np.concatenate([*resampled(features.subjects[fold.split.test], len(scores), seed=0)])
    pairs = zip(scores, weights, strict=True)
    draws = [judge(one, own) for one, own in pairs if 0 < own @ y < own.sum()]  # both labels count
    table = judge(fold.y_score, np.ones(len(y))).rename("estimate").to_frame()
    drawn = pd.DataFrame(draws, columns=table.index)
    table["low"], table["high"] = drawn.quantile(0.025), drawn.quantile(0.975)  # where defined
    how = f"training and test subjects resampled {len(draws)} times, a new model each time"
    if refits is None:
        how = "test subjects resampled; cv.refits=200 resamples the training subjects too"
        for name, own in result.scores.pooled.items():  # as the table of the run has them
            if (case := (name, "test", _AS_GIVEN)) in table.index:
                table.loc[case, ["low", "high"]] = own.low, own.high
    table = table.reset_index()
    is_benefit = table.measure.str.startswith(_BENEFIT)
    benefits = table[is_benefit].rename(columns={"measure": "threshold"})
    benefits["threshold"] = benefits.threshold.str.removeprefix(_BENEFIT)
    lines = [f"external validation; 95 % intervals: {how}", *_sentences(table, shares)]
    return ExternalValidation(
        table[~is_benefit], benefits, _subgroups(features, result, qrs), lines
    )


def _sentences(table: pd.DataFrame, shares: dict[str, float]) -> list[str]:
    texts = dict[str, dict[str, str]]()
    for row in table.itertuples():
        at = "_at_training" if row.prevalence == "training" else ""
        text = f"{row.estimate:.3f} [{row.low:.3f}, {row.high:.3f}]"
        texts.setdefault(row.scores, {})[f"{row.measure}{at}"] = text
    larger = max(shares["test"], 1 - shares["test"])
    lines = _SENTENCES.format(larger=larger, **shares, **texts[_AS_GIVEN]).split("\n")
    if shifted := texts.get(_RECALIBRATED):
        lines.append(
            f"{_RECALIBRATED}, by the labels of the test records: accuracy {shifted['accuracy']}, "
            f"Brier score {shifted['brier']}; the table above has the scores as predicted"
        )
    return [*lines, f"more in {', '.join(f'{name}.csv' for name in TABLES)} of this folder"]


def _judge(
    y: Labels, y_score: Floats, weights: Floats, share: float, threshold: float, recalibrate: bool
) -> "pd.Series[float]":
    """Return each measure at the test prevalence and at `share`, that of the training records."""
    own = weights @ y / weights.sum()
    at_training = weights * np.where(y == 1, share / own, (1 - share) / (1 - own))
    shifts, values = {_AS_GIVEN: 0.0}, dict[tuple[str, str, str], float]()
    for name, counted in {"test": weights, "training": at_training}.items():
        line = recalibration(y, y_score, counted)
        if recalibrate and name == "test":
            shifts[_RECALIBRATED] = line.intercept
        for kind, shift in shifts.items():
            shown = sigmoid(logit(y_score) + shift) if shift else y_score
            scores = dict(zip(NAMES, weighted(y, shown, counted[None], threshold), strict=True))
            measures = {one: float(scores[one][0]) for one in _SCORES}
            measures |= {"intercept": line.intercept - shift, "slope": line.slope}
            measures["observed_to_expected"] = counted @ y / (counted @ shown)
            for limit in _THRESHOLDS:
                gain = counted / counted.sum() * np.where(y == 1, 1, -limit / (1 - limit))
                measures[f"{_BENEFIT}{limit}"] = gain[shown > limit].sum()
                measures[f"{_BENEFIT}{limit}, treat all"] = gain.sum()
            values |= {(one, name, kind): value for one, value in measures.items()}
    index = pd.MultiIndex.from_tuples(values, names=["measure", "prevalence", "scores"])
    return pd.Series([*values.values()], index, dtype=float).round(9)


def _subgroups(features: FeatureSet, result: CVResult, qrs: Floats) -> pd.DataFrame:
    age, male = features.age_and_sex[result.test].T
    sex = np.where(np.isnan(age), np.nan, male)
    groups = {
        "age, years": pd.cut(age, _AGES[0], right=False, labels=_AGES[1]),
        "QRS, s": pd.cut(qrs, [0, 0.12, np.inf], right=False, labels=["below .12", ".12 and more"]),
        "sex": pd.cut(sex, [0, 1, 2], right=False, labels=["female", "male"]),
    }
    rows = []
    for by, group in groups.items():
        for name in (*group.categories, None):
            here = group.isna() if name is None else np.asarray(group == name)
            y, y_score = result.y_true[here], result.y_score[here]
            subjects = features.subjects[result.test][here]
            if len(y):
                auc = intervals(y, y_score, THRESHOLD, resampled(subjects))["roc_auc"]
                counts = len(y), len(np.unique(subjects)), y.sum(), y_score.mean()
                rows.append((by, name or "unknown", *counts, *astuple(auc)))
    counted = ["records", "subjects", "with_label", "mean_score"]
    return pd.DataFrame(rows, columns=["by", "group", *counted, "roc_auc", "low", "high"])
