"""`lvh completion`: what makes a shell complete commands of lvh, by asking `lvh _complete`."""

import argparse
import importlib.util
import inspect
import re
import sys
from pathlib import Path

from lvh.cli import command as shared
from lvh.cli.main import CALLS, COMMANDS

_BASH = """\
_lvh() {
    local line=${COMP_LINE:0:COMP_POINT} word
    local -a words
    read -ra words <<< "$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    word=${words[-1]}
    mapfile -t COMPREPLY < <("${words[0]/#\\~/$HOME}" _complete "${words[@]:1}" 2>/dev/null)
    COMPREPLY=("${COMPREPLY[@]#"${word%"${word##*[=:]}"}"}")  # bash replaces what follows = or :
    [[ ${COMPREPLY[*]} =~ [=./]( |$) ]] && compopt -o nospace
}
complete -o default -F _lvh lvh
"""
_ZSH = """\
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit; }
_lvh() {
    local -a found
    found=(${(f)"$(${~words[1]} _complete ${(Q)words[2,CURRENT-1]} "$PREFIX" 2>/dev/null)"})
    if (( ! $#found )); then
        compset -P '*='
        _files
        return
    fi
    compadd -S '' -- ${(M)found:#*[=./]}
    compadd -- ${found:#*[=./]}
}
compdef _lvh lvh
"""
_FISH = """\
function __lvh_complete
    set -l word (commandline -ct)
    set -l typed (commandline -opc)
    set -l found (command $typed[1] _complete $typed[2..] "$word" 2>/dev/null)
    if test (count $found) -gt 0
        printf '%s\\n' $found
        return
    end
    set -l start (string match -r '^.*=' -- $word)
    for path in (__fish_complete_path (string replace -r '^.*=' '' -- $word))
        printf '%s\\n' "$start$path"
    end
end
complete -c lvh -f -a '(__lvh_complete)'
"""
SCRIPTS = {"bash": _BASH, "fish": _FISH, "zsh": _ZSH}
_OF_HYDRA = ("doctor", "explore", "run", "sweep", "track")
"""Commands whose arguments are overrides."""
_OF_FILES = ("--plugin", "--config-dir")
"""Flags before a file or a folder."""


def candidates(words: list[str]) -> list[str]:
    """Return what may stand in place of the last word that is typed after `lvh`.

    There is none where any file may stand.
    """
    *before, word = words or [""]
    name = before[0] if before else ""
    found: list[str] = []
    if not before:
        found = [*COMMANDS]
    elif name == "completion":
        found = [*SCRIPTS]
    if before and before[-1] in _OF_FILES:
        return []
    if word.startswith("-"):
        found = _flags(name)
    elif name in _OF_HYDRA or (not found and name not in COMMANDS) or (not before and "=" in word):
        found = _overrides([one for one in before if one != name or "=" in one], word)
    return [one for one in found if one.startswith(word)]


def _overrides(before: list[str], word: str) -> list[str]:
    """Complete an override by Hydra: groups, options and fields, also after a comma of a sweep."""
    from hydra.plugins.completion_plugin import DefaultCompletionPlugin

    from lvh.config.command_line import CommandLine

    key, equals, value = word.partition("=")
    values, comma, last = value.rpartition(",")
    if last.startswith(("/", ".", "~")):
        return []  # a path
    command = CommandLine(tuple(one for one in before if "=" in one and one[0] != "-"))
    line = " ".join([*command.overrides, f"{key}{equals}{last}"])
    found: list[str] = DefaultCompletionPlugin(command.loader)._query("config", line)
    if not comma:
        return found
    return [f"{key}={values},{one.partition('=')[2]}" for one in found]


def _flags(name: str) -> list[str]:
    """Return the flags of a command, from its text: to import it may take seconds."""
    if name in _OF_HYDRA:
        from hydra._internal.utils import get_args_parser

        parser = get_args_parser()
        flags = [flag for action in parser._actions for flag in action.option_strings]
        return sorted({*flags, "--plugin"})
    name = CALLS.get(name, (name,))[0]
    module = importlib.util.find_spec(f"lvh.cli.{name}") if name else None
    if module is None or module.origin is None:
        return ["--help", "--version"]
    text = Path(module.origin).read_text("utf-8")
    # the last two are parts of the others
    for helper in ("add_run", "add_model", "add_tracking", "add_plugin"):
        if f"{helper}(" in text:
            text += inspect.getsource(getattr(shared, helper))
    return sorted({"--help", *re.findall(r'"(--[a-z][a-z-]*)"', text)})


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=SCRIPTS)


def main(arguments: list[str] | None = None) -> int:
    """Print a script, or, asked by one, what completes a word."""
    typed = sys.argv[1:] if arguments is None else arguments
    if typed[:1] == ["--words"]:
        try:
            print("".join(f"{one}\n" for one in candidates(typed[1:])), end="")
        except Exception:  # a command line that is wrong or unfinished; its run says why
            return 1
        return 0
    return shared.command(
        "lvh completion",
        'Print a script for Tab completion. In bash: eval "$(lvh completion bash)"; in zsh: eval '
        '"$(lvh completion zsh)"; in fish: lvh completion fish | source. Put the line into '
        "~/.bashrc, ~/.zshrc or ~/.config/fish/config.fish to keep it.",
        _add_arguments,
        lambda options: print(SCRIPTS[options.shell], end=""),
    )(typed)


if __name__ == "__main__":
    sys.exit(main())
