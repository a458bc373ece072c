"""A command line: rewritten for Hydra, composed, and explained where it is wrong."""

import argparse
import os
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from hydra import conf as packaged
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Override, Quote, QuotedString
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lvh.config.groups import (
    CONVOLUTION,
    ENTRIES,
    GROUPS,
    conf_dir,
    hydra_loader,
    param_name,
    register_options,
    suggestion,
)
from lvh.config.plugins import Plugin, ensure, load
from lvh.errors import InputError, LvhError, as_lvh_error, excerpt, masked
from lvh.models import MODEL_ALIASES, current_name

_GROUP = re.compile(rf"[+~]*({'|'.join(GROUPS)})(?:@[^=]*)?=([^{{].*)", re.DOTALL)
_CONDITION = re.compile(r"""([+]*(?:data|external)\.where=)((?!['"]|choice\().*)""", re.DOTALL)
_REFUSED = {
    r"[+~]*(?:[=@].*)?": "expected GROUP=OPTION or FIELD=VALUE",
    r"[+~]*hydra([./](callbacks|hydra_logging|job_logging).*)?=.*|.*(?<!\w)_target_(?!\w).*": (
        "expected a setting or an option, not one by which Hydra would run any code that it names"
    ),
    r"[+~]*plugins([=@.].*)?": (
        "expected plugins=[MODULE] or --plugin FILE.py, typed; code that a file names is not run"
    ),
    r"[+~]*hydra\.sweep\.subdir=.*": "the folder of a trial is its number. hydra.sweep.dir is free",
    r"[+~]*hydra/sweeper(=(?!lvh$)|/).*|[+~]*hydra\.sweeper\.(?!params\b).*": (
        "lvh has a sweeper of its own, which uses Optuna; leave this out, search.sampler, "
        "search.n_trials and search.seed choose"
    ),
}
"""Overrides that Hydra would take, or refuse in words of its own, and what the message says."""
_NO_OPTION = re.compile(r"^\[|\b(?:interval|range)\(|[/\\]|\$\{|[\w.-]{200}")
"""A list, a range, a path, an interpolation, or what is too long for the name of a file."""
_NOT_A_WORD = re.compile(
    r"(?<![\w'\".+-])(?:[+-]?(?:\d+(?:\.\d*)?(?:e[+-]?\d+)?|inf|nan)|null|true|false)(?![\w'\".])",
    re.IGNORECASE,
)
_ALIAS = re.compile(rf"(?<![\w.])({'|'.join(MODEL_ALIASES)})(?![\w.])")
_FROM_HYDRA = re.compile(
    "Config group override must be|Only one of --|The --resolve flag|Exceeds the limit"
)
"""How messages of Hydra begin that are about the input, though they are a ValueError."""
_NOT_OVERRIDDEN = re.compile(r"Could not override '([^']+)'")
_NEEDS_MULTIRUN = re.compile(r"(?:Ambiguous value for argument|Sweep parameters) '(.*)'")
_LONGEST = 200
"""Characters of an override that a message shows."""


@dataclass(frozen=True, slots=True)
class CommandLine:
    """A command line as Hydra takes it, with quoted options; any process can compose it."""

    overrides: tuple[str, ...] = ()
    config_name: str = "config"
    config_dir: str | None = None
    config_path: str | None = None
    plugins: tuple[Plugin, ...] = ()

    def __post_init__(self) -> None:
        """Check the overrides, and quote the numbers that choose an option of a group."""
        names = {override.partition("=")[0].lstrip("+~") for override in self.overrides}
        for name in names:
            if (short := param_name(name)) != name and short in names:
                raise InputError(f"{short}: sets {name}, which is given too. Expected one of them")
        object.__setattr__(self, "overrides", tuple(map(_for_hydra, self.overrides)))

    @property
    def loader(self) -> ConfigLoaderImpl:
        """Hydra's loader of the folders: it works in any process, also where Hydra runs already."""
        ensure(self.plugins)
        register_options()
        return hydra_loader(self.config_path or str(conf_dir()), self.config_dir)

    def load(self) -> DictConfig:
        """Compose, with Hydra's own node `hydra`."""
        with in_plain_words():
            config = self.loader.load_configuration(
                self.config_name, [*self.overrides], RunMode.RUN
            )
        _check_own(config.hydra)
        name = OmegaConf.select(config, "model.name")
        if config.hydra.runtime.choices.get("cv") == "nested" and name != "nested_selection":
            raise InputError(  # another option goes before the one that cv brings
                "cv=nested: expected model=nested_selection, which it brings: no other model "
                f"chooses within a fold. Received: model={name}. cv=stratified has its folds"
            )
        return config

    def parsed(self) -> list[Override]:
        """Parse every override, in the order typed."""
        with in_plain_words():
            return OverridesParser.create(self.loader).parse_overrides([*self.overrides])

    def at(self, point: Mapping[str, str]) -> "CommandLine":
        """Return the command line of a point, as without `-m`, with the values that it has."""
        overrides = []
        for text, override in zip(self.overrides, self.parsed(), strict=True):
            name = override.get_key_element()
            if not override.is_sweep_override():
                overrides.append(text)
            elif name in point:
                overrides.append(f"{name}={point[name]}")
        return replace(self, overrides=tuple(overrides))


