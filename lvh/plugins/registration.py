"""What a plugin calls: `register_model`, `register_features` and `register_source`.

Each is a decorator of a function or class, whose parameters are found by their names.
"""

import inspect
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import Field, field, fields, is_dataclass, make_dataclass
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from pydantic import Strict, TypeAdapter

from lvh.data import Source
from lvh.data.cohort import Cohort, SourceMetadata
from lvh.errors import InputError, excerpt
from lvh.features import FeatureSet, Form
from lvh.features.imputation import Fill
from lvh.models import MODEL_ALIASES, Architecture, Estimator
from lvh.plugins.checks import (
    CheckedClassifier,
    check_network,
    checked_cohort,
    checked_features,
    seeded,
)
from lvh.plugins.loading import calling, join

_F = TypeVar("_F", bound=Callable[..., Any])
Kind = Literal["tabular", "signal"]
Need = Literal["signals", "delineation", "columns", "twelve_leads", "age_and_sex"]

_OPTION = re.compile("[a-z][a-z0-9_]{0,50}")
_SCALARS = (bool, int, float, str)
_ESTIMATOR = ("settings", "names", "random_state", "subjects")
_NETWORK = ("settings", "input_shape")


def register_model(
    name: str, *, settings: type | None = None, inputs: Kind = "tabular"
) -> Callable[[_F], _F]:
    """Register a classifier of scikit-learn's kind, or a network, as `model=NAME`.

    What is decorated is one of these:

    - a class with `fit` and `predict_proba`; the fields of the settings are its arguments;
    - a function that returns such a classifier. It may take `settings`, `names` (of the inputs),
      `random_state` and `subjects` (of the training records). A `random_state` of the classifier
      or of its parts that is None becomes that of the run;
    - a function that takes `input_shape`, of one record, and maybe `settings`, and returns a Keras
      network with one sigmoid output, not compiled.

    Args:
        name: Small letters, digits and underscores.
        settings: A frozen dataclass; its fields are settings, as `model.FIELD=VALUE`.
        inputs: `tabular`, shape (n_records, n_inputs), or, for a network, `signal`, shape
            (n_records, n_samples, n_leads).

    Raises:
        InputError: The name is taken, or a parameter is none of these.

    >>> from sklearn.naive_bayes import GaussianNB
    >>> bayes = lvh.register_model("bayes")(GaussianNB)
    >>> lvh.settings("data=synthetic", "features=voltage", "model=bayes").name
    'bayes-voltage'
    """
    module = _caller()

    def register(build: _F) -> _F:
        what = f"model={name}"
        if not callable(build):
            raise InputError(
                f"{what}: expected a class or a function. Received: an object. Write a function "
                "that returns it"
            )
        own = _settings(what, settings, module)
        is_network = not inspect.isclass(build) and "input_shape" in _parameters(build)
        if inputs not in ("tabular", "signal") or (inputs == "signal" and not is_network):
            raise InputError(
                f"{what}: expected inputs=tabular, or inputs=signal of a function that takes "
                f"input_shape. Received: {excerpt(inputs)}"
            )
        wanted: list[str] = []
        if not inspect.isclass(build):
            known = _NETWORK if is_network else _ESTIMATOR
            wanted = _wanted(what, build, known, has_settings=settings is not None)
        entry: Architecture | Estimator
        if is_network:
            entry = Architecture(own, _network(what, module, build, wanted), _fits, inputs, False)
        else:
            entry = Estimator(own, _classifier(what, module, build, wanted, own))
        join("model", name, entry, module)
        return build

    return register


