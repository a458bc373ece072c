"""How much memory processes hold, from Linux's /proc."""

import os
from pathlib import Path

_MIB = 2**20


def peak_mib() -> float:
    """Return the most memory that this process has held, in MiB.

    Not `getrusage`: its figure may be that of the process that started this one.
    """
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise OSError("expected VmHWM in /proc/self/status")


def tree_mib(root: int) -> float:
    """Return what a process and all its descendants hold now, in MiB.

    What they share (the code of libraries) counts once for each: the sum is too high rather
    than too low.
    """
    parents, pages = {}, {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                # after the name in brackets, which may hold spaces: state, parent, ...
                stat = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:  # it has ended
                continue
            parents[int(folder.name)], pages[int(folder.name)] = int(stat[1]), int(stat[21])

    def is_below(process: int | None) -> bool:
        while process is not None and process != root:
            process = parents.get(process)
        return process == root

    total = sum(size for process, size in pages.items() if is_below(process))
    return total * os.sysconf("SC_PAGE_SIZE") / _MIB
