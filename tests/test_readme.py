"""What the README and the pages of the site say is what the project does."""

import csv
import importlib
import re
import runpy
import shlex
import statistics
from pathlib import Path

import pytest

from lvh.config.command_line import CommandLine, read_arguments
from lvh.config.composition import composed_from, recipe_params
from lvh.config.sweep_space import one_point

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
TOUR = (ROOT / "docs/tour.md").read_text()
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
"""Those of docs/extend have commands of a package that is extended: test_docs_examples.py."""
BLOCKS = [
    block for page in PAGES for block in re.findall(r"```sh\n(.*?)```", page.read_text(), re.DOTALL)
]
LINES = sorted({line for block in BLOCKS for line in block.replace("\\\n", "").splitlines()})


def commands(module: str) -> list[str]:
    """Return the arguments of every command that starts a module."""
    found = (re.search(rf"python -m {re.escape(module)}\b(.*)", line) for line in LINES)
    return sorted({shlex.join(shlex.split(one[1], comments=True)) for one in found if one})


def test_the_table_is_that_of_the_default_run():
    with (ROOT / "experiments/default_run/scores.csv").open() as file:
        scores = {(row["of"], row["metric"]): row for row in csv.DictReader(file)}
    names = ("accuracy", "precision", "recall", "ap", "roc_auc")
    rows = {
        "mean": ("model", "mean"),
        "std": ("model", "std"),
        "95 % from": ("model", "low"),
        "95 % to": ("model", "high"),
        r"pooled +197": ("model", "pooled"),
        "no skill": ("no skill", "mean"),
        r"age \+ sex": ("age + sex", "mean"),
    }
    for label, (of, column) in rows.items():
        shown = re.search(rf"^  {label} +([\d. ]+)$", TOUR, re.MULTILINE)[1].split()
        assert shown == [f"{float(scores[of, name][column]):.3f}" for name in names]