def register_features(
    name: str,
    *,
    settings: type | None = None,
    kind: Kind = "tabular",
    fill: Fill | None = None,
    needs: Sequence[Need] = ("signals",),
) -> Callable[[_F], _F]:
    """Register a function from a cohort to inputs as `features=NAME`.

    The function takes `cohort`, and maybe `settings`, and returns numbers of shape
    (n_records, n_inputs) or, for `kind="signal"`, (n_records, n_samples, n_channels); or a pair of
    these and the names along the last axis. It must look at one record at a time and at no label:
    this is tested, on the last records of a cohort.

    Args:
        name: Small letters, digits and underscores.
        settings: A frozen dataclass; its fields are settings, as `features.FIELD=VALUE`.
        kind: Of the inputs; it decides which models take them.
        fill: How missing values, NaN, of tabular inputs are filled in each fold: `mean` of the
            training records, or `zero`. Without it no value may be missing.
        needs: What the function reads, so that a cohort must have it: `signals`, `delineation`,
            `columns`, `twelve_leads`, `age_and_sex`.

    Raises:
        InputError: The name is taken, or a parameter is none of these.

    >>> @lvh.register_features("middle")
    ... def middle(cohort):
    ...     return cohort.signals.mean(axis=1)
    >>> chosen = lvh.settings("data=synthetic", "data.records=42", "features=middle", "model=svm")
    >>> lvh.load_data(chosen).features.X.shape
    (42, 12)
    """
    module = _caller()

    def register(extract: _F) -> _F:
        what = f"features={name}"
        own = _settings(what, settings, module)
        wanted = _wanted(what, extract, ("cohort", "settings"), has_settings=settings is not None)
        if kind not in get_args(Kind) or (kind == "signal" and fill):
            raise InputError(f"{what}: expected kind=tabular, or kind=signal without fill")
        if isinstance(needs, str) or {*needs} - {*get_args(Need)}:
            raise InputError(
                f"{what}: needs: expected some of {', '.join(get_args(Need))} in a list. "
                f"Received: {excerpt(needs)}"
            )

        def run(cohort: Cohort, chosen: Any) -> FeatureSet:
            def values(of: Cohort) -> Any:
                given = {"cohort": of, "settings": chosen}
                with calling(what, module):
                    return extract(**{one: given[one] for one in wanted})

            return checked_features(_described(what, extract), cohort, values, kind=kind, fill=fill)

        needed = {f"needs_{one}": one in needs for one in get_args(Need)}
        join("features", name, Form(own, run, kind, **needed), module)
        return extract

    return register


def register_source(
    name: str, *, settings: type | None = None, metadata: SourceMetadata | None = None
) -> Callable[[_F], _F]:
    """Register a function that returns a cohort as `data=NAME` and `external=NAME`.

    The function may take `settings`. The fingerprint of its cohort is made here, of all that the
    cohort holds.

    Args:
        name: Small letters, digits and underscores.
        settings: A frozen dataclass; its fields are settings, as `data.FIELD=VALUE`.
        metadata: Citation, licence and labels, for the page of `lvh explore`.

    Raises:
        InputError: The name is taken, or a parameter is none of these.

    >>> @lvh.register_source("small")
    ... def small():
    ...     made = lvh.settings("data=synthetic", "data.records=42", "features=raw", "model=cnn")
    ...     return lvh.load_data(made).cohort
    >>> len(lvh.load_data(lvh.settings("data=small", "model=cnn")).cohort.records)
    42
    """
    module = _caller()

    def register(load: _F) -> _F:
        what = f"data={name}"
        own = _settings(what, settings, module)
        wanted = _wanted(what, load, ("settings",), has_settings=settings is not None)

        def run(chosen: Any) -> Cohort:
            with calling(what, module):
                cohort = load(**dict.fromkeys(wanted, chosen))
                return checked_cohort(_described(what, load), cohort)

        about = metadata or SourceMetadata(f"The plugin {module}.", "not known", "Not described.")
        join("data", name, Source(own, run, about), module)
        return load

    return register


def _classifier(what: str, module: str, build: Any, wanted: Sequence[str], own: type) -> Any:
    """Return what builds a checked classifier of a function, or of a class and its arguments."""
    names = [one.name for one in fields(own) if one.name != "name"]
    if inspect.isclass(build):
        _check_fields(what, build, names)

    def new(settings: Any, columns: tuple[str, ...], random_state: int, subjects: Any) -> Any:
        given = dict(zip(_ESTIMATOR, (settings, columns, random_state, subjects), strict=True))
        arguments = {one: given[one] for one in wanted}
        if inspect.isclass(build):
            arguments = {one: getattr(settings, one) for one in names}
        with calling(what, module):
            model = seeded(build(**arguments), random_state)
        return CheckedClassifier(_described(what, build), module, model)

    return new


