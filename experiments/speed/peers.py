"""The CNN of lvh, the same in PyTorch and in JAX: seconds of a later epoch, in turns.

    python experiments/speed/peers.py --torch FOLDER/bin/python

JAX comes with `make dev`. PyTorch is large: `pip install torch numpy` in an environment of its own,
whose Python `--torch` names; compiling needs a C++ compiler. What cannot run is left out with its
reason.
All sides have the same weights, records and order, float32, dropout, batch normalization and Adam;
the loss of two steps without dropout must agree. Each runs in a process of its own. Writes
peers.csv and a table of README.md.
"""

import argparse
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
SAMPLES, LEADS, KERNEL, TAPS, BATCH, RATE = 5000, 4, 250, 5, 32, 0.001
FILTERS = (256, 512, 512, 128, 64)
Arrays = list[np.ndarray[Any, np.dtype[np.float32]]]
Train = Callable[[Any, Any], float]
"""Trains on records once, in batches, and returns the mean loss."""


def weights() -> Arrays:
    """Draw what is trained, in Keras's order and shapes."""
    draw, found = np.random.default_rng(0), []
    for n_in, n_out in itertools.pairwise((LEADS, *FILTERS)):
        shape = (TAPS if found else KERNEL, n_in, n_out)
        kernel = draw.normal(0, (2 / (shape[0] * n_in)) ** 0.5, shape)
        found += [kernel, np.zeros(n_out), np.ones(n_out), np.zeros(n_out)]
    found += [draw.normal(0, 0.1, (FILTERS[-1], 1)), np.zeros(1)]
    return [one.astype(np.float32) for one in found]


def ours(stride: int, threads: int, dropout: float) -> Train:
    """Train as `python -m lvh.run model=cnn` does."""
    from lvh.models.backends import start

    start("tensorflow", threads, threads)
    from lvh.models.networks import CnnSettings, build_cnn
    from lvh.models.programs import new_program

    settings = CnnSettings(strides=stride, dropout=dropout)
    program: Any = new_program(lambda: build_cnn(settings, (SAMPLES, LEADS)), BATCH, "float32")
    program.reset([np.random.SeedSequence(0)], None)
    for variable, value in zip(program._trained, weights(), strict=True):
        variable.assign(value)

    def train(X: Any, y: Any) -> float:
        return float(program.train([(X, y)], [np.arange(len(y))[None]], RATE)[0, 0, 0]) / len(y)

    return train


def in_torch(layout: str, stride: int, threads: int, dropout: float) -> Train:
    """Train with a module as its users write it; "compiled" is in the layout of channels last."""
    import torch
    from torch import nn

    torch.set_num_threads(threads)
    layers: list[nn.Module] = []
    for n_in, n_out in itertools.pairwise((LEADS, *FILTERS)):
        shape, step = ((1, TAPS), 1) if layers else ((1, KERNEL), stride)
        layers += [nn.Dropout(dropout)] if layers else []
        layers += [nn.Conv2d(n_in, n_out, shape, (1, step))]
        layers += [nn.BatchNorm2d(n_out, eps=0.001, momentum=0.01), nn.ReLU()]
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(0), nn.Linear(FILTERS[-1], 1)]
    layers[-2] = nn.Flatten(1)
    network: Any = nn.Sequential(*layers)
    for parameter, value in zip(network.parameters(), weights(), strict=True):
        value = value.transpose(2, 1, 0)[:, :, None] if value.ndim == 3 else value.T
        parameter.data = torch.tensor(np.ascontiguousarray(value))
    way = torch.contiguous_format if layout == "plain" else torch.channels_last
    network = network.to(memory_format=way)
    # so the first step is Keras's, which adds 1e-7 before it corrects the mean of squares
    adam = torch.optim.Adam(network.parameters(), RATE, eps=1e-7 / 0.001**0.5)
    loss_of = nn.BCEWithLogitsLoss()
    called = torch.compile(network) if layout == "compiled" else network

    def train(X: Any, y: Any) -> float:
        images = torch.tensor(X.transpose(0, 2, 1)[:, :, None]).to(memory_format=way)
        labels, total = torch.tensor(y.astype(np.float32)), 0.0
        for start in range(0, len(y), BATCH):
            own = labels[start : start + BATCH]
            adam.zero_grad()
            loss = loss_of(called(images[start : start + BATCH])[:, 0], own)
            loss.backward()
            adam.step()
            total += loss.item() * len(own)
        return total / len(y)

    return train


