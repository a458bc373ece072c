"""Make the notebooks of the site, with their outputs, from scripts: `make notebooks`.

A script is in the percent format: a cell begins with `# %%`. Three kinds of cells are comments:
`# %% [markdown]`, `# %% [sh]` with commands, and `# %% [picture]` with the path of a file.
"""

import os
import re
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).resolve().parent
SCRIPTS = [HERE / "tutorial.py", *sorted((HERE / "gallery").glob("*.py"))]
_ANSI = re.compile(r"\x1b\[[\d;]*m|\x1b\]8;.*?\x1b\\|[ \t]+$", re.MULTILINE)  # colours, links
_CODE = {
    "": "{}",
    "sh": "%%bash\n{}",
    "picture": 'from IPython.display import Image\n\nImage("{}")',
}


def cells(script: str) -> list[tuple[str, str]]:
    """Return the kind (`markdown` or `code`) and the text of each cell of a script."""
    found = []
    for kind, text in re.findall(r"^# %%(?: \[(\w+)\])?\n(.*?)(?=^# %%|\Z)", script, re.M | re.S):
        plain = re.sub(r"^# ?", "", text.strip(), flags=re.M) if kind else text.strip()
        if kind == "markdown":
            found.append((kind, plain))
        else:
            found.append(("code", _CODE[kind].format(plain)))
    return found


def notebook(script: str) -> nbformat.NotebookNode:
    """Return the notebook of a script, without outputs."""
    new = {"markdown": nbformat.v4.new_markdown_cell, "code": nbformat.v4.new_code_cell}
    made = [new[kind](text, id=f"cell-{at}") for at, (kind, text) in enumerate(cells(script))]
    return nbformat.v4.new_notebook(cells=made)


def run(script: Path, folder: Path) -> nbformat.NotebookNode:
    """Run the cells of a script in a folder and return its notebook; a cell that fails raises."""
    document = notebook(script.read_text("utf-8"))
    # figures as numbers, which the site and a notebook draw; imports from this checkout
    own = {"PLOTLY_RENDERER": "plotly_mimetype", "PYTHONPATH": str(HERE.parent), "COLUMNS": "100"}
    own["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    place = {"metadata": {"path": str(folder)}}
    client = NotebookClient(document, kernel_name="python3", timeout=600, resources=place)
    client.record_timing, client.coalesce_streams = False, True
    client.execute(env={**os.environ, **own})
    for cell in document.cells:
        if "outputs" in cell:
            cell.outputs = [one for one in cell.outputs if one.get("name") != "stderr"]
            for one in cell.outputs:
                if "text" in one:
                    one["text"] = _ANSI.sub("", one["text"])
    return document


def main() -> None:
    """Run the scripts that the command names, or all, each in an empty folder."""
    for script in map(Path, sys.argv[1:] or SCRIPTS):
        with TemporaryDirectory() as folder:
            text = nbformat.writes(run(script, Path(folder))).replace(folder, "/home/ann/af")
        script.with_suffix(".ipynb").write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    sys.exit(main())
