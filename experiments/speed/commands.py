"""Run one command to its end: how long it took, what it said, how much memory it held."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _common.memory import tree_mib

HERE = Path(__file__).resolve().parent
_BETWEEN_LOOKS = 1.0  # s; a look costs some milliseconds


@dataclass(frozen=True, slots=True)
class Done:
    """A command that has ended.

    Attributes:
        began: Time of day of its start, s since the epoch.
        seconds: Wall time.
        output: What it wrote to standard output.
        memory: What it and its descendants held, as (time of day, MiB); empty if not asked for.
    """

    began: float
    seconds: float
    output: str
    memory: tuple[tuple[float, float], ...]

    @property
    def peak_mib(self) -> float:
        """The most that was seen."""
        return max(size for _, size in self.memory)


def run(
    arguments: Sequence[str],
    folder: Path,
    *,
    environment: Mapping[str, str] | None = None,
    may_fail: bool = False,
    with_memory: bool = False,
) -> Done:
    """Run Python with arguments in a folder, with more variables of its environment.

    One that fails ends this program too, unless it `may_fail`. `with_memory` looks at its memory
    once a second.
    """
    began, started = time.time(), time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    memory: list[tuple[float, float]] = []
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(_BETWEEN_LOOKS):
            memory.append((time.time(), tree_mib(process.pid)))

    looking = threading.Thread(target=look)
    if with_memory:
        looking.start()
    try:
        output, errors = process.communicate()
    finally:
        process.kill()  # of no effect unless we were interrupted
        ended.set()
        if with_memory:
            looking.join()
    seconds = time.perf_counter() - started
    if process.returncode and not may_fail:
        told = "\n".join(errors.splitlines()[-20:])
        raise SystemExit(f"failed with {process.returncode}: {' '.join(arguments)}\n{told}")
    return Done(began, seconds, output, tuple(memory))


def lvh(arguments: Sequence[str], folder: Path, **how: Any) -> Done:
    """Run `python -m lvh.run`."""
    return run(["-m", "lvh.run", *arguments], folder, **how)


def script(name: str, arguments: Sequence[str], folder: Path) -> dict[str, Any]:
    """Run a script of this folder and return the JSON of its last line."""
    done = run([str(HERE / name), *arguments], folder)
    result: dict[str, Any] = json.loads(done.output.splitlines()[-1])
    return result
