"""From what a user typed to settings that are known to be good."""

import difflib
import re
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any, TypeVar, cast

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import Field, Strict, TypeAdapter, ValidationError

import lvh
from lvh.data import SOURCES
from lvh.errors import InputError
from lvh.evaluation.results import Plain
from lvh.features import FORMS
from lvh.models import MODELS, Estimator
from lvh.models.backends import NO_BACKEND, Name
from lvh.models.training import TrainSettings, check_train
from lvh.search import SearchSettings
from lvh.tracking import TrackingSettings
from lvh.validation.metrics import NAMES
from lvh.validation.splits import CvSettings, check_protocol

_GROUP = re.compile(
    r"[+~]*(data|external|features|model|kernel|stride|cv|train|search|tracking|experiment|budget)"
    r"(?:@[^=]*)?=(.*)",
    re.DOTALL,
)
_CODE = re.compile(
    r"[+~]*hydra([./](callbacks|hydra_logging\.|job_logging\.).*)?=.*|.*(?<!\w)_target_(?!\w).*",
    re.DOTALL,
)
"""What names code for Hydra to run: everything that runs here comes from our own registries."""
_NOT_A_WORD = re.compile(
    r"(?<![\w'\".+-])(?:[+-]?(?:\d+(?:\.\d*)?(?:e[+-]?\d+)?|inf|nan)|null|true|false)(?![\w'\".])",
    re.IGNORECASE,
)
_NAMELESS = re.compile("[+~]*(?:[=@].*)?", re.DOTALL)
_HUGE = re.compile(r"[\d_]{4300}")  # Python reads no longer numbers
_NO_OPTION = re.compile(r"[/\\]|\$\{|[\w.-]{200}")  # a path, an interpolation, no file's name
_LONGEST = 120  # characters of a value that are told
_CONVOLUTION = ("kernel_size", "strides")
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class RunSettings:
    """Everything that decides one run.

    Attributes:
        data: Settings of a source in `lvh.data.SOURCES`.
        external: Settings of one whose records are only scored; None for none.
        features: Settings of a form in `lvh.features.FORMS`.
        model: Settings of one in `lvh.models.MODELS`.
        cv: How records are split.
        train: How a network is trained; of no account for other models, but for its threads.
        search: How a sweep chooses and stops; of no account for a single run.
        tracking: Where results are tracked.
        backend: The library below Keras that trains, of `lvh.models.backends.BACKENDS`;
            NO_BACKEND for a model that Keras has no part in, whatever was typed.
        seed: Of weights, dropout and order of the records.
        resume: Take finished folds, and the run they belong to, from an earlier process.
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
        convolution = [
            f"{letter}{getattr(self.model, field)}"
            for letter, field in zip("ks", _CONVOLUTION, strict=True)
            if hasattr(self.model, field)
        ]
        others = [self.cv.protocol.name] if self.cv.protocol.leaks else []
        others += [f"on-{self.external.name}"] if self.external is not None else []
        return "-".join([*convolution, self.model.name, self.features.name, *others])

    @property
    def is_network(self) -> bool:
        """Whether Keras trains the model, in epochs."""
        return self.backend != NO_BACKEND

    def params(self) -> dict[str, Plain]:
        """Flatten the settings for comparison: choices and kernel and stride by plain names."""
        flat: dict[str, Plain] = {"seed": self.seed, "backend": self.backend}
        external = [] if self.external is None else ["external"]
        for group in ("data", *external, "features", "model"):
            flat[group] = getattr(self, group).name
        groups = ("data", *external, "features", "model", "cv", "train")
        for group in groups if self.is_network else groups[:-1]:
            for field, value in asdict(getattr(self, group)).items():
                if field in _CONVOLUTION:
                    flat[_plain(field)] = value
                elif isinstance(value, dict):
                    flat |= {f"{group}.{field}.{key}": one for key, one in value.items()}
                elif field != "name":
                    flat[f"{group}.{field}"] = (
                        " ".join(map(str, value)) if isinstance(value, tuple) else value
                    )
        return flat


@dataclass(frozen=True, slots=True)
class _Ungrouped:
    """The settings that belong to no group."""

    backend: Name
    seed: Annotated[int, Strict(), Field(ge=0, lt=2**32)]
    resume: Annotated[bool, Strict()]
    store: Annotated[str, Field(min_length=1)]


def conf_dir() -> Path:
    """Return the folder of the configuration: inside an installed package, or beside it."""
    package = Path(lvh.__file__).resolve().parent
    inside = package / "conf"
    return inside if inside.is_dir() else package.parent / "conf"


def quoted(arguments: list[str]) -> list[str]:
    """Quote numbers, null, true and false where an argument chooses an option of a group.

    Hydra reads `stride=10` as a number and then refuses it as the name of an option; what a
    user means is the option "10".

    Raises:
        InputError: No name or no end of an argument, what names code, or a list, of which Hydra
            would silently use the last.
    """
    return [_quoted(argument) for argument in arguments]


def _quoted(argument: str) -> str:
    if _NAMELESS.fullmatch(argument):
        raise InputError(f"{argument!r}: expected GROUP=OPTION or FIELD=VALUE")
    if _CODE.fullmatch(argument):
        raise InputError(
            f"{argument.partition('=')[0][:_LONGEST]}: expected a setting or an option. Received: "
            "one by which Hydra would run any code that it names"
        )
    if _HUGE.search(argument):
        raise InputError(f"{_shown(argument)}: expected numbers of fewer than 4300 digits")
    match = _GROUP.fullmatch(argument)
    if match is None or match[2].startswith("{"):
        return argument
    group, options = match.groups()
    if options.startswith("["):
        raise InputError(
            f"{group}: expected one option, or several in a sweep: "
            f"-m {group}={options.strip('[]')}. Received: {options}"
        )
    if _NO_OPTION.search(options):
        raise InputError(
            f"{group}: expected an option, as --help lists them. Received: {_shown(options)}"
        )
    return argument[: match.start(2)] + _NOT_A_WORD.sub(_in_quotes, options)


def plain(config: DictConfig) -> dict[str, Any]:
    """Resolve a composed configuration into plain containers, without Hydra's own part.

    Raises:
        InputError: An interpolation that does not resolve.
    """
    try:
        groups = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
        return cast(dict[str, Any], OmegaConf.to_container(groups, resolve=True))
    except OmegaConfBaseException as error:
        raise InputError(f"{error.full_key}: {str(error).splitlines()[0]}") from None


def known_fields() -> tuple[str, ...]:
    """Return every field that an override may name, as `group.field`, and every group."""
    of_groups: dict[str, list[Any]] = {
        "data": [source.settings for source in SOURCES.values()],
        "external": [source.settings for source in SOURCES.values()],
        "features": [form.settings for form in FORMS.values()],
        "model": [architecture.settings for architecture in MODELS.values()],
        "cv": [CvSettings],
        "train": [TrainSettings],
        "search": [SearchSettings],
        "tracking": [TrackingSettings],
    }
    dotted = {
        f"{group}.{field.name}": None
        for group, types in of_groups.items()
        for settings in types
        for field in fields(settings)
    }
    alone = [field.name for field in fields(_Ungrouped)]
    return (*of_groups, "kernel", "stride", "experiment", "budget", *alone, *dotted)


def settings_from(config: dict[str, Any]) -> RunSettings:
    """Check a composed configuration, field by field and across groups.

    Args:
        config: Plain containers, resolved, one entry a group.

    Raises:
        InputError: Names the field, what was expected and what was received.
    """
    groups = {
        "data": {name: source.settings for name, source in SOURCES.items()},
        "external": {name: source.settings for name, source in SOURCES.items()},
        "features": {name: form.settings for name, form in FORMS.items()},
        "model": {name: architecture.settings for name, architecture in MODELS.items()},
    }
    has_external = config.get("external") is not None  # a group that nobody chose is not there
    if not has_external:
        config = {one: value for one, value in config.items() if one != "external"}
        del groups["external"]
    known = [field.name for field in fields(RunSettings)]
    _check_keys("", config, tuple(one for one in known if has_external or one != "external"))
    alone = {field.name: config[field.name] for field in fields(_Ungrouped)}
    for group in config:
        if group not in alone and not isinstance(config[group], dict):
            raise InputError(f"{group}: expected an option. Received: {_shown(config[group])}")
    for group, types in groups.items():
        name = config[group].get("name")
        if not isinstance(name, str) or name not in types:
            raise InputError(
                f"{group}.name: expected one of {', '.join(types)}. Received: {_shown(name)}"
            )
    _check_convolution(config["model"])
    _check_pair(config["model"]["name"], config["features"]["name"])
    ungrouped = asdict(_parsed("", alone, _Ungrouped))
    chosen: dict[str, Any] = {
        group: _parsed(group, config[group], types[config[group]["name"]])
        for group, types in groups.items()
    }
    chosen.setdefault("external", None)
    if isinstance(MODELS[chosen["model"].name], Estimator):
        ungrouped["backend"] = NO_BACKEND
    settings = RunSettings(
        **chosen,
        cv=_parsed("cv", config["cv"], CvSettings),
        train=_parsed("train", config["train"], TrainSettings),
        search=search_from(config),
        tracking=_parsed("tracking", config["tracking"], TrackingSettings),
        **ungrouped,
    )
    check_train(settings.train, settings.cv.validation, settings.is_network)
    check_protocol(settings.cv)
    _check_external(settings)
    _check_leaks(settings)
    _check_augment(settings)
    return settings


def search_from(config: dict[str, Any]) -> SearchSettings:
    """Check the part of a configuration that says how a sweep searches.

    Raises:
        InputError: Names the field, what was expected and what was received.
    """
    search = _parsed("search", config["search"], SearchSettings)
    plain_names = (*NAMES, "seconds")
    others = [f"{prefix}_{name}" for prefix in ("pooled", "std") for name in NAMES]
    for name in search.objectives:
        if name not in (*plain_names, *others):
            raise InputError(
                f"search.objectives: expected some of {', '.join(plain_names)}; or pooled_ or std_ "
                f"and a score. Received: {_shown(name)}"
            )
    if len(set(search.objectives)) < len(search.objectives):
        raise InputError(
            f"search.objectives: expected different ones. Received: {', '.join(search.objectives)}"
        )
    if search.race and search.pruner != "none":
        raise InputError(
            "search.race and search.pruner: expected one of them. "
            f"Received: race=true, pruner={search.pruner}"
        )
    stops = search.race or search.pruner != "none"
    if stops and (len(search.objectives) > 1 or search.objectives[0] not in NAMES):
        raise InputError(
            "search.objectives: expected one score of a fold where trials may be stopped. "
            f"Received: {', '.join(search.objectives)}"
        )
    if search.sampler == "cmaes" and len(search.objectives) > 1:
        raise InputError(
            f"search.sampler: cmaes takes one objective. Received: {', '.join(search.objectives)}"
        )
    return search


def _parsed(group: str, node: dict[str, Any], of: type[_T]) -> _T:
    """Build one settings dataclass, with every fault told as `group.field`."""
    _check_keys(group, node, tuple(field.name for field in fields(of)))  # type: ignore[arg-type]
    try:
        return TypeAdapter(of).validate_python(node)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in (group, *first["loc"]) if part != "")
        expected = first["msg"].replace("Input should be", "expected")
        raise InputError(f"{place}: {expected}. Received: {_shown(first['input'])}") from None


def _check_keys(group: str, node: dict[str, Any], known: tuple[str, ...]) -> None:
    prefix = f"{group}." if group else ""
    for key, value in node.items():
        if key not in known:
            raise InputError(
                f"{prefix}{key}: no such setting{_hint(str(key), known)}. "
                f"Expected one of {', '.join(known)}"
            )
        if value == "???":
            raise InputError(f"{prefix}{key}: expected a value. Received: none")
    missing = [key for key in known if key not in node]
    if missing:
        raise InputError(f"{prefix}{missing[0]}: expected a value. Received: none")


def _check_convolution(model: dict[str, Any]) -> None:
    """Refuse kernel and stride where they decide nothing, before they are trained many times."""
    name = model["name"]
    known = {field.name for field in fields(MODELS[name].settings)}
    given = [key for key in _CONVOLUTION if key in model and key not in known]
    if given:
        tabular = MODELS[name].inputs == "tabular"
        has = "no convolution" if tabular else "a kernel and strides of its own"
        raise InputError(
            f"{' and '.join(_plain(key) for key in given)}: model={name} has {has}. "
            "Add model=cnn, or leave them out"
        )


def _check_pair(model: str, features: str) -> None:
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
    # whoever says where their waves are, they are the same records
    if external is not None and _of_records(external) == _of_records(settings.data):
        raise InputError(
            f"external: expected other records than those of data. Received: {external.name} twice"
        )
    if external is not None and cv.repeats > 1:
        raise InputError(
            "cv.repeats: expected 1 with cv=external, which has one split; other seeds make other "
            f"models. Received: {cv.repeats}"
        )


def _of_records(source: Any) -> Any:
    return replace(source, delineation="found")


def _check_leaks(settings: RunSettings) -> None:
    search = settings.search
    if settings.cv.protocol.leaks and not settings.is_network:
        raise InputError(
            "cv.weights and cv.epoch: a model that is fitted in one go has no weights to carry and "
            f"no epochs to choose from. Received: {settings.cv.protocol.leakage}, "
            f"model={settings.model.name}"
        )
    if settings.cv.protocol.leaks and (search.race or search.pruner != "none"):
        raise InputError(
            "search.race and search.pruner: expected neither under a protocol that leaks, whose "
            f"trials have no rank. Received: {settings.cv.protocol.leakage}"
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


def _plain(field: str) -> str:
    return {"kernel_size": "kernel", "strides": "stride"}.get(field, field)


def _hint(key: str, known: tuple[str, ...]) -> str:
    close = difflib.get_close_matches(key, known, n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _shown(value: object) -> str:
    """Quote a value for a message, cut short."""
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _in_quotes(match: re.Match[str]) -> str:
    return f"'{match[0]}'"
