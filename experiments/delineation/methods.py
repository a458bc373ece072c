"""What each method finds in LUDB and PTB-XL: waves.csv, qrs.csv and blocks.csv.

    export LVH_LUDB_ROOT=FOLDER LVH_PTBXL_ROOT=FOLDER
    python experiments/delineation/methods.py

`lvh` is `lvh.data.delineation.delineate`. `version 1` is its former way to bound QRS, by the
prominence of the magnitude of all leads. `prominence` and `dwt` are NeuroKit2's methods as they
are, one lead at a time, upright, from the heartbeats of lvh. `ecgdeli`, one lead at a time too, is
a port of ECGdeli (Pilia et al., SoftwareX 13, 2021); install it first.
"""

import ast
import os
import warnings
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from agreement import POINTS, WAVES, Agreement, agreement, together, waves_of

from lvh.data import delineation
from lvh.data.cohort import LEADS, Cohort
from lvh.data.ludb import LudbSettings, load
from lvh.data.ptbxl import PtbxlSettings
from lvh.data.ptbxl import load as load_ptbxl

HERE = Path(__file__).resolve().parent
CHOSEN_ON = 4
"""Lengths and shares were chosen on every fourth record, from the first; the others are scored."""
COMPARED_ON = 8
"""Slow methods see every eighth record from the second."""
ALL = "lvh on 150"
BLOCKS = {"NORM": "normal", "IRBBB": "incomplete right", "CRBBB": "right", "CLBBB": "left"}
"""Statements of PTB-XL on bundle branches; QRS is under 120 ms in the first two."""
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
        for symbols, samples in delineation.delineate_record(signal, fs)[0]
    ]
    raw = signal.astype(float)
    without_spikes, _ = delineation._usable(signal, fs)
    clean = delineation._clean(without_spikes, fs)
    magnitude = np.linalg.norm(clean, axis=1)
    velocity = delineation._velocity(without_spikes, fs)
    beats = delineation._detect_beats(velocity, magnitude, fs)
    former = _neurokit(magnitude, beats, fs, "prominence", max_r_basepoint_interval=130)
    found = {ALL: own, "version 1 on 150": [{"N": former["N"]}] * len(LEADS)}
    if is_compared:
        found |= {"lvh": own, "version 1": [{"N": former["N"]}] * len(LEADS)}
        for method in ("prominence", "dwt"):
            found[method] = [_neurokit(lead, beats, fs, method) for lead in clean.T]
        found["ecgdeli"] = _ecgdeli(raw, fs)
    return found


def _neurokit(
    lead: npt.NDArray[np.float64],
    beats: npt.NDArray[np.int64],
    fs: float,
    method: str,
    **limits: int,
) -> Points:
    import neurokit2

    reach = round(0.06 * fs)
    starts = np.maximum(beats - reach, 0)
    r = np.unique([at + lead[at : at + 2 * reach + 1].argmax() for at in starts]) + _MARGIN
    padded = np.pad(lead, _MARGIN, mode="edge")
    with warnings.catch_warnings(action="ignore"):
        try:
            _, found = neurokit2.ecg_delineate(padded, r, sampling_rate=fs, method=method, **limits)
        except Exception:  # the library finds its way no more
            return {wave: np.zeros((0, 3)) for wave in WAVES}
    found["ECG_R_Peaks"] = r
    return {
        wave: np.stack(
            [
                np.array(found[f"ECG_{name}_{of}"], dtype=float)[: len(r)] - _MARGIN
                for of in ("Onsets", "Peaks", "Offsets")
            ],
            axis=1,
        )
        for wave, name in _NAMES.items()
    }


def _ecgdeli(raw: npt.NDArray[np.float64], fs: float) -> list[Points]:
    import ecgdeli

    with warnings.catch_warnings(action="ignore"):
        leads = ecgdeli.annotate(ecgdeli.filter_ecg(raw, fs=fs), fs=fs).leads
    columns = {"N": ("qrs_on", "r_peak", "qrs_off"), "p": ("p_on", "p_peak", "p_off")}
    columns["t"] = ("t_on", "t_peak", "t_off")
    return [
        {
            wave: np.stack([_known(lead, name) for name in names], axis=1)
            for wave, names in columns.items()
        }
        for lead in leads
    ]


def _known(lead: object, name: str) -> npt.NDArray[np.float64]:
    samples = np.array(getattr(lead, name), dtype=float)
    samples[samples < 0] = np.nan
    return samples


