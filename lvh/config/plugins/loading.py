"""The code of plugins: found, digested and imported, and which option comes from which.

Only a command line, an import of the user's own and the entry points of installed packages load a
plugin: never the value of a setting, nor a file of a run or of a model.
"""

import ast
import importlib.util
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache, partial
from importlib import metadata
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType
from typing import Any

from lvh.config.plugins.origin import Origin
from lvh.data import SOURCES
from lvh.data.cohort import fingerprint
from lvh.errors import InputError, excerpt
from lvh.features import FORMS
from lvh.models import MODELS

REGISTRIES: dict[str, dict[str, Any]] = {"data": SOURCES, "features": FORMS, "model": MODELS}
"""The registry of each group of options."""

_ENTRY_POINTS = ("lvh.models", "lvh.features", "lvh.sources")
_OF_FILE = "lvh_plugin_"
"""Begins the name under which a file is imported, so that it hides no other module."""


@dataclass(frozen=True, slots=True)
class Plugin:
    """The code that options come from.

    Attributes:
        source: Absolute path of a file, or name of a module.
        digest: SHA-256 of its source: of a file and of the files next to it that it imports, or of
            every file of a package and its version. Empty for code that is in no file of its own,
            such as a notebook's.
    """

    source: str
    digest: str


_plugins: dict[str, Plugin] = {}  # by the top package of their module
_modules: dict[tuple[str, str], str] = {}  # top package by group and option
_installed: set[str] = set()  # top packages that every process finds, by their entry points
_loading: set[str] = set()  # top packages whose digest was made right before their import


def load(names: Iterable[str]) -> tuple[Plugin, ...]:
    """Import plugins by the paths of files, `FILE.py`, or the names of modules.

    Raises:
        InputError: There is no such file or module, it registers nothing, or two of the files have
            one name.
        LvhError: Its code fails; the message names the line.
    """
    paths = {_path(name) or name: _path(name) for name in names}
    files = [path for path in paths.values() if path]
    if len({_top(path) for path in files}) < len(files):
        raise InputError(f"--plugin: expected files of different names. Received: {files}")
    return tuple(_load_file(path) if path else _load_module(name) for name, path in paths.items())


def ensure(plugins: Iterable[Plugin]) -> None:
    """Load what another process has loaded.

    Raises:
        InputError: The code is another one by now.
    """
    for plugin in plugins:
        own = _plugins.get(_top(plugin.source))
        if own is None or not (own.source == plugin.source or plugin.source in sys.modules):
            (own,) = load([plugin.source])
        if own.digest != plugin.digest:
            raise InputError(
                f"{plugin.source}: its code changed since this command began. Start it again"
            )


@cache
def load_installed() -> None:
    """Import the modules that entry points of installed packages name, once in a process.

    Raises:
        LvhError: The code of one fails; the message names the line.
    """
    for group in _ENTRY_POINTS:
        for point in metadata.entry_points(group=group):
            _load_module(point.module)
            _installed.add(_top(point.module))


def is_loaded(name: str) -> bool:
    """Return whether a plugin, or its package, has the type or module of this name."""
    return _top(name) in _plugins


def loaded() -> list[str]:
    """Return the paths and modules that commands have to name, of the plugins loaded so far."""
    return [one.source for top, one in _plugins.items() if one.digest and top not in _installed]


def origins(chosen: Iterable[tuple[str, str]]) -> dict[str, Plugin]:
    """Return the plugin of each of these groups and options that has one, by `model=mine`."""
    tops = {"=".join(key): _modules.get(key) for key in chosen}
    return {option: _plugins.get(top, Plugin(top, "")) for option, top in tops.items() if top}


def check_origins(recorded: Mapping[str, str], of: str) -> None:
    """Refuse options whose code is missing here; what a file records is never loaded.

    Args:
        recorded: The source of each option, such as `model=mine`.
        of: What was made with them, for the message.

    Raises:
        InputError: It says what to type.
    """
    missing = {}
    for option, source in recorded.items():
        group, _, name = option.partition("=")
        if name not in REGISTRIES.get(group, {}):
            missing[option] = source
    if missing:
        flags = " ".join(f"--plugin {source}" for source in dict.fromkeys(missing.values()))
        raise InputError(
            f"{of}: {next(iter(missing))} comes from a plugin, and code that a file names is not "
            f"run. Add {flags}; in Python, import it first"
        )


def join(group: str, name: str, entry: Any, module: str) -> None:
    """Add an option to its registry.

    Raises:
        InputError: There is one of this name, of lvh or of another plugin.
    """
    top = module.partition(".")[0]
    if name in REGISTRIES[group] and _modules.get((group, name)) != top:
        owner = _modules.get((group, name), "lvh")
        raise InputError(
            f"{group}={name}: expected a name that is free. Received: one that {owner} has"
        )
    if top not in _loading and (files := _files_of(top)):  # the user's own import, or a reload
        _plugins[top] = Plugin(top, _digest(files, top))
    REGISTRIES[group][name] = entry
    _modules[group, name] = top


