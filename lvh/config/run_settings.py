"""The settings of one run: typed, checked and frozen."""

from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields, replace
from functools import cache, cached_property
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, cast

from pydantic import Field, Strict, TypeAdapter, ValidationError

from lvh.config.conflicts import model_rules, refuse, run_rules, search_rules
from lvh.config.groups import ENTRIES, SETTINGS, SHORT_NAMES, defaults
from lvh.config.messages import suggestion
from lvh.config.plugins.loading import Plugin, check_origins, load_installed, origins
from lvh.data.labels import LVH
from lvh.errors import InputError, excerpt
from lvh.models import MODEL_ALIASES, MODELS, Estimator
from lvh.models.backends import NO_BACKEND, Name
from lvh.models.training import TrainSettings, check_train
from lvh.search import SearchSettings
from lvh.tracking import TrackingSettings
from lvh.tracking.run_names import run_name
from lvh.validation.splits import CvSettings, check_protocol

if TYPE_CHECKING:
    from lvh.evaluation.results import Plain

_T = TypeVar("_T")
_ADAPTER = cache(TypeAdapter)
_UNNAMED = (
    *("cv.weights", "cv.epoch", "cv.allow_leakage", "cv.recalibrate", "cv.refits"),
    *("train.threads", "train.side_by_side"),
)
"""What the name of a run leaves out: it is in the protocol, or changes no result."""
_LATER = ("label", "where", "inputs", "columns", "recalibrate", "refits", "precise_bn")
"""Settings that a run of an earlier version did not have: their defaults mean what it did."""
_MOST_NAMED = 6  # settings in the name of a run


@dataclass(frozen=True)
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
    backend: Name
    seed: Annotated[int, Strict(), Field(ge=0, lt=2**32)]
    resume: Annotated[bool, Strict()]
    store: Annotated[str, Field(min_length=1)]

    @property
    def base_name(self) -> str:
        """Model and features, a protocol that leaks, and records that are only scored."""
        protocol = self.cv.protocol.name if self.cv.protocol.leaks else ""
        source = f"on-{self.external.name}" if self.external is not None else ""
        return "-".join(filter(None, (self.model.name, self.features.name, protocol, source)))

    @cached_property
    def name(self) -> str:
        """A name for a run outside of a sweep: its base, and what differs from the defaults."""
        groups = {group: getattr(self, group) for group in ("model", "features", "cv", "train")}
        if not self.is_network:
            del groups["train"]
        own = _flattened({group: asdict(of) for group, of in groups.items()})
        usual = _flattened({group: defaults(type(of)) for group, of in groups.items()})
        label = getattr(self.data, "label", LVH)
        changed: dict[str, Plain] = {"label": label} if label != LVH else {}
        changed |= {
            "cv" if name == "cv.scheme" else name: value
            for name, value in own.items()
            if name not in _UNNAMED and value not in (usual.get(name), "external")
        }
        changed |= {"seed": self.seed} if self.seed else {}
        shown = dict(list(changed.items())[:_MOST_NAMED])
        more = len(changed) - len(shown)
        return run_name(self.base_name, shown) + (f" and {more} more" if more else "")

    @cached_property
    def is_network(self) -> bool:
        """Whether Keras trains the model, in epochs."""
        return self.backend != NO_BACKEND

    @cached_property
    def plugins(self) -> dict[str, Plugin]:
        """The plugin of each option that has one, as `model=mine`; often none."""
        sources = [("data", self.data), ("data", self.external)]
        chosen = [*sources, ("features", self.features), ("model", self.model)]
        return origins([(group, one.name) for group, one in chosen if one is not None])

    def params(self) -> "dict[str, Plain]":
        """Flatten the settings for comparison: choices, kernel and stride under short names."""
        flat: dict[str, Plain] = {"seed": self.seed, "backend": self.backend}
        unused = (self.external is None and "external", not self.is_network and "train")
        groups = ("data", "external", "features", "model", "cv", "train")
        used = [group for group in groups if group not in unused]
        return flat | _flattened({group: asdict(getattr(self, group)) for group in used})


def _flattened(groups: Mapping[str, Mapping[str, Any]]) -> "dict[str, Plain]":
    """Return settings by the names of MLflow's parameters."""
    flat: dict[str, Plain] = {}
    for group, settings in groups.items():
        for field, value in settings.items():
            if field == "name":
                flat[group] = value
            elif isinstance(value, dict):
                flat |= {f"{group}.{field}.{key}": inner for key, inner in value.items()}
            else:
                text = " ".join(map(str, value)) if isinstance(value, (tuple, list)) else value
                short = SHORT_NAMES.get(field) if group == "model" else None
                flat[short or f"{group}.{field}"] = text
    return flat


def settings_from(config: dict[str, Any]) -> RunSettings:
    """Check a composed configuration, resolved, field by field and across groups."""
    load_installed()
    config = {"external": None, **config}
    recorded = config.pop("plugins", None) or {}
    named = recorded.values() if isinstance(recorded, dict) else [None]
    if not all(isinstance(one, dict) and "source" in one for one in named):
        raise InputError(
            "plugins: code that a file names is not run. Expected plugins=[MODULE] or --plugin "
            f"FILE.py on the command line. Received: {excerpt(recorded)}"
        )
    check_origins({option: str(one["source"]) for option, one in recorded.items()}, "plugins")
    _check_keys("", config, tuple(field.name for field in fields(RunSettings)))
    groups = [*ENTRIES, *SETTINGS]
    if config["external"] is None:
        groups.remove("external")
    for group in groups:
        if not isinstance(config[group], dict):
            raise InputError(f"{group}: expected an option. Received: {excerpt(config[group])}")
    model = config["model"]
    if isinstance(name := model.get("name"), str):
        config["model"] = model = {**model, "name": MODEL_ALIASES.get(name, name)}
    types: dict[str, type[Any]] = dict(SETTINGS)
    for group in [group for group in groups if group in ENTRIES]:
        name, options = config[group].get("name"), ENTRIES[group]
        if not isinstance(name, str) or name not in options:
            raise InputError(
                f"{group}.name: expected one of {', '.join(options)}. Received: {excerpt(name)}"
            )
        types[group] = options[name].settings
    refuse(model_rules(model, config["features"]["name"]))
    for group in groups:
        later = [one for one in fields(types[group]) if one.name in _LATER]
        usual = {one.name: one.default for one in later if one.default is not MISSING}
        config[group] = parsed(group, {**usual, **config[group]}, types[group])
    settings = parsed("", config, RunSettings)
    if isinstance(MODELS[settings.model.name], Estimator):
        settings = replace(settings, backend=NO_BACKEND)
    check_train(settings.train, settings.cv.validation, settings.is_network)
    check_protocol(settings.cv)
    refuse(run_rules(settings))
    return settings


def search_from(config: dict[str, Any]) -> SearchSettings:
    """Check the part of a configuration that says how a sweep searches."""
    search = parsed("search", config["search"], SearchSettings)
    refuse(search_rules(search))
    return search


def parsed(group: str, node: dict[str, Any], of: type[_T]) -> _T:
    """Build one settings dataclass; a fault names the field as `group.field`."""
    _check_keys(group, node, tuple(field.name for field in fields(of)))  # type: ignore[arg-type]
    try:
        return cast(_T, _ADAPTER(of).validate_python(node))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in (group, *first["loc"]) if part != "")
        expected = first["msg"].replace("Input should be", "expected")
        raise InputError(f"{place}: {expected}. Received: {excerpt(first['input'])}") from None


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
