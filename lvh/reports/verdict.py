"""The result of a sweep in plain sentences that claim no more than the folds allow."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import astuple

import numpy as np
import pandas as pd

from lvh.reports.leaderboard import Row, configuration_names, has_folds, ranked_rows
from lvh.reports.page import clipped
from lvh.search.results import StudyResult
from lvh.tracking.run_record import interval_text
from lvh.validation.comparison import BiasCorrected, Predictions, bias_corrected
from lvh.validation.metrics import NAMES, bootstrap_intervals

_LISTED = 6  # configurations that a sentence names


def facts(study: StudyResult) -> dict[str, str]:
    """Return a sentence or two on each: score, best, others, baselines, bias, trials."""
    rows = ranked_rows(study)
    if not rows:
        none = "No configuration is complete, so none can be called the best."
        return {"best": none, "trials": _counts(study)}
    texts = {
        "score": _pooled_score(study, rows[0]),
        "best": _best(study, rows[0]),
        "others": _not_told_apart(study, rows),
        "baselines": _baselines(study, rows[0]),
        "bias": _selection_bias(study),
        "trials": _counts(study),
    }
    return {name: text for name, text in texts.items() if text}


def sentences(study: StudyResult) -> list[str]:
    """Return the result: the best, its equals, baselines, selection bias, numbers of trials."""
    return list(facts(study).values())


def headline(study: StudyResult, rows: Sequence[Row], first: str) -> str:
    """Return the verdict in one sentence: the first of `sentences`, with names and equals."""
    if not rows or not first.startswith("The best has"):
        return first
    name = clipped(configuration_names(study)[rows[0].trial.number], 100)
    text = f"{name}{first.removeprefix('The best').removesuffix('.')}"
    verdicts = Counter(row.comparison.verdict for row in rows)
    equal, n = verdicts["not told apart"], verdicts["not told apart"] + verdicts["worse"]
    if n:
        text += f"; these folds cannot tell {equal} of {n} other configurations apart from it"
    return f"{text}."


def without_selection_bias(study: StudyResult) -> BiasCorrected | str:
    """Return the score of the best without the bias of its choice, or why there is none."""
    objective, n = study.objectives[0], len(study.complete)
    if objective.name not in NAMES:
        return f"{objective.name} is not a score of predictions"
    if n < 2 or {trial.number for trial in study.complete} - {*study.predictions}:
        return "it needs the predictions of all complete configurations, of two at least"
    frames = {}
    for number, one in sorted(study.predictions.items()):
        names = ("record", "repeat", "subject", "y_true", "y_score", "threshold")
        frame = pd.DataFrame({name: getattr(one, name) for name in names})
        frames[number] = frame.set_index(["record", "repeat"])
    shared = pd.concat(frames, axis=1, join="inner").sort_index().swaplevel(axis=1)
    labels, subject = shared["y_true"].to_numpy().T, shared["subject"].iloc[:, 0].to_numpy(str)
    if (labels != labels[0]).any() or len(np.unique(subject)) < 2:
        return "it needs the same records of two subjects or more, with the same labels"
    y_score, threshold = (shared[name].to_numpy().T for name in ("y_score", "threshold"))
    shown = Predictions(y_true=labels[0], y_score=y_score, threshold=threshold, subject=subject)
    corrected = bias_corrected(shown, objective.name, maximize=objective.maximize)
    undefined = math.isnan(corrected.estimate.estimate)
    return "it was defined in no resample" if undefined else corrected


def _pooled_score(study: StudyResult, best: Row) -> str:
    rows = study.predictions.get(best.trial.number)
    if rows is None or math.isnan(best.trial.values[0]):
        return ""
    ap = bootstrap_intervals(rows.y_true, rows.y_score, rows.subject, rows.threshold)["ap"]
    return (
        f"The best has, with all {len(np.unique(rows.record))} test records together, an ap of "
        f"{interval_text(astuple(ap), best.trial.baselines)}."
    )


def _best(study: StudyResult, best: Row) -> str:
    name = study.objectives[0].name
    if math.isnan(best.trial.values[0]):
        return f"No configuration has a defined {name}."
    start = f"Best: {_listed(study, [best])}" if len(study.trials) > 1 else study.title
    if not has_folds(study.objectives[0]):
        return f"{start}, {name} {best.mean:.3f}."
    folds = f"{best.n_folds} fold{'s' if best.n_folds != 1 else ''}"
    text = f"{start}, mean {name} {best.mean:.3f} over {folds}"
    if not math.isnan(best.interval.low):
        text += f", 95 % interval {best.interval.low:.3f} to {best.interval.high:.3f}"
    return f"{text}."


def _not_told_apart(study: StudyResult, rows: Sequence[Row]) -> str:
    if len(rows) < 2 or rows[0].comparison.verdict != "best":
        return ""
    equal = [row for row in rows if row.comparison.verdict == "not told apart"]
    unknown = [row for row in rows if row.comparison.verdict == "not comparable"]
    texts = []
    if equal:
        texts.append(f"These folds cannot tell it apart from {_listed(study, equal)}.")
    elif not unknown:
        texts.append("The test finds every other complete configuration worse.")
    if unknown:
        why = "fewer than two folds with a score have the same test records as the best"
        texts.append(f"Not comparable, because {why}: {_listed(study, unknown)}.")
    return " ".join(texts)


def _baselines(study: StudyResult, best: Row) -> str:
    objective = study.objectives[0]
    scores = {name: one.get(objective.name) for name, one in best.trial.baselines.items()}
    values = {name: one for name, one in scores.items() if one is not None and not math.isnan(one)}
    if not values:
        return ""
    listed = " and ".join(f"{name} {value:.3f}" for name, value in values.items())
    text = f"Baselines on the same folds, mean {objective.name}: {listed}."
    sign = 1 if objective.maximize else -1
    unbeaten = [name for name, value in values.items() if sign * (best.mean - value) <= 0]
    if unbeaten:
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
    text = f"{count['complete']} of {n} configuration{'s' if n != 1 else ''} complete"
    parts = [f"{number} {state}" for state, number in count.items() if state != "complete"]
    return f"{text}; not ranked: {', '.join(parts)}." if parts else f"{text}."


def _listed(study: StudyResult, rows: Sequence[Row]) -> str:
    names = configuration_names(study)
    number = " (trial {})" if study.dimensions else ""
    listed = [names[row.trial.number] + number.format(row.trial.number) for row in rows[:_LISTED]]
    more = [f"and {len(rows) - _LISTED} more"] if len(rows) > _LISTED else []
    return "; ".join(listed + more)
