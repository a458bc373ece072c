"""What mattered in the space of a sweep: its dimensions, and the trade-off of objectives."""

import math
import warnings
from collections.abc import Mapping, Sequence

import numpy as np

from lvh.evaluation.results import Plain
from lvh.reports.study.naming import shown
from lvh.search.results import StudyResult, Trial

_MOST_CATEGORIES = 20  # a column each; beyond them they are numbered as they came up
_FEWEST = 4  # trials from which a share of variance says anything at all


def numeric(values: Sequence[Plain]) -> bool:
    """Return whether all values are finite numbers; true and false are not."""
    return all(
        isinstance(one, (int, float)) and not isinstance(one, bool) and math.isfinite(one)
        for one in values
    )


def levels(study: StudyResult, dimension: str) -> list[Plain]:
    """Return the distinct values of a dimension: numbers in order, others as they came up."""
    values: dict[str, Plain] = {}
    for trial in study.trials:
        value = trial.params.get(dimension)
        values.setdefault(shown(value), value)
    distinct = list(values.values())
    return sorted(distinct, key=_number) if numeric(distinct) else distinct


def importances(study: StudyResult) -> dict[str, float]:
    """Return the share of the first objective's variance that each dimension explains.

    By functional analysis of variance over a random forest: Hutter, Hoos and Leyton-Brown, An
    efficient approach for assessing hyperparameter importance, ICML (2014). Numbers take part
    by their rank among the tried values, so that every tried value weighs the same whatever
    its scale.

    Returns:
        Shares with sum 1, most important first. Empty with fewer than four complete trials, or
        if nothing varies.
    """
    trials = [trial for trial in study.complete if math.isfinite(trial.values[0])]
    if len(trials) < _FEWEST or len({trial.values[0] for trial in trials}) < 2:
        return {}
    varying = {
        name: values
        for name in study.dimensions
        if len(values := list(dict.fromkeys(shown(one.params.get(name)) for one in trials))) > 1
    }
    if not varying:
        return {}
    constant = {name: 0.0 for name in study.dimensions if name not in varying}
    if len(varying) == 1:
        return dict.fromkeys(varying, 1.0) | constant
    return _fanova(study, trials, varying) | constant


def pareto(study: StudyResult) -> tuple[int, ...]:
    """Return the numbers of complete trials that no other beats in all objectives.

    A trial is beaten by one that is as good in every objective and better in some. Undefined
    values are never on the front.
    """
    signs = np.array([-1.0 if one.maximize else 1.0 for one in study.objectives])
    defined = [trial for trial in study.complete if not np.isnan(trial.values).any()]
    costs = np.array([signs * trial.values for trial in defined]).reshape(-1, len(signs))
    return tuple(
        trial.number
        for trial, cost in zip(defined, costs, strict=True)
        if not ((costs <= cost).all(axis=1) & (costs < cost).any(axis=1)).any()
    )


def _fanova(
    study: StudyResult, trials: Sequence[Trial], varying: Mapping[str, list[str]]
) -> dict[str, float]:
    import optuna
    from optuna.distributions import (
        BaseDistribution,
        CategoricalDistribution,
        IntDistribution,
    )
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances

    distributions: dict[str, BaseDistribution] = {}
    codes: dict[str, dict[str, int]] = {}
    for name, values in varying.items():
        ordered = [text for text in map(shown, levels(study, name)) if text in values]
        codes[name] = {text: at for at, text in enumerate(ordered)}
        distributions[name] = (
            IntDistribution(0, len(ordered) - 1)
            if numeric([trial.params.get(name) for trial in trials])
            or len(ordered) > _MOST_CATEGORIES
            else CategoricalDistribution(range(len(ordered)))
        )
    # A tree costs the square of its leaves; many trials need fewer trees for the same noise
    n_trees = 64 if len(trials) <= 100 else 16
    # Optuna tells of its experimental parts and of each new study: no matter for a reader here
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            memory = optuna.create_study(direction="maximize")
            for trial in trials:
                params = {name: codes[name][shown(trial.params.get(name))] for name in varying}
                memory.add_trial(
                    optuna.trial.create_trial(
                        params=params, distributions=distributions, value=trial.values[0]
                    )
                )
            evaluator = FanovaImportanceEvaluator(n_trees=n_trees, seed=0)
            return dict(get_param_importances(memory, evaluator=evaluator))
    finally:
        optuna.logging.set_verbosity(verbosity)


def _number(value: Plain) -> float:
    return float(value) if isinstance(value, (int, float)) else math.nan
