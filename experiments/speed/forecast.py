"""Compare the time left that a sweep shows with what it then took, on three sweeps.

LVH_LUDB_ROOT=FOLDER python experiments/speed/forecast.py

The configurations of each sweep differ in cost, by ten times and more. Where nothing else runs, the
first three take half a minute to two, and the same with fewer epochs 13 to 30 s. A row of
forecast.csv has what was shown as a trial began, and the seconds that training took from there to
the end. The last lines say how far it was off from the first quarter of the trials to the last but
one.
"""

import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from _common import append

SWEEPS = {
    "cnn, kernel x stride": (
        40,
        "model=cnn kernel=250,500 stride=5,10,50,125 model.filters=[8,8] cv.folds=3",
    ),
    "dnn, l2 x units": (
        400,
        "model=dnn features=ntp model.l2=0,0.0001,0.001,0.01 "
        "model.units=choice([64,32,8],[256,128,8],[1024,256,8])",
    ),
    "dnn, rate x units, raced": (
        150,
        "model=dnn features=ntp cv=repeated cv.repeats=3 search.budget=race "
        "train.learning_rate=0.00001,0.001,0.003,0.01 "
        "model.units=choice([64,32,8],[256,128,8],[1024,256,8])",
    ),
}
SHORTER = 5
_SHOWN = re.compile(r"trial (\d+) of (\d+), about ([\d.]+) (s|min|h) left: .* inputs, ")
_BEFORE = re.compile(r"training takes about ([\d.]+) (s|min|h)[ ,]")
_SECONDS = {"s": 1, "min": 60, "h": 3600}


def follow(arguments: str, folder: str) -> tuple[float, list[tuple[int, int, float, float]]]:
    """Run a sweep; return what it expected first, and trial, trials, left and time of each."""
    command = [sys.executable, "-u", "-m", "lvh.run", "-m", *arguments.split()]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True)
    before, shown, end = 0.0, [], 0.0
    for line in process.stdout or ():
        now = time.perf_counter()
        if match := _BEFORE.search(line):
            before = float(match[1]) * _SECONDS[match[2]]
        if match := _SHOWN.search(line):
            left = float(match[3]) * _SECONDS[match[4]]
            shown.append((int(match[1]), int(match[2]), left, now))
        if line.startswith("trial "):
            end = now
    if process.wait():
        raise SystemExit(f"{arguments}: exit code {process.returncode}")
    return before, [(at, n, left, end - began) for at, n, left, began in shown]


def main() -> None:
    """Do it, and write a row for every trial."""
    out, names = Path(__file__).with_name("forecast.csv"), "sweep trial of shown_s took_s".split()
    out.unlink(missing_ok=True)
    sweeps = [(name, text, epochs) for name, (epochs, text) in SWEEPS.items()]
    short = [(f"{name}, short", text, epochs // SHORTER) for name, text, epochs in sweeps]
    for name, text, epochs in sweeps + short:
        arguments = f"{text} train.epochs={epochs}"
        with tempfile.TemporaryDirectory() as folder:
            before, rows = follow(arguments, folder)
        for at, n, left, took in [("before", rows[0][1], before, rows[0][3]), *rows]:
            row = dict(zip(names, (name, at, n, f"{left:.1f}", f"{took:.1f}"), strict=True))
            append(out, [row | {"shown_per_took": f"{left / took:.2f}"}])
            print(*row.values(), flush=True)
        ratios = [left / took for at, n, left, took in rows if n / 4 <= at < n - 1]
        print(f"{name}: {min(ratios):.2f} to {max(ratios):.2f} of what it took", flush=True)


if __name__ == "__main__":
    main()
