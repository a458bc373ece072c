"""The settings of one run: typed, checked and frozen."""

from dataclasses import asdict, dataclass, fields
from functools import cache
from typing import Annotated, Any, TypeVar, cast

from pydantic import Field, Strict, TypeAdapter, ValidationError

from lvh.config import consistency
from lvh.config.groups import CHOICES, SETTINGS
from lvh.config.messages import suggestion
from lvh.errors import InputError, excerpt
from lvh.evaluation.results import Plain
from lvh.models import MODEL_ALIASES, MODELS, Estimator
from lvh.models.backends import NO_BACKEND, Name
from lvh.models.training import TrainSettings
from lvh.search import SearchSettings
from lvh.tracking import TrackingSettings
from lvh.tracking.run_names import configuration_name
from lvh.validation.splits import CvSettings

_T = TypeVar("_T")


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
            for field, short in consistency.SHORT_NAMES.items()
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
                if field in consistency.SHORT_NAMES:
                    flat[consistency.SHORT_NAMES[field]] = value
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
    """Check a composed configuration, resolved, field by field and across groups.

    Raises:
        InputError: Names the field, what was expected and what was received.
    """
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
    consistency.check_convolution(model)
    consistency.check_features(model["name"], config["features"]["name"])
    values = asdict(_parsed("", {name: config[name] for name in ungrouped}, _Ungrouped))
    values["external"] = None
    for group, settings in {**types, **SETTINGS}.items():
        values[group] = _parsed(group, config[group], settings)
    if isinstance(MODELS[model["name"]], Estimator):
        values["backend"] = NO_BACKEND
    consistency.check_search(values["search"])
    run_settings = RunSettings(**values)
    consistency.check(run_settings)
    return run_settings


def search_from(config: dict[str, Any]) -> SearchSettings:
    """Check the part of a configuration that says how a sweep searches."""
    search = _parsed("search", config["search"], SearchSettings)
    consistency.check_search(search)
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
