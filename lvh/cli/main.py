"""`lvh`: one command for all others, each of which is a module of this folder."""

import difflib
import importlib
import sys
from pathlib import Path

import lvh
from lvh.reports.terminal import say, show_facts

GROUPS = {
    "run and compare": {
        "run": "cross-validate one configuration, or sweep with -m",
        "sweep": "compare configurations: the same as run -m",
        "report": "show the table, pictures and page of a sweep or a run",
        "compare": "show several runs or sweeps side by side",
    },
    "look": {
        "explore": "show what a data set holds, on one page",
        "explain": "show what the models of a run look at",
        "ui": "show the runs of this directory in the MLflow UI, or its sweeps",
    },
    "models": {
        "export": "fit the best model to all records and save it",
        "predict": "score ECG records with a saved model",
        "serve": "serve a saved model over HTTP",
    },
    "housekeeping": {
        "doctor": "check whether a run can run here",
        "track": "write finished runs and sweeps to MLflow, without training",
        "completion": "print what completes commands in bash, zsh or fish",
    },
}
COMMANDS = {name: does for group in GROUPS.values() for name, does in group.items()}
"""What each command does; all but sweep and compare are modules of `lvh.cli`."""

CALLS = {"sweep": ("run", "-m"), "compare": ("report",), "select": ("select",)}
"""Commands that are another one, with arguments."""
_ABOUT = "Honest, fast, tracked hyperparameter sweeps for ECG: LVH, or any other label."
_NOTES = (
    "start: lvh run data=synthetic",
    "help: lvh COMMAND --help, or docs/tour.md",
    "note: run, sweep, doctor, explore and track take NAME=VALUE (lvh run model=cnn stride=10); "
    "the other commands take --NAME VALUE; lvh model=cnn is short for lvh run model=cnn",
)


def main(arguments: list[str] | None = None) -> int:
    """Run a command, by what is typed after `lvh`, and return the exit code of the process."""
    first, *others = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if first in ("--help", "-h", "help"):
        say(f"lvh {lvh.__version__}. {_ABOUT}", "usage: lvh COMMAND [ARGUMENT ...]")
        for title, group in GROUPS.items():
            show_facts(group, title)
        say(*_NOTES)
        return 0
    if first == "--version":
        print(f"lvh {lvh.__version__}")
        return 0
    if first == "_complete":  # what the scripts of `lvh completion` call
        code: int = importlib.import_module("lvh.cli.completion").complete(others)
        return code
    if first not in (*COMMANDS, *CALLS):
        if not first.startswith(("-", "+", "~")) and "=" not in first:
            close = difflib.get_close_matches(first, [*COMMANDS, *CALLS], n=1)
            hint = f" Did you mean {close[0]}?" if close else ""
            print(f"lvh: expected a command.{hint} Received: {first[:120]!r}", file=sys.stderr)
            return 2
        first, others = "run", [first, *others]
    name, *more = CALLS.get(first, (first,))
    program = "python -m lvh" if Path(sys.argv[0]).name == "__main__.py" else sys.argv[0]
    # Hydra reads the arguments of the process; suggestions begin as this command did
    sys.argv = [f"{program} {name}", *more, *others]
    code = importlib.import_module(f"lvh.cli.{name}").main()
    return code


if __name__ == "__main__":
    sys.exit(main())
