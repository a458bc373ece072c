"""Honest, fast, tracked hyperparameter sweeps for detecting LVH in 12-lead ECG."""

from pathlib import Path

__version__ = "0.1.0"

# `python -m lvh.run` and every other command is a module of lvh/cli.
__path__.append(str(Path(__file__).parent / "cli"))