def target(override: Override) -> tuple[str, str | None, bool]:
    """Return what an override sets: name, package, and whether it merges fields into a group."""
    value = override.value()
    values = value.list if isinstance(value, ChoiceSweep) else [value]
    return override.key_or_group, override.package, any(isinstance(value, dict) for value in values)


def _check_own(hydra: DictConfig) -> None:
    """Refuse what a file sets in Hydra's own node: code that Hydra would run, or another folder."""
    naming, options = list[str](), Path(packaged.__file__).parent / "hydra"
    for name in ("job_logging", "hydra_logging"):
        usual = [OmegaConf.load(options / name / f"{one}.yaml") for one in ("none", "default")]
        naming += [] if hydra[name] in usual else [name]
    if str(hydra.launcher).count("_target_") > 1:
        naming.append("launcher")
    if naming:
        raise InputError(f"hydra.{naming[0]}: expected no code. Code that a file names is not run")
    if hydra.job.chdir:
        raise InputError("hydra.job.chdir: expected false: a path begins here. Received: true")


def _for_hydra(argument: str) -> str:
    """Check an override, and write it as Hydra needs it."""
    for pattern, expected in _REFUSED.items():
        if re.fullmatch(pattern, argument, re.DOTALL):
            raise InputError(f"{excerpt(argument)}: {expected}")
    if condition := _CONDITION.fullmatch(argument):  # `>` and `(` are no part of Hydra's grammar
        return condition[1] + _in_quotes(condition[2])
    match = _GROUP.fullmatch(argument)
    if match is None:
        return argument
    group, options = match.groups()
    if _NO_OPTION.search(options):
        names = hydra_loader(str(conf_dir()), None).get_group_options(group)
        raise _no_option(group, options, names)
    # Hydra reads stride=10 as a number, which it refuses as the name of an option
    options = _NOT_A_WORD.sub(lambda word: f"'{word[0]}'", options)
    if group == "model":
        options = _ALIAS.sub(lambda alias: current_name(alias[0]), options)
    return argument[: match.start(2)] + options


def arguments_parser() -> argparse.ArgumentParser:
    """Return Hydra's parser of overrides and flags, with the flag for plugins."""
    parser = get_args_parser()
    parser.add_argument("--plugin", action="append", default=[])
    parser.error = _refuse  # type: ignore[assignment, method-assign]
    return parser


def _refuse(message: str) -> None:
    raise InputError(f"{message}. Expected flags as --hydra-help lists them")


def read_arguments(arguments: Sequence[str]) -> tuple[CommandLine, argparse.Namespace]:
    """Load the plugins; return the command line, and all flags, which may stand anywhere."""
    flags = arguments_parser().parse_intermixed_args(list(arguments))
    if flags.experimental_rerun is not None:
        raise InputError("--experimental-rerun: a pickle may hold code. Type the command again")
    named = [text for text in flags.overrides if text.startswith("plugins=")]
    modules = ",".join(text.removeprefix("plugins=").strip("[]") for text in named).split(",")
    command = CommandLine(
        overrides=tuple(text for text in flags.overrides if text not in named),
        config_name=flags.config_name or "config",
        config_dir=flags.config_dir and os.path.abspath(flags.config_dir),
        config_path=flags.config_path and os.path.abspath(flags.config_path),
        plugins=load([*flags.plugin, *filter(None, map(str.strip, modules))]),
    )
    register_options()
    flags.overrides, flags.config_path = [*command.overrides], command.config_path
    return command, flags