def in_jax(stride: int, threads: int, dropout: float) -> Train:
    """Train with a compiled step; XLA has as many threads as the process has cores."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    import jax
    from jax import lax, nn
    from jax import numpy as jnp

    def loss_of(trained: Any, moving: Any, X: Any, y: Any, key: Any) -> Any:
        moved = []
        for block, (mean, variance) in enumerate(moving):
            kernel, bias, gamma, beta = trained[4 * block : 4 * block + 4]
            if block and dropout:
                keep = jax.random.bernoulli(jax.random.fold_in(key, block), 1 - dropout, X.shape)
                X = jnp.where(keep, X / (1 - dropout), 0)
            step = (1 if block else stride,)
            form = ("NWC", "WIO", "NWC")
            X = lax.conv_general_dilated(X, kernel, step, "VALID", dimension_numbers=form) + bias
            now = X.mean((0, 1)), X.var((0, 1))
            moved.append((0.99 * mean + 0.01 * now[0], 0.99 * variance + 0.01 * now[1]))
            X = nn.relu((X - now[0]) * lax.rsqrt(now[1] + 0.001) * gamma + beta)
        logit = (X.mean(1) @ trained[-2] + trained[-1])[:, 0]
        return jnp.mean(jnp.logaddexp(0, logit) - y * logit), moved

    def step(state: Any, X: Any, y: Any, key: Any) -> Any:
        number, trained, first, second, moving = state
        (loss, moving), slopes = jax.value_and_grad(loss_of, has_aux=True)(
            trained, moving, X, y, key
        )
        first = [0.9 * m + 0.1 * g for m, g in zip(first, slopes, strict=True)]
        second = [0.999 * v + 0.001 * g * g for v, g in zip(second, slopes, strict=True)]
        rate = RATE * jnp.sqrt(1 - 0.999**number) / (1 - 0.9**number)
        trained = [
            w - rate * m / (jnp.sqrt(v) + 1e-7)
            for w, m, v in zip(trained, first, second, strict=True)
        ]
        return (number + 1, trained, first, second, moving), loss

    compiled = jax.jit(step, donate_argnums=0)
    trained = [jnp.asarray(one) for one in weights()]
    moving = [(jnp.zeros(n), jnp.ones(n)) for n in FILTERS]
    zeros = [[jnp.zeros_like(one) for one in trained] for _ in range(2)]
    state: Any = (jnp.float32(1), trained, *zeros, moving)

    def train(X: Any, y: Any) -> float:
        nonlocal state
        total = 0.0
        for start in range(0, len(y), BATCH):
            own = slice(start, start + BATCH)
            key = jax.random.key(int(state[0]))
            state, loss = compiled(state, X[own], y[own].astype(np.float32), key)
            total += float(loss) * len(y[own])
        return total / len(y)

    return train


SIDES: dict[str, Callable[..., Train]] = {
    "ours": ours,
    "PyTorch": lambda *how: in_torch("plain", *how),
    "PyTorch, channels last": lambda *how: in_torch("channels last", *how),
    "JAX": in_jax,
    "PyTorch, compiled": lambda *how: in_torch("compiled", *how),
}

MEASURED = {"a later epoch": "s", "its processor time": "processor"}


def side(name: str, asked: argparse.Namespace) -> dict[str, Any]:
    """Check two steps without dropout, then time epochs with it."""
    draw = np.random.default_rng(1)
    X = draw.normal(size=(asked.records, SAMPLES, LEADS)).astype(np.float32)
    y = draw.integers(0, 2, asked.records)
    check = SIDES[name](asked.stride, asked.threads, 0.0)
    losses = [check(X[:BATCH], y[:BATCH]) for _ in range(2)]
    train = SIDES[name](asked.stride, asked.threads, 0.5)
    train(X, y)  # traces and compiles
    began = time.perf_counter(), time.process_time()
    for _ in range(asked.epochs):
        train(X, y)
    clock, processor = time.perf_counter() - began[0], time.process_time() - began[1]
    return {"losses": losses, "s": clock / asked.epochs, "processor": processor / asked.epochs}


def in_process(name: str, asked: argparse.Namespace) -> dict[str, Any]:
    """Measure a side in a process of its own; SystemExit with its last words if it failed."""
    python = asked.torch if name.startswith("PyTorch") else sys.executable
    numbers = [f"--{one}={getattr(asked, one)}" for one in ("stride", "threads", "records")]
    command = [python, __file__, *numbers, f"--epochs={asked.epochs}", "--side", name]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or [str(done.returncode)])[-1])
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def main() -> None:
    """Take turns, and write table and CSV file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--side", choices=SIDES, help="measure one, here (for the turns)")
    parser.add_argument("--torch", default=sys.executable, metavar="PYTHON", help="has PyTorch")
    parser.add_argument("--stride", type=int, default=10)
    for name, default in (("threads", 2), ("records", 171), ("epochs", 2), ("turns", 5)):
        parser.add_argument(f"--{name}", type=int, default=default)
    asked = parser.parse_args()
    if asked.side:
        print(json.dumps(side(asked.side, asked)))
        return
    rows, left_out = [], set()
    for turn in range(1, asked.turns + 1):
        losses: list[float] = []
        for name in SIDES if turn % 2 else reversed(SIDES):
            if name in left_out:
                continue
            try:
                one = in_process(name, asked)
            except RuntimeError as reason:
                left_out.add(name)
                print(f"{name} is left out: {reason}", flush=True)
                continue
            print(turn, name, one, flush=True)
            losses = losses or one["losses"]
            np.testing.assert_allclose(one["losses"], losses, rtol=1e-3, err_msg=name)
            rows += [(what, name, turn, one[key], "s") for what, key in MEASURED.items()]
            show(f"cnn s={asked.stride}", rows)


def show(part: str, measured: list[tuple[Any, ...]]) -> None:
    """Put rows in the place of the part's former ones, and write all into the table."""
    import rows as tidy
    from _common import put, table
    from table import spread

    path = HERE / "peers.csv"
    rows = [one for one in tidy.read(path) if one.part != part]
    rows += [tidy.Row(part, *one) for one in measured]
    tidy.write(path, tidy.Row._fields, rows)
    ratios = [one for name in SIDES for one in tidy.ratios(rows, name, "ours")]
    by = {(one.part, one.what, one.side): one for one in tidy.summaries([*rows, *ratios])}
    cells = [
        (*key, spread(by[key]), spread(by.get((*key[:2], f"{key[2]} / ours"))))
        for key in by
        if key[2] in SIDES
    ]
    header = ("model", "what", "in", "median (minimum to maximum)", "times ours")
    put(HERE / "README.md", "<!-- made by peers.py -->", table(header, cells))


if __name__ == "__main__":
    main()
