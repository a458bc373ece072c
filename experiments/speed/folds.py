"""Parts of the benchmark that train folds: the notebook's way against ours."""

import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from commands import script
from costs import operations
from parts import Case, Part
from rows import Row, ratios

N_FOLDS, EPOCHS = 7, 100  # of the default run
SHOWN_EPOCHS = (1, 2, 5, 10, 20, 50, 100)
KERNEL = 250


def dense(folder: Path, data: list[str], epochs: int, configurations: int, *, twice: bool) -> Part:
    """Compare whole default cross-validations of the dense network.

    Ours trains `configurations` in one process; `twice` trains two in the notebook's way too, in
    the first turn.
    """
    part, (whole, again) = "dnn", _dense_names(epochs)

    def notebook(repeat: int) -> list[Row]:
        path = written("dnn", data, folder)
        n = 2 if twice and repeat == 1 else 1
        arguments = [str(path), "dnn", f"--epochs={epochs}", f"--configurations={n}"]
        return _dense_rows(script("notebook.py", arguments, folder), "notebook", repeat, epochs)

    def ours(repeat: int) -> list[Row]:
        arguments = [f"--configurations={configurations}", "model=dnn", f"train.epochs={epochs}"]
        return _dense_rows(script("ours.py", [*arguments, *data], folder), "ours", repeat, epochs)

    def compared(rows: list[Row]) -> list[Row]:
        # the notebook's way has nothing that a further configuration could use again
        first = [
            one._replace(what=again) for one in rows if (one.what, one.side) == (whole, "notebook")
        ]
        further = [one for one in rows if (one.what, one.side) == (again, "ours")]
        both = [one for one in rows if one.what in (whole, "peak memory")]
        return [
            *ratios(both, "notebook", "ours"),
            *ratios([*first, *further], "notebook", "ours"),
        ]

    return Part(part, [Case("notebook", notebook), Case("ours", ours)], compared)


def _dense_names(epochs: int) -> tuple[str, str]:
    return f"cross-validation, 7 x {epochs} epochs", f"a further one, 7 x {epochs} epochs"


def _dense_rows(got: dict[str, Any], side: str, repeat: int, epochs: int) -> list[Row]:
    part, (whole, again) = "dnn", _dense_names(epochs)
    first, *others = got["configurations"]
    made = [
        Row(part, whole, side, repeat, first["seconds"], "s"),
        Row(part, "peak memory", side, repeat, got["peak_mib"], "MiB"),
        Row(part, "accuracy", side, repeat, first["accuracy"], ""),
    ]
    for epoch in SHOWN_EPOCHS:
        if epoch <= epochs:
            seconds = sum(fold["epochs"][epoch - 1] for fold in first["folds"])
            made.append(Row(part, f"until epoch {epoch}", side, repeat, seconds, "s"))
    total = 0.0
    for at, one in enumerate(got["configurations"], start=1):
        total += one["seconds"]
        made.append(Row(part, f"{at} configurations", side, repeat, total, "s"))
    if others:
        further = statistics.median(one["seconds"] for one in others)
        made.append(Row(part, again, side, repeat, further, "s"))
    if others and "whole" in first:
        seconds = statistics.median(one["whole"] for one in others)
        what = f"{again}, figures and files too"
        made.append(Row(part, what, side, repeat, seconds, "s"))
    return made


