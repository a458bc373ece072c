"""How dimensions, their values and configurations are named to a person."""

from collections import Counter
from collections.abc import Sequence

from lvh.evaluation.results import Plain
from lvh.search.results import Objective, StudyResult, Trial


def short_names(dimensions: Sequence[str]) -> dict[str, str]:
    """Return the last part of each name; the full name where two would be the same."""
    last = {name: name.rpartition(".")[2] for name in dimensions}
    count = Counter(last.values())
    return {name: short if count[short] == 1 else name for name, short in last.items()}


def shown(value: Plain, digits: int = 6) -> str:
    """Return a value as it would be typed in an override, a float rounded to some digits."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.{digits}g}" if isinstance(value, float) else str(value)


def configuration(study: StudyResult, trial: Trial) -> str:
    """Return what tells a trial from the others, such as `units=8, rate=0.01`.

    A dimension that has one value in all trials tells nothing and is left out.
    """
    names = short_names(study.dimensions)
    told = [key for key in study.dimensions if len(study.trials) == 1 or _varies(study, key)]
    pairs = [f"{names[key]}={shown(trial.params.get(key), 4)}" for key in told]
    return ", ".join(pairs) or f"trial {trial.number}"


def _varies(study: StudyResult, key: str) -> bool:
    first = shown(study.trials[0].params.get(key))
    return any(shown(trial.params.get(key)) != first for trial in study.trials)


def per_fold(objective: Objective) -> str:
    """Return what a fold's value of an objective is called."""
    return "seconds a fold" if objective.name == "seconds" else objective.name