@pytest.mark.parametrize("page", ["docs/tour.md", "experiments/default_run/README.md"])
def test_the_spread_over_seeds_is_that_of_the_file(page):
    with (ROOT / "experiments/default_run/seeds.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 100
    told = " ".join((ROOT / page).read_text().split())
    for name, column in (("accuracy", "accuracy"), ("ap", "mean")):
        values = sorted(float(row[column]) for row in rows)
        low, middle, high = values[0], statistics.median(values), values[-1]
        spread = rf"mean {name} (of )?{low:.3f} to {high:.3f}, median {middle:.3f}"
        assert re.search(spread, told)


def test_how_often_the_seed_beats_age_and_sex_is_that_of_the_file():
    with (ROOT / "experiments/default_run/scores.csv").open() as file:
        scores = {(row["of"], row["metric"]): float(row["mean"]) for row in csv.DictReader(file)}
    with (ROOT / "experiments/default_run/seeds.csv").open() as file:
        rows = list(csv.DictReader(file))
    told = " ".join((ROOT / "experiments/default_run/README.md").read_text().split())
    n_better = sum(float(row["accuracy"]) > scores["age + sex", "accuracy"] for row in rows)
    assert f"with {n_better} seeds of 100" in told
    assert all(float(row["mean"]) > scores["age + sex", "ap"] for row in rows)


def test_the_ratios_are_those_of_the_benchmark():
    with (ROOT / "experiments/speed/results.csv").open() as file:
        ratios = {
            (row["part"], row["what"]): float(row["median"])
            for row in csv.DictReader(file)
            if row["side"] == "notebook / ours"
        }
    told = " ".join(README.split())
    whole, by_formula = "cross-validation, 7 x 100 epochs", "by the formula"
    assert f"dense network took {ratios['dnn', whole]:.1f} times less" in told
    assert f"its shape {ratios['dnn', 'a further one, 7 x 100 epochs']:.1f} times" in told
    for stride in (50, 10):
        ratio = ratios[f"cnn s={stride}", f"{whole}, {by_formula}"]
        assert f"{ratio:.1f} times at stride {stride}" in told


@pytest.mark.parametrize("command", [*commands("lvh.run"), *commands("lvh.doctor")])
def test_every_command_is_valid(command):
    command_line, flags = read_arguments(shlex.split(command))
    config = one_point(command_line).load()
    if recipe := recipe_params(config.hydra):
        config = one_point(command_line.with_recipe(recipe)).load()
    swept = [override.is_sweep_override() for override in command_line.parsed()]
    assert (any(swept) or bool(recipe)) <= ("-m" in flags)
    composed_from(config)


@pytest.mark.parametrize(
    ("module", "command"),
    [
        (module, command)
        for module in ("lvh.report", "lvh.select", "lvh.predict", "lvh.serve")
        for command in commands(module)
    ],
)
def test_every_other_command_is_valid(module, command):
    entry = {"lvh.report": "lvh.cli.report"}.get(module, module)
    importlib.import_module(entry)._parser().parse_args(shlex.split(command))


def test_every_option_of_every_group_is_listed():
    for group in (
        "data",
        "external",
        "features",
        "model",
        "cv",
        "train",
        "tracking",
        "kernel",
        "stride",
    ):
        row = re.search(
            rf"^\| `(?:{group}`|kernel`, `{group}`|{group}`, `stride`).*$(?:\n\| \|.*$)*",
            TOUR,
            re.M,
        )[0]
        for option in CommandLine().loader.get_group_options(group):
            assert option in row


def test_links_lead_somewhere():
    for page in ("README.md", "CONTRIBUTING.md"):
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", (ROOT / page).read_text()):
            assert (ROOT / target).exists(), target


def test_the_readme_is_short():
    assert len(README.split()) <= 1000


def test_make_targets_exist():
    makefile = (ROOT / "Makefile").read_text()
    pages = "\n".join(page.read_text() for page in PAGES)
    targets = re.findall(r"^make ([a-z-]+)", "\n".join(BLOCKS), re.MULTILINE)
    for target in {*targets, *re.findall(r"`make ([a-z-]+)`", pages)}:
        assert re.search(rf"^{target}:.*## ", makefile, re.MULTILINE), target
    for target in ("help", "run", "test", "lint", "bench", "ui"):
        assert re.search(rf"^{target}:.*## ", makefile, re.MULTILINE)


def test_the_best_honest_scores_are_those_of_the_files():
    folder = ROOT / "experiments/best_honest"
    told = " ".join((folder / "README.md").read_text().split())

    def scores(path: Path) -> dict:
        with path.open() as file:
            return {(row.get("run"), row["of"], row["metric"]): row for row in csv.DictReader(file)}

    def mean(run: str, of: str, metric: str) -> str:
        return f"{float(found[run, of, metric]['mean']):.3f}"

    found = scores(folder / "scores.csv")
    measure = runpy.run_path(str(folder / "measure.py"))
    table = measure["lines"](measure["read"](folder / "scores.csv"))
    assert len(table) == 2 + len(measure["RUNS"]) - 1 + len(measure["BASELINES"])
    assert " ".join(" ".join(table).split()) in told
    accuracy, ap = mean("average", "model", "accuracy"), mean("average", "model", "ap")
    assert f"on the same folds | {accuracy} | {ap} |" in README
    recall, specificity = (
        {of: mean("threshold", of, metric) for of in ("model", "age + sex")}
        for metric in ("recall", "specificity")
    )
    assert f"sensitivity of {recall['model']} at a specificity of {specificity['model']}" in told
    assert f"age + sex has {recall['age + sex']} at {specificity['age + sex']}" in told
    assert f"above, {mean('svm', 'model', 'recall_at_90')} for that machine, takes" in told
    for label, of in (("7 x 5 folds", "model"), ("of that line", "age + sex")):
        accuracy, ap = mean("chosen", of, "accuracy"), mean("chosen", of, "ap")
        assert re.search(rf"{label} \| {accuracy} \| {ap} \|", README)
    assert f"mean ap {mean('chosen', 'model', 'ap')} where its dense network" in told
    best = [mean("average_morphology", "model", one) for one in ("accuracy", "ap")]
    assert (
        f"`experiment=best_honest`](experiments/best_honest/README.md) | {' | '.join(best)} |"
        in README
    )
    nested = [mean("chosen_morphology", "model", one) for one in ("accuracy", "ap")]
    assert (
        f"averaged, accuracy {' and ap '.join(best)}; chosen inside, so nested, "
        f"{' and '.join(nested)}."
    ) in told
    assert best[0] == "0.876"
    assert min(float(best[1]), float(nested[1])) >= 0.95
    decades = scores(folder / "decades_scores.csv")
    first, second = (float(decades[None, "model", one]["mean"]) for one in ("accuracy", "ap"))
    assert f"gave accuracy {first:.3f} and ap {second:.3f}" in told


def test_the_best_honest_scores_are_the_means_of_its_folds():
    folder = ROOT / "experiments/best_honest"
    with (folder / "results.csv").open() as file:
        folds = list(csv.DictReader(file))
    with (folder / "scores.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["of"] == "model"]
    for row in rows:
        values = [float(fold[row["metric"]]) for fold in folds if fold["run"] == row["run"]]
        assert len(values) == (7 if row["run"].endswith("_report") else 35)
        # the same sum in another order
        assert statistics.fmean(values) == pytest.approx(float(row["mean"]), rel=1e-12)
