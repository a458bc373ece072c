"""Errors of Hydra and OmegaConf, as one or two lines that a user can act on."""

import difflib
import re
import shlex
from collections.abc import Iterable
from dataclasses import fields, replace

from hydra.core.override_parser.types import Quote, QuotedString
from hydra.errors import (
    ConfigCompositionException,
    HydraException,
    MissingConfigException,
    OverrideParseException,
)
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lvh.config.command_line import CommandLine
from lvh.config.groups import (
    CHOICES,
    CONVOLUTION,
    ENTRIES,
    OTHERS,
    SETTINGS,
    in_order,
    known_fields,
)
from lvh.errors import InputError, LvhError, as_lvh_error, masked

_LONGEST = 200
"""Characters of an override that a message shows."""
_FROM_HYDRA = re.compile("Config group override must be|Only one of --|The --resolve flag")
_MISSING = re.compile(r"Could not find '(?P<group>[\w/]+)/(?P<option>[^'/]*)'")
_NOT_OVERRIDDEN = re.compile(r"Could not override '(?P<key>[^']+)'")
_NEEDS_MULTIRUN = re.compile(r"(Ambiguous value for argument|Sweep parameters) '(?P<typed>.*)'")
_FIELD = re.compile(r"\+{0,2}[A-Za-z_][\w./@-]*", re.ASCII)
_EXTRAS = {"submitit_slurm": "slurm", "submitit_local": "slurm", "ray": "ray"}
"""Launchers that not every environment has, and the extra that brings each."""
_ELSEWHERE = {
    "search.direction": "search.objectives names the scores, and each has its direction",
    "search.directions": "search.objectives names the scores, and each has its direction",
}
"""Settings of other programs, and the setting of lvh that does the same."""


def explained(error: Exception, command: CommandLine | None = None) -> LvhError:
    """Turn any error into one that a user may see, with its exit code."""
    if isinstance(error, MissingConfigException):
        return InputError(_missing(error))
    if isinstance(error, OverrideParseException):
        return InputError(_unreadable(str(error.override)))
    if isinstance(error, ConfigCompositionException):
        return InputError(_not_composed(error, command))
    if isinstance(error, OmegaConfBaseException):
        return InputError(_unresolved(error, command))
    if isinstance(error, HydraException) or _FROM_HYDRA.match(str(error)):
        return InputError(_first_line(error))
    return as_lvh_error(error)


def suggestion(key: str, known: Iterable[str]) -> str:
    """Return the end of a message with the closest name; empty if none is close."""
    close = difflib.get_close_matches(key, known, n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def in_quotes(override: str) -> str:
    """Return an override whose value is one text, as a shell takes it: `'data.root="a=b"'`."""
    name, _, value = override.partition("=")
    text = value.replace("${", r"\${")
    return shlex.quote(f"{name}={QuotedString(text, Quote.double).with_quotes()}")


def _unreadable(override: str) -> str:
    name, _, value = override.partition("=")
    expected = f"{masked(override)[:_LONGEST]!r}: expected GROUP=OPTION or FIELD=VALUE"
    if not value or not value.isprintable() or not _FIELD.fullmatch(name):
        return expected
    return f"{expected}. A value with special characters needs quotes{_hint_of_quotes(override)}"


def _hint_of_quotes(override: str) -> str:
    in_full = in_quotes(override)
    return f": {in_full}" if len(in_full) <= _LONGEST else ""


def _missing(error: MissingConfigException) -> str:
    match = _MISSING.search(str(error))
    if match is None or not error.options:
        return _first_line(error)
    group, option = match["group"], match["option"]
    options = in_order(error.options)
    field = CONVOLUTION.get(group)
    other = f"; any other number: {field}={option}" if field else ""
    if group == "hydra/launcher" and option in _EXTRAS:
        other = f"; pip install 'lvh[{_EXTRAS[option]}]' adds it"
    if group in ("data", "external", "features", "model"):
        other = f"{suggestion(option, options)}; one of your own needs --plugin FILE.py"
    return f"{group}={option}: expected one of {', '.join(options)}{other}"


def _not_composed(error: ConfigCompositionException, command: CommandLine | None) -> str:
    if match := _NEEDS_MULTIRUN.match(str(error)):
        return _needs_multirun(match["typed"])
    match = _NOT_OVERRIDDEN.search(str(error))
    if match is None:
        return _first_line(error)
    key = match["key"]
    if key in _ELSEWHERE:
        return f"{key}: no such setting; {_ELSEWHERE[key]}"
    group, _, field = key.rpartition(".")
    options = ENTRIES.get(group, {}).items()
    having = [name for name, of in options if field in {one.name for one in fields(of.settings)}]
    names = _settings_of(group, key, command) if group and command else []
    if having:
        alone = "which alone have" if len(having) > 1 else "which alone has"
        hint = suggestion(field, names)
        return f"{key}: expected {group}={' or '.join(having)}, {alone} this setting{hint}"
    if names:
        hint = suggestion(field, names)
        return f"{key}: no such setting{hint}. Expected some of {', '.join(names)} of {group}"
    groups = ", ".join(name for name in known_fields() if "." not in name)
    return f"{key}: no such setting{suggestion(key, known_fields())}. Expected one of {groups}"


def _settings_of(group: str, key: str, command: CommandLine) -> list[str]:
    """Return the settings that a group has in a command line without a wrong override."""
    others = tuple(
        text
        for text, override in zip(command.overrides, command.parsed(), strict=True)
        if override.key_or_group != key
    )
    try:
        node = OmegaConf.select(replace(command, overrides=others).load(), group)
    except Exception:  # something else is wrong too; the message does without this
        return []
    return list(map(str, node)) if isinstance(node, DictConfig) else []


def _needs_multirun(typed: str) -> str:
    name = typed.partition("=")[0]
    if name.lstrip("+") in (*CHOICES, *SETTINGS, *OTHERS) or not _FIELD.fullmatch(name):
        return f"{typed.replace(chr(39), '')}: several options are a sweep: add -m"
    return (
        f"{typed}: several values are a sweep: add -m. One value with special characters needs "
        f"quotes{_hint_of_quotes(typed)}"
    )


def _unresolved(error: OmegaConfBaseException, command: CommandLine | None) -> str:
    key = str(error.full_key or "")
    reason = _first_line(error)
    message = f"{key}: {reason}" if key and not reason.startswith(key) else reason
    for override in command.overrides if command else ():
        if override.partition("=")[0].lstrip("+") == key and "${" in override:
            return f"{message}. A text with ${{ needs quotes{_hint_of_quotes(override)}"
    return message


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
