"""What Hydra and OmegaConf complain of, in one or two lines that a user can act on."""

import difflib
import re

from hydra.errors import (
    ConfigCompositionException,
    HydraException,
    MissingConfigException,
    OverrideParseException,
)
from omegaconf.errors import OmegaConfBaseException

from lvh.errors import InputError, LvhError, as_told, masked

_LONGEST = 200
"""Characters of an override that are told; more would hide what is said of it."""
_FROM_HYDRA = re.compile("Config group override must be|Only one of --")
_MISSING = re.compile(r"Could not find '(?P<group>\w+)/(?P<option>[^']*)'")
_NOT_OVERRIDDEN = re.compile(r"Could not override '(?P<key>[^']+)'")


def explained(error: Exception) -> LvhError:
    """Turn any error into one that a user may see, with its exit code."""
    if isinstance(error, LvhError):
        return error
    if isinstance(error, MissingConfigException):
        return InputError(_missing(error))
    if isinstance(error, OverrideParseException):
        told = masked(str(error.override))[:_LONGEST]
        return InputError(f"{told!r}: expected GROUP=OPTION or FIELD=VALUE")
    if isinstance(error, ConfigCompositionException):
        return InputError(_not_composed(error))
    if isinstance(error, (HydraException, OmegaConfBaseException)):
        return InputError(_first_line(error))
    if isinstance(error, ValueError) and _FROM_HYDRA.match(str(error)):
        return InputError(_first_line(error))
    return as_told(error)


def _missing(error: MissingConfigException) -> str:
    match = _MISSING.search(str(error))
    if match is None or not error.options:
        return _first_line(error)
    group, option = match["group"], match["option"]
    options = sorted(error.options, key=lambda name: (len(name), name))  # 5 before 10
    field = {"kernel": "model.kernel_size", "stride": "model.strides"}.get(group)
    other = f"; any other number: {field}={option}" if field else ""
    return f"{group}={option}: expected one of {', '.join(options)}{other}"


def _not_composed(error: ConfigCompositionException) -> str:
    from lvh.config.run_settings import known_fields

    match = _NOT_OVERRIDDEN.search(str(error))
    if match is None:
        return _first_line(error)
    key = match["key"]
    known = known_fields()
    if key in known:
        group = key.split(".")[0]
        return f"{key}: the chosen option of {group} has no such setting; another one has"
    close = difflib.get_close_matches(key, known, n=1)
    if close:
        return f"{key}: no such setting; did you mean {close[0]}?"
    group = key.split(".")[0]
    fields = [name for name in known if name.startswith(f"{group}.")]
    groups = [name for name in known if "." not in name]
    return f"{key}: no such setting. Expected one of {', '.join(fields or groups)}"


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
