"""What is told of the long haul is what its file holds."""

import csv
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "experiments/reliability"


def test_nothing_grows_that_should_not():
    with (FOLDER / "long_haul.csv").open(newline="") as file:
        rows = {int(row["configurations"]): row for row in csv.DictReader(file)}
    told = (FOLDER / "long_haul.md").read_text()
    assert list(rows) == list(range(10, 301, 10))
    first, last = rows[30], rows[300]
    for name, what in (
        ("memory_mib", "memory of the process that trains, MiB"),
        ("recorder_mib", "memory of the process that records, MiB"),
        ("files", "open descriptors"),
        ("threads", "threads"),
    ):
        growth = float(last[name]) / float(first[name]) - 1
        assert f"| {what} | {first[name]} | {last[name]} | {growth * 100:+.1f} % |" in told
        assert growth < 0.1
    for name, what in (("studies_kib", "the study"), ("tracking_kib", "the runs")):
        before = float(first[name]) / 30
        each = (float(last[name]) - float(first[name])) / 270
        assert (
            f"| database of {what}, KiB a configuration | {before:.1f} before | {each:.1f} |"
            in told
        )
        assert each <= before
