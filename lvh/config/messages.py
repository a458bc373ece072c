"""Errors of Hydra and OmegaConf, as one or two lines that a user can act on."""

import difflib
import re
import shlex
from collections.abc import Iterable
from contextlib import suppress
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
    in_order,
    known_fields,
)
from lvh.errors import InputError, LvhError, as_lvh_error, masked

_LONGEST = 200
"""Characters of an override that a message shows."""
_FROM_HYDRA = re.compile("Config group override must be|Only one of --|The --resolve flag")
_MISSING = re.compile(r"Could not find '(?P<group>[\w/]+)/(?P<option>[^'/]*)'")
_NOT_OVERRIDDEN = re.compile(r"Could not override '(?P<key>[^']+)'")
_NEEDS_MULTIRUN = re.compile(r"(?:Ambiguous value for argument|Sweep parameters) '(.*)'")


def explained(error: Exception, command: CommandLine | None = None) -> LvhError:
    """Turn any error into one that a user may see, with its exit code."""
    text = next(iter(str(error).strip().splitlines()), type(error).__name__)
    if isinstance(error, MissingConfigException):
        text = _missing(error) or text
    elif isinstance(error, OverrideParseException):
        override = str(error.override)
        text = f"{masked(override)[:_LONGEST]!r}: expected GROUP=OPTION or FIELD=VALUE"
        text += _hint_of_quotes(override)
    elif isinstance(error, ConfigCompositionException):
        text = _not_composed(text, command)
    elif isinstance(error, OmegaConfBaseException):
        key = str(error.full_key or "")
        text = f"{key}: {text}" if key and not text.startswith(key) else text
        for override in command.overrides if command else ():
            if override.partition("=")[0].lstrip("+") == key and "${" in override:
                text += _hint_of_quotes(override)
    elif not isinstance(error, HydraException) and not _FROM_HYDRA.match(text):
        return as_lvh_error(error)
    return InputError(text)


def suggestion(key: str, known: Iterable[str]) -> str:
    """Return the end of a message with the closest name; empty if none is close."""
    close = difflib.get_close_matches(key, known, n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def in_quotes(override: str) -> str:
    """Return an override whose value is one text, as a shell takes it: `'data.root="a=b"'`."""
    name, _, value = override.partition("=")
    text = value.replace("${", r"\${")
    return shlex.quote(f"{name}={QuotedString(text, Quote.double).with_quotes()}")


def _hint_of_quotes(override: str) -> str:
    in_full = in_quotes(override)
    is_short = len(in_full) <= _LONGEST and "=" in override and override.isprintable()
    return f". A value with special characters needs quotes: {in_full}" if is_short else ""


def _missing(error: MissingConfigException) -> str:
    match = _MISSING.search(str(error))
    if match is None or not error.options:
        return ""
    group, option = match["group"], match["option"]
    options = in_order(error.options)
    other = f"; any other number: {CONVOLUTION[group]}={option}" if group in CONVOLUTION else ""
    if group == "hydra/launcher":
        other = "; pip install 'lvh[slurm]' or 'lvh[ray]' adds others"
    if group in CHOICES:
        other = f"{suggestion(option, options)}; one of your own needs --plugin FILE.py"
    return f"{group}={option}: expected one of {', '.join(options)}{other}"


def _not_composed(text: str, command: CommandLine | None) -> str:
    if match := _NEEDS_MULTIRUN.match(text):
        typed = match[1].replace("'", "")
        return f"{typed}: several values are a sweep: add -m{_hint_of_quotes(typed)}"
    match = _NOT_OVERRIDDEN.search(text)
    if match is None:
        return text
    key = match["key"]
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
    right = [one for one in command.overrides if one.partition("=")[0].lstrip("+") != key]
    node = None
    with suppress(Exception):  # something else is wrong too; the message does without this
        node = OmegaConf.select(replace(command, overrides=tuple(right)).load(), group)
    return list(map(str, node)) if isinstance(node, DictConfig) else []
