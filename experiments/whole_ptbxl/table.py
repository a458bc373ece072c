"""Make the result in README.md from results.csv.

python experiments/whole_ptbxl/table.py
"""

import sys
from pathlib import Path

import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from _common import put
from _common import table as markdown

HERE = Path(__file__).resolve().parent
MARK = "<!-- from results.csv -->"
PARTS = {
    "build": "open for the first time: read all, make the store",
    "open": "open once more",
    "read": "read all in random order, batches of 32",
    "read cold": "the same, when the system has forgotten the file",
    "train": "train an epoch",
    "score": "score all",
    "sweep": "the sweep, by its command",
}
COLUMNS = {
    "records": "{:,}",
    "seconds": "{:.1f}",
    "cpu_seconds": "{:.1f}",
    "records_a_second": "{:,.0f}",
    "resident_mib": "{:,.0f}",
    "bound_mib": "{:,.0f}",
    "anonymous_mib": "{:,.0f}",
}
HEADER = "|records|seconds|CPU seconds|records/s|resident MiB|at most|anonymous".split("|")


def main() -> None:
    """Write a line for each part and size, and what the sweeps held."""
    results = pd.read_csv(HERE / "results.csv")
    shown = results.assign(**{name: results[name].map(how.format) for name, how in COLUMNS.items()})
    shown.loc[shown["part"] == "open", "records_a_second"] = ""
    rows = [
        (what, *row)
        for part, what in PARTS.items()
        for row in shown.loc[shown["part"] == part, [*COLUMNS]].to_numpy()
    ]
    sweeps = results[results["part"] == "sweep"].sort_values("records")
    few, many = sweeps.iloc[0], sweeps.iloc[-1]
    growth = many["resident_mib"] / few["resident_mib"] - 1
    verdict = (
        f"With {many['records']:,} records all processes of the sweep held "
        f"{many['resident_mib']:,.0f} MiB at most,\nwith {few['records']:,} they held "
        f"{few['resident_mib']:,.0f} MiB: {growth:+.1%} for "
        f"{many['records'] / few['records']:.1f} times the records.\n"
        f"Of the store's {many['store_mib']:,.0f} MiB the system had "
        f"{many['cached_mib']:,.0f} MiB in its page cache in the end, as\n"
        "long as nobody needs that room. What a process has read of the store is unmapped after\n"
        "every batch, and so is in none of these columns."
    )
    put(HERE / "README.md", MARK, [*markdown(HEADER, rows), "", verdict])


if __name__ == "__main__":
    main()
