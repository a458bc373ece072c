"""The generated data set of experiments/whole_ptbxl is one of PTB-XL's layout."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from lvh.data import ptbxl

SCRIPT = Path(__file__).resolve().parent.parent / "experiments/whole_ptbxl/generate.py"


@pytest.mark.slow
def test_a_generated_set_is_read_and_the_same_again(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    spec = importlib.util.spec_from_file_location("whole_ptbxl_generate", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    cohorts = []
    for name in ("one", "other"):
        module.write(tmp_path / name, 20)
        settings = ptbxl.PtbxlSettings(root=str(tmp_path / name), flawed="fail")
        cohorts.append(ptbxl.load(settings))
    one, other = cohorts
    assert one.fingerprint == other.fingerprint
    assert one.signals.shape == (20, 5000, 12)
    assert set(np.unique(one.label)) <= {0, 1}
