"""How a model does on the records of another source, in the measures that TRIPOD+AI asks for.

Collins et al., "TRIPOD+AI statement", BMJ 385, 2024; Vickers and Elkin, "Decision curve analysis",
Medical Decision Making 26, 2006.
"""

from collections.abc import Iterator
from dataclasses import astuple, dataclass, replace
from functools import partial
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pandas as pd

from lvh.evaluation.cv_result import CVResult, FoldResult
from lvh.evaluation.fold_training import train_folds
from lvh.features import FeatureSet
from lvh.models.training import Trainer
from lvh.validation.calibration import logit, recalibration, sigmoid
from lvh.validation.metrics import (
    NAMES,
    Floats,
    Labels,
    bootstrap_intervals,
    resampled,
    weighted_scores,
)
from lvh.validation.splits import Split

FILES = {
    "measures": "external.csv",
    "net_benefit": "net_benefit.csv",
    "subgroups": "subgroups.csv",
}
"""Tables of `ExternalValidation` and their files in the folder of a run."""
_RESAMPLES = 300
_THRESHOLDS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5)
_AS_GIVEN, _RECALIBRATED = "as predicted", "recalibrated in the large"
_BENEFIT = "net benefit at "
_AGES, _QRS_S = (40, 60, 75), (0.12,)


@dataclass(frozen=True, slots=True)
class ExternalValidation:
    """Tables of an external validation.

    Attributes:
        measures: A row for each measure, prevalence and kind of scores: estimate, low, high.
        net_benefit: A row for each threshold in the same way: of the model and of treating all;
            treating none has 0.
        subgroups: A row for each part of the test records by age, sex and width of QRS.
        prevalences: Of the test records and of the training records, by these words.
        interval: What is resampled for the intervals.
    """

    measures: pd.DataFrame
    net_benefit: pd.DataFrame
    subgroups: pd.DataFrame
    prevalences: dict[str, float]
    interval: str

    def sentences(self) -> list[str]:
        """Return the result in a few lines."""
        shares = self.prevalences
        lines = [
            f"external validation; 95 % intervals: {self.interval}",
            f"AUC {self._text('roc_auc')}; AP {self._text('ap')} at the prevalence of the test "
            f"records ({shares['test']:.3f}), {self._text('ap', 'training')} at that of the "
            f"training records ({shares['training']:.3f})",
            f"calibration: slope {self._text('slope')} (1 is right), intercept "
            f"{self._text('intercept')} (0 is right; {self._text('intercept', 'training')} at the "
            f"training prevalence), observed : expected {self._text('observed_to_expected')}",
            f"accuracy {self._text('accuracy')}, the larger class of the test records alone "
            f"{max(shares['test'], 1 - shares['test']):.3f}",
        ]
        if _RECALIBRATED in set(self.measures.scores):
            accuracy = self._text("accuracy", scores=_RECALIBRATED)
            lines.append(
                f"{_RECALIBRATED}, by the prevalence of the test records themselves: accuracy "
                f"{accuracy}, Brier score {self._text('brier', scores=_RECALIBRATED)}; the table "
                "above has the scores as predicted"
            )
        return [*lines, "more in external.csv, net_benefit.csv and subgroups.csv of this folder"]

    def _text(self, measure: str, prevalence: str = "test", scores: str = _AS_GIVEN) -> str:
        table = self.measures.set_index(["measure", "prevalence", "scores"])
        one = table.loc[(measure, prevalence, scores)]
        return f"{one.estimate:.3f} [{one.low:.3f}, {one.high:.3f}]"


def refitted_scores(
    features: FeatureSet, split: Split, trainer: Trainer, *, seed: int, n: int
) -> Floats:
    """Return scores of the test records by `n` models, each of resampled training subjects.

    A subject's records stay together, as often as it is drawn; draws without both labels are drawn
    again. Shape (n, n_test).
    """
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
    """Judge the scores of another source's records.

    Args:
        features: Of both sources.
        result: Of cv=external, which has one fold.
        qrs: Duration of QRS of each test record, s; NaN where it is unknown.
        recalibrate: Judge also the scores with the intercept that makes their mean the prevalence
            of the test records; it uses their labels.
        refits: Scores of `refitted_scores`, one row for each resample of the test subjects; None
            leaves the training sample out of the intervals.
    """
    (fold,) = result.folds
    y, subjects = result.y_true, features.subjects[fold.split.test]
    shares = {"test": float(y.mean()), "training": float(features.y[fold.split.train].mean())}
    judge = partial(_judge, y, share=shares["training"], fold=fold, recalibrate=recalibrate)
    estimates = judge(fold.y_score, np.ones(len(y)))
    draws = [judge(scores, own) for scores, own in _draws(y, fold.y_score, subjects, refits)]
    values = [[*draw.values()] for draw in draws]
    drawn = pd.DataFrame(values, columns=range(len(estimates)), dtype=float)
    bounds = drawn.quantile([0.025, 0.975]).to_numpy().copy()  # where a measure is defined
    how = f"training and test subjects resampled {len(draws)} times, a new model each time"
    if refits is None:
        how = (
            "test subjects resampled, the model as it is (cv.refits=200 resamples its training too)"
        )
        for at, (measure, *case) in enumerate(estimates):
            if case == ["test", _AS_GIVEN] and measure in result.scores.pooled:
                own = result.scores.pooled[measure]
                bounds[:, at] = own.low, own.high  # as the table of the run has them
    rows = zip(estimates.items(), *bounds, strict=True)
    columns = ["measure", "prevalence", "scores", "estimate", "low", "high"]
    table = pd.DataFrame([(*case, value, *ends) for (case, value), *ends in rows], columns=columns)
    is_benefit = table.measure.str.startswith(_BENEFIT)
    benefits = table[is_benefit].rename(columns={"measure": "threshold"})
    benefits["threshold"] = benefits.threshold.str.removeprefix(_BENEFIT)
    subgroups = _subgroups(features, fold, qrs)
    return ExternalValidation(table[~is_benefit], benefits, subgroups, shares, how)


