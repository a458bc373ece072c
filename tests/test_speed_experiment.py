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