@contextmanager
def in_plain_words() -> Iterator[None]:
    """Turn errors of Hydra and OmegaConf into those that a user may see."""
    try:
        yield
    except LvhError:
        raise
    except Exception as error:
        raise explained(error) from error


def explained(error: Exception) -> LvhError:
    """Return an error that a user may see, with its exit code, in the place of any other."""
    text = next(iter(str(error).strip().splitlines()), type(error).__name__)
    if isinstance(error, MissingConfigException) and error.options:
        group, _, option = str(error.missing_cfg_file).rpartition("/")
        return _no_option(group, option, error.options)
    if isinstance(error, OverrideParseException):
        override = str(error.override)
        text = f"{masked(override)[:_LONGEST]!r}: expected GROUP=OPTION or FIELD=VALUE"
        return InputError(text + _hint_of_quotes(override))
    if match := _NEEDS_MULTIRUN.match(text):
        typed = match[1].replace("'", "")
        hint = _hint_of_quotes(typed)
        return InputError(f"{typed}: several values are a sweep: add -m{hint}")
    cause = error.__cause__
    if isinstance(cause, OmegaConfBaseException) and (match := _NOT_OVERRIDDEN.match(text)):
        return InputError(_no_such_setting(match[1], cause.parent_node))
    if isinstance(cause, OmegaConfBaseException) and text.startswith("Error merging"):
        return InputError(f"{text}: {next(iter(str(cause).splitlines()), '')}")
    if isinstance(error, OmegaConfBaseException):
        key, node = str(error.full_key or ""), error.child_node
        text = f"{key}: {text}" if key and not text.startswith(key) else text
        value = None if node is None else node._value()
        is_link = isinstance(value, str) and "${" in value
        return InputError(text + (_hint_of_quotes(f"{key}={value}") if is_link else ""))
    is_of_hydra = isinstance(error, HydraException) or _FROM_HYDRA.match(text)
    return InputError(text) if is_of_hydra else as_lvh_error(error)


def _in_quotes(text: str) -> str:
    """Return a text as one value of Hydra's grammar."""
    return QuotedString(text.replace("${", r"\${"), Quote.double).with_quotes()


def _hint_of_quotes(override: str) -> str:
    name, equals, value = override.partition("=")
    in_full = shlex.quote(f"{name}={_in_quotes(value)}")
    is_short = len(in_full) <= _LONGEST and equals and override.isprintable()
    return f". A value with special characters needs quotes: {in_full}" if is_short else ""


def _no_option(group: str, received: str, options: Iterable[str]) -> InputError:
    names = sorted(options, key=lambda name: (int(name) if name.isdecimal() else 0, name))
    more = ""
    if group in CONVOLUTION:
        more = f"; any other numbers: {shlex.quote(f'{CONVOLUTION[group]}={received}')}"
    elif group == "hydra/launcher":
        more = "; pip install 'lvh[slurm]' or 'lvh[ray]' adds others"
    elif group in ENTRIES:
        more = f"{suggestion(received, names)}; one of your own needs --plugin FILE.py"
    shown = masked(received)[:_LONGEST]
    return InputError(f"{group}={shown}: expected one of {', '.join(names)}{more}")


def _no_such_setting(key: str, node: DictConfig) -> str:
    """Say which options have a setting; if none has, which settings its node has."""
    group, _, field = key.rpartition(".")
    if key in ("search.direction", "search.directions"):  # of Optuna's own sweeper
        return f"{key}: no such setting; search.objectives names the scores, which have directions"
    options = ENTRIES.get(group, {}).items()
    having = [name for name, of in options if field in {one.name for one in fields(of.settings)}]
    if having:
        alone = "which alone have" if len(having) > 1 else "which alone has"
        several = f"(in a sweep over several: {key}=choice(...))"
        return f"{key}: expected {group}={' or '.join(having)}, {alone} this setting {several}"
    known: Any = OmegaConf.to_container(node)
    known.pop("hydra", None)
    if not known:
        return f"{key}: no such setting: {group} has none"
    place = str(node._get_full_key(None) or "")
    groups = {} if place else {one: its for one, its in known.items() if isinstance(its, dict)}
    # a group of which no option is chosen has no node
    known = known if place else dict.fromkeys([*GROUPS, *known])
    names = [*known, *(f"{one}.{field}" for one, its in groups.items() for field in its)]
    hint, of = suggestion(key.removeprefix(f"{place}."), names), f" of {place}" if place else ""
    return f"{key}: no such setting{hint}. Expected one of {', '.join(known)}{of}"
