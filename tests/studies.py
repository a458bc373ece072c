"""Sweeps that are made up for tests: their trials, folds and predictions."""

import math

import numpy as np

from lvh.evaluation.results import OutOfFold
from lvh.search.results import FoldScore, Objective, StudyResult, Trial
from lvh.validation.metrics import NAMES, score


def make_fold(at, metrics, seconds=1.0, n_train=80, n_test=20, n_folds=5):
    known = dict.fromkeys(NAMES, 0.5) | metrics
    return FoldScore(at // n_folds, at % n_folds, known, seconds, n_train, n_test)


def make_trial(number, values, state="complete", params=None, objective="ap", **fields):
    """A trial from its values of the objective, one a fold."""
    if objective == "seconds":
        folds = tuple(make_fold(at, {}, seconds=value) for at, value in enumerate(values))
        total = sum(values)
    else:
        folds = tuple(make_fold(at, {objective: value}) for at, value in enumerate(values))
        total = float(np.mean(values)) if len(values) else math.nan
    baselines = {"no skill": {objective: 0.3}, "age + sex": {objective: 0.45}}
    return Trial(
        number=number,
        params={"model.units": number} if params is None else params,
        state=state,
        values=(total,) if state == "complete" else (),
        folds=folds,
        baselines=baselines if state == "complete" else {},
        **fields,
    )


def make_study(trials, objectives=("ap",), dimensions=None, predictions=None, **fields):
    dimensions = dimensions or tuple(trials[0].params if trials else ())
    return StudyResult(
        fields.pop("name", "units-20261122"),
        fields.pop("title", "units on synthetic, 5 folds"),
        fields.pop("note", ""),
        tuple(map(Objective, objectives)),
        dimensions,
        5,
        tuple(trials),
        predictions or {},
    )


def make_predictions(y_score, y_true, subjects=None, repeat=None):
    n = len(y_true)
    return OutOfFold(
        np.array([f"r{at:04d}" for at in range(n)]),
        np.zeros(n, np.int64) if repeat is None else np.asarray(repeat),
        np.array([f"s{at:04d}" for at in range(n)]) if subjects is None else np.asarray(subjects),
        np.asarray(y_true, np.int64),
        np.asarray(y_score, np.float64),
        np.full(n, 0.5),
    )


def predicted(skills, n=200, seed=0, objective="ap", prevalence=0.4):
    """A study whose trials predict with the given skills, in standard deviations."""
    generator = np.random.default_rng(seed)
    y_true = (generator.random(n) < prevalence).astype(int)
    y_true[:2] = 0, 1
    trials, predictions = [], {}
    for number, skill in enumerate(skills):
        y_score = 1 / (1 + np.exp(-generator.normal(skill * (y_true - 0.5), 1)))
        parts = np.array_split(np.arange(n), 5)
        values = [getattr(score(y_true[part], y_score[part]), objective) for part in parts]
        trials.append(make_trial(number, values, objective=objective))
        predictions[number] = make_predictions(y_score, y_true)
    return make_study(trials, (objective,), predictions=predictions)
