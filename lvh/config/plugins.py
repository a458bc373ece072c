"""Plugins: how their code is found, hashed and imported, and which options it registers.

Only a command line, an import of the user's own and the entry points of installed packages load a
plugin: never the value of a setting, nor a file of a run or of a model.
"""

import ast
import os
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from importlib import import_module, invalidate_caches, metadata
from importlib.util import cache_from_source, find_spec
from pathlib import Path
from typing import Any

from lvh.data import SOURCES
from lvh.data.cohort import fingerprint
from lvh.errors import InputError, LvhError, excerpt
from lvh.features import FORMS
from lvh.models import MODELS

REGISTRIES: dict[str, dict[str, Any]] = {"data": SOURCES, "features": FORMS, "model": MODELS}
"""The registry of each group of options."""


@dataclass(frozen=True, slots=True)
class Plugin:
    """The code that options come from: a path or a module; without a digest, a notebook's."""

    source: str
    digest: str


_plugins: dict[str, Plugin] = {}  # by the top package of their module
_modules: dict[tuple[str, str], str] = {}  # top package by group and option
_installed: set[str] = set()  # top packages that every process finds, by their entry points


@dataclass(frozen=True, slots=True)
class Origin:
    """The option that some code is for, such as `model=lda: lda`, and the module of the code."""

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
            place = ""
            for frame, line in traceback.walk_tb(error.__traceback__):
                if _top(str(frame.f_globals.get("__name__"))) == _top(self.module):
                    place = f" ({frame.f_code.co_filename}:{line})"
            text = next(iter(str(error).strip().splitlines()), "")
            raise LvhError(f"{self.what}: {type(error).__name__}: {text}{place}") from error


def named(what: str, code: Any) -> str:
    """Return what some code is for, and its own name, as `Origin.what` has them."""
    return f"{what}: {getattr(code, '__name__', type(code).__name__)}"


def load(names: Iterable[str]) -> tuple[Plugin, ...]:
    """Import plugins by the paths of files, `FILE.py`, or the names of modules."""
    return tuple(map(_load, dict.fromkeys(names)))


def _load(name: str) -> Plugin:
    path, is_file = os.path.abspath(os.path.expanduser(name)), name.endswith(".py")
    source, top = (path if is_file else name), _top(name)
    if is_file:
        if top in _plugins and _plugins[top].source != path:  # a file of this name elsewhere
            _forget(top)
        _add_to_path(path)
    invalidate_caches()
    files = _files_of(top)
    if not files or (is_file and os.path.realpath(path) not in map(os.path.realpath, files)):
        raise InputError(
            "--plugin: expected FILE.py, whose name no other module has, or a MODULE that is "
            f"installed or on PYTHONPATH. Received: {excerpt(name)}"
        )
    plugin, known = Plugin(source, _digest(files, top)), _plugins.get(top)
    if known == plugin:
        return plugin
    origin = Origin(f"--plugin {source}", top)
    if is_file:
        _forget(top, files)
        _add_to_path(path)
    elif known is not None:  # Python imports a module once: the known code still runs
        plugin = Plugin(source, known.digest)
    _plugins[top] = plugin
    try:
        with origin.calling():
            import_module(top if is_file else name)
        if top not in _modules.values():
            expected = "code that calls lvh.register_model, register_features or register_source"
            raise origin.refused(f"expected {expected}", "code that registers nothing")
    except BaseException:
        _forget(top)
        raise
    _plugins[top] = plugin  # with the digest of before the import
    return plugin


def _add_to_path(file: str) -> None:
    """Let Python find a file, and those next to it, behind all other modules."""
    if os.path.dirname(file) not in sys.path:
        sys.path.append(os.path.dirname(file))


def ensure(plugins: Iterable[Plugin]) -> None:
    """Load what another process has loaded; raise InputError if its code has changed since."""
    for plugin in plugins:
        own = _plugins.get(_top(plugin.source))
        if own is None or own.source != plugin.source:
            own = _load(plugin.source)
        if own.digest != plugin.digest:
            raise InputError(
                f"{plugin.source}: its code changed since this command began. Start it again"
            )


