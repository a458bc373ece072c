"""`lvh completion`: a line that makes a shell complete commands of lvh, by `lvh _complete`."""

import importlib
import os
import sys

from lvh.cli.command import command
from lvh.cli.main import CALLS, COMMANDS

_BASH = "complete -o default -o nospace -C 'lvh _complete' lvh\n"
SCRIPTS = {
    "bash": _BASH,
    "fish": "complete -c lvh -a '(COMP_LINE=(commandline -cp) lvh _complete)'\n",
    "zsh": f"autoload -Uz compinit bashcompinit && compinit && bashcompinit\n{_BASH}",
}
_OF_HYDRA = ("doctor", "explore", "run", "sweep", "track")
"""Commands whose arguments are overrides."""


def candidates(words: list[str]) -> list[str]:
    """Return what may stand in place of the last word after `lvh`; none where a file may stand."""
    *before, word = words or [""]
    name = before[0] if before else ""
    if before and before[-1] in ("--plugin", "--config-dir"):
        return []
    if word.startswith("-"):
        possible = _flags(name)
    elif name in _OF_HYDRA or "=" in name + word:
        possible = _overrides(before, word)
    else:
        possible = [] if before else [*COMMANDS]
    return [one for one in possible if one.startswith(word)]


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
    completed: list[str] = DefaultCompletionPlugin(command.loader)._query("config", line)
    return [f"{key}={values},{one.partition('=')[2]}" if comma else one for one in completed]


def _flags(name: str) -> list[str]:
    if name in _OF_HYDRA:
        from lvh.config.command_line import arguments_parser

        parser = arguments_parser()
    elif name in (*COMMANDS, *CALLS):
        module, *_ = CALLS.get(name, (name,))
        parser = importlib.import_module(f"lvh.cli.{module}").main.parser
    else:
        return ["--help", "--version"]
    return sorted(flag for action in parser._actions for flag in action.option_strings)


def complete(arguments: list[str]) -> int:
    """Print what completes the line that a shell has put into COMP_LINE.

    bash breaks words at `=` and `:` too; it says the last one, which alone it replaces.
    """
    line = os.environ["COMP_LINE"][: int(os.environ.get("COMP_POINT", 10**6))]
    words = [*line.split()[1:], *([] if line[-1:].strip() else [""])]
    begun = len(words[-1]) - len(arguments[1]) if arguments else 0
    try:
        print("".join(f"{one[begun:]}\n" for one in candidates(words)), end="")
    except Exception:  # a command line that is wrong or unfinished; its run says why
        return 1
    return 0


main = command(
    "completion",
    'Print a script for Tab completion. In bash: eval "$(lvh completion bash)"; in zsh: eval '
    '"$(lvh completion zsh)"; in fish: lvh completion fish | source. Put the line into '
    "~/.bashrc, ~/.zshrc or ~/.config/fish/config.fish to keep it.",
    {"shell": {"choices": SCRIPTS}},
    lambda options: print(SCRIPTS[options.shell], end=""),
)

if __name__ == "__main__":
    sys.exit(main())
