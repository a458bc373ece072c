"""Make the tables of README.md and agreement.png from the files beside them.

python experiments/delineation/table.py
"""

import csv
from pathlib import Path

from agreement import POINTS, WAVES
from methods import ALL

from lvh.data.cohort import LEADS
from lvh.files import written_whole

HERE = Path(__file__).resolve().parent
MARK = "<!-- made by table.py from the files beside it -->"
ORDER = ("lvh", "prominence", "dwt", "cwt", "peak")
NAMES = {"N": "QRS", "p": "P", "t": "T"}

Rows = list[dict[str, str]]


def read(name: str) -> Rows:
    """Return the rows of a file."""
    with (HERE / name).open(newline="") as file:
        return list(csv.DictReader(file))


def waves(rows: Rows) -> dict[tuple[str, str, str, str], dict[str, str]]:
    """Return the rows of waves.csv by method, lead, wave and point."""
    return {(row["method"], row["lead"], row["wave"], row["point"]): row for row in rows}


def methods(rows: Rows) -> list[str]:
    """Compare the methods, over all leads."""
    of = waves(rows)
    lines = [
        f"| | {' | '.join((*ORDER, ALL))} |",
        f"|---|{'---|' * (len(ORDER) + 1)}",
    ]
    for wave in WAVES:
        for point in POINTS:
            cells = [_cell(of[method, "all", wave, point]) for method in (*ORDER, ALL)]
            lines.append(f"| {NAMES[wave]} {point} | {' | '.join(cells)} |")
    return lines


def by_lead(rows: Rows) -> list[str]:
    """Show what lvh makes of each lead, in the records that nothing was chosen on."""
    of = waves(rows)
    shown = [(wave, point) for wave in WAVES for point in POINTS]
    lines = [
        f"| | {' | '.join(f'{NAMES[wave]} {point}' for wave, point in shown)} |",
        f"|---|{'---|' * len(shown)}",
    ]
    for lead in LEADS:
        cells = [_cell(of[ALL, lead, wave, point]) for wave, point in shown]
        lines.append(f"| {lead} | {' | '.join(cells)} |")
    return lines


def _cell(row: dict[str, str]) -> str:
    if float(row["sensitivity"]) == 0:
        return "none"
    rates = f"{float(row['sensitivity']):.3f} / {float(row['ppv']):.3f}"
    return f"{rates}, {float(row['mean']):+.0f} ± {float(row['sd']):.0f}"


def voltages(rows: Rows) -> list[str]:
    """Show what is measured."""
    lines = [
        "| | n | median, annotated | bias | limits of agreement | correlation |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        name = row["quantity"].replace("_", " ")
        cells = [f"{float(row[of]):.3f}" for of in ("annotated", "bias", "low", "high")]
        lines.append(
            f"| {name}, {row['unit']} | {row['n']} | {cells[0]} | {cells[1]} | "
            f"{cells[2]} to {cells[3]} | {float(row['correlation']):.3f} |"
        )
    return lines


def criteria(rows: Rows) -> list[str]:
    """Show how a criterion alone ranks records."""
    names = list(rows[0])[1:]
    lines = [f"| | {' | '.join(names)} |", f"|---|{'---|' * len(names)}"]
    for row in rows:
        cells = [f"{float(row[name]):.3f}" for name in names]
        lines.append(f"| {row['criterion'].replace('_', ' ')} | {' | '.join(cells)} |")
    return lines


def worth(rows: Rows) -> list[str]:
    """Show what models come to."""
    shown = ("ap", "roc_auc", "accuracy")
    lines = [
        "| scored | model | learned from, scored on | ap | AUC | accuracy |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        cells = [
            f"{float(row[f'{of}_pooled']):.3f} "
            f"[{float(row[f'{of}_low']):.3f}, {float(row[f'{of}_high']):.3f}]"
            for of in shown
        ]
        model = f"{row['model']} on {row['features']}"
        lines.append(f"| {row['scored']} | {model} | {row['way']} | {' | '.join(cells)} |")
    return lines


def tables() -> list[str]:
    """Return all tables, with what they are."""
    of_waves = read("waves.csv")
    return [
        "Sensitivity / predictive value, and mean ± standard deviation of the error in ms:",
        "",
        *methods(of_waves),
        "",
        "The same of `lvh`, lead by lead, in the 150 records:",
        "",
        *by_lead(of_waves),
        "",
        "What is measured in the 150 records, found less annotated:",
        "",
        *voltages(read("voltages.csv")),
        "",
        "What models come to, pooled, with 95 % intervals (bootstrap over subjects):",
        "",
        *worth(read("results.csv")),
        "",
        "AUC of a criterion alone, of which nothing is learned:",
        "",
        *criteria(read("criteria.csv")),
    ]


def draw() -> None:
    """Draw error and rates of each point by each method."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    of = waves(read("waves.csv"))
    figure = Figure(figsize=(11, 7.2), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    errors, rates = figure.subplots(2, 1, sharex=True)
    colours = ("#1f4e79", "#6fa8dc", "#b5651d", "#d9a066", "#8a8a8a")
    labels = [f"{NAMES[wave]} {point}" for wave in WAVES for point in POINTS]
    for at, (method, colour) in enumerate(zip(ORDER, colours, strict=True)):
        rows = [of[method, "all", wave, point] for wave in WAVES for point in POINTS]
        x = [i + (at - 2) * 0.15 for i, row in enumerate(rows) if row["mean"]]
        some = [row for row in rows if row["mean"]]
        errors.errorbar(
            *(x, [float(row["mean"]) for row in some], [float(row["sd"]) for row in some]),
            **{"fmt": "o", "ms": 4, "capsize": 2, "color": colour, "label": method},
        )
        rates.plot(x, [float(row["sensitivity"]) for row in some], "o", ms=5, color=colour)
        rates.plot(x, [float(row["ppv"]) for row in some], "x", ms=6, color=colour)
    errors.axhline(0, lw=0.6, color="0.6")
    errors.set_ylabel("found less annotated, ms")
    errors.set_title("Mean and standard deviation of the error, every eighth record of LUDB")
    errors.legend(ncols=5, frameon=False, loc="lower right")
    rates.set_ylabel("sensitivity (o), predictive value (x)")
    rates.set_xticks(range(len(labels)), labels)
    rates.set_ylim(0, 1.03)
    for axes in (errors, rates):
        axes.grid(axis="y", lw=0.3)
    with written_whole(HERE / "agreement.png") as temporary:
        figure.savefig(temporary, format="png")


def main() -> None:
    """Write the tables below the mark of README.md, and the figure."""
    path = HERE / "README.md"
    before = path.read_text().partition(MARK)[0]
    path.write_text("\n".join([f"{before}{MARK}", "", *tables(), ""]))
    draw()


if __name__ == "__main__":
    main()
