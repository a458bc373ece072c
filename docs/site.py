"""What the site has from elsewhere in the repository, so that no text is written twice.

MkDocs calls `on_files`. The experiments keep their addresses; the notebook becomes a page of its
cells, and CONTRIBUTING.md a page of its own.
"""

import json
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

_SHOWN = {".md", ".png", ".csv", ".py"}
_ROOT = Path(__file__).resolve().parent.parent


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the files that do not lie in docs/."""
    for path in sorted((_ROOT / "experiments").rglob("*")):
        if path.suffix in _SHOWN:
            at = path.relative_to(_ROOT).as_posix()
            files.append(File.generated(config, at, abs_src_path=str(path)))
    notebook = (_ROOT / "docs/notebook.ipynb").read_text("utf-8")
    contributing = (_ROOT / "CONTRIBUTING.md").read_text("utf-8").replace("](docs/", "](")
    files.append(File.generated(config, "notebook.md", content=cells(notebook)))
    files.append(File.generated(config, "contributing.md", content=contributing))
    return files


def cells(notebook: str) -> str:
    """Return the cells of a notebook as Markdown."""
    parts = []
    for cell in json.loads(notebook)["cells"]:
        text = "".join(cell["source"])
        parts.append(text if cell["cell_type"] == "markdown" else f"```python\n{text}\n```")
    return "\n\n".join(parts) + "\n"
