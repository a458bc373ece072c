"""Draw the ECGs that are read by hand: the first ten records of PTB-XL's part, five of LUDB.

    export LVH_LUDB_ROOT=FOLDER LVH_PTBXL_ROOT=FOLDER
    python experiments/criteria_by_hand/draw.py

The pictures hold no measurement, so that what is read owes the product nothing. They are kept at
half of their size, 5 pixels a mm, in 16 colours.
"""

import os
from pathlib import Path

from PIL import Image

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
    folder = Path(__file__).resolve().parent / "pictures"
    folder.mkdir(exist_ok=True)
    for cohort, records in cohorts():
        for record in records:
            name = Path(cohort.records[record]).name
            title = Words(f"{cohort.name.split(',')[0].split(' ')[0]} {name}", ())
            figure = draw(cohort.signals[record], cohort.fs, title)
            path = folder / f"{title.title.replace(' ', '_')}.png"
            save(figure, path)
            with Image.open(path) as page:
                half = page.convert("RGB").resize((page.width // 2, page.height // 2))
            half.quantize(16, Image.Quantize.MAXCOVERAGE).save(path, optimize=True)


if __name__ == "__main__":
    main()
