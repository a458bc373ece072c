"""The tutorial: its notebook has the cells of its script, which ends with a model that predicts."""

import json
import os
import re
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parent.parent / "docs"


def test_the_notebook_has_the_cells_of_the_script():
    spec = spec_from_file_location("make_tutorial", DOCS / "make_tutorial.py")
    maker = module_from_spec(spec)
    spec.loader.exec_module(maker)
    cells = json.loads((DOCS / "tutorial.ipynb").read_text("utf-8"))["cells"]
    held = [(cell["cell_type"], "".join(cell["source"])) for cell in cells]
    assert held == maker.cells((DOCS / "tutorial.py").read_text("utf-8"))
    assert len(held) > 20  # make tutorial makes it again


@pytest.mark.slow
def test_the_script_ends_with_a_model_that_predicts(tmp_path):
    environment = {**os.environ, "MPLBACKEND": "agg", "PYTHONPATH": str(DOCS.parent)}
    environment.pop("LVH_PTBXL_ROOT", None)
    command = [sys.executable, str(DOCS / "tutorial.py")]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    by_command = re.search(r"new\.csv +(0\.\d{3}) ", done.stdout)
    in_python = re.search(r"^P\(af\) (0\.\d{3})$", done.stdout, re.MULTILINE)
    assert by_command.group(1) == in_python.group(1)
    assert (tmp_path / "af_model/model.json").is_file()
