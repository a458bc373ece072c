"""How the probability of a model changes when the signals of its records are changed."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pandas as pd

from lvh.data.cohort import Cohort, Delineation
from lvh.data.delineation import delineate
from lvh.errors import InputError, excerpt
from lvh.inference.model_description import FACTORS

Change = tuple[str, float | str]
"""What is done to the signals, and its strength or the lead; the latter is empty for swaps."""

MOST = 200
"""Most records that are changed, evenly spaced among the test records of a run."""
ORIGINAL: Change = ("nothing", "")
TITLES = {
    "amplitude": "voltages times",
    "noise": "white noise, mV (SD)",
    "wander": "wander of 0.3 Hz, mV",
    "resampling": "resampled, Hz",
    "arms": "arms swapped",
    "v1_v2": "V1 and V2 swapped",
    "flat": "flat lead",
}
_WANDER_HZ = 0.3  # of a breath
_SWAPS = {
    "arms": {"ii": "iii", "iii": "ii", "avr": "avl", "avl": "avr", "i": "i"},
    "v1_v2": {"v1": "v2", "v2": "v1"},
}
_FOUND_AGAIN = ("noise", "wander", "resampling", "arms")


def changes_of(cohort: Cohort, asked: str, *, is_ecg: bool = True) -> tuple[Change, ...]:
    """Return `all` changes that are possible in some records, `none`, or those of a list."""
    is_mv = cohort.unit == "mV"
    swaps = {name: [""] if {*swap} <= {*cohort.leads} else [] for name, swap in _SWAPS.items()}
    strengths = {
        "amplitude": FACTORS,
        "noise": (0.02, 0.05, 0.1) if is_mv else (),
        "wander": (0.2, 0.5, 1.0) if is_mv else (),
        "resampling": [hz for hz in (250.0, 100.0) if hz < cohort.fs],
        **swaps,
        "flat": cohort.leads,
    }
    possible = [name for name, some in strengths.items() if some and is_ecg]
    names = {"all": possible, "none": []}.get(asked, [*dict.fromkeys(asked.split(","))])
    if unknown := [name for name in names if name not in possible]:
        some = f"all, none, or some of {','.join(possible)}" if is_ecg else "none with columns"
        raise InputError(f"--changes: expected {some}. Received: {excerpt(unknown[0])}")
    return tuple((name, strength) for name in names for strength in strengths[name])


def changed(cohort: Cohort, change: Change, seed: int = 0) -> Cohort:
    """Return records with changed signals; noise and wander depend on the seed alone."""
    (name, strength), leads = change, [*cohort.leads]
    x, order = np.array(cohort.signals, np.float64), [*range(len(leads))]
    random, size = np.random.default_rng(seed), strength if isinstance(strength, float) else 0.0
    if name == "amplitude":
        x *= size
    elif name == "noise":
        x += size * random.standard_normal(x.shape)
    elif name == "wander":
        phase = random.uniform(0, 2 * np.pi, (len(x), 1, len(leads)))
        seconds = np.arange(x.shape[1])[:, None] / cohort.fs
        x += size * np.sin(2 * np.pi * _WANDER_HZ * seconds + phase)
    elif name == "resampling":
        from scipy.signal import resample_poly  # type: ignore[import-untyped]

        up, down = Fraction(size / cohort.fs).limit_denominator(1000).as_integer_ratio()
        fewer = resample_poly(x, up, down, axis=1, padtype="line")
        x = resample_poly(fewer, down, up, axis=1, padtype="line")[:, : x.shape[1]]
    elif name == "flat":
        x[..., leads.index(str(strength))] = 0
        order[leads.index(str(strength))] = -1
    else:
        order = [leads.index(_SWAPS[name].get(lead, lead)) for lead in leads]
        x = x[..., order]
        if name == "arms":
            x[..., leads.index("i")] *= -1
    waves, signals = cohort.delineation, x.astype(np.float32)
    if waves.origin == "found" and len(waves.samples) and name in _FOUND_AGAIN:
        return replace(cohort, signals=signals, delineation=delineate(signals, cohort.fs))
    return replace(cohort, signals=signals, delineation=_moved(waves, order))


def responses(
    cohort: Cohort,
    changes: Sequence[Change],
    predict: Callable[[Cohort], "pd.Series[float]"],
    *,
    seed: int = 0,
) -> pd.DataFrame:
    """Return the probability of every record as it is and after each change.

    `predict` returns those of the records that can be scored, by name; others have NaN.
    """
    tables = []
    for name, strength in (ORIGINAL, *changes):
        p = pd.Series(dtype=float)
        with suppress(InputError):  # no record can be read so
            is_same = (name, strength) == ORIGINAL
            p = predict(cohort if is_same else changed(cohort, (name, strength), seed))
        one = pd.DataFrame({"change": name, "strength": str(strength), "record": cohort.records})
        tables.append(one.assign(label=cohort.label, probability=one["record"].map(p)))
    return pd.concat(tables, ignore_index=True)


def summarize_responses(table: pd.DataFrame) -> pd.DataFrame:
    """Return the probabilities of the records of each label after each change.

    80 % of the records lie between `low` and `high`; `moved` is the mean absolute change of one.
    """
    before = table[table["change"] == ORIGINAL[0]].set_index("record")["probability"]
    table = table.assign(moved=(table["probability"] - table["record"].map(before)).abs())
    groups = table.groupby(["change", "strength", "label"], sort=False)
    return groups.agg(
        n=("record", "size"),
        scored=("probability", "count"),
        mean=("probability", "mean"),
        low=("probability", lambda p: p.quantile(0.1)),
        high=("probability", lambda p: p.quantile(0.9)),
        moved=("moved", "mean"),
    ).reset_index()


def voltage_curve(summary: pd.DataFrame) -> list[tuple[float, ...]]:
    """Return mean probabilities without and with the label at `FACTORS`; empty where not tried."""
    own = summary[summary["change"] == "amplitude"]
    means = [own.loc[own["label"] == label, "mean"].tolist() for label in (0, 1)]
    return [*zip(*means, strict=False)]


def _moved(waves: Delineation, order: Sequence[int]) -> Delineation:
    """Return fiducials of which each lead takes those of another one; none for -1."""
    rows = [slice(start, end) for start, end in pairwise(waves.offsets)]
    firsts = range(0, len(rows), waves.n_leads)
    taken = [rows[first + at] if at >= 0 else slice(0) for first in firsts for at in order]
    leads = [(waves.symbols[row], waves.samples[row]) for row in taken]
    return Delineation.from_leads(leads, waves.n_leads, waves.origin, waves.doubtful)
