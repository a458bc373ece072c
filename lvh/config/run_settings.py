"""The settings of one run: typed, checked and frozen."""

from dataclasses import asdict, dataclass, fields, replace
from functools import cache
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
        """A short name that tells runs of one sweep apart at a glance."""
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
    _check_convolution(model)
    _check_features(model["name"], config["features"]["name"])
    values = asdict(_parsed("", {name: config[name] for name in ungrouped}, _Ungrouped))
    values["external"] = None
    for group, settings in {**types, **SETTINGS}.items():
        values[group] = _parsed(group, config[group], settings)
    if isinstance(MODELS[model["name"]], Estimator):
        values["backend"] = NO_BACKEND
    _check_search(values["search"])
    run_settings = RunSettings(**values)
    _check(run_settings)
    return run_settings


def search_from(config: dict[str, Any]) -> SearchSettings:
    """Check the part of a configuration that says how a sweep searches."""
    search = _parsed("search", config["search"], SearchSettings)
    _check_search(search)
    return search


def _chosen(group: str, node: dict[str, Any]) -> type:
    name = node.get("name")
    if not isinstance(name, str) or name not in CHOICES[group]:
        raise InputError(
            f"{group}.name: expected one of {', '.join(CHOICES[group])}. Received: {excerpt(name)}"
        )
    return CHOICES[group][name]


def _parsed(group: str, node: dict[str, Any], of: type[_T]) -> _T:
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


def _check_keys(group: str, node: dict[str, Any], known: tuple[str, ...]) -> None:
    prefix = f"{group}." if group else ""
    for key in node:
        if key not in known:
            raise InputError(
                f"{prefix}{key}: no such setting"
                f"{suggestion(str(key), known)}. Expected one of {', '.join(known)}"
            )
    for key in known:
        if node.get(key, "???") == "???":
            raise InputError(f"{prefix}{key}: expected a value. Received: none")


def _check(settings: RunSettings) -> None:
    """Refuse settings that do not go together."""
    check_train(settings.train, settings.cv.validation, settings.is_network)
    check_protocol(settings.cv)
    _check_external(settings)
    _check_leaks(settings)
    _check_augment(settings)


def _check_search(search: SearchSettings) -> None:
    """Refuse objectives and ways to search that do not go together."""
    received = ", ".join(search.objectives)
    known = {
        "seconds",
        *(f"{prefix}{name}" for prefix in ("", "pooled_", "std_") for name in NAMES),
    }
    for name in search.objectives:
        if name not in known:
            raise InputError(
                f"search.objectives: expected some of {', '.join(NAMES)}, seconds; or pooled_ or "
                f"std_ and a score. Received: {excerpt(name)}"
            )
    if len(set(search.objectives)) < len(search.objectives):
        raise InputError(f"search.objectives: expected different ones. Received: {received}")
    if search.race and search.pruner != "none":
        raise InputError(
            "search.race and search.pruner: expected one of them. "
            f"Received: race=true, pruner={search.pruner}"
        )
    if search.may_stop and (len(search.objectives) > 1 or search.objectives[0] not in NAMES):
        raise InputError(
            "search.objectives: expected one score of a fold where trials may be stopped. "
            f"Received: {received}"
        )


def _check_convolution(model: dict[str, Any]) -> None:
    """Refuse kernel and stride where they decide nothing, before they are trained many times."""
    name = model["name"]
    known = {field.name for field in fields(MODELS[name].settings)}
    given = [key for key in SHORT_NAMES if key in model and key not in known]
    if given:
        tabular = MODELS[name].inputs == "tabular"
        has = "no convolution" if tabular else "a kernel and strides of its own"
        raise InputError(
            f"{' and '.join(SHORT_NAMES[key] for key in given)}: model={name} has {has}. "
            "Add model=cnn, or leave them out"
        )


def _check_features(model: str, features: str) -> None:
    """Refuse features that a model cannot take, before what it sets in those it takes."""
    chosen = MODELS[model]
    only = chosen.form if isinstance(chosen, Estimator) else None
    fitting = [
        name for name, form in FORMS.items() if form.kind == chosen.inputs and only in (None, name)
    ]
    if features not in fitting:
        raise InputError(
            f"model={model} needs {only or chosen.inputs} inputs, features={features} gives "
            f"{FORMS[features].kind} ones. Choose features={' or '.join(fitting)}, or another model"
        )


def _check_external(settings: RunSettings) -> None:
    cv, external = settings.cv, settings.external
    if (cv.scheme == "external") != (external is not None):
        received = "none" if external is None else external.name
        raise InputError(
            "cv and external: expected both cv=external and external=ludb, ptbxl or synthetic, or "
            f"neither. Received: cv.scheme={cv.scheme}, external={received}"
        )
    if external is None:
        return
    same = {"delineation": "found"}  # the same records, whatever their delineation
    if replace(external, **same) == replace(settings.data, **same):
        raise InputError(
            f"external: expected other records than those of data. Received: {external.name} twice"
        )
    if cv.repeats > 1:
        raise InputError(
            "cv.repeats: expected 1 with cv=external, which has one split; other seeds make other "
            f"models. Received: {cv.repeats}"
        )


def _check_leaks(settings: RunSettings) -> None:
    protocol = settings.cv.protocol
    if protocol.leaks and not settings.is_network:
        raise InputError(
            "cv.weights and cv.epoch: a model that is fitted in one go has no weights to carry and "
            f"no epochs to choose from. Received: {protocol.leakage}, model={settings.model.name}"
        )
    if protocol.leaks and settings.search.may_stop:
        raise InputError(
            "search.race and search.pruner: expected neither under a protocol that leaks, whose "
            f"trials have no rank. Received: {protocol.leakage}"
        )


def _check_augment(settings: RunSettings) -> None:
    augment = settings.train.augment
    if not augment.is_on:
        return
    if FORMS[settings.features.name].kind != "signal" or not settings.is_network:
        raise InputError(
            "train.augment: changes signals, for a network that learns from nothing else. "
            f"Expected model=cnn or model=resnet. Received: model={settings.model.name}"
        )
    if augment.is_in_mv and settings.features.scaling != "none":
        raise InputError(
            "train.augment: noise, wander and amplitude are of signals in mV. Expected "
            f"features.scaling=none. Received: {settings.features.scaling}"
        )
