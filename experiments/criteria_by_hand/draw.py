"""Draw the ECGs that are read by hand: the first ten records of PTB-XL's part, five of LUDB.

    export LVH_LUDB_ROOT=FOLDER LVH_PTBXL_ROOT=FOLDER
    python experiments/criteria_by_hand/draw.py FOLDER_FOR_PICTURES

The pictures hold no measurement, so that what is read owes the product nothing.
"""

import os
import sys
from pathlib import Path

from lvh.data import ludb, ptbxl
from lvh.data.cohort import Cohort
from lvh.reports.ecg_plot import Words, draw, save

LUDB = ("8", "20", "74", "116", "120")


def cohorts() -> list[tuple[Cohort, list[int]]]:
    """Return each cohort, with the positions of the records that are read."""
    first = ptbxl.load(ptbxl.PtbxlSettings(root=os.environ["LVH_PTBXL_ROOT"], delineation="found"))
    second = ludb.load(ludb.LudbSettings(root=os.environ["LVH_LUDB_ROOT"]))
    return [(first, [*range(10)]), (second, [second.records.index(name) for name in LUDB])]


def main() -> None:
    """Draw each record."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for cohort, records in cohorts():
        for record in records:
            name = Path(cohort.records[record]).name
            title = Words(f"{cohort.name.split(',')[0].split(' ')[0]} {name}", ())
            figure = draw(cohort.signals[record], cohort.fs, title)
            save(figure, folder / f"{title.title.replace(' ', '_')}.png")


if __name__ == "__main__":
    main()
