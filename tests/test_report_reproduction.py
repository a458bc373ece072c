"""The reproduction asks for what its README says, and shows what its file holds."""

import statistics
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parent.parent / "experiments/report_reproduction"


@pytest.fixture(autouse=True)
def _beside_the_scripts(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:  # short names, which others may want
        if str(FOLDER) in (getattr(sys.modules[name], "__file__", None) or ""):
            del sys.modules[name]


def test_the_tables_are_those_of_the_file():
    from rows import RESULTS, read
    from table import fold_by_fold, momentum, scores

    found, told = read(RESULTS), (FOLDER / "README.md").read_text()
    assert len(RESULTS.read_text().splitlines()) == len(found) + 1
    for make in (scores, fold_by_fold, momentum):
        assert "\n".join(make(found)) in told


def test_every_experiment_composes_under_every_protocol():
    from reproduce import COHORTS, configured
    from rows import EXPERIMENTS, PROTOCOLS, Key

    for name, experiment in EXPERIMENTS.items():
        for protocol in PROTOCOLS:
            if experiment.is_holdout and protocol.startswith("carried"):
                continue
            for cohort in COHORTS:
                settings = configured(Key(name, protocol, cohort, 3, 17))
                assert settings.cv.protocol.name == protocol
                assert (settings.seed, settings.train.epochs) == (3, 17)
                assert settings.cv.folds == 7
                assert (settings.cv.scheme == "holdout") == experiment.is_holdout


def test_rows_come_back_as_they_were_written(tmp_path, monkeypatch):
    import reproduce
    from rows import Key, Row, read

    monkeypatch.setattr(reproduce, "RESULTS", tmp_path / "results.csv")
    rows = [Row(Key("dnn", "carried", "null", seed, 60), (0.5, 0.75)) for seed in range(2)]
    for row in [*rows, rows[0]]:
        reproduce.append(row)
    with (tmp_path / "results.csv").open("a") as file:
        file.write("dnn,carried,null,2,60,0.5")  # killed while writing
    assert read(tmp_path / "results.csv") == rows


def test_the_honest_row_of_a_leaking_training_is_that_of_an_honest_one():
    from reproduce import cross_validated
    from rows import Key

    leaking, brought = cross_validated(Key("dnn", "best_on_scored", "null", 1, 12))
    (honest,) = cross_validated(Key("dnn", "honest", "null", 1, 12))
    assert brought == honest
    assert leaking.mean > honest.mean
    # the honest one stops early, so its training is another
    assert len(cross_validated(Key("dnn_early_stopping", "best_on_scored", "null", 1, 3))) == 1


def test_the_prose_says_what_the_file_holds():
    from rows import PROTOCOLS, RESULTS, read
    from table import chosen, medians

    rows = read(RESULTS)
    told = " ".join((FOLDER / "README.md").read_text().partition("<!--")[0].split())
    epochs = (60, 100, 200)

    def short(value: float, digits: int = 2) -> str:
        return f"{value:.{digits}f}".removeprefix("0")

    def among(values: list[float]) -> str:
        return f"{short(min(values))} to {short(max(values))}"

    def means(name: str, protocol: str, cohort: str) -> list[float]:
        """Return the median over seeds of the mean, for each number of epochs."""
        some = (chosen(rows, name, protocol, cohort, n) for n in epochs)
        return [statistics.median(row.mean for row in one) for one in some]

    both = PROTOCOLS[-1]
    firsts = [medians(chosen(rows, "dnn", both, "ludb", n))[0] for n in epochs]
    assert f"a first fold of {among(firsts)}," in told
    assert f"mean {among(means('dnn', both, 'ludb'))} (the report: .955)" in told
    null = {protocol: among(means("dnn", protocol, "null")) for protocol in PROTOCOLS}
    assert (
        f"score {null[both]}, `carried` {null['carried']}, `best_on_scored` "
        f"{null['best_on_scored']}, where the honest protocol scores {null['honest']}"
    ) in told
    honest = [row.mean for row in chosen(rows, "dnn", "honest", "ludb", 100)]
    assert f"({short(min(honest), 3)} to {short(max(honest), 3)} at 100 epochs)" in told
    gains = [
        short(new - old)
        for old, new in zip(
            means("dnn", "honest", "ludb"), means("dnn_bn_0.9", "honest", "ludb"), strict=True
        )
    ]
    shown = f"about {gains[0]} higher at 60 epochs, {gains[1]} at 100 and {gains[2]} at 200"
    assert shown in told

    def one(cohort: str, name: str, n: int, protocol: str) -> str:
        """Return the mean of the only seed."""
        (row,) = chosen(rows, name, protocol, cohort, n)
        return short(row.mean, 3)

    networks = ("cnn_k250_s125", "cnn_k250_s50")
    assert f"Honestly it scores {of_both(rows, networks, 'honest')} (stride 125 and 50;" in told
    assert f"Under both leaks it comes to {of_both(rows, networks, both)} (the report:" in told
    assert f"`carried` alone to {of_both(rows, networks, 'carried')}," in told
    assert f"`best_on_scored` alone to {of_both(rows, networks, 'best_on_scored')}." in told
    for name, before in zip(networks, ("but late: ", "they climb little: "), strict=True):
        folds = medians(chosen(rows, name, both, "ludb", 60))
        assert f"{before}{' '.join(map(short, folds))}." in told
    few = (("cnn_k250_s10", 15), ("cnn_k250_s5", 5), ("cnn_k400_s5", 3), ("cnn_k500_s5", 3))
    at_once = [one("ludb", *each, "honest") for each in few]
    assert (
        f"honestly {at_once[0]} (stride 10, 15 epochs), and at stride 5 {at_once[1]}, "
        f"{at_once[2]} and {at_once[3]} (kernels"
    ) in told
    leaking = [one("ludb", *each, both) for each in few]
    assert f"both leaks {leaking[0]}, {leaking[1]}, {leaking[2]} and {leaking[3]}. That" in told
    for name, n in few:
        means_of = [float(one("ludb", name, n, each)) for each in PROTOCOLS]
        assert means_of[0] == min(means_of)  # the honest one
    held_out = [one("ludb", "cnn_holdout", 20, each) for each in ("honest", "best_on_scored")]
    assert f"comes to {held_out[0]} in 20 epochs and to {held_out[1]} under" in told
    null = [one("null", "cnn_k250_s125", 60, each) for each in PROTOCOLS]
    assert (
        f"scores {null[0]} honestly, {null[1]} `carried`, {null[2]} under `best_on_scored` and "
        f"{null[3]} under both"
    ) in told
    folds = medians(chosen(rows, "cnn_k250_s125", both, "null", 60))
    assert f"the report's shape: {' '.join(map(short, folds))}. Its folds" in told


def of_both(rows: list, names: tuple[str, ...], protocol: str) -> str:
    """Return the means of two networks, medians over their seeds, as the prose has them."""
    from table import chosen

    means = [
        statistics.median(row.mean for row in chosen(rows, name, protocol, "ludb", 60))
        for name in names
    ]
    return " and ".join(f"{mean:.3f}".removeprefix("0") for mean in means)
