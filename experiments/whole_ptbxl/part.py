"""One part of what a run does, timed alone; prints seconds and how many records.

python experiments/whole_ptbxl/part.py ROOT build|open|read|'read cold'|train|score
"""

import sys
import time

import numpy as np

from lvh.data import ptbxl
from lvh.data.lazy_array import prefetch
from lvh.features.waveforms import RawSettings, extract_raw
from lvh.models.backends import start
from lvh.models.keras_trainer import KerasTrainer
from lvh.models.networks import CnnSettings, build_cnn
from lvh.models.programs import new_program
from lvh.models.training import FitJob, TrainSettings

BATCH = 32


def main(root: str, part: str) -> None:
    """Do it."""
    started = time.perf_counter()
    cohort = ptbxl.load(ptbxl.PtbxlSettings(root=root))
    features = extract_raw(cohort, RawSettings(leads=cohort.leads))
    n = len(features.y)
    if part in ("train", "score"):
        start("tensorflow", None, 2)
        model = CnnSettings(strides=125, filters=(16, 16, 16))
        program = new_program(lambda: build_cnn(model, features.input_shape), BATCH, "float32")
        settings = TrainSettings(epochs=1, batch_size=BATCH, threads=2)
        learner = KerasTrainer(program, settings)
        every = (features.X, features.y, features.subjects)
        few = tuple(one[:BATCH] for one in every)  # traces the graphs
        for lesson in (few, every) if part == "train" else (few,):
            started = time.perf_counter()
            learner.fit([FitJob(*lesson, np.random.SeedSequence(0))], lambda at, epoch: None)
        if part == "score":
            started = time.perf_counter()
            learner.predict([features.X])
    elif part.startswith("read"):
        started = time.perf_counter()
        order = np.random.default_rng(0).permutation(n)
        batches = [order[at : at + BATCH] for at in range(0, n, BATCH)]
        for _ in prefetch(batches, lambda at: features.X[at].read()):
            pass
    print(time.perf_counter() - started, n)


if __name__ == "__main__":
    main(*sys.argv[1:])
