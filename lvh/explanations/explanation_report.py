"""The folder of an explanation: tables, pictures, and a page of text that says what they mean."""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import astuple
from pathlib import Path

from lvh.explanations.run_explanation import Explanation, Kept, Saliency
from lvh.explanations.importance import Asked
from lvh.files import write_text

_SHOWN = 5
_BOUNDS = ("", "_low", "_high")
_SHARES = ("share", "even", "even_over_leads")


def write(found: Explanation, folder: Path, name: str, note: str, asked: Asked) -> None:
    """Write the tables and the text.

    Args:
        found: What is written.
        folder: Made if it is not there.
        name: Of the run, and its data.
        note: What a reader must know of the data, or empty.
        asked: How closely was looked.
    """
    scores = [f"{name}_drop{bound}" for name in ("ap", "roc_auc") for bound in _BOUNDS]
    _write_csv(
        folder / "importance.csv",
        ("kind", "name", *scores),
        (
            (row.kind, row.name, *astuple(row.drop.ap), *astuple(row.drop.roc_auc))
            for row in found.rows
        ),
    )
    _write_csv(
        folder / "scores.csv",
        ("of", "metric", "pooled", "low", "high"),
        (
            (of, metric, *astuple(interval))
            for of, scores in (("model", found.scores), ("age + sex", found.baseline))
            for metric, interval in scores.items()
        ),
    )
    if found.agreement:
        shares = [f"{name}{bound}" for name in _SHARES for bound in _BOUNDS]
        _write_csv(
            folder / "agreement.csv",
            ("part", "criterion", *shares),
            (
                (
                    *(row.part, row.criterion),
                    *(value for name in _SHARES for value in astuple(getattr(row, name))),
                )
                for row in found.agreement
            ),
        )
    if found.saliency is not None:
        _write_csv(
            folder / "saliency.csv",
            ("label", "lead", "seconds", "importance", "beat"),
            _over_time(found.saliency),
        )
    write_text(folder / "README.md", "\n\n".join(text(found, name, note, asked)) + "\n")


def text(found: Explanation, name: str, note: str, asked: Asked) -> list[str]:
    """Return paragraphs that say what was done, what came out and what it does not mean."""
    ap, baseline = found.scores["ap"], found.baseline["ap"]
    made = [
        f"# What {name} looks at",
        f"Out of fold: {found.n_scored} scored records of {found.n_folds} folds, each by the model "
        f"of its fold, which has not learned from it. {same(found.kept, found.n_folds)}",
        f"**How good it is**: pooled ap {ap.estimate:.3f} [{ap.low:.3f}, {ap.high:.3f}], age + sex "
        f"{baseline.estimate:.3f}. An explanation of a model that is little better than age and "
        "sex says little of the heart.",
    ]
    if note:
        made.append(f"**{note}**")
    made += [f"**{title}**\n\n{table(found, kinds)}" for title, kinds in TABLES if found.of(*kinds)]
    if found.agreement:
        lines = [
            "| importance of | criterion | share [95 %] | if even | if even over leads |",
            "|---|---|---|---|---|",
        ]
        lines += [
            f"| {row.part} | {row.criterion} | {row.share.estimate:.3f} [{row.share.low:.3f}, "
            f"{row.share.high:.3f}] | {row.even.estimate:.3f} | "
            f"{row.even_over_leads.estimate:.3f} |"
            for row in found.agreement
        ]
        made.append("**Where criteria look**\n\n" + "\n".join(lines))
    return [*made, *_meaning(found, asked)]


def _meaning(found: Explanation, asked: Asked) -> list[str]:
    kinds = {row.kind for row in found.rows}
    told = [
        "**What it means.** A loss says how much worse the pooled scores rank the records without "
        "something; where its interval holds 0, these records do not tell that it matters."
    ]
    if "lead" in kinds:
        told.append(
            "A lead is put at its median; a wave is bridged by a straight line in every annotated "
            f"beat and lead; windows of {asked.window * 1000:g} ms, every {asked.stride * 1000:g} "
            "ms, likewise. Importance over time is the change of the log-odds of LVH, positive "
            "where a window speaks for it."
        )
    if "input" in kinds:
        told.append(
            f"Inputs are given to other scored records of the fold, {asked.repeats} times; what is "
            "computed of them, the criteria, follows. The importance of an input for a record is "
            "the change of the log-odds when it has the mean value of the training records."
        )
    if found.agreement:
        told.append(
            "A share above what it were if even says little where signals are flat elsewhere; one "
            "above what it were if even over the leads, wave by wave, says that leads are those "
            "of the criterion."
        )
    return [
        " ".join(told),
        "**What it does not mean.** It tells what the scores of these models depend on: no cause, "
        "and no finding in a patient. What is taken away leaves records as no heart makes them, "
        "of which a model may say anything. Leads and inputs that tell the same replace each "
        "other: none of them seems to matter then, and together they do.",
    ]


def same(kept: Kept, n_folds: int) -> str:
    """Say whether the models are those of the run."""
    if not kept.n_folds:
        return "No fold of it is kept by this code, so that nobody can tell whether they are equal."
    of = f"{kept.n_folds} of {n_folds}"
    if kept.largest == 0:
        return f"Trained again, {of} folds came to the scores that were kept, to the bit."
    return (
        f"Trained again, scores of {of} folds differ from those kept by up to {kept.largest:.2g}."
    )


def table(found: Explanation, kinds: Sequence[str]) -> str:
    """Return the largest losses as a table."""
    rows = found.of(*kinds)
    lines = ["| without | loss of ap [95 %] | loss of AUC [95 %] |", "|---|---|---|"]
    for row in rows[:_SHOWN]:
        cells = [
            f"{one.estimate:.3f} [{one.low:.3f}, {one.high:.3f}]"
            for one in (row.drop.ap, row.drop.roc_auc)
        ]
        lines.append(f"| {row.name} | {' | '.join(cells)} |")
    return "\n".join(lines)


TABLES = (
    ("Leads", ("lead",)),
    ("Waves, in all leads", ("wave",)),
    ("Inputs of a lead", ("lead_inputs",)),
    ("Inputs of a wave", ("wave_inputs",)),
    ("Groups of inputs", ("group",)),
    ("Single inputs", ("input",)),
)
"""What is told, the largest losses of each."""


def _over_time(of: Saliency) -> Iterable[Sequence[object]]:
    for label in (0, 1):
        for column, lead in enumerate(of.leads):
            for at, seconds in enumerate(of.times.tolist()):
                values = (of.importance[label, at, column], of.beats[label, at, column])
                yield label, lead, f"{seconds:g}", *(f"{value:.6g}" for value in values)


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    made = io.StringIO()
    writer = csv.writer(made, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_text(path, made.getvalue())
