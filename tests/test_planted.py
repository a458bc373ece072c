"""A cohort in which one kernel with one stride sees the label, and no other pair can.

A convolution without padding reads samples 0 to (n - kernel) // stride * stride + kernel of n.
Here the label stands in the last 40 of 5000 samples alone, and of twelve pairs one reads them.
"""

from dataclasses import replace

import numpy as np
import pytest
from conftest import command, csv_rows, write_data_set

from lvh.data import synthetic

TAIL = 40
KERNELS, STRIDES = (250, 400, 500), (120, 130, 150, 210)
SEEING = (500, 150)


@pytest.mark.slow
def test_the_search_finds_the_planted_pair_and_tells_it_apart(tmp_path):
    cohort = synthetic.load(
        synthetic.SyntheticSettings("synthetic", records=105, effect=0.0, noise=0.0, seed=0)
    )
    random = np.random.default_rng(0)
    signals = random.normal(0, 0.02, cohort.signals.shape)  # mV
    burst = np.sin(np.arange(TAIL) * 2 * np.pi / TAIL)  # whole periods: its mean is 0
    signals[:, -TAIL:] += (2 * cohort.label[:, None, None] - 1) * burst[None, :, None]
    root = write_data_set(tmp_path / "set", replace(cohort, signals=signals), 105)
    done = command(
        *("-m", "data=ludb", f"data.root={root}", "model=cnn", "cv=repeated"),
        *("cv.repeats=2", "features.scaling=none", "features.leads=[i,v5]", "model.filters=[16]"),
        *("model.bn_momentum=0.9", "model.dropout=0", "train.epochs=20", "train.batch_size=8"),
        "train.learning_rate=0.03",
        f"kernel={','.join(map(str, KERNELS))}",
        f"model.strides={','.join(map(str, STRIDES))}",
        cwd=tmp_path,
    )
    assert done.code == 0, done.err
    (file,) = tmp_path.glob("outputs/*/*/report/leaderboard.csv")
    best, *others = csv_rows(file)
    assert (int(best["kernel"]), int(best["model.strides"])) == SEEING
    assert best["verdict"] == "best"
    assert float(best["mean"]) > 0.95
    assert len(others) == 11
    assert {row["verdict"] for row in others} == {"worse"}
    assert all(float(row["mean"]) < 0.8 for row in others)  # chance, on 15 records a fold
