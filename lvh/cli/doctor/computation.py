"""A tiny training on a backend, as a process: prints where it was computed."""

import sys

import numpy as np

from lvh.models.backends import new_program, start
from lvh.models.cnn import CnnSettings, build

_RECORDS, _SAMPLES, _LEADS = 8, 64, 2
_TINY = CnnSettings("cnn", kernel_size=8, strides=4, filters=(4, 4), dropout=0.5, bn_momentum=0.9)


def main(name: str) -> int:
    """Train one epoch, score, and return the exit code."""
    start(name, None, 1)
    model = build(_TINY, (_SAMPLES, _LEADS))
    program = new_program(lambda: model, _RECORDS // 2, "float32")
    generator = np.random.default_rng(0)
    X = generator.standard_normal((_RECORDS, _SAMPLES, _LEADS)).astype(np.float32)
    y = np.arange(_RECORDS) % 2
    program.reset([np.random.SeedSequence(0)], None)
    log = program.train(program.place([(X, y)]), [np.arange(_RECORDS)[None]], 1e-3)
    (scores,) = program.scores([X])
    if not (np.isfinite(log).all() and np.isfinite(scores).all()):
        print(f"expected numbers from a tiny training. Received: {log}, {scores}", file=sys.stderr)
        return 1
    print(str(model.variables[0].value.device).rpartition("device:")[2])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
