"""Compare all pairs of records by their median beats.

    export LVH_LUDB_ROOT=FOLDER
    python experiments/duplicates/measure.py PTBXL_FOLDER ...

Writes pairs.csv beside this file: the closest pairs of LUDB, every record taken for a subject of
its own, and of each folder with a part of PTB-XL, which says whose record each is.
"""

import sys
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _common import write

import lvh
from lvh.features.waveforms import closest_pairs

HERE = Path(__file__).resolve().parent
SHOWN = 12


def main() -> None:
    """Measure, write and print."""
    sources = {"LUDB": ("data=ludb", "data.same_subject=false")}
    for folder in sys.argv[1:]:
        name = f"PTB-XL, {Path(folder).name}"
        sources[name] = ("data=ptbxl", f"data.root={folder}")
    rows = []
    for name, overrides in sources.items():
        cohort = lvh.load_data(lvh.settings(*overrides, "data.delineation=found")).cohort
        for pair in closest_pairs(cohort, SHOWN):
            a, b = (cohort.records.index(one) for one in (pair.record, pair.other))
            row = {"source": name, "records": len(cohort.records), **asdict(pair)}
            row["distance"] = round(pair.distance, 3)
            row["same_sex"] = bool(cohort.male[a] == cohort.male[b])
            row["ages"] = f"{cohort.age[a]:.0f} {cohort.age[b]:.0f}"
            rows.append(row | {"labels": f"{cohort.label[a]} {cohort.label[b]}"})
    write(HERE / "pairs.csv", rows)


if __name__ == "__main__":
    main()
