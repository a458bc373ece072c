"""The settings of one run: typed, checked and frozen."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields, replace
from functools import cache
from itertools import chain
from typing import Annotated, Any, TypeVar, cast

from pydantic import Field, Strict, TypeAdapter, ValidationError

from lvh.config.groups import CHOICES, SETTINGS
from lvh.config.messages import suggestion
from lvh.errors import InputError, excerpt
from lvh.evaluation.results import Plain
from lvh.features import FORMS
from lvh.models import MODEL_ALIASES, MODELS, Estimator
from lvh.models.backends import NO_BACKEND, Name
from lvh.models.training import TrainSettings, check_train
from lvh.search import SearchSettings
from lvh.tracking import TrackingSettings
from lvh.tracking.run_names import configuration_name
from lvh.validation.metrics import NAMES
from lvh.validation.splits import CvSettings, check_protocol

_T = TypeVar("_T")
SHORT_NAMES = {"kernel_size": "kernel", "strides": "stride"}
"""Fields of the convolution and the groups that set them."""


@dataclass(frozen=True, slots=True)
class RunSettings:
    """Everything that decides one run.

    Attributes:
        data: Settings of a source in `lvh.data.SOURCES`.
        external: Settings of a source whose records are only scored; None for none.
        features: Settings of a form in `lvh.features.FORMS`.
        model: Settings of a model in `lvh.models.MODELS`.
        cv: How records are split.
        train: How a network is trained; other models use only its number of threads.
        search: How a sweep chooses and stops; a single run does not use it.
        tracking: Where results are tracked.
        backend: The library below Keras that trains, of `lvh.models.backends.BACKENDS`;
            NO_BACKEND for a model that is not a network.
        seed: Of weights, dropout and order of the records.
        resume: Use finished folds, and the tracked run that they belong to.
        store: Folder of the finished folds.
    """

    data: Any
    external: Any
    features: Any
    model: Any
    cv: CvSettings
    train: TrainSettings
    search: SearchSettings
    tracking: TrackingSettings
    backend: str
    seed: int
    resume: bool
    store: str

    @property
    def name(self) -> str:
        """A short name, different for the runs of one sweep."""
        convolution = {
            short: getattr(self.model, field)
            for field, short in SHORT_NAMES.items()
            if hasattr(self.model, field)
        }
        protocol = self.cv.protocol
        return configuration_name(
            self.model.name,
            self.features.name,
            convolution=convolution,
            protocol=protocol.name if protocol.leaks else "",
            external=self.external.name if self.external is not None else "",
        )

    @property
    def is_network(self) -> bool:
        """Whether Keras trains the model, in epochs."""
        return self.backend != NO_BACKEND

    def params(self) -> dict[str, Plain]:
        """Flatten the settings for comparison: choices, kernel and stride under short names."""
        flat: dict[str, Plain] = {"seed": self.seed, "backend": self.backend}
        groups = ["data", "external", "features", "model", "cv", "train"]
        if self.external is None:
            groups.remove("external")
        if not self.is_network:
            groups.remove("train")
        for group in groups:
            for field, value in asdict(getattr(self, group)).items():
                if field in SHORT_NAMES:
                    flat[SHORT_NAMES[field]] = value
                elif field == "name":
                    flat[group] = value
                elif isinstance(value, dict):
                    flat |= {f"{group}.{field}.{key}": inner for key, inner in value.items()}
                elif isinstance(value, tuple):
                    flat[f"{group}.{field}"] = " ".join(map(str, value))
                else:
                    flat[f"{group}.{field}"] = value
        return flat


@dataclass(frozen=True, slots=True)
class _Ungrouped:
    """The settings that belong to no group."""

    backend: Name
    seed: Annotated[int, Strict(), Field(ge=0, lt=2**32)]
    resume: Annotated[bool, Strict()]
    store: Annotated[str, Field(min_length=1)]


def settings_from(config: dict[str, Any]) -> RunSettings:
    """Check a composed configuration, resolved, field by field and across groups."""
    config = {"external": None, **config}
    _check_keys("", config, tuple(field.name for field in fields(RunSettings)))
    ungrouped = [field.name for field in fields(_Ungrouped)]
    for group, node in config.items():
        is_absent = group == "external" and node is None
        if group not in ungrouped and not is_absent and not isinstance(node, dict):
            raise InputError(f"{group}: expected an option. Received: {excerpt(node)}")
    model = config["model"]
    if isinstance(name := model.get("name"), str):
        config["model"] = model = {**model, "name": MODEL_ALIASES.get(name, name)}
    types = {group: _chosen(group, config[group]) for group in CHOICES if config[group] is not None}
    _refuse(_misplaced(model, config["features"]["name"]))
    values = asdict(parsed("", {name: config[name] for name in ungrouped}, _Ungrouped))
    values["external"] = None
    for group, settings in {**types, **SETTINGS}.items():
        values[group] = parsed(group, config[group], settings)
    if isinstance(MODELS[model["name"]], Estimator):
        values["backend"] = NO_BACKEND
    run_settings = RunSettings(**values)
    check_train(run_settings.train, run_settings.cv.validation, run_settings.is_network)
    check_protocol(run_settings.cv)
    _refuse(_search_conflicts(run_settings.search), _conflicts(run_settings))
    return run_settings


def search_from(config: dict[str, Any]) -> SearchSettings:
    """Check the part of a configuration that says how a sweep searches."""
    search = parsed("search", config["search"], SearchSettings)
    _refuse(_search_conflicts(search))
    return search


def _chosen(group: str, node: dict[str, Any]) -> type:
    name = node.get("name")
    if not isinstance(name, str) or name not in CHOICES[group]:
        raise InputError(
            f"{group}.name: expected one of {', '.join(CHOICES[group])}. Received: {excerpt(name)}"
        )
    return CHOICES[group][name]


def parsed(group: str, node: dict[str, Any], of: type[_T]) -> _T:
    """Build one settings dataclass; a fault names the field as `group.field`."""
    _check_keys(group, node, tuple(field.name for field in fields(of)))  # type: ignore[arg-type]
    try:
        return cast(_T, _adapter(of).validate_python(node))  # type: ignore[arg-type] # of is a class
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in (group, *first["loc"]) if part != "")
        expected = first["msg"].replace("Input should be", "expected")
        raise InputError(f"{place}: {expected}. Received: {excerpt(first['input'])}") from None


@cache
def _adapter(of: type) -> TypeAdapter[Any]:
    return TypeAdapter(of)


def _check_keys(group: str, node: dict[str, Any], names: tuple[str, ...]) -> None:
    prefix = f"{group}." if group else ""
    for key in node:
        if key not in names:
            raise InputError(
                f"{prefix}{key}: no such setting"
                f"{suggestion(str(key), names)}. Expected one of {', '.join(names)}"
            )
    for key in names:
        if node.get(key, "???") == "???":
            raise InputError(f"{prefix}{key}: expected a value. Received: none")


def _refuse(*conflicts: Iterator[str]) -> None:
    for conflict in chain(*conflicts):
        raise InputError(conflict)


def _misplaced(model: dict[str, Any], features: str) -> Iterator[str]:
    """Yield settings that a model cannot take: a kernel without convolution, other features."""
    name = model["name"]
    entry = MODELS[name]
    own = {field.name for field in fields(entry.settings)}
    misplaced = [short for key, short in SHORT_NAMES.items() if key in model and key not in own]
    if misplaced:
        tabular = entry.inputs == "tabular"
        has = "no convolution" if tabular else "a kernel and strides of its own"
        yield f"{' and '.join(misplaced)}: model={name} has {has}. Add model=cnn, or leave them out"
    only = entry.form if isinstance(entry, Estimator) else None
    fitting = [
        form for form, of in FORMS.items() if of.kind == entry.inputs and only in (None, form)
    ]
    if features not in fitting:
        yield (
            f"model={name} needs {only or entry.inputs} inputs, features={features} gives "
            f"{FORMS[features].kind} ones. Choose features={' or '.join(fitting)}, or another model"
        )


def _search_conflicts(search: SearchSettings) -> Iterator[str]:
    received = ", ".join(search.objectives)
    prefixed = {f"{prefix}{name}" for prefix in ("", "pooled_", "std_") for name in NAMES}
    for name in set(search.objectives) - {"seconds", *prefixed}:
        yield (
            f"search.objectives: expected some of {', '.join(NAMES)}, seconds; or pooled_ or "
            f"std_ and a score. Received: {excerpt(name)}"
        )
    if len(set(search.objectives)) < len(search.objectives):
        yield f"search.objectives: expected different ones. Received: {received}"
    if search.race and search.pruner != "none":
        yield (
            "search.race and search.pruner: expected one of them. "
            f"Received: race=true, pruner={search.pruner}"
        )
    if search.may_stop and (len(search.objectives) > 1 or search.objectives[0] not in NAMES):
        yield (
            "search.objectives: expected one score of a fold where trials may be stopped. "
            f"Received: {received}"
        )


def _conflicts(settings: RunSettings) -> Iterator[str]:
    cv, data, external = settings.cv, settings.data, settings.external
    model, protocol, augment = settings.model.name, cv.protocol, settings.train.augment
    if (cv.scheme == "external") != (external is not None):
        yield (
            "cv and external: expected both cv=external and external=ludb, ptbxl or synthetic, or "
            f"neither. Received: cv.scheme={cv.scheme}, "
            f"external={'none' if external is None else external.name}"
        )
    same = {"delineation": "found"}  # the same records, with any delineation
    if external is not None and replace(external, **same) == replace(data, **same):
        yield f"external: expected other records than those of data. Received: {data.name} twice"
    if external is not None and cv.repeats > 1:
        yield (
            "cv.repeats: expected 1 with cv=external, which has one split; other seeds make other "
            f"models. Received: {cv.repeats}"
        )
    if protocol.leaks and not settings.is_network:
        yield (
            "cv.weights and cv.epoch: a model that is fitted in one go has no weights to carry and "
            f"no epochs to choose from. Received: {protocol.leakage}, model={model}"
        )
    if protocol.leaks and settings.search.may_stop:
        yield (
            "search.race and search.pruner: expected neither under a protocol that leaks, whose "
            f"trials have no rank. Received: {protocol.leakage}"
        )
    is_signal = FORMS[settings.features.name].kind == "signal" and settings.is_network
    if augment.is_on and not is_signal:
        yield (
            "train.augment: changes signals, for a network that learns from nothing else. "
            f"Expected model=cnn or model=resnet. Received: model={model}"
        )
    if augment.is_on and augment.is_in_mv and settings.features.scaling != "none":
        yield (
            "train.augment: noise, wander and amplitude are of signals in mV. Expected "
            f"features.scaling=none. Received: {settings.features.scaling}"
        )
