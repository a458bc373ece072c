"""Compare what was read by hand with what lvh measures: table.csv, and the table of README.md.

export LVH_LUDB_ROOT=FOLDER LVH_PTBXL_ROOT=FOLDER
python experiments/criteria_by_hand/compare.py
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from draw import cohorts

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _common import put
from _common import table as markdown

from lvh.features.criteria import CRITERIA
from lvh.features.voltage import measure

HERE = Path(__file__).resolve().parent
MARK = "<!-- made by compare.py from readings.csv -->"
FORMULAS = {
    "sokolow_lyon": lambda hand: hand["s_v1"] + hand[["r_v5", "r_v6"]].max(axis=1),
    "cornell": lambda hand: hand["r_avl"] + hand["s_v3"],
    "gubner_ungerleider": lambda hand: hand["r_i"] + hand["s_iii"],
    "r_in_avl": lambda hand: hand["r_avl"],
    "peguero_lo_presti": lambda hand: hand["deepest_s"] + hand["s_v4"],
}


def measured() -> pd.DataFrame:
    """Return the criteria that lvh measures, and the sex, by record."""
    parts = []
    for cohort, records in cohorts():
        waves = measure(cohort)
        source = "PTB-XL" if cohort.name.startswith("PTB-XL") else "LUDB"
        names = [Path(cohort.records[at]).name.removesuffix("_hr") for at in records]
        values = {name: CRITERIA[name].value(waves)[records] for name in FORMULAS}
        values["male"] = cohort.male[records]
        parts.append(pd.DataFrame(values, index=[f"{source} {name}" for name in names]))
    return pd.concat(parts)


def main() -> None:
    """Compare and write."""
    hand = pd.read_csv(HERE / "readings.csv", index_col="record")
    product = measured().loc[hand.index]
    table = pd.DataFrame(index=hand.index)
    verdicts = []
    for name, formula in FORMULAS.items():
        table[f"{name}, hand"] = formula(hand)
        table[f"{name}, lvh"] = product[name]
        known = table[[f"{name}, hand", f"{name}, lvh"]].dropna()
        verdicts += [
            CRITERIA[name].positive(known[column].to_numpy(), product.loc[known.index, "male"])
            for column in known
        ]
    table.round(3).to_csv(HERE / "table.csv", lineterminator="\n")
    agree = sum(int((one == other).sum()) for one, other in zip(*[iter(verdicts)] * 2, strict=True))
    n = sum(len(one) for one in verdicts) // 2
    error = np.concatenate([(table[f"{m}, lvh"] - table[f"{m}, hand"]).dropna() for m in FORMULAS])
    rows = []
    for record, row in table.iterrows():
        cells = [f"{row[f'{m}, hand']:.2f} / {row[f'{m}, lvh']:.2f}" for m in FORMULAS]
        rows.append([record, *cells, hand.loc[record, "note"]])
    titles = [CRITERIA[name].title for name in FORMULAS]
    verdict = (
        f"lvh less hand: median {np.median(error):+.2f} mV, largest {np.abs(error).max():.2f} mV; "
        f"{np.mean(np.abs(error) <= 0.1):.0%} of {len(error)} values within 0.1 mV. "
        f"The verdicts agree in {agree} of {n}."
    )
    lines = [*markdown(["record", *titles, "note"], rows), "", verdict]
    put(HERE / "README.md", MARK, [line.replace("nan", "not read") for line in lines])


if __name__ == "__main__":
    main()
