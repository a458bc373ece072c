"""Write the tables of README.md from the files beside it: python .../tables.py."""

import sys
from pathlib import Path

import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import _common
from answer import leaderboard

HERE = Path(__file__).resolve().parent


def table(frame: pd.DataFrame) -> list[str]:
    """Return a table in Markdown, numbers with three digits."""
    rows = [
        [f"{value:.3f}" if isinstance(value, float) else value for value in row]
        for row in frame.itertuples(index=False)
    ]
    return _common.table(list(frame.columns), rows)


def of_settings() -> list[str]:
    """Mean loss and ap after some epochs, by learning rate, momentum and statistics."""
    frame = pd.read_csv(HERE / "settings.csv")
    shown = frame[frame["epochs"].isin([5, 10, 20])]
    keys = ["learning_rate", "momentum", "statistics"]
    wide = shown.groupby([*keys, "epochs"])[["ap", "loss"]].mean().unstack("epochs")
    wide.columns = [f"{name}, {epochs} epochs" for name, epochs in wide.columns]
    wide = wide.reset_index()
    wide["learning_rate"] = wide["learning_rate"].map("{:g}".format)
    return table(wide)


def of_answer() -> list[str]:
    """Return the best pair of each sweep, beside what it is compared with: average precision."""
    frame = pd.read_csv(HERE / "answer.csv")
    for name in ("corrected", "gain"):
        low, high = frame.pop(f"{name}_low"), frame.pop(f"{name}_high")
        frame[name] = [
            f"{value:.3f} [{start:.3f}, {end:.3f}]"
            for value, start, end in zip(frame[name], low, high, strict=True)
        ]
    return table(frame.rename(columns=lambda name: name.replace("_", " ")))


def of_factors() -> list[str]:
    """Return what a kernel or a stride changes, on average over the other."""
    return table(pd.read_csv(HERE / "factors.csv"))


def of_pairs() -> list[str]:
    """Return the complete configurations of all sweeps."""
    files = sorted(HERE.glob("leaderboard_*.csv"))
    names = [file.stem.removeprefix("leaderboard_") for file in files]
    frame = pd.concat([leaderboard(name).assign(sweep=name) for name in names])
    shown = ["sweep", "kernel", "stride", "mean", "low", "high", "accuracy", "verdict"]
    return table(frame.loc[frame["state"] == "complete", shown])


def of_statistics() -> list[str]:
    """Return mean scores of the same networks with either kind of statistics, by stride."""
    frames = [
        pd.read_csv(HERE / f"curves_{name}.csv").assign(sweep=name)
        for name in ("minmax", "millivolts")
    ]
    frame = pd.concat(frames)
    frame = frame[frame["epochs"] == frame["epochs"].max()]
    frame["stride"] = frame["configuration"].str.extract(r"stride=(\d+)").astype(int)
    scores = ["ap", "roc_auc", "accuracy", "loss"]
    means = frame.groupby(["sweep", "stride", "statistics"])[scores].mean()
    return table(means.reset_index())


def of_budgets() -> list[str]:
    """Return the replays of all tables of curves."""
    frame = pd.read_csv(HERE / "budgets.csv")
    return table(frame.drop(columns="epochs"))


def of_leaders() -> list[str]:
    """Return who leads after a third of the epochs or a little more, and after half of them."""
    frame = pd.read_csv(HERE / "leaders.csv")
    third = (frame["training"] >= 0.33) & (frame["training"] <= 0.4) & (frame["epochs"] != 35)
    return table(frame[third | (frame["training"] == 0.5)])


def main() -> None:
    """Write all tables in place."""
    parts = {
        "settings": of_settings,
        "answer": of_answer,
        "factors": of_factors,
        "pairs": of_pairs,
        "statistics": of_statistics,
        "budgets": of_budgets,
        "leaders": of_leaders,
    }
    for name, make in parts.items():
        _common.put(HERE / "README.md", f"<!-- {name}: made by tables.py -->", make())


if __name__ == "__main__":
    main()
