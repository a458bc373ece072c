"""Make the table of README.md from results.csv, and write it between its two marks.

python experiments/whole_ptbxl/table.py
"""

import csv
from pathlib import Path

HERE = Path(__file__).parent
_BEGIN, _END = "<!-- from results.csv -->\n", "<!-- end -->\n"
_TOLD = {
    "build": "open for the first time: read all, make the store",
    "open": "open once more",
    "read": "read all in random order, batches of 32",
    "read cold": "the same, when the system has forgotten the file",
    "train": "train an epoch",
    "score": "score all",
    "sweep": "the sweep, by its command",
}


def rows() -> list[dict[str, str]]:
    """Read what measure.py wrote."""
    with (HERE / "results.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def table(given: list[dict[str, str]]) -> str:
    """Return a line for each part and size."""
    lines = [
        "| | records | seconds | CPU seconds | records/s | resident MiB | at most | anonymous |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for part, told in _TOLD.items():
        for row in (one for one in given if one["part"] == part):
            speed = "" if part == "open" else f"{float(row['records_a_second']):,.0f}"
            lines.append(
                f"| {told} | {int(row['records']):,} | {float(row['seconds']):.1f} | "
                f"{float(row['cpu_seconds']):.1f} | {speed} | "
                f"{_whole(row['resident_mib'])} | {_whole(row['bound_mib'])} | "
                f"{_whole(row['anonymous_mib'])} |"
            )
    return "\n".join(lines) + "\n"


def _whole(number: str) -> str:
    return f"{float(number):,.0f}"


def main() -> None:
    """Do it."""
    path = HERE / "README.md"
    before, _, rest = path.read_text().partition(_BEGIN)
    _, _, after = rest.partition(_END)
    path.write_text(before + _BEGIN + table(rows()) + _END + after)


if __name__ == "__main__":
    main()
