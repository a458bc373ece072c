"""Race again and again on recorded fold scores, and compare with training every fold.

    nice -n 19 python experiments/racing/simulate.py

Reads the tables of record.py; writes results.csv, races.png and the tables of README.md beside
this file. The rule, its level and the burn-in were chosen on generated scores alone (part
`choice` of results.csv); the recorded ones (part `report`) only say what the choice is worth.
"""

import argparse
import itertools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from race import BURN_IN, race
from rules import RULES, TESTED_TO_TRAINED
from scipy.special import stdtr
from shown import draw, write_readme
from tables import GRID, HERE, Floats, Found, Table, generated, recorded, resampled

from lvh.search.racing import LEVEL, beaten

LEVELS = (0.001, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 0.9)
BURN_INS = (2, 3, 5)
REGIMES = ("null", "close", "middle", "wide", "unequal noise", "alike", "bad half")


class Setting(NamedTuple):
    """What is raced, and by which rule."""

    part: str
    table: str
    metric: str
    order: str
    folds: int
    rule: str
    burn_in: int
    level: float


def main() -> None:
    """Simulate, write and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--resamplings", type=int, default=500, help="of recorded scores")
    parser.add_argument("--generated", type=int, default=200, help="tables of each regime")
    given = parser.parse_args()
    resamplings = {"choice": given.generated, "report": given.resamplings}
    tables = {name: recorded(name) for name in ("dnn", "cnn", "spread", "mixed")}
    rows = []
    for setting in [*choice_settings(), *report_settings(tables)]:
        found = simulate(setting, resamplings[setting.part])
        print(*setting, *(f"{value:.4f}" for value in found), flush=True)
        counted = {"resamplings": resamplings[setting.part]}
        rows.append(setting._asdict() | found._asdict() | counted)
    results = pd.DataFrame(rows)
    results[[*Found._fields]] = results[[*Found._fields]].map("{:.5f}".format)
    results.to_csv(HERE / "results.csv", index=False)
    show()


def show() -> None:
    """Make the tables and the picture from results.csv."""
    results = pd.read_csv(HERE / "results.csv", keep_default_na=False)
    write_readme(results)
    draw(results)


def choice_settings() -> Iterator[Setting]:
    """Return what is compared on generated scores."""
    compared = [(rule, LEVEL) for rule in RULES if rule != "lvh"]
    compared += [("lvh", level) for level in (0.02, LEVEL, 0.1, 0.2)]
    for folds, burn_in in ((7, 2), (7, 3), (21, 3), (35, 3), (35, 5)):
        for regime, (rule, level) in itertools.product(REGIMES, compared):
            yield Setting("choice", regime, "", "breadth", folds, rule, burn_in, level)


def report_settings(tables: dict[str, Table]) -> Iterator[Setting]:
    """Return what is reported on recorded scores."""
    for name, table in tables.items():
        for folds in (7, 10, 21, 35):
            if folds > len(table.repeat):
                continue
            usual = Setting("report", name, "ap", "breadth", folds, "lvh", BURN_IN, LEVEL)
            yield from (usual._replace(burn_in=burn_in) for burn_in in BURN_INS)
            if folds == 10:
                continue
            yield from (usual._replace(level=level) for level in LEVELS if level != LEVEL)
            if folds == 35:
                continue
            yield from (usual._replace(rule=rule) for rule in RULES if rule != "lvh")
            yield usual._replace(order="in turn")
            yield from (usual._replace(metric=metric) for metric in ("accuracy", "roc_auc"))


def simulate(setting: Setting, resamplings: int) -> Found:
    """Race on many resamplings; the same ones whatever the rule, burn-in and level."""
    seed = [sum(setting.table.encode()), setting.folds]
    generator = np.random.default_rng(seed)
    table = None if setting.part == "choice" else recorded(setting.table, setting.metric)
    rows = []
    for _ in range(resamplings):
        if table is None:
            drawn = generated(generator, setting.table, setting.folds)
        else:
            drawn = resampled(generator, table, setting.folds)
        rows.append(raced(setting, drawn))
    return Found(*np.mean(rows, axis=0).tolist())


def raced(setting: Setting, drawn: Table) -> Found:
    """Race once and compare with the full table."""
    winner, folds_run = played(setting, drawn.scores)
    n = setting.folds
    means = drawn.scores.mean(axis=1)
    best = int(np.argmax(means))
    behind = drawn.scores[best] - drawn.scores
    corrected = p_values(behind, 1 / n + TESTED_TO_TRAINED)
    residuals = drawn.scores - means[:, None] - drawn.scores.mean(axis=0) + drawn.scores.mean()
    variance = (residuals**2).sum() / ((GRID - 1) * (n - 1))
    loss = means[best] - means[winner]
    full = drawn.setup + n * drawn.fold_seconds
    return Found(
        share=folds_run.mean() / n,
        share_seconds=(drawn.setup + folds_run * drawn.fold_seconds).sum() / full.sum(),
        same=float(winner == best),
        not_told=float(corrected[winner] >= 0.05),
        not_told_plain=float(p_values(behind, 1 / n)[winner] >= 0.05),
        alike=float(np.mean(corrected >= 0.05)),
        loss=loss,
        loss_se=loss / np.sqrt(2 * variance / n),
    )


def p_values(behind: Floats, factor: float) -> Floats:
    """Return two-sided p of paired t-tests over folds, 1 where nothing differs.

    Args:
        behind: Differences, shape (n_configurations, n_folds).
        factor: Of their variance: 1 / n, or 1 / n and the share of records tested to those
            trained on (Nadeau and Bengio, Inference for the Generalization Error, 2003).
    """
    n = behind.shape[1]
    mean, width = behind.mean(axis=1), behind.std(axis=1, ddof=1) * np.sqrt(factor)
    t = np.divide(np.abs(mean), width, out=np.zeros_like(mean), where=width > 0)
    return 2 * stdtr(n - 1, -t)


def played(setting: Setting, scores: Floats) -> tuple[int, npt.NDArray[np.int64]]:
    """Return the race's winner and the folds that each configuration ran."""
    given = {"maximize": True, "burn_in": setting.burn_in, "level": setting.level}
    if setting.order == "breadth":
        found = race(scores, rule=RULES[setting.rule], **given)
        return found.winner, found.folds_run
    # one after the other, as one worker does that finishes a trial before it starts the next
    n_trials, n_folds = scores.shape
    known = np.full_like(scores, np.nan)
    kept: list[int] = []
    folds_run = np.full(n_trials, n_folds)
    for trial in range(n_trials):
        rows = [*kept, trial]
        for at in range(n_folds):
            known[trial, at] = scores[trial, at]
            if beaten(known[rows], **given)[-1]:
                folds_run[trial] = at + 1
                break
        else:
            kept.append(trial)
    return max(kept, key=lambda trial: scores[trial].mean()), folds_run


if __name__ == "__main__":
    main()