def durations(found: list[Points], fs: float) -> float:
    """Return the duration of QRS in s, the median over the leads of the medians over beats."""
    leads = [one["N"][np.isfinite(one["N"]).all(axis=1)] for one in found]
    spans = [np.median(qrs[:, 2] - qrs[:, 0]) / fs for qrs in leads if len(qrs)]
    return float(np.median(spans)) if spans else float("nan")


def main() -> None:
    """Measure and write."""
    cohort = ludb()
    at = scored(cohort)
    parts: dict[tuple[str, str, str, str], list[Agreement]] = {}
    lengths: dict[str, list[tuple[str, float, float]]] = {}
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        compared = [record % COMPARED_ON == 1 for record in at]
        signals, rates = cohort.signals[at], [cohort.fs] * len(at)
        for record, found in zip(at, pool.map(by_method, signals, rates, compared), strict=True):
            truth = []
            for column, lead in enumerate(LEADS):
                symbols, samples = cohort.delineation.lead(record, column)
                truth.append(waves_of(symbols, samples))
                for method, leads in found.items():
                    for wave, points in leads[column].items():
                        for which, point in enumerate(POINTS):
                            one = agreement(
                                truth[-1][wave][:, which],
                                points[:, which],
                                (samples[0], samples[-1]),
                                cohort.fs,
                            )
                            for of in (lead, "all"):
                                parts.setdefault((method, of, wave, point), []).append(one)
            for method, leads in found.items():
                row = cohort.records[record], durations(truth, 500), durations(leads, 500)
                lengths.setdefault(method, []).append(row)
    write_waves(parts)
    write_durations(lengths)
    write_blocks()


def write_waves(parts: dict[tuple[str, str, str, str], list[Agreement]]) -> None:
    """Write the agreement of each point by each method in each lead: waves.csv."""
    rows = []
    for (method, lead, wave, point), some in parts.items():
        one = together(some)
        ms = one.errors * 1000
        numbers = {"annotated": one.annotated, "sensitivity": one.sensitivity, "ppv": one.ppv}
        numbers |= {"mean": ms.mean(), "sd": ms.std(ddof=1)} if len(ms) > 1 else {}
        rows.append({"method": method, "lead": lead, "wave": wave, "point": point, **numbers})
    pd.DataFrame(rows).round(4).to_csv(HERE / "waves.csv", index=False, lineterminator="\n")


def write_durations(lengths: dict[str, list[tuple[str, float, float]]]) -> None:
    """Write how the duration of QRS agrees, a record each: qrs.csv."""
    rows = []
    for method, values in lengths.items():
        pairs = pd.DataFrame(values, columns=["record", "annotated", "found"]).dropna()
        error = (pairs["found"] - pairs["annotated"]) * 1000
        wide = pairs["annotated"] >= 0.12
        rows.append(
            {
                "method": method,
                "records": len(pairs),
                "bias": error.mean(),
                "sd": error.std(),
                "correlation": pairs["annotated"].corr(pairs["found"]),
                "wide": wide.sum(),
                "wide bias": error[wide].mean(),
                "below 60 ms": (pairs["found"] < 0.06).sum(),
            }
        )
    pd.DataFrame(rows).round(2).to_csv(HERE / "qrs.csv", index=False, lineterminator="\n")


def write_blocks() -> None:
    """Write the durations of QRS by what PTB-XL states on bundle branches: blocks.csv."""
    root = Path(os.environ["LVH_PTBXL_ROOT"])
    cohort = load_ptbxl(PtbxlSettings(root=str(root), delineation="found"))
    table = pd.read_csv(root / "ptbxl_database.csv").set_index("ecg_id")
    names = [int(Path(name).name.split("_")[0]) for name in cohort.records]
    codes = [ast.literal_eval(text) for text in table.loc[names, "scp_codes"]]
    rows = []
    for code, title in BLOCKS.items():
        some = [at for at, stated in enumerate(codes) if code in stated]
        found = [
            [waves_of(*cohort.delineation.lead(at, lead)) for lead in range(len(LEADS))]
            for at in some
        ]
        ms = np.array([durations(leads, cohort.fs) for leads in found]) * 1000
        doubtful = len(set(some) & set(cohort.delineation.doubtful))
        low, median, high = np.nanpercentile(ms, [5, 50, 95])
        share = np.mean(ms >= 120)
        rows.append([title, len(some), low, median, high, share, doubtful])
    columns = ["bundle branch block", "records", "5 %", "median", "95 %", ">= 120 ms", "doubtful"]
    made = pd.DataFrame(rows, columns=columns).round(2)
    made.to_csv(HERE / "blocks.csv", index=False, lineterminator="\n")


if __name__ == "__main__":
    main()
