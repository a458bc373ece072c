"""The settings of one run: typed, checked and frozen."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import cache, cached_property
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, cast

from pydantic import Field, Strict, TypeAdapter, ValidationError

from lvh.config.groups import ENTRIES, SETTINGS, SHORT_NAMES, defaults, suggestion
from lvh.config.plugins import Plugin, check_origins, load_installed, origins
from lvh.data.labels import LVH
from lvh.errors import InputError, excerpt
from lvh.features import FORMS
from lvh.models import MODEL_ALIASES, MODELS, Estimator, forms_of
from lvh.models.backends import NO_BACKEND, Name
from lvh.models.training import TrainSettings, check_train
from lvh.search import SearchSettings
from lvh.tracking import TrackingSettings
from lvh.tracking.run_names import run_name
from lvh.validation.bounds import Seed
from lvh.validation.metrics import NAMES
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
Rule = tuple[object, str, object]
"""Whether settings do not go together; which fields, with what is expected; what was received."""

_FEWEST_REFITS = 40  # of which each end of a 95 % interval has one beyond it
_NOT_RECORDS = ("delineation", "label", "same_subject", "where")
"""Settings of a source that do not decide whose records they are: a subject may have several."""


@dataclass(frozen=True)
class RunSettings:
    """Everything that decides one run.

    Attributes:
        data, external, features, model: Settings of a registry's entry; `external` has records
            that are only scored, or is None.
        backend: The library below Keras, or NO_BACKEND for a model that is no network.
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
    seed: Seed
    resume: Annotated[bool, Strict()]
    store: Annotated[str, Field(min_length=1)]

    @property
    def base_name(self) -> str:
        """Model and features, a protocol that leaks, and records that are only scored."""
        protocol = self.cv.protocol if self.cv.leakage else ""
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
        return run_name(self.base_name, changed)

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


def settings_from(config: Mapping[str, Any]) -> RunSettings:
    """Check a composed configuration, resolved, field by field and across groups.

    A field that an earlier version lacks gets its default, which does what that version did.
    """
    load_installed()
    checked = {"external": None, **config}
    _check_plugins(checked.pop("plugins", None) or {})
    for group in (*ENTRIES, *SETTINGS):
        if group != "external" or checked[group] is not None:
            checked[group] = _group(group, checked.get(group))
    settings = parsed("", checked, RunSettings)
    if isinstance(MODELS[settings.model.name], Estimator):
        settings = replace(settings, backend=cast(Any, NO_BACKEND))
    check_train(settings.train, settings.cv.validation, settings.is_network)
    check_protocol(settings.cv)
    for rules in (_input_rules, _external_rules, _run_rules):
        _refuse(rules(settings))
    _refuse(_search_rules(settings.search))
    return settings


def search_from(config: Mapping[str, Any]) -> SearchSettings:
    """Check the part of a configuration that says how a sweep searches."""
    search = parsed("search", config["search"], SearchSettings)
    _refuse(_search_rules(search))
    return search


def _check_plugins(recorded: Any) -> None:
    """Refuse plugins that a file names; those in a run's folder are compared, never loaded."""
    named = recorded.values() if isinstance(recorded, dict) else [None]
    if not all(isinstance(one, dict) and "source" in one for one in named):
        raise InputError(
            "plugins: code that a file names is not run. Expected plugins=[MODULE] or --plugin "
            f"FILE.py on the command line. Received: {excerpt(recorded)}"
        )
    check_origins({option: str(one["source"]) for option, one in recorded.items()}, "plugins")


def _group(group: str, node: Any) -> Any:
    """Check the settings of a group, by the class that they have under its option."""
    if not isinstance(node, dict):
        raise InputError(f"{group}: expected an option. Received: {excerpt(node)}")
    if group in SETTINGS:
        return parsed(group, node, SETTINGS[group])
    options, name = ENTRIES[group], node.get("name")
    if group == "model" and isinstance(name, str):
        node = node | {"name": (name := MODEL_ALIASES.get(name, name))}
    if not isinstance(name, str) or name not in options:
        listed = ", ".join(options)
        raise InputError(f"{group}.name: expected one of {listed}. Received: {excerpt(name)}")
    of = options[name].settings
    foreign = SHORT_NAMES.keys() & node.keys() - {field.name for field in fields(of)}
    if group == "model" and foreign:
        shorts = sorted(SHORT_NAMES[field] for field in foreign)
        swept = " ".join(f"{short}=choice(...)" for short in shorts)
        raise InputError(
            f"{' and '.join(shorts)}: expected model=cnn, which alone has them (in a sweep over "
            f"models: {swept}). Received: model={name}"
        )
    return parsed(group, node, of)


def parsed(group: str, node: Mapping[str, Any], of: type[_T]) -> _T:
    """Build one settings dataclass; a fault names the field as `group.field`."""
    prefix = f"{group}." if group else ""
    names = [field.name for field in fields(of)]  # type: ignore[arg-type]
    for key in node:
        if key not in names:
            hint = suggestion(str(key), names)
            expected = f"no such setting{hint}. Expected one of {', '.join(names)}"
            raise InputError(f"{prefix}{key}: {expected}")
    given = {name: value for name, value in node.items() if value != "???"}
    try:
        return cast(_T, _ADAPTER(cast(Any, of)).validate_python(given))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in (group, *first["loc"]) if part != "")
        is_missing = first["type"] == "missing"
        expected = first["msg"].replace("Input should be", "expected")
        expected = "expected a value" if is_missing else expected
        received = "none" if is_missing else excerpt(first["input"])
        raise InputError(f"{place}: {expected}. Received: {received}") from None


