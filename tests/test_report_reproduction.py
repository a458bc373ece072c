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
    from rows import EXPERIMENTS, PROTOCOLS, RESULTS, Row, read
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
    assert f"Under both leaks it comes to {of_both(rows, networks, both)}, `carried`" in told
    assert f"`carried` alone to {of_both(rows, networks, 'carried')}," in told
    assert f"`best_on_scored` alone to {of_both(rows, networks, 'best_on_scored')}." in told
    for name, before, after in zip(networks, ("climb late: ", "climb little: "), ".;", strict=True):
        folds = medians(chosen(rows, name, both, "ludb", 60))
        assert f"{before}{' '.join(map(short, folds))}{after}" in told

    def first(n: int, protocol: str) -> Row:
        """Return the seed at stride 125 that has several numbers of epochs."""
        found = chosen(rows, networks[0], protocol, "ludb", n)
        return next(row for row in found if row.key.seed == 0)

    def climb(protocol: str) -> str:
        sixty, hundred, two_hundred = (short(first(n, protocol).mean, 3) for n in epochs)
        return f"{sixty}, {hundred} and {two_hundred}"

    longest = {protocol: first(200, protocol) for protocol in PROTOCOLS}
    printed = EXPERIMENTS[networks[0]]
    assert (
        f"come near what the report prints for it: {' '.join(map(short, longest[both].folds))}, "
        f"mean {short(longest[both].mean, 3)}, where the report has "
        f"{' '.join(short(one) for one in printed.folds)}, mean {short(printed.printed, 3)}."
    ) in told
    assert f"climbs with the epochs, {climb(both)} at 60, 100 and 200." in told
    assert f"epochs gain nothing**: {climb('honest')} (the same seed" in told
    assert (
        f"`carried` alone gives {short(longest['carried'].mean, 3)} and `best_on_scored` alone "
        f"{short(longest['best_on_scored'].mean, 3)}."
    ) in told
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
    null = [chosen(rows, networks[0], each, "null", 60) for each in PROTOCOLS]
    assert {len(each) for each in null} == {3}
    honest, carried, best, leaking = (
        short(statistics.median(row.mean for row in each), 3) for each in null
    )
    assert (
        f"scores {honest} honestly, {carried} `carried`, {best} under `best_on_scored` and "
        f"{leaking} under both (medians of three seeds)"
    ) in told
    folds = medians(null[-1])
    assert f"60 epochs already: {' '.join(map(short, folds))}. Its folds" in told


def test_the_front_page_says_what_the_file_holds():
    from rows import EXPERIMENTS, PROTOCOLS, RESULTS, read
    from table import chosen

    rows = read(RESULTS)
    told = " ".join((FOLDER.parent.parent / "docs/tour.md").read_text().split())
    both, printed = PROTOCOLS[-1], EXPERIMENTS["cnn_k250_s125"].printed
    dense = statistics.median(row.mean for row in chosen(rows, "dnn", both, "ludb", 100))
    (leaking,) = chosen(rows, "cnn_k250_s125", both, "ludb", 200)
    (honest,) = chosen(rows, "cnn_k250_s125", "honest", "ludb", 200)
    assert (
        f"the dense network comes to {dense:.2f} by them, the convolutional one (stride 125, 200 "
        f"epochs, one seed) to {leaking.mean:.2f} where the report has {printed:.2f} and an "
        f"honest training {honest.mean:.2f};"
    ) in told


def of_both(rows: list, names: tuple[str, ...], protocol: str) -> str:
    """Return the means of two networks, medians over their seeds, as the prose has them."""
    from table import chosen

    means = [
        statistics.median(row.mean for row in chosen(rows, name, protocol, "ludb", 60))
        for name in names
    ]
    return " and ".join(f"{mean:.3f}".removeprefix("0") for mean in means)
