"""Settings that are right each by itself and do not go together."""

from collections.abc import Iterator
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

from lvh.config.groups import SHORT_NAMES
from lvh.errors import excerpt
from lvh.features import FORMS
from lvh.models import MODELS, forms_of
from lvh.search import SearchSettings
from lvh.validation.metrics import NAMES

if TYPE_CHECKING:
    from lvh.config.run_settings import RunSettings

_FEWEST_REFITS = 40  # of which each end of a 95 % interval has one beyond it
_NOT_RECORDS = ("delineation", "label", "same_subject", "where")
"""Settings of a source that do not decide whose records they are: a subject may have several."""
_NO_COLUMNS = ("ludb", "ptbxl", "synthetic")
"""Sources without a table of columns."""


def misplaced(model: dict[str, Any], features: str, data: dict[str, Any]) -> Iterator[str]:
    """Yield settings that a model cannot take: a kernel without convolution, other features."""
    name = model["name"]
    entry = MODELS[name]
    own = {field.name for field in fields(entry.settings)}
    foreign = [short for key, short in SHORT_NAMES.items() if key in model and key not in own]
    if foreign:
        tabular = entry.inputs == "tabular"
        has = "no convolution" if tabular else "a kernel and strides of its own"
        yield f"{' and '.join(foreign)}: model={name} has {has}. Add model=cnn, or leave them out"
    if features not in (fitting := forms_of(entry)):
        needs = fitting[0] if len(fitting) == 1 else entry.inputs
        lacks = {"columns"} if data.get("name") in _NO_COLUMNS else set()
        if data.get("delineation") == "none":
            lacks |= {form for form, of in FORMS.items() if of.needs_delineation}
        usable = [form for form in fitting if form not in lacks] or fitting
        yield (
            f"model={name} needs {needs} inputs, features={features} gives "
            f"{FORMS[features].kind} ones. Choose features={' or '.join(usable)}, or another model"
        )


def search_conflicts(search: SearchSettings) -> Iterator[str]:
    """Yield scores that there are not, and ways to stop trials of which only one can be."""
    received = ", ".join(search.objectives)
    prefixed = {f"{prefix}{name}" for prefix in ("", "pooled_", "std_") for name in NAMES}
    for name in set(search.objectives) - {"seconds", *prefixed}:
        yield (
            f"search.objectives: expected some of {', '.join(NAMES)}, seconds; or pooled_ or "
            f"std_ and a score. Received: {excerpt(name)}"
        )
    if len(set(search.objectives)) < len(search.objectives):
        yield f"search.objectives: expected different ones. Received: {received}"
    if (search.races or search.halves) and search.pruner != "none":
        budget = "race" if search.race else search.budget
        yield (
            "search.budget and search.pruner: expected one of them. "
            f"Received: budget={budget}, pruner={search.pruner}"
        )
    if search.race and search.budget not in ("full", "race"):
        yield (
            "search.race: the old name of search.budget=race, expected without another budget. "
            f"Received: race=true, budget={search.budget}"
        )
    if search.may_stop and (len(search.objectives) > 1 or search.objectives[0] not in NAMES):
        yield (
            "search.objectives: expected one score of a fold where trials may be stopped. "
            f"Received: {received}"
        )


def conflicts(settings: "RunSettings") -> Iterator[str]:
    """Yield what does not go together in the settings of a run."""
    yield from search_conflicts(settings.search)
    yield from _external(settings)
    yield from _training(settings)
    yield from _inputs(settings)


def _records_of(source: Any) -> dict[str, Any]:
    """Return the settings that decide which records there are, with any waves and labels."""
    settings = asdict(source)
    return {name: settings[name] for name in settings if name not in _NOT_RECORDS}


def _external(settings: "RunSettings") -> Iterator[str]:
    """Yield what does not fit between the splits and records that are only scored."""
    cv, data, external, model = settings.cv, settings.data, settings.external, settings.model.name
    if (cv.scheme == "external") != (external is not None):
        yield (
            "cv and external: expected both cv=external and external=SOURCE, or "
            f"neither. Received: cv.scheme={cv.scheme}, "
            f"external={'none' if external is None else external.name}"
        )
    if external is not None and _records_of(external) == _records_of(data):
        yield f"external: expected other records than those of data. Received: {data.name} twice"
    if external is not None and cv.repeats > 1:
        yield (
            "cv.repeats: expected 1 with cv=external, which has one split; other seeds make other "
            f"models. Received: {cv.repeats}"
        )
    is_off = cv.refits and (settings.is_network or cv.refits < _FEWEST_REFITS)
    if is_off or (external is None and (cv.refits or cv.recalibrate != "none")):
        yield (
            "cv.refits and cv.recalibrate: expected external=SOURCE, and 0 refits, or "
            f"{_FEWEST_REFITS} or more of a model that is no network. Received: {cv.refits} and "
            f"{cv.recalibrate}, model={model}"
        )


def _training(settings: "RunSettings") -> Iterator[str]:
    """Yield what a protocol or a budget asks of a model that cannot do it."""
    protocol, model = settings.cv.protocol, settings.model.name
    if protocol.leaks and not settings.is_network:
        yield (
            "cv.weights and cv.epoch: a model that is fitted in one go has no weights to carry and "
            f"no epochs to choose from. Received: {protocol.leakage}, model={model}"
        )
    if protocol.leaks and settings.search.may_stop:
        yield (
            "search.budget and search.pruner: expected neither under a protocol that leaks, whose "
            f"trials have no rank. Received: {protocol.leakage}"
        )
    if settings.search.halves and not settings.is_network:
        yield (
            "search.budget: halving needs a model that is trained in epochs; this one can race. "
            f"Expected full or race. Received: {settings.search.budget}, model={model}"
        )
    if settings.search.halves and settings.train.patience is not None:
        yield (
            "search.budget: halving decides the epochs, and so does train.patience. Expected one "
            f"of them. Received: {settings.search.budget}, patience={settings.train.patience}"
        )


def _inputs(settings: "RunSettings") -> Iterator[str]:
    """Yield what does not fit between the inputs, their changes in training, and the model."""
    features, model, augment = settings.features, settings.model.name, settings.train.augment
    is_signal = FORMS[features.name].kind == "signal" and settings.is_network
    if augment.is_on and not is_signal:
        yield (
            "train.augment: changes signals, for a network that learns from nothing else. "
            f"Expected model=cnn or model=resnet. Received: model={model}"
        )
    if model == "criteria" and (features.inputs != "full" or features.columns):
        yield "features.inputs and features.columns: expected neither, for model=criteria needs all"
    scaling = getattr(features, "scaling", features.name)
    if augment.is_on and augment.is_in_mv and scaling != "none":
        yield (
            "train.augment: noise, wander and amplitude are of signals in mV. Expected "
            f"features.scaling=none. Received: {scaling}"
        )
