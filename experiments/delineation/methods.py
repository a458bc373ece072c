"""What each method of NeuroKit2 finds in LUDB, and what lvh makes of it: waves.csv.

    export LVH_LUDB_ROOT=FOLDER
    python experiments/delineation/methods.py

`prominence`, `dwt`, `cwt` and `peak` are the library's methods as they are, one lead at a time,
upright, from the heartbeats of `lvh.data.delineation`, on every eighth record from the second;
`lvh` is `lvh.data.delineation.delineate`, on these and on all
that nothing was chosen on (`lvh on 150`).
"""

import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import numpy.typing as npt
from agreement import POINTS, WAVES, Agreement, agreement, together, waves_of

from lvh.data import delineation
from lvh.data.cohort import LEADS, Cohort
from lvh.data.ludb import LudbSettings, load
from lvh.files import write_text

HERE = Path(__file__).resolve().parent
METHODS = ("prominence", "dwt", "cwt", "peak")
CHOSEN_ON = 4
"""Method and lengths were chosen on every fourth record, from the first; the others are scored."""
COMPARED_ON = 8
"""The methods are compared on every eighth record from the second: the wavelets are slow."""
ALL = "lvh on 150"
_NAMES = {"N": "R", "p": "P", "t": "T"}
_MARGIN = 2000

Points = dict[str, npt.NDArray[np.float64]]


def ludb() -> Cohort:
    """Return the annotated records."""
    return load(LudbSettings("ludb", os.environ["LVH_LUDB_ROOT"], ""))


def scored(cohort: Cohort) -> list[int]:
    """Return the positions of the records that nothing was chosen on."""
    return [at for at in range(len(cohort.records)) if at % CHOSEN_ON]


def by_method(
    signal: npt.NDArray[np.float32], fs: float, is_compared: bool
) -> dict[str, list[Points]]:
    """Return the waves of each lead of a record by each method."""
    own = [
        waves_of(symbols.tobytes().decode(), samples)
        for symbols, samples in delineation.leads_of(signal, fs)
    ]
    if not is_compared:
        return {ALL: own}
    found = {ALL: own, "lvh": own}
    with delineation._quiet():
        clean = np.stack([delineation._cleaned(lead, fs) for lead in signal.T.astype(float)], 1)
        beats = delineation._heartbeats(np.sqrt(np.square(clean).sum(axis=1)), fs)
        for method in METHODS:
            found[method] = [_as_it_is(lead, beats, fs, method) for lead in clean.T]
    return found


def _as_it_is(
    lead: npt.NDArray[np.float64], beats: npt.NDArray[np.int64], fs: float, method: str
) -> Points:
    import neurokit2

    reach = round(0.06 * fs)
    tops = [
        max(at - reach, 0) + int(lead[max(at - reach, 0) : at + reach + 1].argmax()) for at in beats
    ]
    r = np.unique(tops)
    try:
        padded = np.pad(lead, _MARGIN, mode="edge")
        _, found = neurokit2.ecg_delineate(padded, r + _MARGIN, sampling_rate=fs, method=method)
    except Exception:
        return {wave: np.zeros((0, 3)) for wave in WAVES}
    found["ECG_R_Peaks"] = [*(r + _MARGIN)]
    return {
        wave: np.stack([_column(found, f"ECG_{name}_{of}s", len(r)) for of in _TITLES], axis=1)
        for wave, name in _NAMES.items()
    }


_TITLES = ("Onset", "Peak", "Offset")


def _column(found: dict[str, list[float]], name: str, n: int) -> npt.NDArray[np.float64]:
    values = [float(one) - _MARGIN for one in found.get(name, [])]
    return np.array([*values, *[np.nan] * n][:n])


def main() -> None:
    """Measure and write."""
    cohort = ludb()
    at = scored(cohort)
    parts: dict[tuple[str, str, str, str], list[Agreement]] = {}
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        results = pool.map(
            *(by_method, cohort.signals[at], [cohort.fs] * len(at)),
            [record % COMPARED_ON == 1 for record in at],
        )
        for record, found in zip(at, results, strict=True):
            for column, lead in enumerate(LEADS):
                symbols, samples = cohort.delineation.lead(record, column)
                truth, span = waves_of(symbols, samples), (samples[0], samples[-1])
                for method, leads in found.items():
                    for wave in WAVES:
                        for which, point in enumerate(POINTS):
                            one = agreement(
                                truth[wave][:, which],
                                leads[column][wave][:, which],
                                span,
                                cohort.fs,
                            )
                            for of in (lead, "all"):
                                parts.setdefault((method, of, wave, point), []).append(one)
    rows = [["method", "lead", "wave", "point", "annotated", "sensitivity", "ppv", "mean", "sd"]]
    for key, some in parts.items():
        one = together(some)
        ms = one.errors * 1000
        mean, sd = (f"{ms.mean():.2f}", f"{ms.std(ddof=1):.2f}") if len(ms) > 1 else ("", "")
        ppv = f"{one.ppv:.4f}" if np.isfinite(one.ppv) else ""
        rows.append([*key, str(one.annotated), f"{one.sensitivity:.4f}", ppv, mean, sd])
    write_text(HERE / "waves.csv", "".join(",".join(row) + "\n" for row in rows))


if __name__ == "__main__":
    main()