def _path(name: str) -> str:
    """Return the absolute path of a file; nothing for the name of a module."""
    if not name.endswith(".py") and os.sep not in name:
        if not re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)*", name):
            raise InputError(f"--plugin: expected FILE.py or MODULE. Received: {excerpt(name)}")
        return ""
    path = os.path.abspath(os.path.expanduser(name))
    if not os.path.isfile(path):
        raise InputError(f"--plugin: expected a file of Python. Received: {excerpt(name)}")
    return path


def _top(name: str) -> str:
    """Return the name under which Python knows a file, or the top package of a module."""
    if os.sep in name:
        return _OF_FILE + re.sub(r"\W", "_", Path(name).stem)
    return name.partition(".")[0]


def _load_file(path: str) -> Plugin:
    top, files = _top(path), _reached(Path(path))
    plugin = Plugin(path, _digest(files))
    if _plugins.get(top) == plugin:
        return plugin
    _forget(top)
    for name, one in [*sys.modules.items()]:  # earlier versions of what it imports
        if Path(str(getattr(one, "__dict__", {}).get("__file__"))) in files:
            del sys.modules[name]
    loader = _Digested(top, path)
    loader.text = files[Path(path)]
    spec = importlib.util.spec_from_file_location(top, path, loader=loader)
    assert spec is not None
    sys.modules[top] = module = importlib.util.module_from_spec(spec)
    if (folder := os.path.dirname(path)) not in sys.path:
        sys.path.append(folder)  # for what it imports; last, so that it hides no other module
    return _registered(plugin, partial(loader.exec_module, module))


class _Digested(SourceFileLoader):
    """Imports the text that was digested: Python's own cache may hold an earlier version."""

    text: bytes

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self.text, self.path)


def _load_module(name: str) -> Plugin:
    top = _top(name)
    if top not in sys.modules and importlib.util.find_spec(top) is None:
        raise InputError(
            "--plugin: expected FILE.py, or a module that is installed or on PYTHONPATH. "
            f"Received: {excerpt(name)}"
        )
    plugin = _plugins.get(top) or Plugin(name, _digest(_files_of(top), top))
    return replace(_registered(plugin, partial(importlib.import_module, name)), source=name)


def _registered(plugin: Plugin, run: Callable[[], object]) -> Plugin:
    """Run the code of a plugin that was just digested."""
    top = _top(plugin.source)
    origin = Origin(f"--plugin {plugin.source}", top)
    _plugins[top] = plugin
    _loading.add(top)
    try:
        with origin.calling():
            run()
        if top not in _modules.values():
            expected = "code that calls lvh.register_model, register_features or register_source"
            raise origin.refused(f"expected {expected}", "code that registers nothing")
    except BaseException:
        _forget(top)
        raise
    finally:
        _loading.discard(top)
    return plugin


def _forget(top: str) -> None:
    """Take back what a module has registered."""
    for (group, name), module in [*_modules.items()]:
        if module == top:
            del REGISTRIES[group][name], _modules[group, name]
    _plugins.pop(top, None)
    if top.startswith(_OF_FILE):
        sys.modules.pop(top, None)


def _files_of(top: str) -> dict[Path, bytes]:
    """Return the files whose text decides what a top module does; none of a notebook."""
    spec = None if top == "__main__" else importlib.util.find_spec(top)
    if spec is None:
        return {}
    if spec.submodule_search_locations is not None:
        folders = map(Path, spec.submodule_search_locations)
        paths = sorted(path for folder in folders for path in folder.rglob("*.py"))
        return {path: path.read_bytes() for path in paths}
    return _reached(Path(spec.origin)) if spec.origin and spec.has_location else {}


def _reached(path: Path) -> dict[Path, bytes]:
    """Return a file, and those in its folder that it imports anywhere, directly or not."""
    folder, left, files = path.parent, [path], dict[Path, bytes]()
    if next(folder.glob("*.dist-info"), None):
        return {path: path.read_bytes()}  # all packages are next to an installed file
    while left:
        if (one := left.pop()) in files:
            continue
        files[one] = one.read_bytes()
        with suppress(SyntaxError, ValueError):  # the import says so
            for node in ast.walk(ast.parse(files[one])):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                names += [node.module or "lvh"] if isinstance(node, ast.ImportFrom) else []
                for name in {_top(name) for name in names} - {"lvh"}:
                    file = folder / f"{name}.py"
                    left += [*(folder / name).rglob("*.py"), *([file] if file.is_file() else [])]
    return files


def _digest(files: Mapping[Path, bytes], package: str = "") -> str:
    """Return the digest of a plugin's files and of its package's version; their folder is free."""
    folder = os.path.commonpath([path.parent for path in files]) if files else ""
    texts = sorted((str(path.relative_to(folder)), text) for path, text in files.items())
    version = ""
    with suppress(metadata.PackageNotFoundError, ValueError):
        version = metadata.version(package)
    return fingerprint(texts, version)
