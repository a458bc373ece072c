"""Make docs/tutorial.ipynb, with its outputs, from docs/tutorial.py: `make tutorial`.

The script is in the percent format: a cell begins with `# %%`, one of text with `# %% [markdown]`.
"""

import os
import re
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).resolve().parent


def cells(script: str) -> list[tuple[str, str]]:
    """Return the kind (`markdown` or `code`) and the text of each cell of a script."""
    found = []
    for kind, text in re.findall(r"^# %%( \[markdown\])?\n(.*?)(?=^# %%|\Z)", script, re.M | re.S):
        if kind:
            found.append(("markdown", re.sub(r"^# ?", "", text.strip(), flags=re.M)))
        else:
            found.append(("code", text.strip()))
    return found


def notebook(script: str) -> nbformat.NotebookNode:
    """Return the notebook of a script, without outputs."""
    new = {"markdown": nbformat.v4.new_markdown_cell, "code": nbformat.v4.new_code_cell}
    made = [new[kind](text, id=f"cell-{at}") for at, (kind, text) in enumerate(cells(script))]
    return nbformat.v4.new_notebook(cells=made)


def main() -> None:
    """Run the cells in an empty folder and write the notebook."""
    document = notebook((HERE / "tutorial.py").read_text("utf-8"))
    # figures as numbers, which the site and a notebook draw; imports from this checkout
    own = {"PLOTLY_RENDERER": "plotly_mimetype", "PYTHONPATH": str(HERE.parent)}
    with TemporaryDirectory() as folder:
        place = {"metadata": {"path": folder}}
        client = NotebookClient(document, kernel_name="python3", timeout=600, resources=place)
        client.record_timing = False
        client.execute(env={**os.environ, **own})
        for cell in document.cells:
            if "outputs" in cell:
                cell.outputs = [one for one in cell.outputs if one.get("name") != "stderr"]
        text = nbformat.writes(document).replace(folder, "/home/ann/af")
    (HERE / "tutorial.ipynb").write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    sys.exit(main())
