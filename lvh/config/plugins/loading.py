"""The code of plugins: found, digested and imported, and which option comes from which.

Only a command line, an import of the user's own and the entry points of installed packages load a
plugin: never the value of a setting, nor a file of a run or of a model.
"""

import ast
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cache, partial
from importlib import import_module, metadata
from importlib.machinery import SourceFileLoader
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

from lvh.data import SOURCES
from lvh.data.cohort import fingerprint
from lvh.errors import InputError, LvhError, excerpt
from lvh.features import FORMS
from lvh.models import MODELS

REGISTRIES: dict[str, dict[str, Any]] = {"data": SOURCES, "features": FORMS, "model": MODELS}
"""The registry of each group of options."""

_EXPECTED = "expected FILE.py, or a MODULE that is installed or on PYTHONPATH"
_OF_FILE = "lvh_plugin_"
"""Begins the name under which a file is imported, so that it hides no other module."""


@dataclass(frozen=True, slots=True)
class Plugin:
    """The code that options come from: a path or a module; without a digest, a notebook's."""

    source: str
    digest: str


_plugins: dict[str, Plugin] = {}  # by the top package of their module
_modules: dict[tuple[str, str], str] = {}  # top package by group and option
_installed: set[str] = set()  # top packages that every process finds, by their entry points
_loading: set[str] = set()  # top packages whose digest was made right before their import


@dataclass(frozen=True, slots=True)
class Origin:
    """What some code is for, such as `model=lda: lda`, and the module that it is in."""

    what: str
    module: str

    @property
    def name(self) -> str:
        """Name of the option."""
        return self.what.partition(":")[0].rpartition("=")[2]

    def refused(self, expected: str, received: object) -> InputError:
        """Return the error for a result that cannot be used."""
        return InputError(f"{self.what}: {expected}. Received: {received}")

    @contextmanager
    def calling(self) -> Iterator[None]:
        """Turn an error of the code into an LvhError of one line that names the line of code."""
        try:
            yield
        except LvhError:
            raise
        except (Exception, SystemExit) as error:  # an exit code of 0 would be no result
            text = next(iter(str(error).strip().splitlines()), "")
            if isinstance(error, SyntaxError):
                text, place = str(error.msg), f" ({error.filename}:{error.lineno})"
            else:
                top, place = self.module.partition(".")[0], ""
                for frame, line in traceback.walk_tb(error.__traceback__):
                    if str(frame.f_globals.get("__name__")).partition(".")[0] == top:
                        place = f" ({frame.f_code.co_filename}:{line})"
            raise LvhError(f"{self.what}: {type(error).__name__}: {text}{place}") from error


def named(what: str, code: Any) -> str:
    """Return what some code is for, with its own name."""
    return f"{what}: {getattr(code, '__name__', type(code).__name__)}"


def load(names: Iterable[str]) -> tuple[Plugin, ...]:
    """Import plugins by the paths of files, `FILE.py`, or the names of modules."""
    paths = dict.fromkeys(map(_path, names))
    if len({_top(path) for path in paths if os.sep in path}) < sum(os.sep in one for one in paths):
        raise InputError(f"--plugin: expected files of different names. Received: {[*paths]}")
    return tuple(_load_file(one) if os.sep in one else _load_module(one) for one in paths)


def ensure(plugins: Iterable[Plugin]) -> None:
    """Load what another process has loaded; raise InputError if its code is another one by now."""
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
    """Import the modules that entry points of installed packages name, once in a process."""
    for group in ("lvh.models", "lvh.features", "lvh.sources"):
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
    """Refuse options whose code is missing here; what a file records is never loaded."""
    for option, source in recorded.items():
        group, _, name = option.partition("=")
        if name not in REGISTRIES.get(group, {}):
            raise InputError(
                f"{of}: {option} comes from a plugin, and code that a file names is not run. Add "
                f"--plugin {source}; in Python, import it first"
            )


def join(group: str, name: str, entry: Any, module: str) -> None:
    """Add an option to its registry, in which no other module has one of this name."""
    top = module.partition(".")[0]
    owner = _modules.get((group, name), "lvh")
    if name in REGISTRIES[group] and owner != top:
        raise InputError(
            f"{group}={name}: expected a name that is free. Received: one that {owner} has"
        )
    if top not in _loading and (files := _files_of(top)):  # the user's own import, or a reload
        _plugins[top] = Plugin(top, _digest(files, top))
    REGISTRIES[group][name] = entry
    _modules[group, name] = top


def _path(name: str) -> str:
    """Return the absolute path of a file, or the name of a module."""
    path = os.path.abspath(os.path.expanduser(name))
    is_file = name.endswith(".py") or os.sep in name
    if not (os.path.isfile(path) if is_file else name.replace(".", "").isidentifier()):
        raise InputError(f"--plugin: {_EXPECTED}. Received: {excerpt(name)}")
    return path if is_file else name


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
    loader = SourceFileLoader(top, path)
    # Python's own cache may hold an earlier version than the text that was digested
    text = files[Path(path)]
    loader.get_code = lambda fullname: loader.source_to_code(text, path)  # type: ignore[method-assign]
    spec = spec_from_file_location(top, path, loader=loader)
    assert spec is not None
    sys.modules[top] = module = module_from_spec(spec)
    if (folder := os.path.dirname(path)) not in sys.path:
        sys.path.append(folder)  # for what it imports; last, so that it hides no other module
    return _registered(plugin, partial(loader.exec_module, module))


def _load_module(name: str) -> Plugin:
    top = _top(name)
    if top not in sys.modules and find_spec(top) is None:
        raise InputError(f"--plugin: {_EXPECTED}. Received: {excerpt(name)}")
    plugin = _plugins.get(top) or Plugin(name, _digest(_files_of(top), top))
    return replace(_registered(plugin, partial(import_module, name)), source=name)


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
    spec = None if top == "__main__" else find_spec(top)
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
