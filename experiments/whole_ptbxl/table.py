"""Make the result in README.md from results.csv, and write it between its two marks.

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
                f"| {told} | {_records(row):,} | {float(row['seconds']):.1f} | "
                f"{float(row['cpu_seconds']):.1f} | {speed} | "
                f"{_whole(row['resident_mib'])} | {_whole(row['bound_mib'])} | "
                f"{_whole(row['anonymous_mib'])} |"
            )
    return "\n".join([*lines, "", *_verdict(given)]) + "\n"


def _verdict(given: list[dict[str, str]]) -> list[str]:
    """Say what the sweep over the largest set held, and what the smallest."""
    sweeps = sorted((one for one in given if one["part"] == "sweep"), key=_records)
    few, many = sweeps[0], sweeps[-1]
    held, before = _whole(many["resident_mib"]), _whole(few["resident_mib"])
    growth = float(many["resident_mib"]) / float(few["resident_mib"]) - 1
    store, cached = _whole(many["store_mib"]), _whole(many["cached_mib"])
    return [
        f"With {_records(many):,} records all processes of the sweep held {held} MiB at most,",
        f"with {_records(few):,} they held {before} MiB: {growth:+.1%} for "
        f"{_records(many) / _records(few):.1f} times the records.",
        f"Of the store's {store} MiB the system had {cached} MiB in its page cache in the end, as",
        "long as nobody needs that room. What a process has read of the store is unmapped after",
        "every batch, and so is in none of these columns.",
    ]


def _records(row: dict[str, str]) -> int:
    return int(row["records"])


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
