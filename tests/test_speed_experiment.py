"""The benchmark computes what its README says; what it measures is not tested."""

import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parent.parent / "experiments/speed"


@pytest.fixture(autouse=True)
def _beside_the_scripts(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:  # short names, which others may want
        if str(FOLDER) in (getattr(sys.modules[name], "__file__", None) or ""):
            del sys.modules[name]


def test_a_whole_cross_validation_follows_from_two_folds():
    from folds import Cost

    folds = [
        {"seconds": 20.0, "epochs": [9.0, 12.0, 15.0]},
        {"seconds": 10.0, "epochs": [3.0, 6.0, 9.0]},
    ]
    cost = Cost.of({"configurations": [{"folds": folds}]})
    assert (cost.first, cost.next, cost.epoch) == (11, 1, 3)
    assert cost.whole(7, 100) == 11 + 6 * 1 + 7 * 100 * 3


@pytest.mark.parametrize(("kernel", "stride"), [(250, 10), (400, 50)])
def test_operations_are_those_of_the_network(kernel, stride):
    from costs import operations

    from lvh.models.cnn import CnnSettings, output_lengths

    filters = (256, 512, 512, 128, 64)
    settings = CnnSettings("cnn", kernel, stride, filters, dropout=0.5, bn_momentum=0.99)
    lengths = output_lengths(settings, 5000)
    multiplications = 2 * lengths[0] * kernel * 4 * 256
    for length, n_in, n_out in zip(lengths[1:], filters, filters[1:], strict=False):
        multiplications += 3 * length * 5 * n_in * n_out
    counted = operations(kernel, stride)
    assert counted.direct == 2 * multiplications
    assert 8 / 20 < counted.done / counted.direct < 0.55


def test_the_tile_is_that_of_the_convolution():
    import costs

    from lvh.models import fast_layers

    assert (costs.TAPS, costs.TILE) == (fast_layers._TAPS, fast_layers._TILE)


def test_the_notebooks_networks_are_the_reports():
    import notebook

    assert notebook.cnn(5000, 4, kernel=250, stride=5).count_params() == 2_598_145
    assert notebook.dnn(117).count_params() == 10_289


def test_ratios_are_taken_turn_by_turn_and_summarised(tmp_path):
    from rows import Row, ratios, read, summaries, write

    rows = [
        Row("dnn", "epoch", side, repeat, value, "s")
        for side, values in {"notebook": (10.0, 30.0, 20.0), "ours": (1.0, 1.0, 4.0)}.items()
        for repeat, value in enumerate(values, start=1)
    ]
    found = ratios(rows, "notebook", "ours")
    assert [one.value for one in found] == [10, 30, 5]
    (figure,) = summaries(found)
    assert (figure.median, figure.low, figure.high, figure.repeats) == (10, 5, 30, 3)
    write(tmp_path / "rows.csv", Row._fields, rows)
    assert read(tmp_path / "rows.csv") == rows


def test_the_steady_pace_of_two_workers_that_begin_in_pairs():
    from sweeps import steady

    assert steady([0, 0, 9, 9, 20, 20, 30, 30]) == 5
    assert steady([0, 9, 20, 25, 30, 35, 40]) == 5


def test_the_table_says_what_was_asked_and_whether_it_is_reached(tmp_path):
    from rows import Figure
    from table import MARK, write_readme

    readme = tmp_path / "README.md"
    readme.write_text(f"# Kept\n\n{MARK}\nformer\n")
    name = "cross-validation, 7 x 100 epochs"
    figures = [
        Figure("dnn", name, "notebook", "s", 120.0, 110.0, 130.0, 5),
        Figure("dnn", name, "ours", "s", 8.0, 7.5, 9.0, 5),
        Figure("dnn", name, "notebook / ours", "x", 15.0, 14.0, 16.0, 5),
        Figure("start", "`--help`", "ours", "s", 1.0, 0.9, 1.1, 5),
        Figure("cnn s=10", "rate", "ours / matmul", "of 1", 0.85, 0.8, 0.9, 5),
    ]
    write_readme(readme, figures, ["2 cores"], "costs.png")
    text = readme.read_text()
    assert text.startswith(f"# Kept\n\n{MARK}\n")
    assert "former" not in text
    assert "| 15.0 (14.0 to 16.0) | at least 20 | **no** |" in text
    assert "| 1.00 | 0.900 | 1.10 | s | 5 | below 1.2 s | yes |" in text
    assert "| 85% (80% to 90%) |" in text
    assert "| at least 80% | yes |" in text


def test_memory_is_that_of_this_process_and_its_descendants():
    import os

    from memory import peak_mib, tree_mib

    assert 10 < tree_mib(os.getpid()) < 1e6
    assert peak_mib() > 10