def convolutional(folder: Path, data: list[str], stride: int, n_folds: int, epochs: int) -> Part:
    """Compare some folds and epochs of the CNN, from which a whole cross-validation follows."""
    part = f"cnn s={stride}"
    counted = operations(KERNEL, stride)

    def rows(got: dict[str, Any], side: str, repeat: int) -> list[Row]:
        with np.load(written("cnn", data, folder)) as file:
            n_train = len(file["train_0"])
        cost = Cost.of(got)
        rate = n_train / cost.epoch / 1e9
        made = [
            Row(part, "a later epoch", side, repeat, cost.epoch, "s"),
            Row(part, "fold 1 beside its epochs", side, repeat, cost.first, "s"),
            Row(part, "fold 2 beside its epochs", side, repeat, cost.next, "s"),
            Row(part, WHOLE, side, repeat, cost.whole(N_FOLDS, EPOCHS), "s"),
            Row(part, "rate", side, repeat, counted.direct * rate, "GFLOP/s"),
            Row(part, "peak memory", side, repeat, got["peak_mib"], "MiB"),
        ]
        if side == "ours":
            made.append(Row(part, "rate done", side, repeat, counted.done * rate, "GFLOP/s"))
        return made

    cases = [
        *sides(folder, data, stride, n_folds, epochs, rows),
        Case("matmul", lambda repeat: [_matmul(part, repeat, folder)]),
    ]

    def compared(rows: list[Row]) -> list[Row]:
        same = [one for one in rows if one.what in ("a later epoch", WHOLE, "peak memory")]
        product = [one for one in rows if one.side == "matmul"]
        share = [one for one in rows if one.what in ("rate", "rate done")]
        products = [one._replace(what=what) for one in product for what in ("rate", "rate done")]
        return [
            *ratios(same, "notebook", "ours"),
            *ratios([*share, *products], "ours", "matmul", "of 1"),
            *ratios([*share, *products], "notebook", "matmul", "of 1"),
        ]

    return Part(part, cases, compared)


WHOLE = f"cross-validation, {N_FOLDS} x {EPOCHS} epochs, by the formula"


def measured_whole(folder: Path, data: list[str], stride: int, epochs: int) -> Part:
    """Measure a whole cross-validation, and what the formula makes of its first two folds."""
    part = f"cnn s={stride}, whole"

    def rows(got: dict[str, Any], side: str, repeat: int) -> list[Row]:
        what = f"cross-validation, {N_FOLDS} x {epochs} epochs"
        seconds = got["configurations"][0]["seconds"]
        foreseen = Cost.of(got).whole(N_FOLDS, epochs) / seconds
        return [
            Row(part, what, side, repeat, seconds, "s"),
            Row(part, "formula / measured", side, repeat, foreseen, "x"),
        ]

    def compared(rows: list[Row]) -> list[Row]:
        return ratios([one for one in rows if one.unit == "s"], "notebook", "ours")

    return Part(part, sides(folder, data, stride, N_FOLDS, epochs, rows), compared)


class Cost(NamedTuple):
    """Seconds of fold 1 and of a later fold without their epochs, and of a later epoch."""

    first: float
    next: float
    epoch: float

    @classmethod
    def of(cls, got: dict[str, Any]) -> "Cost":
        """Take two folds apart."""
        folds = got["configurations"][0]["folds"][:2]
        # from the end of the first epoch of a fold, which traces, to the end of its last
        later = [
            (fold["epochs"][-1] - fold["epochs"][0]) / (len(fold["epochs"]) - 1) for fold in folds
        ]
        epoch = statistics.mean(later)
        first, other = (fold["seconds"] - len(fold["epochs"]) * epoch for fold in folds)
        return cls(first, other, epoch)

    def whole(self, n_folds: int, epochs: int) -> float:
        """Put a whole cross-validation together."""
        return self.first + (n_folds - 1) * self.next + n_folds * epochs * self.epoch


Rows = Callable[[dict[str, Any], str, int], list[Row]]


def sides(
    folder: Path, data: list[str], stride: int, n_folds: int, epochs: int, rows: Rows
) -> list[Case]:
    """Return both sides of a CNN."""
    folds = f"--folds={n_folds}"

    def notebook(repeat: int) -> list[Row]:
        path = str(written("cnn", data, folder))
        arguments = [path, "cnn", f"--stride={stride}", f"--epochs={epochs}", folds]
        return rows(script("notebook.py", arguments, folder), "notebook", repeat)

    def ours(repeat: int) -> list[Row]:
        overrides = ["model=cnn", f"stride={stride}", f"train.epochs={epochs}", *data]
        return rows(script("ours.py", [folds, *overrides], folder), "ours", repeat)

    return [Case("notebook", notebook), Case("ours", ours)]


def written(model: str, data: list[str], folder: Path) -> Path:
    """Return the records and folds of a model's default inputs; write them if need be."""
    from commands import HERE, run

    path = folder / f"{model}.npz"
    if not path.exists():
        run([str(HERE / "ours.py"), "--write", str(path), f"model={model}", *data], folder)
    return path


def _matmul(part: str, repeat: int, folder: Path) -> Row:
    rate = script("matmul.py", [], folder)["gflops"]
    return Row(part, "rate", "matmul", repeat, rate, "GFLOP/s")
