"""Compare all pairs of records by their median beats.

    export LVH_LUDB_ROOT=FOLDER
    python experiments/duplicates/measure.py PTBXL_FOLDER ...

Writes pairs.csv beside this file: the closest pairs of LUDB, every record taken for a subject of
its own, and of each folder with a part of PTB-XL, which says whose record each is.
"""

import csv
import sys
from pathlib import Path

import lvh
from lvh.features.alike import closest_pairs

HERE = Path(__file__).resolve().parent
SHOWN = 12


def main() -> None:
    """Measure, write and print."""
    sources = {"LUDB": ("data=ludb", "data.same_subject=false")}
    for folder in sys.argv[1:]:
        name = f"PTB-XL, {Path(folder).name}"
        sources[name] = ("data=ptbxl", f"data.root={folder}")
    with (HERE / "pairs.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        head = "source records record other distance same_subject same_sex ages labels".split()
        writer.writerow(head)
        for name, overrides in sources.items():
            settings = lvh.settings(*overrides, "data.delineation=found")
            cohort = lvh.load_data(settings).cohort
            for pair in closest_pairs(cohort, SHOWN):
                a, b = (cohort.records.index(one) for one in (pair.record, pair.other))
                row = [name, len(cohort.records), pair.record, pair.other]
                row += [round(pair.distance, 3), pair.same_subject]
                row += [bool(cohort.male[a] == cohort.male[b])]
                row += [f"{cohort.age[a]:.0f} {cohort.age[b]:.0f}"]
                writer.writerow([*row, f"{cohort.label[a]} {cohort.label[b]}"])


if __name__ == "__main__":
    main()