@cache
def load_installed() -> None:
    """Import the modules that entry points of installed packages name, once in a process."""
    for group in ("lvh.models", "lvh.features", "lvh.sources"):
        for point in metadata.entry_points(group=group):
            _load(point.module)
            _installed.add(_top(point.module))


def is_loaded(name: str) -> bool:
    """Return whether a plugin, or its package, has the type or module of this name."""
    return _top(name) in _plugins


def loaded() -> list[str]:
    """Return the path or module of each loaded plugin that a later command has to name."""
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
    top = _top(module)
    owner = _modules.get((group, name), "lvh")
    if name in REGISTRIES[group] and owner != top:
        raise InputError(
            f"{group}={name}: expected a name that is free. Received: one that {owner} has"
        )
    if files := _files_of(top):  # at each import, for a user may reload a module
        known = _plugins.get(top, Plugin(top, ""))
        _plugins[top] = Plugin(known.source, _digest(files, top))
    REGISTRIES[group][name] = entry
    _modules[group, name] = top


def _top(name: str) -> str:
    """Return the name of the top package of a module, or of the module that a file is."""
    return Path(name).stem if name.endswith(".py") else name.partition(".")[0]


def _forget(top: str, files: Iterable[Path] = ()) -> None:
    """Take back what a module has registered, and let Python read these files again."""
    for (group, name), module in [*_modules.items()]:
        if module == top:
            del REGISTRIES[group][name], _modules[group, name]
    if top in _plugins and os.sep in (source := _plugins.pop(top).source):
        sys.modules.pop(top, None)
        folders = {os.path.dirname(one.source) for one in _plugins.values()}
        if (folder := os.path.dirname(source)) in sys.path and folder not in folders:
            sys.path.remove(folder)
    for name, one in [*sys.modules.items()]:
        if Path(str(getattr(one, "__dict__", {}).get("__file__"))) in files:
            del sys.modules[name]
    for file in files:  # the bytecode may be older than the text that was hashed
        with suppress(OSError):
            os.unlink(cache_from_source(str(file)))


def _files_of(top: str) -> dict[Path, bytes]:
    """Return the files whose text decides what a top module does; none of a notebook."""
    spec = None
    with suppress(ValueError, ImportError):  # `__main__`, or no valid name
        spec = find_spec(top)
    if spec is None or not spec.has_location:
        return {}
    if spec.submodule_search_locations is not None:
        folders = map(Path, spec.submodule_search_locations)
        return {path: path.read_bytes() for one in folders for path in one.rglob("*.py")}
    return _reached(Path(str(spec.origin)))


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
                names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
                for name in {*map(_top, names)} - {"lvh"}:
                    own = [*folder.glob(f"{name}.py"), *(folder / name).rglob("*.py")]
                    if own and not _is_found_in(folder, name):
                        raise InputError(
                            f"{path}: expected files next to it whose names no other module has, "
                            f"for Python would import that one. Received: {name}"
                        )
                    left += own
    return files


def _is_found_in(folder: Path, name: str) -> bool:
    """Return whether Python finds a module in a folder, not elsewhere under the same name."""
    if (spec := find_spec(name)) is None:
        return False
    places = [spec.origin] if spec.has_location else [*(spec.submodule_search_locations or ())]
    return any(Path(str(one)).resolve().is_relative_to(folder.resolve()) for one in places)


def _digest(files: Mapping[Path, bytes], package: str) -> str:
    """Return a digest of a plugin's files and version; the place of their folder is no part."""
    folder = os.path.commonpath([path.parent for path in files])
    texts = sorted((str(path.relative_to(folder)), text) for path, text in files.items())
    version = ""
    with suppress(metadata.PackageNotFoundError, ValueError):
        version = metadata.version(package)
    return fingerprint(texts, version)