def _draws(
    y: Labels, y_score: Floats, subjects: npt.NDArray[np.str_], refits: Floats | None
) -> Iterator[tuple[Floats, Floats]]:
    """Yield scores of the test records and how often each counts; both labels count."""
    n = _RESAMPLES if refits is None else len(refits)
    weights = (one for block in resampled(subjects, n, seed=0) for one in block)
    for at, own in enumerate(weights):
        if 0 < own @ y < own.sum():
            yield (y_score if refits is None else refits[at]), own


def _judge(
    y: Labels,
    y_score: Floats,
    weights: Floats,
    *,
    share: float,
    fold: FoldResult,
    recalibrate: bool,
) -> dict[tuple[str, str, str], float]:
    """Return each measure at each prevalence, of scores as they are and recalibrated.

    `share` is the prevalence of the training records: the test records count so that they have it.
    """
    own = weights @ y / weights.sum()
    at_training = weights * np.where(y == 1, share / own, (1 - share) / (1 - own))
    kinds, found = {_AS_GIVEN: 0.0}, dict[tuple[str, str, str], float]()
    for name, counted in {"test": weights, "training": at_training}.items():
        line = recalibration(y, y_score, counted)
        if recalibrate and name == "test":
            kinds[_RECALIBRATED] = line.intercept
        for kind, shift in kinds.items():
            shown = sigmoid(logit(y_score) + shift) if shift else y_score
            scores = weighted_scores(y, shown, counted[None], fold.threshold)
            values = {one: float(value[0]) for one, value in zip(NAMES, scores, strict=True)}
            measures = {one: values[one] for one in ("roc_auc", "ap", "accuracy", "brier")}
            measures |= {"intercept": line.intercept - shift, "slope": line.slope}
            measures["observed_to_expected"] = counted @ y / (counted @ shown)
            for limit in _THRESHOLDS:
                gain = counted / counted.sum() * np.where(y == 1, 1, -limit / (1 - limit))
                measures[f"{_BENEFIT}{limit}"] = gain[shown > limit].sum()
                measures[f"{_BENEFIT}{limit}, treat all"] = gain.sum()
            found |= {(one, name, kind): round(float(at), 9) for one, at in measures.items()}
    return found


def _subgroups(features: FeatureSet, fold: FoldResult, qrs: Floats) -> pd.DataFrame:
    test = fold.split.test
    y, subjects, y_score = features.y[test], features.subjects[test], fold.y_score
    age, male = features.age_and_sex[test].T
    sex = np.where(np.isnan(age), "unknown", np.where(male == 1, "male", "female"))
    rows = []
    parts = {"age, years": _bands(age, _AGES), "QRS, s": _bands(qrs, _QRS_S), "sex": sex}
    for by, groups in parts.items():
        for name in np.unique(groups).tolist():
            here = groups == name
            auc = bootstrap_intervals(y[here], y_score[here], subjects[here], resamples=_RESAMPLES)[
                "roc_auc"
            ]
            counts = len(y[here]), len(np.unique(subjects[here])), int(y[here].sum())
            rows.append((by, name, *counts, y_score[here].mean(), *astuple(auc)))
    counted = ["records", "subjects", "with_label", "mean_score"]
    return pd.DataFrame(rows, columns=["by", "group", *counted, "roc_auc", "low", "high"])


def _bands(values: Floats, bounds: tuple[float, ...]) -> npt.NDArray[np.str_]:
    """Return the name of each value's band, such as `40 to below 60`."""
    ends = [f"{bound:g}" for bound in bounds]
    inner = [f"{low} to below {high}" for low, high in pairwise(ends)]
    names = np.array([f"below {ends[0]}", *inner, f"{ends[-1]} and more"])
    return np.where(np.isnan(values), "unknown", names[np.digitize(values, bounds)])
