"""What a plugin calls: `register_model`, `register_features` and `register_source`."""

import inspect
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import field, fields, make_dataclass
from typing import Annotated, Any, Literal, TypeVar, get_args, get_type_hints

from omegaconf import OmegaConf
from pydantic import Strict, TypeAdapter

from lvh.config.groups import defaults
from lvh.config.plugin_checks import (
    checked_cohort,
    checked_features,
    classifier_entry,
    network_entry,
)
from lvh.config.plugins import Origin, join, named
from lvh.data import Source
from lvh.data.cohort import Cohort, SourceMetadata
from lvh.errors import InputError, excerpt
from lvh.features import FeatureSet, Form
from lvh.features.missing_values import Fill
from lvh.models import MODEL_ALIASES, Architecture, Estimator

_F = TypeVar("_F", bound=Callable[..., Any])
Kind = Literal["tabular", "signal"]
Need = Literal["signals", "delineation", "columns", "twelve_leads", "age_and_sex"]

_OPTION = re.compile("[a-z][a-z0-9_]{0,50}")


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

    def new(build: Any, origin: Origin, own: type) -> Architecture | Estimator:
        if inspect.isclass(build) and inputs == "tabular":
            names = [one.name for one in fields(settings)] if settings is not None else []
            try:
                inspect.signature(build).bind_partial(**dict.fromkeys(names))
            except TypeError as error:
                expected = f"expected fields of settings that are arguments of {build.__name__}"
                raise origin.refused(expected, error) from None
            return classifier_entry(
                origin, own, lambda settings, **_: build(**{n: getattr(settings, n) for n in names})
            )
        is_network = callable(build) and "input_shape" in inspect.signature(build).parameters
        if not callable(build) or inputs not in ("signal" if is_network else "", "tabular"):
            raise origin.refused(
                "expected a class or a function with inputs=tabular, or with inputs=signal a "
                "function that takes input_shape",
                f"{type(build).__name__}, inputs={excerpt(inputs)}",
            )
        if is_network:
            call = _taking(origin, build, ("settings", "input_shape"), settings)
            return network_entry(origin, own, call, inputs)
        known = ("settings", "names", "random_state", "subjects")
        return classifier_entry(origin, own, _taking(origin, build, known, settings))

    return _registering("model", name, settings, new)


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

    def new(extract: Any, origin: Origin, own: type) -> Form:
        call = _taking(origin, extract, ("cohort", "settings"), settings)
        if "cohort" not in inspect.signature(extract).parameters:
            raise origin.refused("expected a function of a cohort", inspect.signature(extract))
        is_odd = isinstance(needs, str) or {*needs} - {*get_args(Need)}
        if is_odd or kind not in get_args(Kind) or (kind == "signal" and fill):
            raise origin.refused(
                f"expected kind=tabular, or kind=signal without fill; needs= a list of some of "
                f"{', '.join(get_args(Need))}",
                excerpt((kind, fill, needs)),
            )

        def run(cohort: Cohort, chosen: Any) -> FeatureSet:
            def values(of: Cohort) -> Any:
                with origin.calling():
                    return call(cohort=of, settings=chosen)

            return checked_features(origin, cohort, values, kind=kind, fill=fill)

        return Form(own, run, kind, **{f"needs_{one}": one in needs for one in get_args(Need)})

    return _registering("features", name, settings, new)


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
    ...     return lvh.load_data("synthetic", records=42)
    >>> len(lvh.load_data("small").records)
    42
    """

    def new(load: Any, origin: Origin, own: type) -> Source:
        call = _taking(origin, load, ("settings",), settings)

        def run(chosen: Any) -> Cohort:
            with origin.calling():
                return checked_cohort(origin, call(settings=chosen))

        about = SourceMetadata(f"The plugin {origin.module}.", "not known", "Not described.")
        return Source(own, run, metadata or about)

    return _registering("data", name, settings, new)


def _registering(
    group: str, name: str, settings: type | None, new: Callable[[Any, Origin, type], Any]
) -> Callable[[_F], _F]:
    """Return what adds the entry of the decorated function or class to its registry."""
    module = str(sys._getframe(2).f_globals.get("__name__", "__main__"))
    own = _settings(group, name, settings, module)

    def register(code: _F) -> _F:
        join(group, name, new(code, Origin(named(f"{group}={name}", code), module), own), module)
        return code

    return register


def _taking(
    origin: Origin, function: Any, known: Sequence[str], settings: type | None
) -> Callable[..., Any]:
    """Return what calls a function with those arguments that it names."""
    parameters = inspect.signature(function).parameters
    wanted = [name for name in known if name in parameters]
    needed = {name for name, one in parameters.items() if one.default is one.empty}
    if needed - {*wanted} or (settings is not None) != ("settings" in wanted):
        raise origin.refused(
            f"expected parameters of {', '.join(known)}, with settings where register_... gets a "
            "class settings=, and only there",
            f"({', '.join(parameters)})",
        )
    return lambda **given: function(**{name: given[name] for name in wanted})


def _settings(group: str, name: str, own: type | None, module: str) -> type:
    """Return a class of settings with the name of the option, whose plain values are strict."""
    if not isinstance(name, str) or not _OPTION.fullmatch(name) or name in MODEL_ALIASES:
        raise InputError(
            f"{group}: expected a name of small letters, digits and underscores, and no old "
            f"name of a model. Received: {excerpt(name)}"
        )
    try:
        hints = get_type_hints(own, include_extras=True) if own else {}
        entries = list[Any]()
        for one in fields(own) if own else ():  # true is no number, and 1 no text
            hint, is_strict = hints[one.name], hints[one.name] in (bool, int, float, str)
            value = field(default=one.default, default_factory=one.default_factory)
            entries.append((one.name, Annotated[hint, Strict()] if is_strict else hint, value))
        entries.append(("name", Literal[name], field(default=name)))
        bases = (own,) if own is not None else ()
        made = make_dataclass(f"{name}_settings", entries, bases=bases, frozen=True, kw_only=True)
        made.__module__ = module  # of the code that they are of
        TypeAdapter(made)
        OmegaConf.create(defaults(made))
    except Exception as error:  # dataclasses, pydantic and OmegaConf raise many kinds
        raise InputError(
            f"{group}={name}: settings: expected a frozen dataclass of numbers, texts and tuples, "
            f"none called name. Received: {own!r}: {next(iter(str(error).splitlines()), '')}"
        ) from None
    return made
