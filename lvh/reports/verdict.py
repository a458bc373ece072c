"""The result of a sweep in plain sentences that claim no more than the folds allow."""

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

from lvh.reports.leaderboard import Row, configuration_names, has_folds, pareto, ranked_rows
from lvh.search.results import StudyResult
from lvh.validation.metrics import NAMES
from lvh.validation.selection_bias import BiasCorrected, Predictions, bias_corrected

_LISTED = 6  # configurations that a sentence names
_TEST = "paired t-test corrected for shared training records, Holm over all pairs, 5 %"
_STATES = {
    "leaking": "scored by records that leaked into the training",
    "stopped": "stopped early",
    "failed": "failed",
    "open": "still open",
}


def sentences(study: StudyResult) -> list[str]:
    """Say what the sweep found: the best, what equals it, baselines, selection bias, counts."""
    rows = ranked_rows(study)
    if not rows:
        return ["No configuration is complete, so none can be called the best.", _counts(study)]
    return [
        _best(study, rows[0]),
        *_equals(study, rows),
        *_baselines(study, rows[0]),
        *_selection_bias(study),
        *_trade_off(study, rows),
        _counts(study),
    ]


def without_selection_bias(study: StudyResult) -> BiasCorrected | str:
    """Return the score of the best without the bias of its choice, or why there is none."""
    objective, complete = study.objectives[0], study.complete
    if objective.name not in NAMES:
        return f"{objective.name} is not a score of predictions"
    if len(complete) < 2:
        return "it needs at least two complete configurations to choose from"
    missing = sum(trial.number not in study.predictions for trial in complete)
    if missing:
        return f"predictions are missing of {missing} of {len(complete)} configurations"
    shared = _shared_predictions(study)
    if shared is None:
        return "the configurations have different labels for the same record"
    if len(np.unique(shared.subject)) < 2:
        return "the configurations share predictions of fewer than two subjects"
    corrected = bias_corrected(shared, objective.name, maximize=objective.maximize)
    if math.isnan(corrected.estimate.estimate):
        return "it was defined in no resample"
    return corrected


def _shared_predictions(study: StudyResult) -> Predictions | None:
    """Take the rows that all complete trials predict; None where their labels differ."""
    trials = [study.predictions[number] for number in sorted(one.number for one in study.complete)]
    keys = [zip(one.record.tolist(), one.repeat.tolist(), strict=True) for one in trials]
    places = [{key: at for at, key in enumerate(of_trial)} for of_trial in keys]
    rows = sorted(set.intersection(*map(set, places)))
    index = [np.array([place[row] for row in rows], dtype=np.intp) for place in places]
    labels = np.array([one.y_true[own] for one, own in zip(trials, index, strict=True)])
    if (labels != labels[0]).any():
        return None
    return Predictions(
        y_true=labels[0],
        y_score=np.array([one.y_score[own] for one, own in zip(trials, index, strict=True)]),
        threshold=np.array([one.threshold[own] for one, own in zip(trials, index, strict=True)]),
        subject=trials[0].subject[index[0]],
    )


def _best(study: StudyResult, best: Row) -> str:
    name, configuration = study.objectives[0].name, _listed(study, [best])
    if math.isnan(best.trial.values[0]):
        return f"No configuration has a defined {name}."
    start = f"Best: {configuration}" if len(study.trials) > 1 else study.title
    if not has_folds(study.objectives[0]):
        return f"{start}, {name} {best.mean:.3f}."
    plural = "s" if best.n_folds != 1 else ""
    text = f"{start}, mean {name} {best.mean:.3f} over {best.n_folds} fold{plural}"
    if not math.isnan(best.interval.low):
        text += f", 95 % interval {best.interval.low:.3f} to {best.interval.high:.3f}"
    return f"{text}."


def _equals(study: StudyResult, rows: Sequence[Row]) -> list[str]:
    if len(rows) < 2 or rows[0].verdict != "best":
        return []
    equal = [row for row in rows if row.verdict == "not told apart"]
    unknown = [row for row in rows if row.verdict == "not comparable"]
    texts = []
    if equal:
        texts.append(f"These folds cannot tell it apart from {_listed(study, equal)} ({_TEST}).")
    elif not unknown:
        texts.append(f"Every other complete configuration scores worse ({_TEST}).")
    if unknown:
        texts.append(
            f"Not comparable, because fewer than two folds have a score: {_listed(study, unknown)}."
        )
    return texts


def _baselines(study: StudyResult, best: Row) -> list[str]:
    objective = study.objectives[0]
    known = {
        name: scores[objective.name]
        for name, scores in best.trial.baselines.items()
        if not math.isnan(scores.get(objective.name, math.nan))
    }
    if not known:
        return []
    listed = " and ".join(f"{name} {value:.3f}" for name, value in known.items())
    texts = [f"Baselines on the same folds, mean {objective.name}: {listed}."]
    sign = 1 if objective.maximize else -1
    unbeaten = [name for name, value in known.items() if sign * (best.mean - value) <= 0]
    if unbeaten:
        texts.append(f"The best configuration does not score better than {' and '.join(unbeaten)}.")
    return texts


def _selection_bias(study: StudyResult) -> list[str]:
    n, name = len(study.complete), study.objectives[0].name
    corrected, texts = without_selection_bias(study), []
    if not isinstance(corrected, str):
        estimate = corrected.estimate
        texts.append(
            f"The best of {n} is chosen by its score, which makes that score too good: pooled "
            f"{name} {corrected.naive:.3f}, bias-corrected {estimate.estimate:.3f} "
            f"[{estimate.low:.3f}, {estimate.high:.3f}]."
        )
    elif n > 1:
        texts.append(f"No bias-corrected {name} of the best of {n}: {corrected}.")
    stopped = sum(trial.state == "stopped" for trial in study.trials)
    if stopped:
        texts.append(
            f"{stopped} stopped configuration{'s' if stopped > 1 else ''} took part in the choice "
            "but in no correction, so the score of the best is still too good."
        )
    return texts


def _trade_off(study: StudyResult, rows: Sequence[Row]) -> list[str]:
    front = set(pareto(study)) if len(study.objectives) > 1 else set()
    on_front = [row for row in rows if row.trial.number in front]
    if not on_front:
        return []
    names = " and ".join(objective.name for objective in study.objectives)
    return [f"No other configuration beats these in {names} at once: {_listed(study, on_front)}."]


def _counts(study: StudyResult) -> str:
    count = Counter[str](trial.state for trial in study.trials)
    n = len(study.trials)
    text = f"{count['complete']} of {n} configuration{'s' if n != 1 else ''} complete"
    parts = [f"{count[state]} {words}" for state, words in _STATES.items() if count[state]]
    if not parts:
        return f"{text}."
    listed = " and ".join(filter(None, [", ".join(parts[:-1]), parts[-1]]))
    return f"{text}; {listed}, which are not ranked."


def _listed(study: StudyResult, rows: Sequence[Row]) -> str:
    names = configuration_names(study)
    number = " (trial {})" if study.dimensions else ""
    listed = [names[row.trial.number] + number.format(row.trial.number) for row in rows[:_LISTED]]
    more = [f"and {len(rows) - _LISTED} more"] if len(rows) > _LISTED else []
    return "; ".join(listed + more)
