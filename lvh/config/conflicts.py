"""Settings that are right each by itself and do not go together."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

from lvh.config.groups import SHORT_NAMES
from lvh.errors import InputError, excerpt
from lvh.features import FORMS
from lvh.models import MODELS, forms_of
from lvh.search import SearchSettings
from lvh.validation.metrics import NAMES

if TYPE_CHECKING:
    from lvh.config.run_settings import RunSettings

Rule = tuple[bool, str, object]
"""Whether settings do not go together; which fields, with what is expected; what was received."""

_FEWEST_REFITS = 40  # of which each end of a 95 % interval has one beyond it
_NOT_RECORDS = ("delineation", "label", "same_subject", "where")
"""Settings of a source that do not decide whose records they are: a subject may have several."""


def refuse(rules: Iterable[Rule]) -> None:
    """Raise InputError for the first rule that is broken."""
    for is_broken, expected, received in rules:
        if is_broken:
            raise InputError(f"{expected}. Received: {received}")


def model_rules(model: dict[str, Any], features: str) -> Iterator[Rule]:
    """Yield what a model cannot take: a kernel without convolution, other features."""
    entry, name = MODELS[model["name"]], f"model={model['name']}"
    own = {field.name for field in fields(entry.settings)}
    foreign = [short for key, short in SHORT_NAMES.items() if key in model and key not in own]
    swept = " ".join(f"{short}=choice(...)" for short in foreign)
    expected = f"expected model=cnn, which alone has them (in a sweep over models: {swept})"
    yield bool(foreign), f"{' and '.join(foreign)}: {expected}", name
    fitting = forms_of(entry)
    if features not in fitting:
        needs = fitting[0] if len(fitting) == 1 else entry.inputs
        raise InputError(
            f"{name} needs {needs} inputs, features={features} gives {FORMS[features].kind} ones. "
            f"Choose features={' or '.join(fitting)}, or another model"
        )


def search_rules(search: SearchSettings) -> Iterator[Rule]:
    """Yield scores that there are not, and ways to stop trials of which only one can be."""
    names = search.objectives
    scores = {f"{prefix}{name}" for prefix in ("", "pooled_", "std_") for name in NAMES}
    known = f"{', '.join(NAMES)}, seconds; or pooled_ or std_ and a score"
    is_odd = len({*names}) < len(names) or {*names} - {"seconds", *scores}
    yield bool(is_odd), f"search.objectives: expected different ones of {known}", names
    budget = "race" if search.race else search.budget
    stops = budget != "full" and search.pruner != "none"
    ways = f"budget={budget}, pruner={search.pruner}"
    yield stops, "search.budget and search.pruner: expected one of them", ways
    is_twice = search.race and search.budget not in ("full", "race")
    expected = "search.race: the old name of search.budget=race, expected without another budget"
    yield is_twice, expected, search.budget
    is_vague = search.may_stop and (len(names) > 1 or names[0] not in NAMES)
    expected = "search.objectives: expected one score of a fold where trials may be stopped"
    yield is_vague, expected, ", ".join(names)


def run_rules(settings: "RunSettings") -> Iterator[Rule]:
    """Yield what does not go together in the settings of a run."""
    yield from search_rules(settings.search)
    yield from _external_rules(settings)
    cv, search, model = settings.cv, settings.search, f"model={settings.model.name}"
    protocol, leaks = cv.protocol, f"{cv.protocol.leakage}, {model}"
    expected = "cv.weights and cv.epoch: expected the defaults with a model that has no epochs"
    yield protocol.leaks and not settings.is_network, expected, leaks
    expected = "search.budget and search.pruner: expected neither under a protocol that leaks"
    yield protocol.leaks and search.may_stop, expected, leaks
    expected = "search.budget: expected full or race with a model that has no epochs"
    yield search.halves and not settings.is_network, expected, f"{search.budget}, {model}"
    expected = "search.budget: halving decides the epochs, and expects no train.patience"
    yield search.halves and settings.train.patience is not None, expected, settings.train.patience
    yield from _input_rules(settings)


def _records_of(source: Any) -> dict[str, Any]:
    """Return the settings that decide which records there are, with any waves and labels."""
    settings = asdict(source)
    return {name: settings[name] for name in settings if name not in _NOT_RECORDS}


def _external_rules(settings: "RunSettings") -> Iterator[Rule]:
    """Yield what does not fit between the splits and records that are only scored."""
    cv, data, external = settings.cv, settings.data, settings.external
    expected = "cv and external: expected both cv=external and external=SOURCE, or neither"
    received = f"cv.scheme={cv.scheme}, external={'none' if external is None else external.name}"
    yield (cv.scheme == "external") != (external is not None), expected, received
    is_same = external is not None and _records_of(external) == _records_of(data)
    yield is_same, "external: expected other records than those of data", f"{data.name} twice"
    expected = "cv.repeats: expected 1 with cv=external, which has one split"
    yield external is not None and cv.repeats > 1, expected, cv.repeats
    is_off = cv.refits and (settings.is_network or cv.refits < _FEWEST_REFITS)
    is_off |= external is None and (cv.refits > 0 or cv.recalibrate != "none")
    expected = (
        "cv.refits and cv.recalibrate: expected external=SOURCE, and 0 refits, or "
        f"{_FEWEST_REFITS} or more of a model that is no network"
    )
    yield is_off, expected, f"{cv.refits} and {cv.recalibrate}, model={settings.model.name}"


def _input_rules(settings: "RunSettings") -> Iterator[Rule]:
    """Yield what does not fit between the inputs, their changes in training, and the model."""
    features, model, augment = settings.features, settings.model.name, settings.train.augment
    is_signal = FORMS[features.name].kind == "signal" and settings.is_network
    expected = "train.augment: changes signals. Expected model=cnn or model=resnet"
    yield augment.is_on and not is_signal, expected, f"model={model}"
    is_part = model == "criteria" and (features.inputs != "full" or features.columns)
    expected = "features.inputs and features.columns: expected the defaults with model=criteria"
    yield bool(is_part), expected, excerpt(features)
    scaling = getattr(features, "scaling", features.name)
    is_scaled = augment.is_on and augment.is_in_mv and scaling != "none"
    expected = "train.augment: noise, wander and amplitude are in mV, for features.scaling=none"
    yield is_scaled, expected, scaling