def _network(what: str, module: str, build: Any, wanted: Sequence[str]) -> Any:
    """Return what builds a checked network."""

    def new(settings: Any, input_shape: tuple[int, ...]) -> Any:
        given = {"settings": settings, "input_shape": input_shape}
        with calling(what, module):  # the check calls the layers, which may be the user's
            model = build(**{one: given[one] for one in wanted})
            check_network(_described(what, build), model, input_shape)
        return model

    return new


def _fits(settings: Any, input_shape: tuple[int, ...]) -> None:
    """Accept any shape: the code of a plugin says itself what does not fit."""


def _caller() -> str:
    """Return the module that calls the function that calls this one."""
    return str(sys._getframe(2).f_globals.get("__name__", "__main__"))


def _described(what: str, function: Any) -> str:
    return f"{what}: {getattr(function, '__name__', type(function).__name__)}"


def _parameters(function: Any) -> list[str]:
    return [*inspect.signature(function).parameters]


def _wanted(what: str, function: Any, known: Iterable[str], *, has_settings: bool) -> list[str]:
    """Return the parameters that a function gets; it must take settings exactly if it has some."""
    parameters = inspect.signature(function).parameters
    wanted = [name for name in known if name in parameters]
    others = [
        name
        for name, one in parameters.items()
        if name not in wanted
        and one.default is one.empty
        and one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)
    ]
    if others or has_settings != ("settings" in wanted) or ("cohort" in {*known} - {*wanted}):
        raise InputError(
            f"{_described(what, function)}: expected parameters of {', '.join(known)}, with "
            "settings where register_... gets a class settings=, and only there. Received: "
            f"({', '.join(parameters)})"
        )
    return wanted


def _check_fields(what: str, build: Any, names: Iterable[str]) -> None:
    parameters = inspect.signature(build).parameters
    takes_any = any(one.kind is one.VAR_KEYWORD for one in parameters.values())
    for name in names:
        if name not in parameters and not takes_any:
            raise InputError(
                f"{_described(what, build)}: expected fields of settings that are arguments: "
                f"{', '.join(parameters)}. Received: {name}"
            )


def _settings(what: str, own: type | None, module: str) -> type:
    """Return a class of settings with the name of the option, whose plain values are strict."""
    group, _, name = what.partition("=")
    if not isinstance(name, str) or not _OPTION.fullmatch(name) or name in MODEL_ALIASES:
        raise InputError(
            f"{group}: expected a name of small letters, digits and underscores, and no former "
            f"name of a model. Received: {excerpt(name)}"
        )
    named = ("name", Literal[name], field(default=name))
    kept, bases = [], (own,) if own is not None else ()
    if own is not None:
        if not is_dataclass(own) or not own.__dataclass_params__.frozen:  # type: ignore[attr-defined]
            raise InputError(f"{what}: expected settings=, a frozen dataclass. Received: {own!r}")
        hints = get_type_hints(own, include_extras=True)
        kept = [_strict(what, one, hints[one.name]) for one in fields(own)]
    made = make_dataclass(
        f"{name}_settings", [*kept, named], bases=bases, frozen=True, kw_only=True
    )
    made.__module__ = module  # of the code that they are of
    try:
        TypeAdapter(made)
    except Exception as error:  # of pydantic, of many kinds
        reason = str(error).splitlines()[0]
        raise InputError(
            f"{what}: expected settings of types that can be checked: {reason}"
        ) from None
    return made


def _strict(what: str, one: "Field[Any]", hint: Any) -> tuple[str, Any, Any]:
    if one.name == "name" or not one.init or (get_origin(hint) or hint) in (list, dict, set):
        raise InputError(
            f"{what}: settings: expected fields of numbers, texts or tuples, and none called name. "
            f"Received: {one.name}: {hint}"
        )
    if hint in _SCALARS:
        hint = Annotated[hint, Strict()]  # true is no number, and 1 no text
    return one.name, hint, field(default=one.default, default_factory=one.default_factory)
