"""What is told of a sweep over as many records as PTB-XL has is what its file holds."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from lvh.data import ptbxl

FOLDER = Path(__file__).resolve().parent.parent / "experiments/whole_ptbxl"


def script(name: str):
    spec = importlib.util.spec_from_file_location(f"whole_ptbxl_{name}", FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def table():
    return script("table")


def test_the_table_is_that_of_the_results(table):
    assert table.table(table.rows()) in (FOLDER / "README.md").read_text()


def test_memory_is_bounded_and_does_not_grow(table):
    """2.5 GB for all processes, well below the signals; within 10 % for four times the records."""
    rows = {(int(row["records"]), row["part"]): row for row in table.rows()}
    assert {size for size, _ in rows} == {5_000, 21_799}
    for column in ("resident_mib", "bound_mib"):
        few, many = (float(rows[size, "sweep"][column]) for size in (5_000, 21_799))
        assert many * 2**20 < 2.5e9 < 21_799 * 5_000 * 12 * 4
        assert many < 1.1 * few


def test_a_generated_set_is_one_of_ptb_xl_and_the_same_again(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    found = []
    for name in ("one", "other"):
        script("generate").write(tmp_path / name, 60)
        settings = ptbxl.PtbxlSettings("ptbxl", str(tmp_path / name), 500, "fail")
        found.append(ptbxl.load(settings))
    one, other = found
    assert one.fingerprint == other.fingerprint
    assert one.signals.shape == (60, 5000, 12)
    assert len(set(one.subjects)) == 52  # as many in proportion as PTB-XL has
    assert set(np.unique(one.label)) <= {0, 1}
