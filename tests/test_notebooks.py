"""The notebooks of the site have the cells of their scripts, which run and draw."""

import json
import re
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parent.parent / "docs"
SPEC = spec_from_file_location("make_notebooks", DOCS / "make_notebooks.py")
maker = module_from_spec(SPEC)
SPEC.loader.exec_module(maker)


@pytest.mark.parametrize("script", maker.SCRIPTS, ids=lambda script: script.stem)
def test_a_notebook_has_the_cells_of_its_script_and_their_outputs(script):
    cells = json.loads(script.with_suffix(".ipynb").read_text("utf-8"))["cells"]
    held = [(cell["cell_type"], "".join(cell["source"])) for cell in cells]
    assert held == maker.cells(script.read_text("utf-8"))  # make notebooks makes it again
    assert any(cell.get("outputs") for cell in cells)


@pytest.mark.slow
@pytest.mark.parametrize("script", maker.SCRIPTS, ids=lambda script: script.stem)
def test_a_script_runs_and_draws(script, tmp_path, monkeypatch):
    monkeypatch.delenv("LVH_PTBXL_ROOT", raising=False)
    outputs = [out for cell in maker.run(script, tmp_path).cells for out in cell.get("outputs", [])]
    kinds = {kind for out in outputs for kind in out.get("data", {})}
    assert kinds & {"image/png", "application/vnd.plotly.v1+json"}
    if script.stem == "tutorial":  # the command and Python say the same of a record
        printed = "".join(out.get("text", "") for out in outputs)
        by_command = re.search(r"new\.csv +(0\.\d{3}) ", printed)
        in_python = re.search(r"^P\(af\) (0\.\d{3})$", printed, re.MULTILINE)
        assert by_command.group(1) == in_python.group(1)
        assert (tmp_path / "af_model/model.json").is_file()
