"""The table and pictures of experiments/explanations are those of its files."""

import csv
import runpy
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "experiments/explanations"


def rows(name: str) -> list[dict[str, str]]:
    with (FOLDER / name).open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_page_shows_the_table_of_the_files_and_every_picture():
    measure = runpy.run_path(str(FOLDER / "measure.py"))
    page = " ".join((FOLDER / "README.md").read_text().split())
    losses = measure["losses"](rows("results.csv"), rows("scores.csv"))
    assert len(losses) == 2 + len(measure["RUNS"])
    assert " ".join(" ".join(losses).split()) in page
    pictures = {
        f"{name}_{picture}.png" for name, run in measure["RUNS"].items() for picture in run.pictures
    }
    assert {path.name for path in FOLDER.glob("*.png")} == pictures
    assert all(f"]({picture})" in page for picture in pictures)
