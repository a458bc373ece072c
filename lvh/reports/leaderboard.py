"""A sweep's leaderboard: complete configurations, best first, each compared with the best.

And what it says, in plain sentences that claim no more than the folds allow.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import astuple

import numpy as np
import pandas as pd

from lvh.reports.page import clipped
from lvh.search.results import FoldScore, Objective, StudyResult, Trial
from lvh.tracking.run_names import column_names, short_names, value_text
from lvh.tracking.run_record import interval_text
from lvh.validation import comparison as statistics
from lvh.validation.comparison import BiasCorrected, Predictions, bias_corrected
from lvh.validation.metrics import NAMES, RANKED, SCALES

_ALPHA = 0.05
_LISTED = 6  # configurations that a sentence names
_UNRANKED = ("leaking", "stopped", "failed", "open")
_FIRST = ("rank", "trial", "state")
_SCORES = ("mean", "std", "low", "high", "folds", "accuracy", "seconds", "verdict", "error")
_PAIR = ("difference", "low", "high", "n_folds", "t", "p", "p_holm")
_PROBABILITIES = ("worse", "equivalent", "better")


def leaderboard(study: StudyResult, pairs: pd.DataFrame | None = None) -> pd.DataFrame:
    """Return a row for each trial: complete ones best first, below them those without a rank.

    `mean`, `std` and the corrected 95 % interval from `low` to `high`, cut at the ends of the
    scale, are of the first objective over the `folds` that define it; where folds have none, `mean`
    is the trial's value. `pairs` is what `comparisons` returns; it has the verdicts.
    """
    pairs = comparisons(study) if pairs is None else pairs
    lines = [
        _line(study, trial)
        | {"rank": rank, "verdict": verdict}
        | _over_folds(trial, study.objectives[0])
        for rank, (trial, verdict) in enumerate(zip(study.complete, pairs.verdict, strict=True), 1)
    ]
    for state in _UNRANKED:
        lines += [_line(study, trial) for trial in study.trials if trial.state == state]
    values = [f"value_{objective.name}" for objective in study.objectives]
    columns = [*_FIRST, *parameter_columns(study).values(), *values, *_SCORES]
    return pd.DataFrame(lines, columns=columns, dtype=object)


def parameter_columns(study: StudyResult) -> dict[str, str]:
    """Return the column of each dimension in the leaderboard."""
    return column_names(study.dimensions, (*_FIRST, *_SCORES))


def decimals(column: "pd.Series[float]", digits: int = 3) -> "pd.Series[str]":
    """Return numbers as texts; what is undefined is empty."""
    texts = ["" if math.isnan(value) else f"{value:.{digits}f}" for value in column]
    return pd.Series(texts, column.index, dtype=str)


def interval_texts(board: pd.DataFrame) -> "pd.Series[str]":
    """Return the intervals of a leaderboard as texts; empty where there is none."""
    texts = decimals(board.low, 2) + " to " + decimals(board.high, 2)
    return texts.where(board.low.notna(), "")


def _line(study: StudyResult, trial: Trial) -> dict[str, object]:
    """Return what each trial has: its parameters, numbers with every digit, and its values."""
    line: dict[str, object] = {"trial": trial.number, "state": trial.state, "error": trial.error}
    for name, column in parameter_columns(study).items():
        value = trial.params.get(name, "")  # it exists under other options
        line[column] = value if isinstance(value, float) else value_text(value)
    for objective, value in zip(study.objectives, trial.values, strict=False):
        line[f"value_{objective.name}"] = value
    seconds = round(math.fsum(fold.seconds for fold in trial.folds), 3)
    return line | {"seconds": seconds, "folds": len(trial.folds)}


def _over_folds(trial: Trial, objective: Objective) -> dict[str, float]:
    values = np.array(fold_values(trial.folds, objective.name), dtype=np.float64)
    defined = values[~np.isnan(values)]
    mean = statistics.corrected_interval(defined, _test_share(trial.folds))
    low, high = mean.low, mean.high
    if scale := SCALES.get(objective.name):  # no score is beyond it
        low, high = np.clip([low, high], scale.low, scale.high).tolist()
    return {
        "mean": mean.estimate if defined.size else trial.values[0],
        "std": float(defined.std(ddof=1)) if defined.size > 1 else math.nan,
        "low": low,
        "high": high,
        "folds": defined.size,
        "accuracy": pd.Series(fold_values(trial.folds, "accuracy"), dtype=float).mean(),
    }


def comparisons(study: StudyResult) -> pd.DataFrame:
    """Compare each complete trial with the best, which comes first, on the folds both have.

    Beside the columns of `compare`, by trial: `p_holm`, which is min(1, p n / 2), for n complete
    trials of which any could be the best, corrected by Holm; and `verdict`: best, worse, not told
    apart, or not comparable, which has NaN.
    """
    objective, complete = study.objectives[0], study.complete
    index = pd.Index([trial.number for trial in complete], name="trial")
    pairs = [compare(trial, complete[0], objective.name) for trial in complete]
    pairs = pd.DataFrame(pairs, index, [*_PAIR, *_PROBABILITIES])
    # the best was chosen among all by these folds, so every pair counts, not only those with it
    p = np.minimum(1.0, pairs.p[1:] * len(complete) / 2)
    pairs.loc[index[1:], "p_holm"] = statistics.holm(p.to_numpy())
    is_behind = pairs.difference < 0 if objective.maximize else pairs.difference > 0
    decided = [pairs.p_holm.isna(), is_behind & (pairs.p_holm < _ALPHA)]
    pairs["verdict"] = np.select(decided, ["not comparable", "worse"], "not told apart")
    first = index[:1]  # the best, which is not compared with itself
    pairs.loc[first, ["low", "high", "t", "p", *_PROBABILITIES]] = math.nan
    pairs.loc[first[pairs.n_folds[first] > 0], "verdict"] = "best"
    return pairs


def compare(trial: Trial, best: Trial, name: str) -> dict[str, float]:
    """Compare a score of a trial with the best, or with any other, on the folds both have.

    Returns:
        The mean `difference` with its 95 % interval from `low` to `high`, `n_folds`, `t` and `p`,
        and the probabilities that the trial is `worse`, `equivalent` or `better`.
    """
    own = {(fold.repeat, fold.fold, fold.test): fold for fold in trial.folds}
    shared = [fold for fold in best.folds if (fold.repeat, fold.fold, fold.test) in own]
    tried = [own[fold.repeat, fold.fold, fold.test] for fold in shared]
    differences = np.array(fold_values(tried, name)) - fold_values(shared, name)
    differences = differences[~np.isnan(differences)]
    share, rope = _test_share(shared), statistics.ROPE
    if name == "seconds":  # seconds have no scale: a share of what the best takes
        rope *= float(np.mean(fold_values(best.folds, name)))
    mean = statistics.corrected_interval(differences, share)
    gains = differences if Objective(name).maximize else -differences
    probabilities = statistics.correlated_bayes(gains, share, rope)
    tested = (len(differences), *statistics.corrected_t(differences, share))
    pair = dict(zip(_PAIR, (mean.estimate, mean.low, mean.high, *tested), strict=False))
    return pair | dict(zip(_PROBABILITIES, probabilities, strict=True))


def fold_values(folds: Sequence[FoldScore], name: str) -> list[float]:
    """Return the value of a score, or the seconds, in each fold; NaN where it is undefined."""
    return [{**one.metrics, "seconds": one.seconds}.get(name, math.nan) for one in folds]


def folds_table(study: StudyResult, scores: Sequence[str] = NAMES) -> pd.DataFrame:
    """Return a row for each fold of each trial; repeats and folds count from 1."""
    names = ["trial", "state", "repeat", "fold", *scores, "seconds", "n_train", "n_test"]
    lines = [
        {**fold.metrics, "trial": trial.number, "state": trial.state}
        | {"repeat": fold.repeat + 1, "fold": fold.fold + 1, "seconds": round(fold.seconds, 3)}
        | {"n_train": fold.n_train, "n_test": fold.n_test}
        for trial in study.trials
        for fold in trial.folds
    ]
    return pd.DataFrame(lines, columns=names)


def configuration_names(study: StudyResult) -> dict[int, str]:
    """Return the values that only one trial has, such as `units=8, rate=0.01`, by number."""
    names, found = short_names(study.dimensions), {}
    for trial in study.trials:
        own = {names[key]: trial.params[key] for key in study.dimensions if key in trial.params}
        text = ", ".join(f"{name}={value_text(value, 4)}" for name, value in own.items())
        alone = study.title if len(study.trials) == 1 else f"trial {trial.number}"
        found[trial.number] = text or alone
    return found


def _test_share(folds: Sequence[FoldScore]) -> float:
    """Return the mean over folds of test records per training record; NaN without folds."""
    return float(np.mean([fold.n_test / fold.n_train for fold in folds])) if folds else math.nan


def facts(study: StudyResult, board: pd.DataFrame | None = None) -> dict[str, str]:
    """Return a sentence or two on each: score, best, others, baselines, bias, trials.

    `board` is the leaderboard, where it is at hand.
    """
    board = leaderboard(study) if board is None else board
    if not study.complete:
        none = "No configuration is complete, so none can be called the best."
        return {"best": none, "trials": _counts(study)}
    texts = {
        "score": _pooled_score(study),
        "best": _best(study, board.iloc[0]),
        "others": _not_told_apart(study, board),
        "baselines": _baselines(study, board["mean"].iloc[0]),
        "bias": _selection_bias(study),
        "trials": _counts(study),
    }
    return {name: text for name, text in texts.items() if text}


def headline(study: StudyResult, board: pd.DataFrame, first: str) -> str:
    """Return the first of `facts` with the name of the best, and how many may be as good."""
    if not first.startswith("The best has"):
        return first
    name = clipped(configuration_names(study)[study.complete[0].number], 100)
    text = first.replace("The best", name, 1)
    equal, worse = ((board.verdict == one).sum() for one in ("not told apart", "worse"))
    if n := equal + worse:
        rest = f"these folds cannot tell {equal} of {n} other configurations apart from it"
        text = f"{text.removesuffix('.')}; {rest}."
    return text


def without_selection_bias(study: StudyResult) -> BiasCorrected | str:
    """Return the score of the best without the bias of its choice, or why there is none."""
    objective, n = study.objectives[0], len(study.complete)
    if objective.name not in NAMES:
        return f"{objective.name} is not a score of predictions"
    if n < 2 or {trial.number for trial in study.complete} - {*study.predictions}:
        return "it needs the predictions of all complete configurations, of two at least"
    scores = "ranking" if objective.name in RANKED else "y_score"
    names = ("record", "repeat", "subject", "y_true", scores, "threshold")
    frames = [
        pd.DataFrame({name: getattr(of, name) for name in names}).assign(trial=number)
        for number, of in study.predictions.items()
    ]
    shared = pd.concat(frames).pivot(index=["record", "repeat"], columns="trial").dropna()
    labels, subject = shared.y_true.to_numpy(np.int64).T, shared.subject.iloc[:, 0].to_numpy(str)
    if (labels != labels[0]).any() or len(np.unique(subject)) < 2:
        return "it needs the same records of two subjects or more, with the same labels"
    y_score, threshold = (shared[name].to_numpy().T for name in (scores, "threshold"))
    shown = Predictions(y_true=labels[0], y_score=y_score, threshold=threshold, subject=subject)
    found = bias_corrected(shown, objective.name, maximize=objective.maximize)
    return "it was defined in no resample" if math.isnan(found.estimate.estimate) else found


def _pooled_score(study: StudyResult) -> str:
    best = study.complete[0]
    of = study.predictions.get(best.number)
    if of is None or math.isnan(best.values[0]):
        return ""
    ap = of.pooled()["ap"]
    if math.isnan(ap.estimate):
        return ""
    return (
        f"The best has, with all {len(np.unique(of.record))} test records together, an ap of "
        f"{interval_text(astuple(ap), best.baselines)}."
    )


def _best(study: StudyResult, best: "pd.Series[float]") -> str:
    name = study.objectives[0].name
    if math.isnan(best["mean"]):
        return f"No configuration has a defined {name}."
    start = f"Best: {_listed(study, [best.trial])}" if len(study.trials) > 1 else study.title
    text = f"{start}, mean {name} {best['mean']:.3f} over {best.folds} folds"
    if not best.folds:
        return f"{start}, {name} {best['mean']:.3f}."
    if best.folds == 1:
        return f"{text.removesuffix('s')}."
    return f"{text}, 95 % interval {best.low:.3f} to {best.high:.3f}."


def _not_told_apart(study: StudyResult, board: pd.DataFrame) -> str:
    if len(study.complete) < 2 or board.verdict.iloc[0] != "best":
        return ""
    equal, unknown = (
        board.trial[board.verdict == verdict].tolist()
        for verdict in ("not told apart", "not comparable")
    )
    texts = []
    if equal:
        texts.append(f"These folds cannot tell it apart from {_listed(study, equal)}.")
    elif not unknown:
        texts.append("The test finds every other complete configuration worse.")
    if unknown:
        why = "fewer than two folds with a score have the same test records as the best"
        texts.append(f"Not comparable, because {why}: {_listed(study, unknown)}.")
    return " ".join(texts)


def _baselines(study: StudyResult, best: float) -> str:
    objective = study.objectives[0]
    scores = pd.DataFrame(study.complete[0].baselines).reindex([objective.name]).iloc[0].dropna()
    if scores.empty:
        return ""
    listed = " and ".join(f"{name} {value:.3f}" for name, value in scores.items())
    text = f"Baselines on the same folds, mean {objective.name}: {listed}."
    unbeaten = scores.index[best <= scores if objective.maximize else best >= scores]
    if len(unbeaten):
        text += f" The best configuration does not score better than {' and '.join(unbeaten)}."
    return text


def _selection_bias(study: StudyResult) -> str:
    n, objective = len(study.complete), study.objectives[0]
    corrected, text = without_selection_bias(study), ""
    if not isinstance(corrected, str):
        best = corrected.estimate
        text = (
            f"The best of {n} is chosen by its score, which makes that score too good as a rule: "
            f"best pooled {objective.name} {corrected.naive:.3f}, bias-corrected "
            f"{best.estimate:.3f} [{best.low:.3f}, {best.high:.3f}]."
        )
    elif n > 1:
        text = f"No bias-corrected {objective.name} of the best of {n}: {corrected}."
    if stopped := sum(trial.state == "stopped" for trial in study.trials):
        text += f" It leaves out {stopped} stopped early, so it may still be too high."
    return text.strip()


def _counts(study: StudyResult) -> str:
    count = Counter[str](trial.state for trial in study.trials)
    n = len(study.trials)
    text = f"{count.pop('complete', 0)} of {n} configuration{'s' if n != 1 else ''} complete"
    parts = [f"{number} {state}" for state, number in count.items()]
    return f"{text}; not ranked: {', '.join(parts)}." if parts else f"{text}."


def _listed(study: StudyResult, numbers: list[int]) -> str:
    names = configuration_names(study)
    shown = [names[at] + f" (trial {at})" * bool(study.dimensions) for at in numbers[:_LISTED]]
    more = [f"and {len(numbers) - _LISTED} more"] if len(numbers) > _LISTED else []
    return "; ".join(shown + more)