def _refuse(rules: Iterable[Rule]) -> None:
    """Raise InputError for the first rule that is broken."""
    for is_broken, expected, received in rules:
        if is_broken:
            raise InputError(f"{expected}. Received: {received}")


def _search_rules(search: SearchSettings) -> Iterator[Rule]:
    """Refuse unknown scores, and two ways to stop trials at once."""
    names = search.objectives
    scores = {f"{prefix}{name}" for prefix in ("", "pooled_", "std_") for name in NAMES}
    is_odd = len({*names}) < len(names) or {*names} - {"seconds", *scores}
    known = f"{', '.join(NAMES)}, seconds; or pooled_ or std_ and a score"
    yield is_odd, f"search.objectives: expected different scores of {known}", names
    budget = "race" if search.race else search.budget
    stops = budget != "full" and search.pruner != "none"
    expected = "search.budget and search.pruner: expected only one of the two"
    yield stops, expected, f"budget={budget}, pruner={search.pruner}"
    is_vague = search.may_stop and (len(names) > 1 or names[0] not in NAMES)
    expected = "search.objectives: expected one score of a fold where trials may be stopped"
    yield is_vague, expected, ", ".join(names)


def _run_rules(settings: RunSettings) -> Iterator[Rule]:
    """Refuse a protocol, a search and a training that do not go together."""
    search, is_network, model = settings.search, settings.is_network, settings.model.name
    leakage = settings.cv.leakage
    expected = "cv.weights and cv.epoch: expected the defaults with a model that has no epochs"
    yield bool(leakage) and not is_network, expected, f"{leakage}, model={model}"
    expected = "search.budget and search.pruner: expected neither under a protocol that leaks"
    yield bool(leakage) and search.may_stop, expected, leakage
    expected = "search.budget: expected full or race with a model that has no epochs"
    yield search.halves and not is_network, expected, f"{search.budget}, model={model}"
    expected = "search.budget: halving decides the epochs, and expects no train.patience"
    patience = settings.train.patience
    yield search.halves and patience is not None, expected, patience


def _external_rules(settings: RunSettings) -> Iterator[Rule]:
    """Refuse splits that do not fit the records that are only scored."""
    cv, data, external = settings.cv, settings.data, settings.external
    expected = "cv and external: expected both cv=external and external=SOURCE, or neither"
    received = f"cv.scheme={cv.scheme}, external={'none' if external is None else external.name}"
    yield (cv.scheme == "external") != (external is not None), expected, received
    is_same = external is not None and _records_of(external) == _records_of(data)
    yield is_same, "external: expected other records than those of data", f"{data.name} twice"
    expected = "cv.repeats: expected 1 with cv=external, which has one split"
    yield external is not None and cv.repeats > 1, expected, cv.repeats
    is_off = cv.refits > 0 and (settings.is_network or cv.refits < _FEWEST_REFITS)
    is_off |= external is None and (cv.refits > 0 or cv.recalibrate != "none")
    expected = (
        "cv.refits and cv.recalibrate: expected external=SOURCE, and 0 refits, or "
        f"{_FEWEST_REFITS} or more of a model that is no network"
    )
    yield is_off, expected, f"{cv.refits} and {cv.recalibrate}, model={settings.model.name}"


def _records_of(source: Any) -> dict[str, Any]:
    """Return the settings that decide which records there are, with any waves and labels."""
    settings = asdict(source)
    return {name: settings[name] for name in settings if name not in _NOT_RECORDS}


def _input_rules(settings: RunSettings) -> Iterator[Rule]:
    """Refuse inputs that do not fit the model, or their changes in the training."""
    features, name, augment = settings.features, settings.model.name, settings.train.augment
    entry, kind = MODELS[name], FORMS[features.name].kind
    scaling = getattr(features, "scaling", "")
    fitting = forms_of(entry)
    needs = f"model={name} needs {fitting[0] if len(fitting) == 1 else entry.inputs} inputs"
    gives = f"features={features.name} gives {kind} ones"
    expected = f"{needs}, {gives}. Choose features={' or '.join(fitting)}, or another model"
    yield features.name not in fitting, expected, f"features={features.name}"
    expected = "train.augment: changes signals. Expected model=cnn or model=resnet"
    is_signal = kind == "signal" and settings.is_network
    yield augment.is_on and not is_signal, expected, f"model={name}"
    expected = "train.augment: noise, wander and amplitude are in mV, for features.scaling=none"
    yield augment.is_in_mv and scaling != "none", expected, scaling or features.name
    is_part = name == "criteria" and (features.inputs != "full" or features.columns)
    expected = "features.inputs and features.columns: expected the defaults with model=criteria"
    yield is_part, expected, repr(features)
