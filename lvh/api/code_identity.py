"""What a classifier or a function is: its parameters and its code, as one text.

A sweep that is resumed needs it. Where a class or a function is in a file, all of the file counts;
in a notebook, its own source and all that it uses of the notebook. Code of a person in further
files does not count.
"""

import inspect
import sys
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np
import pandas as pd

from lvh.data.cohort import fingerprint
from lvh.errors import InputError, excerpt

_NOT_CODE = ("__dict__", "__doc__", "__firstlineno__", "__weakref__")
_PLAIN = (str, bytes, int, float, complex, bool, type(None), range, slice)


def identity(value: Any) -> str:
    """Return a text that only values with the same behaviour share.

    Raises:
        InputError: Nothing says whether it is the same in another process.
    """
    return _described(value, ())


def _described(value: Any, inside: tuple[Any, ...]) -> str:
    if any(value is one for one in inside):
        return f"<outer {len(inside)}>"
    inside = (*inside, value)
    name = f"{type(value).__module__}.{type(value).__qualname__}"
    if isinstance(value, (*_PLAIN, np.generic)):
        return f"{name} {value!r}"
    if isinstance(value, (pd.DataFrame, pd.Series)):
        value = value.to_dict("list") if isinstance(value, pd.DataFrame) else value.to_list()
    if isinstance(value, np.ndarray):
        if value.dtype != object:
            return f"array {fingerprint(value)}"
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return f"{name}[{', '.join(_described(one, inside) for one in value)}]"
    if isinstance(value, (set, frozenset)):
        return f"{name}[{', '.join(sorted(_described(one, inside) for one in value))}]"
    if isinstance(value, Mapping):
        pairs = ((_described(key, inside), one) for key, one in value.items())
        return f"{name}[{', '.join(f'{key}: {_described(one, inside)}' for key, one in pairs)}]"
    if isinstance(value, partial):
        return f"partial {_described((value.func, value.args, value.keywords), inside)}"
    if isinstance(value, (classmethod, staticmethod)):
        value = value.__func__
    if isinstance(value, property):
        value = (value.fget, value.fset)
        return f"property {_described(value, inside)}"
    if isinstance(value, (FunctionType, type)):
        return _code(value, inside)
    if isinstance(value, (BuiltinFunctionType, np.ufunc)):
        return f"{value.__module__}.{value.__name__}"
    return f"{_code(type(value), inside)} {_state(value, inside)}"


def _state(value: Any, inside: tuple[Any, ...]) -> str:
    if hasattr(value, "get_params"):
        return _described(value.get_params(deep=False), inside)
    if is_dataclass(value):
        return _described({one.name: getattr(value, one.name) for one in fields(value)}, inside)
    if type(value).__module__.startswith("numpy.random") or not hasattr(value, "__dict__"):
        raise InputError(
            "storage: a sweep that can be resumed needs parameters that are the same in another "
            f"process. Received: {excerpt(value)}"
        )
    return _described(vars(value), inside)


def _code(of: Any, inside: tuple[Any, ...]) -> str:
    """Describe a function, its defaults and what it encloses, or a class."""
    module = sys.modules.get(of.__module__)
    name = f"{of.__module__}.{of.__qualname__}"
    enclosed: list[Any] = []
    if isinstance(of, FunctionType):
        cells = of.__closure__ or ()
        enclosed = [of.__defaults__, of.__kwdefaults__, [cell.cell_contents for cell in cells]]
    return f"{name} {_source(of, module, inside)} {_described(enclosed, inside)}"


def _source(of: Any, module: ModuleType | None, inside: tuple[Any, ...]) -> str:
    path = getattr(module, "__file__", None)
    if path is not None:
        library = sys.modules.get(of.__module__.partition(".")[0])
        return (
            f"{getattr(library, '__version__', '')} {sha256(Path(path).read_bytes()).hexdigest()}"
        )
    if of.__module__ == "builtins":
        return sys.version
    if isinstance(of, type):  # Python finds no source of a class in a notebook, but of its methods
        own = {name: value for name, value in vars(of).items() if name not in _NOT_CODE}
        return _described((of.__bases__, own), inside)
    try:
        source = inspect.getsource(of)
    except (OSError, TypeError):
        raise InputError(
            f"storage: a sweep that can be resumed needs the source of {of.__qualname__}. "
            "Define it in a file or in a notebook"
        ) from None
    known = vars(module) if module is not None else {}
    used = [known[name] for name in sorted(_names(of.__code__)) if name in known]
    values = [one for one in used if not isinstance(one, ModuleType)]
    return sha256(source.encode()).hexdigest() + _described(values, inside)


def _names(code: CodeType) -> set[str]:
    """Return the global names that code uses."""
    inner = [one for one in code.co_consts if isinstance(one, CodeType)]
    return {*code.co_names}.union(*map(_names, inner))
