"""`lvh`: one command for all others, each of which is a module of this folder."""

import difflib
import importlib
import sys

import lvh

COMMANDS = {
    "run": "cross-validate one configuration, or sweep with -m",
    "sweep": "compare configurations: the same as run -m",
    "report": "show the table, pictures and page of a sweep",
    "export": "fit the best model to all records and save it",
    "predict": "score ECG records with a saved model",
    "serve": "serve a saved model over HTTP",
    "explore": "show what a data set holds, on one page",
    "explain": "show what the models of a run look at",
    "doctor": "check whether a run can run here",
    "track": "bring MLflow up to date from the stored folds",
    "ui": "show the runs of this directory in the MLflow UI, or its sweeps",
}
"""What each command does; all but sweep are modules of `lvh.cli`."""

_ALIASES = {"select": "export"}
_USAGE = f"""\
Honest, fast, tracked hyperparameter sweeps for 12-lead ECG: LVH, or any other label (data.label).

usage: lvh COMMAND [ARGUMENT ...]

{{}}

lvh COMMAND --help shows the arguments of a command. Without a command, overrides are those of run:
lvh model=cnn. Version {lvh.__version__}.
"""


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return the exit code of the process.

    Args:
        arguments: What is typed after `lvh`; None for those of the process.
    """
    first, *others = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if first in ("--help", "-h", "help"):
        print(
            _USAGE.format("\n".join(f"  {name:<7}  {does}" for name, does in COMMANDS.items())),
            end="",
        )
        return 0
    if first == "--version":
        print(f"lvh {lvh.__version__}")
        return 0
    name = _ALIASES.get(first, first)
    if name not in COMMANDS:
        if not first.startswith(("-", "+", "~")) and "=" not in first:
            return _unknown(first)
        name, others = "run", [first, *others]
    if name == "sweep":
        name, others = "run", ["-m", *others]
    sys.argv = [f"lvh {name}", *others]  # Hydra reads the arguments of the process
    code: int = importlib.import_module(f"lvh.cli.{name}").main()
    return code


def _unknown(name: str) -> int:
    close = difflib.get_close_matches(name, [*COMMANDS, *_ALIASES], n=1)
    hint = f"Did you mean {close[0]}? " if close else ""
    message = f"expected a command, one of {', '.join(COMMANDS)}. {hint}Received: {name[:120]!r}"
    print(f"lvh: {message}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
