"""The groups of options: from registries and dataclasses, and files in conf/ that differ."""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, asdict, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import create_config_search_path
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.config_store import ConfigStore
from hydra.core.utils import setup_globals

import lvh
from lvh.config.plugins import REGISTRIES, load_installed
from lvh.errors import InputError
from lvh.features import FORMS
from lvh.models import Architecture, Estimator
from lvh.models.training import TrainSettings
from lvh.search import SearchSettings
from lvh.tracking import TrackingSettings
from lvh.validation.splits import CvSettings

ENTRIES: Mapping[str, Mapping[str, Any]] = {**REGISTRIES, "external": REGISTRIES["data"]}
"""The registry of each group whose option decides which settings it has."""

SETTINGS: Mapping[str, type] = {
    "cv": CvSettings,
    "train": TrainSettings,
    "search": SearchSettings,
    "tracking": TrackingSettings,
}
"""Groups that have the same settings under every option."""

SHORT_NAMES = {"kernel_size": "kernel", "strides": "stride"}
"""Fields of the convolution and the groups that set them."""

CONVOLUTION = {short: f"model.{field}" for field, short in SHORT_NAMES.items()}
"""These groups, which have few numbers, and the settings that take any."""

GROUPS = (*ENTRIES, *SETTINGS, *CONVOLUTION, "experiment", "budget")

_registered: dict[tuple[str, str], Any] = {}
"""Registry entries that Hydra knows, by group and option."""


def conf_dir() -> Path:
    """Return the folder of the configuration: inside an installed package, or next to it."""
    package = Path(lvh.__file__).resolve().parent
    inside = package / "conf"
    return inside if inside.is_dir() else package.parent / "conf"


@cache
def hydra_loader(path: str, more: str | None) -> ConfigLoaderImpl:
    """Return Hydra's loader of a folder, of one `more` if there is, and of registered options."""
    setup_globals()  # Hydra's resolvers, which its own entry registers too
    search_path = create_config_search_path(path if "://" in path else f"file://{path}")
    if more is not None:
        if not Path(more).is_dir():
            raise InputError(f"--config-dir: expected a folder. Received: {more}")
        search_path.prepend("command-line", f"file://{more}", SearchPathQuery("schema", None))
    return ConfigLoaderImpl(search_path)


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return the end of a message with the closest name; empty if none is close."""
    close = difflib.get_close_matches(name, known, n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def param_name(name: str) -> str:
    """Return the name of MLflow's parameter for a setting, of which two have short ones.

    >>> param_name("model.kernel_size")
    'kernel'
    """
    return {field: short for short, field in CONVOLUTION.items()}.get(name, name)


def defaults(settings: type) -> dict[str, Any]:
    """Return the defaults of a dataclass; a field without one becomes `???`, as in Hydra."""
    values: dict[str, Any] = {}
    for field in fields(settings):
        value = field.default if field.default_factory is MISSING else field.default_factory()
        if is_dataclass(value) and not isinstance(value, type):
            value = asdict(value)
        elif isinstance(value, tuple):
            value = list(value)
        values[field.name] = "???" if value is MISSING else value
    return values


def register_options() -> None:
    """Register the options of the registries with Hydra, those of plugins too."""
    load_installed()
    entries = {(group, name): one for group in ENTRIES for name, one in ENTRIES[group].items()}
    if entries == _registered:
        return
    store = ConfigStore.instance()
    for group, name in _registered.keys() - entries.keys():
        del store.repo[group][f"{name}.yaml"]
    for (group, name), entry in entries.items():
        if group == "model":
            store.store(group=group, name=name, node=_model(name, entry), package="_global_")
            continue
        node = defaults(entry.settings) | {"name": name}
        if group in ("data", "external") and node.get("root", "") is None:
            node["root"] = f"${{oc.env:LVH_{name.upper()}_ROOT,null}}"
        store.store(group=group, name=name, node=node)
    _registered.clear()
    _registered.update(entries)


def _model(name: str, model: Architecture | Estimator) -> dict[str, Any]:
    """Return a model's settings, with the features that it takes where not every form fits."""
    node: dict[str, Any] = {"model": defaults(model.settings) | {"name": name}}
    form = model.form if isinstance(model, Estimator) else None
    if name == "resnet":
        form = "beat"
    elif form is None and model.inputs != "tabular":
        form = next(form for form, entry in FORMS.items() if entry.kind == model.inputs)
    if form is not None:
        node["defaults"] = [{"override /features": form}, "_self_"]
    if name == "criteria":
        node["features"] = {"missing": "zero"}  # a value that needs a missing wave is not met
    return node


# Hydra copies all options at each composition, and for each group of --help; it only reads
ConfigStore.__deepcopy__ = lambda store, memo: store  # type: ignore[attr-defined]
for _group, _name in {"cv": "kfold", "train": "fixed", "search": "default"}.items():
    ConfigStore.instance().store(group=_group, name=_name, node=defaults(SETTINGS[_group]))
# params: swept overrides of a recipe; the command line goes before them
ConfigStore.instance().store(group="hydra/sweeper", name="lvh", node={"params": {}})
for _name in ("mlflow", "off"):
    _node = {"uri": "${oc.env:MLFLOW_TRACKING_URI,null}", "name": _name}
    _node = defaults(TrackingSettings) | _node
    ConfigStore.instance().store(group="tracking", name=_name, node=_node)
