"""Which dimensions of a sweep matter: the share of the objective's variance that each explains."""

import math
import warnings
from collections.abc import Mapping, Sequence

from lvh.evaluation.results import Plain
from lvh.reports.study.leaderboard import value_text
from lvh.search.results import StudyResult, Trial

_MOST_CATEGORIES = 20  # each takes a column; beyond them they are numbered in their order
_FEWEST = 4  # trials from which a share of variance says anything at all


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
    in_order = sorted(trials, key=lambda trial: trial.number)
    ranks = {
        name: rank
        for name in study.dimensions
        if len(rank := {value_text(one): at for at, one in enumerate(_levels(in_order, name))}) > 1
    }
    shares = _fanova(trials, ranks) if len(ranks) > 1 else dict.fromkeys(ranks, 1.0)
    constant = {name: 0.0 for name in study.dimensions if name not in ranks}
    return shares | constant if shares else {}


def levels(study: StudyResult, dimension: str) -> list[Plain]:
    """Return the distinct values of a dimension: numbers in order, others as they were tried."""
    return _levels(study.trials, dimension)


def is_numeric(values: Sequence[Plain]) -> bool:
    """Return whether all values are finite numbers; true and false are not."""
    return all(
        isinstance(one, (int, float)) and not isinstance(one, bool) and math.isfinite(one)
        for one in values
    )


def _levels(trials: Sequence[Trial], dimension: str) -> list[Plain]:
    values = [trial.params.get(dimension) for trial in trials]
    distinct = list({value_text(value): value for value in values}.values())
    return sorted(distinct, key=lambda one: float(str(one))) if is_numeric(distinct) else distinct


def _fanova(trials: Sequence[Trial], ranks: Mapping[str, Mapping[str, int]]) -> dict[str, float]:
    import optuna
    from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances
    from optuna.trial import create_trial

    distributions: dict[str, BaseDistribution] = {
        name: IntDistribution(0, len(rank) - 1)
        if is_numeric([trial.params.get(name) for trial in trials]) or len(rank) > _MOST_CATEGORIES
        else CategoricalDistribution(range(len(rank)))
        for name, rank in ranks.items()
    }
    # A tree costs the square of its leaves; many trials need fewer trees for the same noise
    n_trees = 64 if len(trials) <= 100 else 16
    # Optuna logs each new study and warns of its experimental parts; a reader needs neither
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            study = optuna.create_study(direction="maximize")
            for trial in trials:
                point = {name: of[value_text(trial.params.get(name))] for name, of in ranks.items()}
                study.add_trial(
                    create_trial(params=point, distributions=distributions, value=trial.values[0])
                )
            evaluator = FanovaImportanceEvaluator(n_trees=n_trees, seed=0)
            return dict(get_param_importances(study, evaluator=evaluator))
    finally:
        optuna.logging.set_verbosity(verbosity)
