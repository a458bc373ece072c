"""Checks of settings against each other: fields that are good alone and do not go together."""

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from lvh.errors import InputError, excerpt
from lvh.features import FORMS
from lvh.models import MODELS, Estimator
from lvh.models.training import check_train
from lvh.search import SearchSettings
from lvh.validation.metrics import NAMES
from lvh.validation.splits import check_protocol

if TYPE_CHECKING:
    from lvh.config.run_settings import RunSettings

SHORT_NAMES = {"kernel_size": "kernel", "strides": "stride"}
"""Fields of the convolution and the groups that set them."""


def check(settings: "RunSettings") -> None:
    """Refuse settings that do not go together."""
    check_train(settings.train, settings.cv.validation, settings.is_network)
    check_protocol(settings.cv)
    _check_external(settings)
    _check_leaks(settings)
    _check_augment(settings)


def check_search(search: SearchSettings) -> None:
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


def check_convolution(model: dict[str, Any]) -> None:
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


def check_features(model: str, features: str) -> None:
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


def _check_external(settings: "RunSettings") -> None:
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


def _check_leaks(settings: "RunSettings") -> None:
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


def _check_augment(settings: "RunSettings") -> None:
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
