from dataclasses import dataclass

import numpy as np
import pandas as pd

import lvh


@dataclass(frozen=True)
class Lab:
    root: str  # a field without a default must be typed
    fs: float = 500.0  # Hz


@lvh.register_source("lab", settings=Lab)
def lab(settings):
    table = pd.read_csv(f"{settings.root}/records.csv", dtype={"subject": str})
    signals = np.load(f"{settings.root}/signals.npy", allow_pickle=False)  # mV
    return lvh.Cohort.from_arrays(
        signals,
        table["lvh"],
        groups=table["subject"],
        fs=settings.fs,
        leads=["i", "ii", "v1", "v5"],
        records=table["record"],
        label_name="LVH",
        name=f"lab, {settings.root}",
    )
