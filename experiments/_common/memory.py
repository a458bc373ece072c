"""How much memory a process and its descendants hold, from Linux's /proc."""

import os
import subprocess
from contextlib import suppress
from pathlib import Path


def held(process: int | str = "self") -> dict[str, float]:
    """Return what a process holds, MiB: VmRSS now, VmHWM at most, RssAnon of no file.

    Not `getrusage`: its peak may be that of the process that started this one.
    """
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    sizes = (line.split(":", 1) for line in lines if line.endswith(" kB"))
    return {name: int(size.split()[0]) / 1024 for name, size in sizes}


def tree_mib(root: int) -> float:
    """Return what a process and all below it hold now; what they share counts for each, MiB."""
    total = 0.0
    for process in tree(root):
        with suppress(OSError, KeyError):  # it has ended
            total += held(process)["VmRSS"]
    return total


class Peaks:
    """The most that was seen, look by look, in MiB."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._resident = self._anonymous = 0.0
        self._of_each: dict[int, float] = {}

    def look(self, root: int) -> None:
        """Look at a process and all below it."""
        resident = anonymous = 0.0
        for process in tree(root):
            with suppress(OSError, KeyError):
                own = held(process)
                resident += own["VmRSS"]
                anonymous += own["RssAnon"]
                self._of_each[process] = own["VmHWM"]
        self._resident = max(self._resident, resident)
        self._anonymous = max(self._anonymous, anonymous)

    def found(self) -> tuple[float, float, float]:
        """Return resident, the sum of each one's own peak, and anonymous."""
        return self._resident, sum(self._of_each.values()), self._anonymous


def tree(root: int) -> list[int]:
    """Return a process and all below it."""
    found = [root]
    for process in found:
        with suppress(OSError):
            tasks = Path(f"/proc/{process}/task").iterdir()
            children = [(task / "children").read_text().split() for task in tasks]
            # one that runs its parent's command is about to begin another, and till then is it
            own = _command(process)
            found += [int(one) for some in children for one in some if _command(int(one)) != own]
    return found


def _command(process: int) -> bytes:
    return Path(f"/proc/{process}/cmdline").read_bytes()


def drop_from_cache(path: Path) -> None:
    """Let the system forget what it keeps of a file."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def cached_mib(path: Path) -> float:
    """Return how much of a file the system keeps in memory (util-linux's fincore)."""
    command = ["fincore", "--bytes", "--noheadings", "--output", "RES", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(done.stdout) / 2**20
