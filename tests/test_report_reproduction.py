"""The reproduction asks for what its README says, and shows what its file holds."""

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

    results, page = read(RESULTS), (FOLDER / "README.md").read_text()
    assert len(RESULTS.read_text().splitlines()) == len(results) + 1
    for make in (scores, fold_by_fold, momentum):
        assert "\n".join(make(results)) in page


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
