"""What a sweep came to, in plain sentences that claim no more than the folds allow."""

import math
from collections import Counter
from collections.abc import Sequence

from lvh.reports.study.axes import pareto
from lvh.reports.study.leaderboard import Row, number, rows
from lvh.reports.study.naming import configuration
from lvh.reports.study.selection import BiasCorrected, bias_corrected, why_not
from lvh.reports.study.statistics import has_folds
from lvh.search.results import StudyResult

_LISTED = 6  # configurations that a sentence names


def sentences(study: StudyResult) -> list[str]:
    """Say what the sweep came to: the best, what equals it, baselines, optimism, counts."""
    ranked = rows(study)
    if not ranked:
        return ["No configuration is complete, so none can be called the best.", *_counts(study)]
    return [
        *_best(study, ranked[0]),
        *_apart(study, ranked),
        *_baselines(study, ranked[0]),
        *_optimism(study),
        *_trade_off(study),
        *_counts(study),
    ]


def _best(study: StudyResult, best: Row) -> list[str]:
    objective = study.objectives[0]
    if math.isnan(best.values[0]):
        return [f"No configuration has a defined {objective.name}."]
    name, what = _name(study, best.number), objective.name
    if not has_folds(objective):
        return [f"Best: {name}, {what} {number(best.mean)}."]
    plural = "s" if best.n_folds != 1 else ""
    told = f"Best: {name}, mean {what} {number(best.mean)} over {best.n_folds} fold{plural}"
    if not math.isnan(best.interval.low):
        told += f", 95 % interval {_range(best.interval.low, best.interval.high)}"
    return [told + "."]


def _apart(study: StudyResult, ranked: Sequence[Row]) -> list[str]:
    if len(ranked) < 2 or ranked[0].comparison is None:
        return []
    equal = [row for row in ranked if row.verdict == "cannot be told apart"]
    unknown = [row for row in ranked[1:] if row.verdict == "not comparable"]
    told = []
    test = "paired t-test corrected for shared training records, Holm over all pairs, 5 %"
    if equal:
        told.append(f"These folds cannot tell it apart from {_listed(study, equal)} ({test}).")
    elif not unknown:
        told.append(f"Every other complete configuration scores worse ({test}).")
    if unknown:
        told.append(
            f"Not comparable, for want of two folds with a score: {_listed(study, unknown)}."
        )
    return told


def _baselines(study: StudyResult, best: Row) -> list[str]:
    objective = study.objectives[0]
    trial = study.complete[0]
    known = {
        name: scores[objective.name]
        for name, scores in trial.baselines.items()
        if not math.isnan(scores.get(objective.name, math.nan))
    }
    if not known:
        return []
    listed = " and ".join(f"{name} {number(value)}" for name, value in known.items())
    told = [f"Baselines on the same folds, mean {objective.name}: {listed}."]
    sign = 1 if objective.maximize else -1
    unbeaten = [name for name, value in known.items() if sign * (best.mean - value) <= 0]
    if unbeaten:
        told.append(f"The best configuration does not score better than {_and(unbeaten)}.")
    return told


def _optimism(study: StudyResult) -> list[str]:
    n, name = len(study.complete), study.objectives[0].name
    corrected = bias_corrected(study)
    if corrected is None or math.isnan(corrected.estimate.estimate):
        reason = why_not(study) or "it was defined in no resample"
        told = [] if n < 2 else [f"No bias-corrected {name} of the best of {n}: {reason}."]
    else:
        pair = _pair(name, corrected)
        told = [f"The best of {n} is chosen by its score, which flatters it: {pair}."]
    stopped = sum(trial.state == "stopped" for trial in study.trials)
    if stopped:
        told.append(
            f"{stopped} stopped configuration{'s' if stopped > 1 else ''} took part in the choice "
            "and in no correction, so that it still flatters."
        )
    return told


def _pair(name: str, corrected: BiasCorrected) -> str:
    estimate = corrected.estimate
    return (
        f"pooled {name} {number(corrected.naive)}, bias-corrected {number(estimate.estimate)} "
        f"[{number(estimate.low)}, {number(estimate.high)}]"
    )


def _trade_off(study: StudyResult) -> list[str]:
    if len(study.objectives) < 2:
        return []
    front = pareto(study)
    names = _and([objective.name for objective in study.objectives])
    ordered = [row for row in rows(study) if row.number in front]
    if not ordered:
        return []
    return [f"No other configuration beats these in {names} at once: {_listed(study, ordered)}."]


def _counts(study: StudyResult) -> list[str]:
    count = Counter[str](trial.state for trial in study.trials)
    n = len(study.trials)
    told = f"{count['complete']} of {n} configuration{'s' if n != 1 else ''} complete"
    words = {
        "leaking": "scored by records that leaked into the training",
        "stopped": "stopped early",
        "failed": "failed",
        "open": "still open",
    }
    parts = [f"{count[state]} {word}" for state, word in words.items() if count[state]]
    if not parts:
        return [told + "."]
    return [f"{told}; {_and(parts)}, which are not ranked."]


def _listed(study: StudyResult, some: Sequence[Row]) -> str:
    names = [_name(study, row.number) for row in some[:_LISTED]]
    more = len(some) - len(names)
    return "; ".join(names) + (f"; and {more} more" if more else "")


def _name(study: StudyResult, trial_number: int) -> str:
    trial = next(trial for trial in study.trials if trial.number == trial_number)
    name = configuration(study, trial)
    return f"{name} (trial {trial_number})" if study.dimensions else name


def _range(low: float, high: float) -> str:
    return f"{number(low)} to {number(high)}"


def _and(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
